"""How long devices stand idle while a program runs, by JAX's profiler."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import jax


def idle_share(run: Callable[[], object]) -> float:
    """The share of the time from a device's first work to its last in which it does nothing.

    Work that the program has put in line before is no idle time, however late the program looks at what comes of it: a
    loop that waits for the device before it sends more leaves gaps, one that does not leaves none.

    Args:
      run: to be profiled; what it compiles counts as idle, so call it once before. It waits for its own end.

    Returns: in [0, 1]; of several devices, that of the idlest.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            run()
        (path,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(path))
        return max(gaps(times) for times in work(profile).values())


def work(profile: jax.profiler.ProfileData) -> dict[str, list[tuple[float, float]]]:
    """{device: [(start, end)] of its work, in nanoseconds}, in a profile; all CPU devices are one."""
    found = {}
    for plane in profile.planes:
        times = [
            (event.start_ns, event.start_ns + event.duration_ns)
            for line in plane.lines
            for event in line.events
            if _is_work(plane.name, line.name, event.name)
        ]
        if times:
            found[plane.name] = times
    return found


def _is_work(plane: str, line: str, event: str) -> bool:
    """Whether an event is a device's work: kernels and copies of a GPU, modules of a TPU, a CPU's programs."""
    if plane.startswith("/device:"):
        return line.startswith("Stream") or line == "XLA Modules"
    return event.startswith("ThunkExecutor::Execute")


def gaps(times: Iterable[tuple[float, float]]) -> float:
    """The share of the time between the first start and the last end that no interval (start, end) covers."""
    times = sorted(times)
    first, covered = times[0][0], times[0][0]
    idle = 0.0
    for start, end in times:
        idle += max(0.0, start - covered)
        covered = max(covered, end)
    return idle / max(covered - first, 1e-9)
