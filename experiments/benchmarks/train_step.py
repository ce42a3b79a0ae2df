r"""Train steps of each family beside the same in PyTorch, Keras and TensorFlow: equal networks, losses and batches.

    python -m experiments.benchmarks.train_step --family=all --peers=torch,torch_compile,keras,tensorflow
    python -m experiments.benchmarks.train_step --family=dcgan28 --peers=torch --check
    python -m experiments.benchmarks.train_step --family=all --peers=torch_compile --precision=bfloat16

The networks and recipes are the documents' (`experiments.benchmarks.peers.rows`). All sides start from our weights on
the same batches, and before anything is timed each peer takes a step of plain gradient descent without dropout, after
which its loss and every layer's weights must be ours. Then the sides take turns with Adam and dropout, and at the end
all weights of both players must have moved. Ours and torch can compute in bfloat16 (what is compared before stays in
float32): ours as `gans.precision` has it, torch by autocast. Both use a GPU where there is one; memory is then its own.
A side's time to the first step, anew and with what it has then left in its caches, and the peak of its memory, both
beyond imports, are of processes of their own. The turns are of one process, so the peers too have the heap that
`experiments.heap` sets, from which PyTorch gains; in processes of their own they have the system's.

Printed are: images a second, at the median; a side's time over ours, the median of the turns and from where to where
(above 1, ours is faster); how much of the rate of a large product of matrices, measured in the same turns, the step
reaches, its work being that of the convolutions as they are defined; seconds to the first step; megabytes. The side
`input` is our pipeline alone, maps and loader of the family's config, in the same turns; its time / ours is the share
of a step's time that it would take.

Needs the peers: pip install -e '.[bench]'.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import jax
from absl import flags

from experiments.benchmarks import inputs
from experiments.benchmarks.peers import ours, sides
from experiments.benchmarks.peers.comparison import check, have_moved
from experiments.benchmarks.peers.layers import save_weights
from experiments.benchmarks.peers.row import Row, example_batch, step_work
from experiments.benchmarks.peers.rows import ROWS
from experiments.benchmarks.turns import measure, ratio
from experiments.commands import Failure, UsageError, start
from gans.precision import PRECISIONS

FAMILY = flags.DEFINE_list("family", ["all"], f"Rows: all, or some of {', '.join(ROWS)}.")
CHOSEN = flags.DEFINE_list("peers", ["torch", "keras", "tensorflow"], f"Some of {', '.join(sides.PEERS)}.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 0, "Examples of a step; 0: each row's own.", lower_bound=0)
PRECISION = flags.DEFINE_enum("precision", "float32", PRECISIONS, "What ours and torch's networks compute in.")
TURNS = flags.DEFINE_integer("turns", 10, "Turns of each side.", lower_bound=1)
SECONDS = flags.DEFINE_float("seconds", 1.0, "About how long a turn lasts.", lower_bound=0.0)
CHECK = flags.DEFINE_bool("check", False, "Compare what the sides compute, and time nothing.")

HEAD = "| row | side | images/s | its time / ours | of a matrix product's rate | first step, s (again) | memory, MB |"


def matrix_product() -> tuple[Callable[[], object], float]:
    """A large product of matrices, and its floating-point operations."""
    side = 2048 if jax.default_backend() == "cpu" else 8192
    matrix = jax.random.normal(jax.random.key(0), (side, side), PRECISION.value)
    product = jax.jit(lambda matrix: matrix @ matrix)
    return lambda: product(matrix).block_until_ready(), 2 * side**3


def first_step(side: str, family: str, batch_size: int, weights: Path) -> tuple[float, float, float]:
    """Of a side in processes of its own: seconds to its first step anew and again, and megabytes at most."""
    command = [sys.executable, "-m", "experiments.benchmarks.first_step", f"--side={side}", f"--family={family}"]
    command += [f"--batch_size={batch_size}", f"--weights={weights}", f"--precision={PRECISION.value}"]
    with tempfile.TemporaryDirectory() as caches:
        environment = os.environ | {"XDG_CACHE_HOME": caches, "TORCHINDUCTOR_CACHE_DIR": caches}
        told = []
        for _ in range(2):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Failure(f"{side} did not come to its first step:\n{done.stderr[-2000:]}")
            told.append(json.loads(done.stdout.splitlines()[-1]))
    return told[0]["seconds"], told[1]["seconds"], told[1]["memory"]


def report(family: str, row: Row, peers: list[str]) -> None:
    """Prints a row's lines of the table."""
    batches = [example_batch(row, seed) for seed in range(4)]
    our = ours.Side(row, batches)
    before = our.weights()
    made = {"ours": our} | {peer: sides.load(peer)(row, batches, before) for peer in peers}
    stream = inputs.batches(family, row.batch_size)
    product, operations = matrix_product()
    others = {"product": product, "input": lambda: next(stream)}
    found = measure(made | others, TURNS.value, SECONDS.value)
    rate = operations / statistics.median(found.pop("product"))
    pipeline = found.pop("input")
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.npz")
        save_weights(weights, before)
        for name, seconds in found.items():
            if not have_moved(before, made[name].weights()):
                raise Failure(f"{family}: not all weights of {name} have moved.")
            share = step_work(row) * row.batch_size / statistics.median(seconds) / rate
            anew, again, megabytes = first_step(name, family, row.batch_size, weights)
            more = f"{share:.0%} | {anew:.1f} ({again:.1f}) | {megabytes:,.0f} |"
            print(f"{line(family, row, name, seconds, found['ours'])} {more}", flush=True)
    print(f"{line(family, row, 'input', pipeline, found['ours'])} | | |", flush=True)


