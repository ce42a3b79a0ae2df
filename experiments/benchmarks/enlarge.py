r"""The document's super-resolution generator, 64x64 to 256x256, beside the same network in PyTorch: seconds a picture.

    python -m experiments.benchmarks.enlarge [--pairs=20 --batch=1]

The weights are the same, and so are the outputs, to 1e-4. PyTorch runs it in channels_last, in inference mode, on as
many threads as there are cores. The two take turns, and what is printed are minima, medians and the median of the
turns' ratios. Needs PyTorch: pip install -e '.[bench]'.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import torch
from absl import flags
from torch import nn

from experiments.commands import start
from gans.srgan.networks import DocumentGenerator

PAIRS = flags.DEFINE_integer("pairs", 20, "Turns of each side.", lower_bound=1)
BATCH = flags.DEFINE_integer("batch", 1, "Pictures at once.", lower_bound=1)
SIDE = flags.DEFINE_integer("side", 64, "Of the source, pixels.", lower_bound=1)
BLOCKS = flags.DEFINE_integer("blocks", 16, "Residual blocks; the document has 16.", lower_bound=1)


class Block(nn.Module):
    """A residual block."""

    def __init__(self):
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(64, 64, 3, padding=1) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(64, 1e-3) for _ in range(2))

    def forward(self, x):
        y = self.norms[0](torch.relu(self.convolutions[0](x)))
        return x + self.norms[1](self.convolutions[1](y))


class Generator(nn.Module):
    """Sources [batch, 3, height, width] to pictures [batch, 3, 4 height, 4 width]."""

    def __init__(self, blocks: int):
        super().__init__()
        self.first = nn.Conv2d(3, 64, 9, padding=4)
        self.blocks = nn.Sequential(*(Block() for _ in range(blocks)))
        self.middle, self.norm = nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64, 1e-3)
        self.up = nn.ModuleList(nn.Conv2d(channels, 256, 3, padding=1) for channels in (64, 256))
        self.last = nn.Conv2d(256, 3, 9, padding=4)

    def forward(self, source):
        first = torch.relu(self.first(source))
        x = first + self.norm(self.middle(self.blocks(first)))
        for convolution in self.up:
            x = torch.relu(convolution(nn.functional.interpolate(x, scale_factor=2, mode="nearest")))
        return torch.tanh(self.last(x))


@torch.no_grad()
def copied(network: Generator, variables: Mapping) -> Generator:
    """The network with the weights of ours, ready for inference."""
    params, stats = variables["params"], variables["batch_stats"]
    blocks = list(network.blocks)
    plain = [network.first, *(one for block in blocks for one in block.convolutions), network.middle, network.last]
    ours = {f"Conv_{index}": module for index, module in enumerate(plain)}
    ours |= {f"UpsampleConv_{index}": module for index, module in enumerate(network.up)}
    for name, module in ours.items():
        module.weight.copy_(torch.from_numpy(np.array(params[name]["kernel"])).permute(3, 2, 0, 1))
        module.bias.copy_(torch.from_numpy(np.array(params[name]["bias"])))
    for index, module in enumerate([*(one for block in blocks for one in block.norms), network.norm]):
        learnt, seen = params[f"BatchNorm_{index}"], stats[f"BatchNorm_{index}"]
        for name, values in ((module.weight, learnt["scale"]), (module.bias, learnt["bias"])):
            name.copy_(torch.from_numpy(np.array(values)))
        module.running_mean.copy_(torch.from_numpy(np.array(seen["mean"])))
        module.running_var.copy_(torch.from_numpy(np.array(seen["var"])))
    return network.eval().to(memory_format=torch.channels_last)


def variables_of(module: DocumentGenerator, source: np.ndarray) -> Mapping:
    """Weights of an untrained network whose running statistics are not the trivial ones."""
    variables = jax.jit(module.init)(jax.random.key(0), source)
    draw = np.random.default_rng(1)
    noise = {"mean": lambda shape: draw.normal(0, 0.1, shape), "var": lambda shape: draw.uniform(0.5, 1.5, shape)}
    stats = {
        name: {kind: np.float32(noise[kind](x.shape)) for kind, x in own.items()}
        for name, own in variables["batch_stats"].items()
    }
    return jax.device_put({"params": variables["params"], "batch_stats": stats})


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main() -> int:
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    module = DocumentGenerator(blocks=BLOCKS.value)
    source = np.random.default_rng(0).uniform(-1, 1, (BATCH.value, SIDE.value, SIDE.value, 3)).astype(np.float32)
    variables, apply = variables_of(module, source), jax.jit(module.apply)
    network = copied(Generator(BLOCKS.value), variables)
    turned = torch.from_numpy(source).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        theirs = network(turned).permute(0, 2, 3, 1).numpy()
        difference = float(jnp.abs(apply(variables, source) - theirs).max())
        print(f"largest difference of the outputs: {difference:.1e}")
        if difference > 1e-4:
            return 1
        sides = {"PyTorch": lambda: network(turned), "ours": lambda: apply(variables, source).block_until_ready()}
        taken = {name: [] for name in sides}
        for _ in range(PAIRS.value):
            for name, call in sides.items():
                taken[name].append(seconds(call))
    for name, own in taken.items():
        print(f"{name:8} min {min(own):.4f} s, median {statistics.median(own):.4f} s, max {max(own):.4f} s")
    ratios = [theirs / ours for theirs, ours in zip(taken["PyTorch"], taken["ours"], strict=True)]
    least = min(taken["PyTorch"]) / min(taken["ours"])
    print(
        f"PyTorch / ours: {least:.2f} of minima; {len(ratios)} turns: median {statistics.median(ratios):.2f} (from "
        f"{min(ratios):.2f} to {max(ratios):.2f}); load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return 0


if __name__ == "__main__":
    start(main)
