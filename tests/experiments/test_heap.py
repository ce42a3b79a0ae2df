"""A step's memory stays with the process, and what compiling leaves does not."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest

from experiments import heap

# Faults of pages in each of ten calls of a program that needs 64 MB, which are 16,384 pages, on its way. The median:
# now and then glibc cannot use the last call's place again, and one call takes a new one.
PROGRAM = """
import resource
import statistics
import jax
import jax.numpy as jnp
from experiments import heap
{settle}
program = jax.jit(lambda x: jnp.flip(jax.lax.optimization_barrier(jnp.sin(x))).sum())
x = jnp.ones(2**24)
faults = []
for _ in range(13):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    program(x).block_until_ready()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(statistics.median_high(faults[3:]))
"""


def faults(settle):
    command = [sys.executable, "-c", PROGRAM.format(settle=settle)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_a_programs_memory_is_kept_for_its_next_run():
    assert faults("") > 10_000
    assert faults("heap.settle()") < 1_000


@pytest.fixture
def listeners(monkeypatch):
    """What has been asked to be told of compilations; all of it told no more in the end."""
    found = []
    hear = jax.monitoring.register_event_duration_secs_listener
    name = "register_event_duration_secs_listener"
    monkeypatch.setattr(jax.monitoring, name, lambda own: (found.append(own), hear(own)))
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setattr(sys, "platform", "linux")
    yield found
    for own in found:
        jax.monitoring.unregister_event_duration_listener(own)


def test_memory_that_compiling_leaves_is_given_back(monkeypatch, listeners):
    trimmed = []
    library = SimpleNamespace(mallopt=lambda *_: 1, malloc_trim=trimmed.append)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    heap.settle()
    jax.jit(lambda x: x + 1)(1.0)
    assert trimmed == [0]


def test_another_c_library_is_left_alone(monkeypatch, listeners):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    heap.settle()
    assert not listeners