def line(family: str, row: Row, side: str, seconds: list[float], ours: list[float]) -> str:
    """What all sides have in the table: images/s, and their time over ours."""
    rate = row.batch_size / statistics.median(seconds)
    return f"| {family}, {row.batch_size} | {side} | {rate:.1f} | {ratio(seconds, ours)} |"


def chosen(given: list[str], known: list[str], flag: str) -> list[str]:
    """What a flag names, checked."""
    for name in given:
        if name not in known:
            raise UsageError(f"--{flag}={name}: choose from {', '.join(known)}.")
    return given


def main() -> None:
    families = list(ROWS) if FAMILY.value == ["all"] else chosen(FAMILY.value, list(ROWS), "family")
    peers = chosen(CHOSEN.value, list(sides.PEERS), "peers")
    rows = {family: ROWS[family]() for family in families}
    if BATCH_SIZE.value:
        rows = {family: row._replace(batch_size=BATCH_SIZE.value) for family, row in rows.items()}
    if PRECISION.value != "float32" and (strange := sorted(set(peers) - {"torch", "torch_compile"})):
        raise UsageError(f"--precision={PRECISION.value} is for ours, torch and torch_compile; not for {strange[0]}.")
    for peer in peers:
        sides.load(peer)
    for family, row in rows.items():
        for peer in peers:
            print(f"{family}: {check(row, peer)}", flush=True)
    if CHECK.value:
        return
    packages = ("jax", "jaxlib", "torch", "tensorflow", "tensorflow-cpu", "keras")
    present = {package.metadata["Name"].replace("_", "-"): package.version for package in metadata.distributions()}
    versions = ", ".join(f"{name} {present[name]}" for name in packages if name in present)
    print(f"\n{jax.devices()[0].device_kind}, {os.cpu_count()} cores; {versions}; load {os.getloadavg()[0]:.1f}\n")
    print(f"{HEAD}\n{'| --- ' * HEAD.count(' |')}|")
    for family, row in rows.items():
        report(family, row._replace(precision=PRECISION.value), peers)


if __name__ == "__main__":
    start(main)
