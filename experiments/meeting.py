"""How the processes of a run find one another: by flags or their cluster, and a connection of each to process 0."""

import contextlib
import json
import os
import queue
import socket
import threading
import time
from typing import NamedTuple

from experiments.commands import UsageError

PATIENCE = 120.0  # seconds until all processes must have come
SILENCE = 30  # seconds after which a host that does not answer counts as gone
_GREETING = 5.0  # seconds for a process' first line; others that find the port are sent away
LONGEST = 1 << 20  # bytes of a message


class Place(NamedTuple):
    """Where a process stands in its group; `devices` are the numbers of the local ones it uses, None for all."""

    host: str
    port: int
    processes: int
    process: int
    devices: list[int] | None = None


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
    happens here but a look at the environment. (A host of TPUs is always asked.)

    Raises:
      UsageError: if the cluster cannot be asked.
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
    try:
        address, tasks, task, devices = clusters.ClusterEnv.auto_detect_unset_distributed_params(
            None, tasks, None, None, None, int(PATIENCE)
        )
    except Exception as error:  # whatever asking a cluster may raise
        raise UsageError(
            f"This is a task of a cluster that JAX cannot ask about the others ({error}); give --coordinator, "
            "--processes and --process, or --processes=1 for a run of its own."
        ) from error
    if address is None or tasks is None or task is None or tasks == 1:
        return None
    host, _, port = address.rpartition(":")
    # JAX gives each task one device, which is right where a host has as many tasks as devices.
    return Place(host, int(port), tasks, task, None if one_a_host else list(devices or []) or None)


class Peer:
    """A connection to another process, which carries a JSON value a line."""

    def __init__(self, connection: socket.socket, process: int):
        self.process, self.said = process, queue.SimpleQueue()
        self._connection, self._file, self._lock = connection, connection.makefile("rb"), threading.Lock()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("KEEPIDLE", SILENCE // 3), ("KEEPINTVL", SILENCE // 6), ("KEEPCNT", 4)):
            if option := getattr(socket, f"TCP_{name}", None):
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
        if option := getattr(socket, "TCP_USER_TIMEOUT", None):
            connection.setsockopt(socket.IPPROTO_TCP, option, 1000 * SILENCE)

    def send(self, message: dict) -> None:
        """Sends a message; to one that is gone, nothing."""
        with self._lock, contextlib.suppress(OSError):
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float | None = None) -> dict | None:
        """The next message; None if there is none in time, or the other is gone."""
        try:
            self._connection.settimeout(seconds)
            line = self._file.readline(LONGEST)
            message = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def close(self) -> None:
        """Ends the connection, also for a thread that is reading from it."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def wait_for_all(place: Place) -> list[Peer]:
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
            _greet(Peer(connection, -1), place, peers)
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


def find_first(place: Place) -> Peer:
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
    peer = Peer(connection, 0)
    peer.send({"process": place.process, "processes": place.processes})
    return peer
