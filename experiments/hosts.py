"""Several processes as one run: how they meet, what they agree on, and how one that is gone ends them all.

Beside JAX's own channels each process holds a connection to process 0, for what JAX does not give: a start that fails
with a message, in bounded time; values on which all agree; and the death of a process, which the system tells the other
end of its connections at once, while a collective would wait for it and JAX would abort.
"""

import contextlib
import json
import os
import queue
import secrets
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax

from experiments.commands import UsageError, explained

PATIENCE = 120.0  # seconds until all processes must have come
_SILENCE = 30  # seconds after which a host that does not answer counts as gone
_GREETING = 5.0  # seconds for a process' first line; others that find the port are sent away
_LONGEST = 1 << 20  # bytes of a message

_group: "_Group | None" = None  # of this process, as JAX has one of its own


class Place(NamedTuple):
    """Where a process stands in its group; `devices` are the numbers of the local ones it uses, None for all."""

    host: str
    port: int
    processes: int
    process: int
    devices: list[int] | None = None


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
    deadline = time.monotonic() + (_SILENCE if several() else 0)
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
    place = asked(coordinator, processes, process)
    if place is None and processes is None:
        place = detected()
    if place is None:
        yield
        return
    _group = _Group(place, _wait_for_all(place) if place.process == 0 else [_find_first(place)])
    try:
        _group.start_jax()
        yield
    except BaseException as error:  # a process that ends ends them all
        _group.fail(error)
    _group.leave()
    _group = None


def asked(coordinator: str | None, processes: int | None, process: int | None) -> Place | None:
    """The place that the flags give; None for one process alone.

    Raises:
      UsageError: for flags that do not fit together.
    """
    given = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    if processes == 1 and not process or set(given.values()) == {None}:
        return None
    if missing := [name for name, value in given.items() if value is None]:
        raise UsageError(f"--coordinator, --processes and --process belong together: {missing[0]} is missing.")
    if processes < 1 or not 0 <= process < processes:
        raise UsageError(f"--process={process} of --processes={processes}: processes are counted from 0.")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(f"--coordinator={coordinator} is not HOST:PORT, such as node1:29500.")
    return Place(host.strip("[]"), int(port), processes, process)


def detected() -> Place | None:
    """The place of a task of SLURM's or Open MPI's, or of a TPU pod's host; None for a process that is alone.

    A cluster is asked only where there is more than one task: within an allocation of one, or outside of any, nothing
    happens here but a look at the environment.
    """
    from jax._src import cloud_tpu_init, clusters

    environment = os.environ
    if "OMPI_MCA_orte_hnp_uri" in environment and "OMPI_COMM_WORLD_SIZE" in environment:
        tasks = int(environment["OMPI_COMM_WORLD_SIZE"])
        one_a_host = environment.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"
    elif "SLURM_STEP_NUM_TASKS" in environment and "SLURM_PROCID" in environment:
        # The step's tasks: SLURM_NTASKS are the job's, also in a shell on one of its hosts.
        tasks = int(environment["SLURM_STEP_NUM_TASKS"])
        one_a_host = environment.get("SLURM_STEP_NUM_NODES") == environment["SLURM_STEP_NUM_TASKS"]
    elif cloud_tpu_init.running_in_cloud_tpu_vm:
        tasks, one_a_host = None, True
    else:
        return None
    if tasks == 1:
        return None
    address, tasks, task, devices = clusters.ClusterEnv.auto_detect_unset_distributed_params(
        None, tasks, None, None, None, int(PATIENCE)
    )
    if address is None or tasks is None or task is None or tasks == 1:
        return None
    host, _, port = address.rpartition(":")
    # JAX gives each task one device, which is right where a host has as many tasks as devices.
    return Place(host, int(port), tasks, task, None if one_a_host else list(devices or []) or None)


