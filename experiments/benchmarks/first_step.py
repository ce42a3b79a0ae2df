r"""One side's time to its first train step and the peak of its memory, both beyond imports; one line of JSON.

    python -m experiments.benchmarks.first_step --side=torch --family=dcgan28 --weights=FILE

What `experiments.benchmarks.train_step` starts for each of its sides. FILE is an .npz with the weights that a peer
starts from, named player/layer/name; ours draws its own.
"""

import json
import sys
import time
from pathlib import Path

from absl import app, flags

from experiments.benchmarks.peers import ours, sides
from experiments.benchmarks.peers.layers import load_weights
from experiments.benchmarks.peers.row import example_batch
from experiments.benchmarks.peers.rows import ROWS
from experiments.commands import start
from gans.precision import PRECISIONS

SIDE = flags.DEFINE_enum("side", "ours", ["ours", *sides.PEERS], "Which side.")
FAMILY = flags.DEFINE_enum("family", "vanilla", list(ROWS), "Which row.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 0, "Examples of a step; 0: the row's own.", lower_bound=0)
PRECISION = flags.DEFINE_enum("precision", "float32", PRECISIONS, "What the networks compute in.")
WEIGHTS = flags.DEFINE_string("weights", None, "What a peer starts from.")


def memory(name: str) -> float:
    """Megabytes of this process: `VmRSS`, now, or `VmHWM`, the most so far (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1e3


def main() -> None:
    row = ROWS[FAMILY.value]()
    row = row._replace(batch_size=BATCH_SIZE.value or row.batch_size, precision=PRECISION.value)
    batches = [example_batch(row, seed) for seed in range(2)]
    build = None if SIDE.value == "ours" else sides.load(SIDE.value)
    base, begin = memory("VmRSS"), time.perf_counter()
    side = build(row, batches, load_weights(Path(WEIGHTS.value))) if build else ours.Side(row, batches)
    side()
    seconds = time.perf_counter() - begin
    for _ in range(3):
        side()
    most = getattr(side, "device_memory", lambda: None)()
    print(json.dumps({"seconds": seconds, "memory": memory("VmHWM") - base if most is None else most}))


if __name__ == "__main__":
    # The heap that `start` sets is ours; a peer's memory is measured with what it has by default.
    start(main) if "--side=ours" in sys.argv else app.run(lambda _: main())
