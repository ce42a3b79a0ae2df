"""How the C library's heap is used by programs of JAX on the CPU; without effect where it is not glibc's."""

import ctypes
import sys

import jax

# What JAX calls the time of a compilation, or of reading a program from the cache.
_COMPILED = "/jax/core/compile/backend_compile_duration"

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def settle() -> None:
    """Keeps the memory of a step for the next one, and gives back what compiling leaves; before JAX is first used.

    XLA asks for what a program needs on the way anew each time that it runs, in one piece. From 32 MB on glibc takes
    such a piece from the system and returns it afterwards, and the system hands it out in pages of 4 KB that it has
    set to zero: up to a fourth of a step. Here it stays in the heap. Only the main thread's heap grows to any size, so
    programs for the CPU run in the thread that calls them; the call returns at their end.

    On two cores, JAX 0.10.2, `experiments.benchmarks.heap`: 0.73 (3D-GAN) to 0.87 (DCGAN of 64 pixels) of the time.
    Where glibc cannot reuse the last run's place, which depends on what lies around it, the process holds a second one.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    set_option, trim = (getattr(library, name, None) for name in ("mallopt", "malloc_trim"))
    if not set_option or not trim:
        return
    set_option(_MMAP_MAX, 0)
    set_option(_TRIM_THRESHOLD, -1)
    jax.config.update("jax_cpu_enable_async_dispatch", False)

    # A process that trains deblurring holds half as much after a cold start.
    def compiled(event: str, _: float, **__: object) -> None:
        if event == _COMPILED:
            trim(0)

    jax.monitoring.register_event_duration_secs_listener(compiled)
