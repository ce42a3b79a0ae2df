"""Times of several sides that take turns, so that what else the machine does meets all of them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def timed(call: Callable[[], object], times: int) -> float:
    """Seconds a call."""
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begin) / times


def measure(calls: Mapping[str, Callable[[], object]], turns: int, seconds: float) -> dict[str, list[float]]:
    """{side: seconds a call in each turn}; a turn is of so many calls as take about `seconds`."""
    times = {}
    for name, call in calls.items():
        timed(call, 2)  # compiles, and compiles again for what the first has changed
        times[name] = max(1, round(seconds / timed(call, 1)))
    found = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            time.sleep(0.1)  # the other side's threads spin for a while
            call()
            found[name].append(timed(call, times[name]))
    return found


def ratio(own: Sequence[float], other: Sequence[float]) -> str:
    """One side's times over another's of the same turns: their median, and from where to where."""
    ratios = [one / beside for one, beside in zip(own, other, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
