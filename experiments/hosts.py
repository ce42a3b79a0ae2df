"""Several processes as one run: how they meet, what they agree on, and how one that is gone ends them all.

Beside JAX's own channels each process holds a connection to process 0, for what JAX does not give: a start that fails
with a message, in bounded time; values on which all agree; and the death of a process, which the system tells the other
end of its connections at once, while a collective would wait for it and JAX would abort.
"""

import contextlib
import os
import secrets
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np

from experiments import meeting
from experiments.commands import UsageError, explained
from gans.core import Step

SIGNAL = "signal"  # in batch and metrics, the number of a signal that has reached a process, or 0
_GRACE = 3  # seconds

_group: "_Group | None" = None  # of this process, as JAX has one of its own


def first() -> bool:
    """Whether this process is the one that writes."""
    return _group is None or _group.place.process == 0


def several() -> bool:
    """Whether the run has more than one process."""
    return _group is not None


def gather(value: Any) -> list[Any]:
    """What each process gave, by its number; returns when all have. Values are what JSON holds."""
    return [value] if _group is None else _group.gather(value)


def from_first(value: Any) -> Any:
    """The value that process 0 gave."""
    return gather(value)[0]


def by_first(work: Callable[[], None]) -> None:
    """Process 0 does the work; the others wait for its end."""
    if first():
        work()
    gather(None)


@contextlib.contextmanager
def first_before_others() -> Iterator[None]:
    """Process 0 goes through the block before the others, which find in caches what it made."""
    if not first():
        gather(None)
    yield
    if first():
        gather(None)


def hearing(step: Step, axis: str) -> Step:
    """The step under `pmap`, whose metrics have the SIGNAL that `telling` put into the batch of any process."""

    def heard(state, batch, key):
        batch = dict(batch)
        signal = jax.lax.pmax(batch.pop(SIGNAL), axis)
        state, metrics = step(state, batch, key)
        return state, {**metrics, SIGNAL: signal}

    return heard


def telling(batch: Mapping[str, np.ndarray], signal: int | None) -> Mapping[str, np.ndarray]:
    """The batch of this process' devices, which with several processes tells the others of a signal."""
    if not several():
        return batch
    return {**batch, SIGNAL: np.full(jax.local_device_count(), signal or 0, np.int32)}


def tell(message: str) -> None:
    """Prints a message of the whole run, once."""
    if first():
        print(message)


def check_same(what: str, value: Any) -> None:
    """Makes sure that all processes have the same; `value` is what JSON holds.

    Raises:
      UsageError: at all of them, if one has another than process 0.
    """
    values = gather(value)
    if strange := [process for process, other in enumerate(values) if other != values[0]]:
        raise UsageError(f"Process {strange[0]} has {what} other than process 0's; give all of them the same.")


def check_shared(folder: Path) -> None:
    """Makes sure that all processes see the same folder, which exists at least for process 0.

    Raises:
      UsageError: at all of them, if one does not.
    """
    mark = folder / from_first(f".seen-{secrets.token_hex(8)}")
    if first():
        mark.touch()
    gather(None)
    deadline = time.monotonic() + (meeting.SILENCE if several() else 0)
    while not (seen := mark.exists()) and time.monotonic() < deadline:
        time.sleep(0.5)  # network file systems show a new file late
    seen = gather(seen)
    if first():
        mark.unlink()
    if not all(seen):
        raise UsageError(
            f"Process {seen.index(False)} does not see what process 0 writes into {folder}; --workdir must be a folder "
            "that all hosts share."
        )