class _Peer:
    """A connection to another process, which carries a JSON value a line."""

    def __init__(self, connection: socket.socket, process: int):
        self.process, self.said = process, queue.SimpleQueue()
        self._connection, self._file, self._lock = connection, connection.makefile("rb"), threading.Lock()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("KEEPIDLE", _SILENCE // 3), ("KEEPINTVL", _SILENCE // 6), ("KEEPCNT", 4)):
            if option := getattr(socket, f"TCP_{name}", None):
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
        if option := getattr(socket, "TCP_USER_TIMEOUT", None):
            connection.setsockopt(socket.IPPROTO_TCP, option, 1000 * _SILENCE)

    def send(self, message: dict) -> None:
        """Sends a message; to one that is gone, nothing."""
        with self._lock, contextlib.suppress(OSError):
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float | None = None) -> dict | None:
        """The next message; None if there is none in time, or the other is gone."""
        try:
            self._connection.settimeout(seconds)
            line = self._file.readline(_LONGEST)
            message = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def close(self) -> None:
        """Ends the connection, also for a thread that is reading from it."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def _wait_for_all(place: Place) -> list[_Peer]:
    """Process 0's connections to all others, by their numbers."""
    try:
        dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual else socket.AF_INET
        server = socket.create_server(("", place.port), family=family, backlog=128, dualstack_ipv6=dual)
    except OSError as error:
        raise UsageError(
            f"Process 0 cannot listen at port {place.port} ({error.strerror}); let --coordinator name a free "
            "one of its host."
        ) from error
    peers, deadline = {}, time.monotonic() + PATIENCE
    with server:
        while len(peers) < place.processes - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = [process for process in range(1, place.processes) if process not in peers]
                trouble = (
                    f"Of {place.processes} processes number {', '.join(map(str, missing))} did not come within "
                    f"{PATIENCE:.0f} s; start the same command on each host, with its own --process."
                )
                for peer in peers.values():
                    peer.send({"end": trouble, "status": 2})
                raise UsageError(trouble) from None
            _greet(_Peer(connection, -1), place, peers)
    return [peers[process] for process in sorted(peers)]


def _greet(peer, place, peers):
    """Takes a process into the group, or tells it why not."""
    greeting = peer.receive(_GREETING) or {}
    number = greeting.get("process")
    if not isinstance(number, int) or not 0 < number < place.processes:
        trouble = f"process 0 has --processes={place.processes}, where there is no process {number}."
    elif greeting.get("processes") != place.processes:
        trouble = f"process 0 has --processes={place.processes}, and this one has {greeting.get('processes')}."
    elif number in peers:
        trouble = f"another process has already come as --process={number}."
    else:
        peer.process, peers[number] = number, peer
        return
    peer.send({"end": f"Process {number} was not let in: {trouble}", "status": 2})
    peer.close()


def _find_first(place: Place) -> _Peer:
    """This process' connection to process 0."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection = socket.create_connection((place.host, place.port), timeout=_GREETING)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise UsageError(
                    f"Process 0 did not answer at {place.host}:{place.port} within {PATIENCE:.0f} s "
                    f"({error.strerror or error}); start it there, and see that this host can reach it."
                ) from error
        time.sleep(0.2)
    peer = _Peer(connection, 0)
    peer.send({"process": place.process, "processes": place.processes})
    return peer


class _Group:
    """This process among the others; process 0 has connections to all of them, the others one to process 0."""

    def __init__(self, place: Place, peers: list[_Peer]):
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
            initialization_timeout=int(PATIENCE),
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
        self._begin_to_end()
        if isinstance(error, SystemExit):  # which was told already
            reason, status = (
                "; ".join(getattr(error, "__notes__", [])),
                error.code if isinstance(error.code, int) else 1,
            )
        elif found := explained(error):
            reason, status = found
            print(f"error: {reason}", file=sys.stderr)
        else:
            traceback.print_exception(error)
            reason, status = f"{type(error).__name__}: {error}", 130 if isinstance(error, KeyboardInterrupt) else 1
        reason = f"Process {self.place.process} of {self.place.processes} stopped: {reason[: _LONGEST // 8]}"
        self._pass_on(reason, status)
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
        print(f"error: {reason}", file=sys.stderr)
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
