r"""The document's super-resolution generator, 64x64 to 256x256, beside the same network in PyTorch: pictures a second.

    python -m experiments.benchmarks.enlarge [--turns=20 --batch_size=1]

It is that of the row `srgan` of `experiments.benchmarks.train_step`, in inference mode: in PyTorch channels_last, on as
many threads as there are cores. The weights are the same, and so are the outputs, to 1e-4. The two take turns; "its
time / ours" is above 1 where ours is faster. Needs PyTorch: pip install -e '.[bench]'.
"""

import os
import statistics
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from absl import flags

from experiments.benchmarks.peers.layers import Weights
from experiments.benchmarks.peers.ours import layer_paths, weights_at
from experiments.benchmarks.peers.rows import ROWS
from experiments.benchmarks.peers.torch_side import Player
from experiments.benchmarks.turns import measure, ratio
from experiments.commands import Failure, start
from gans.srgan.networks import DocumentGenerator

TURNS = flags.DEFINE_integer("turns", 20, "Turns of each side.", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 1, "Pictures at once.", lower_bound=1)
SIDE = flags.DEFINE_integer("side", 64, "Of the source, pixels.", lower_bound=1)
SECONDS = flags.DEFINE_float("seconds", 1.0, "About how long a turn lasts.", lower_bound=0.0)


def untrained(module: DocumentGenerator, source: np.ndarray) -> tuple[Mapping[str, Any], Weights]:
    """Its variables, whose running statistics are not the trivial ones, and the same by layers."""
    paths = []

    def init(key):
        variables = module.init(key, source)
        paths.extend(layer_paths(variables["params"]))
        return variables

    variables = jax.jit(init)(jax.random.key(0))
    draw = np.random.default_rng(1)
    noise = {"mean": lambda shape: draw.normal(0, 0.1, shape), "var": lambda shape: draw.uniform(0.5, 1.5, shape)}
    stats = {
        name: {kind: np.float32(noise[kind](leaf.shape)) for kind, leaf in own.items()}
        for name, own in variables["batch_stats"].items()
    }
    weights = weights_at((variables["params"], stats), paths)
    return jax.device_put({"params": variables["params"], "batch_stats": stats}), weights


def main() -> None:
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    module = DocumentGenerator()
    source = np.random.default_rng(0).uniform(-1, 1, (BATCH_SIZE.value, SIDE.value, SIDE.value, 3)).astype(np.float32)
    variables, weights = untrained(module, source)
    apply = jax.jit(module.apply)
    network = Player(ROWS["srgan"]().generator, source.shape[1:], weights, turned=False).network.eval()
    turned = torch.from_numpy(source).movedim(-1, 1)  # as it lies in memory: channels_last
    with torch.inference_mode():
        theirs = network(turned).movedim(1, -1).numpy()
        difference = float(jnp.abs(apply(variables, source) - theirs).max())
        if difference > 1e-4:
            raise Failure(f"The outputs are not the same: they differ by up to {difference:.1e}.")
        calls = {"ours": lambda: apply(variables, source).block_until_ready(), "torch": lambda: network(turned)}
        found = measure(calls, TURNS.value, SECONDS.value)
    print(f"outputs differ by {difference:.0e}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| side | pictures/s | its time / ours |\n| --- | --- | --- |")
    print(f"| ours | {BATCH_SIZE.value / statistics.median(found['ours']):.2f} | |")
    spread = ratio(found["torch"], found["ours"])
    print(f"| torch | {BATCH_SIZE.value / statistics.median(found['torch']):.2f} | {spread} |")


if __name__ == "__main__":
    start(main)