@contextlib.contextmanager
def joined(coordinator: str | None, processes: int | None, process: int | None) -> Iterator[None]:
    """Within the block this process is one of a group, if it was asked to be, or if it is one of a cluster's tasks.

    It must be entered before JAX has looked for devices. A fault within the block ends all processes: each with one
    message, none later than when it learns of it.

    Args:
      coordinator: HOST:PORT where process 0 listens.
      processes: how many there are; 1: this one is alone, whatever cluster it runs on.
      process: the number of this one.

    Raises:
      UsageError: for arguments that do not fit together, or if not all processes come in time.
    """
    global _group
    place = meeting.asked(coordinator, processes, process)
    if place is None and processes is None:
        place = meeting.detected()
    if place is None:
        yield
        return
    _group = _Group(place, meeting.wait_for_all(place) if place.process == 0 else [meeting.find_first(place)])
    try:
        _group.start_jax()
        yield
    except BaseException as error:  # a process that ends ends them all
        _group.fail(error)
    _group.leave()
    _group = None


class _Group:
    """This process among the others; process 0 has connections to all of them, the others one to process 0."""

    def __init__(self, place: meeting.Place, peers: list[meeting.Peer]):
        self.place, self._peers = place, peers
        self._leaving, self._ending = False, threading.Lock()
        for peer in peers:
            threading.Thread(target=self._listen, args=(peer,), daemon=True, name=f"process {peer.process}").start()

    def start_jax(self) -> None:
        """Starts JAX's own service, at a port of process 0 that is free."""
        with socket.socket() as free:
            free.bind(("", 0))
            port = self.gather(free.getsockname()[1])[0]
        host = f"[{self.place.host}]" if ":" in self.place.host else self.place.host
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
        jax.distributed.initialize(
            f"{host}:{port}",
            self.place.processes,
            self.place.process,
            local_device_ids=self.place.devices,
            cluster_detection_method="deactivate",
            initialization_timeout=int(meeting.PATIENCE),
        )

    def gather(self, value: Any) -> list[Any]:
        if self.place.process:
            self._peers[0].send({"say": value})
            return self._peers[0].said.get()
        values = [value, *(peer.said.get() for peer in self._peers)]
        for peer in self._peers:
            peer.send({"say": values})
        return values

    def leave(self) -> None:
        """Returns when all others leave too; from then on their ends are none of this process' business."""
        self.gather(None)
        self._leaving = True
        jax.distributed.shutdown()  # which waits for all, so that nobody sees an end before it has left
        for peer in self._peers:
            peer.close()

    def fail(self, error: BaseException) -> NoReturn:
        """Tells what went wrong here, to the user and to the others, and ends the process."""
        if isinstance(error, jax.errors.JaxRuntimeError):
            time.sleep(_GRACE)  # a collective may break before the death that broke it is known here
        self._begin_to_end()
        if found := explained(error):
            reason, status = found
            print(f"error: {reason}", file=sys.stderr)
        else:
            traceback.print_exception(error)
            reason, status = f"{type(error).__name__}: {error}", 130 if isinstance(error, KeyboardInterrupt) else 1
        self._pass_on(f"Process {self.place.process} of {self.place.processes} stopped: {reason[:10_000]}", status)
        _exit(status)

    def _listen(self, peer):
        while message := peer.receive():
            if "end" in message:
                self._end(message["end"], message["status"])
            peer.said.put(message["say"])
        if not self._leaving:
            self._end(
                f"Process {peer.process} of {self.place.processes} is gone: it was killed, or its host cannot be "
                "reached any more. Start all again with the same command; the run goes on from its last checkpoint.",
                1,
            )

    def _end(self, reason, status):
        self._begin_to_end()
        self._pass_on(reason, status)
        print(f"\nerror: {reason}", file=sys.stderr)  # the progress bar has not ended its line
        _exit(status)

    def _begin_to_end(self):
        if not self._ending.acquire(blocking=False):
            threading.Event().wait()  # another thread is telling why, and ends the process

    def _pass_on(self, reason, status):
        for peer in self._peers:
            peer.send({"end": reason, "status": status})


def _exit(status: int) -> NoReturn:
    """Ends the process at once: JAX's own way out waits for processes that will not come."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
