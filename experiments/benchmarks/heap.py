r"""Train steps with the heap that `experiments.heap` sets beside the C library's own, each in a process of its own.

    python -m experiments.benchmarks.heap --family=deblur --family=gan3d32 [--turns=10 --seconds=1]

The steps are those of `experiments.benchmarks.train_step`, and the two sides take turns. Printed are milliseconds a
step and how many pages a step takes anew from the system, both at the median, and the time with the heap set over that
without.
"""

import multiprocessing
import resource
import statistics
from collections.abc import Callable
from multiprocessing.connection import Connection

from absl import flags

from experiments import heap
from experiments.benchmarks.peers import ours
from experiments.benchmarks.peers.row import example_batch
from experiments.benchmarks.peers.rows import ROWS
from experiments.benchmarks.turns import measure, ratio
from experiments.commands import start

FAMILY = flags.DEFINE_multi_enum("family", ["gan3d32"], list(ROWS), "Rows.")
TURNS = flags.DEFINE_integer("turns", 10, "Turns of each side.", lower_bound=1)
SECONDS = flags.DEFINE_float("seconds", 1.0, "About how long a turn lasts.", lower_bound=0.0)


def serve(family: str, settled: bool, connection: Connection) -> None:
    """Takes a step whenever it is asked to, and answers with the pages that the step took."""
    if settled:
        heap.settle()
    row = ROWS[family]()
    side = ours.Side(row, [example_batch(row, seed) for seed in range(4)])
    while True:
        connection.recv()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        side()
        connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


def side(family: str, settled: bool) -> tuple[Callable[[], object], list[int]]:
    """A step in a new process, and where the pages of each are written down."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=serve, args=(family, settled, there), daemon=True).start()
    there.close()
    pages = []

    def step():
        here.send(None)
        pages.append(here.recv())

    return step, pages


def main() -> None:
    print("| row | side | ms | time / without | pages |\n| --- | --- | --- | --- | --- |")
    for family in FAMILY.value:
        sides = {"without": side(family, False), "settled": side(family, True)}
        found = measure({name: step for name, (step, _) in sides.items()}, TURNS.value, SECONDS.value)
        for name, seconds in found.items():
            milliseconds, pages = 1e3 * statistics.median(seconds), statistics.median(sides[name][1])
            over = ratio(seconds, found["without"])
            print(f"| {family} | {name} | {milliseconds:.1f} | {over} | {pages:,.0f} |", flush=True)


if __name__ == "__main__":
    start(main)
