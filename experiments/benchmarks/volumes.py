r"""The convolutions of 3D-GAN one by one on the CPU: `gans.volumes` beside XLA's own and PyTorch's.

    python -m experiments.benchmarks.volumes [--channels=256,128,64 --batch_size=4]

Printed are GFLOP/s at the median of the turns, which the sides take one after another, counted as a direct convolution
has them: the fast algorithm does with fewer. PyTorch's tensors are channels_last_3d. `backward` is both gradients. A
whole train step is a row of `experiments.benchmarks.train_step`. Needs PyTorch: pip install -e '.[bench]'.
"""

import statistics
from collections.abc import Callable

import jax
import numpy as np
import torch
from absl import flags
from torch import nn

from experiments.benchmarks.turns import measure
from experiments.commands import UsageError, start
from gans import volumes

CHANNELS = flags.DEFINE_list("channels", ["256", "128", "64"], "Of the generator's maps from 4^3 on; 3 make 32^3.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Volumes.", lower_bound=1)
TURNS = flags.DEFINE_integer("turns", 10, "Turns of each side.", lower_bound=1)
SECONDS = flags.DEFINE_float("seconds", 0.2, "About how long a turn lasts.", lower_bound=0.0)

DIMENSIONS = ("NDHWC", "DHWIO", "NDHWC")


def own_halve(x, kernel):
    """`volumes.halve` as XLA's own convolution."""
    return jax.lax.conv_general_dilated(x, kernel, (2, 2, 2), "SAME", dimension_numbers=DIMENSIONS)


def own_double(x, kernel):
    """`volumes.double` as XLA's own transposed convolution."""
    return jax.lax.conv_transpose(x, kernel, (2, 2, 2), "SAME", dimension_numbers=DIMENSIONS, transpose_kernel=True)


def to_torch(array: jax.Array) -> torch.Tensor:
    """[batch, x, y, z, channels] as [batch, channels, x, y, z], the same in memory."""
    return torch.tensor(np.asarray(array)).permute(0, 4, 1, 2, 3)


def sides_of_a_layer(kind: str, batch: int, side: int, wide: int, narrow: int) -> dict[str, dict[str, Callable]]:
    """{'forward' or 'backward': {side: a call}} of a convolution between a large map and a small one.

    Args:
      kind: 'halve' or 'double'.
      batch: volumes.
      side: of the small map.
      wide, narrow: channels of the small map and of the large one.
    """
    keys = jax.random.split(jax.random.key(0), 3)
    large = jax.random.normal(keys[0], (batch, *3 * (2 * side,), narrow))
    small = jax.random.normal(keys[1], (batch, *3 * (side,), wide))
    kernel = jax.random.normal(keys[2], (4, 4, 4, narrow, wide)) / 50
    (x, back) = (large, small) if kind == "halve" else (small, large)
    functions = {"halve": (volumes.halve, own_halve), "double": (volumes.double, own_double)}[kind]
    made = {"forward": {}, "backward": {}}
    for name, function in zip(("ours", "XLA's own"), functions, strict=True):
        forward = jax.jit(function)
        # Both gradients of a linear map need its inputs, not its output.
        backward = jax.jit(lambda x, kernel, back, function=function: jax.vjp(function, x, kernel)[1](back))
        made["forward"][name] = lambda call=forward: jax.block_until_ready(call(x, kernel))
        made["backward"][name] = lambda call=backward: jax.block_until_ready(call(x, kernel, back))
    layer = (nn.Conv3d if kind == "halve" else nn.ConvTranspose3d)(x.shape[-1], back.shape[-1], 4, 2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(np.asarray(kernel)).permute(4, 3, 0, 1, 2))
    layer = layer.to(memory_format=torch.channels_last_3d)
    inputs, gradient = to_torch(x).requires_grad_(), to_torch(back)
    output = layer(inputs)

    def torch_forward():
        with torch.no_grad():
            layer(inputs)

    made["forward"]["torch"] = torch_forward
    made["backward"]["torch"] = lambda: torch.autograd.grad(output, (inputs, layer.weight), gradient, retain_graph=True)
    return made


def report(channels: tuple[int, ...]) -> None:
    """Prints the table."""
    batch_size = BATCH_SIZE.value
    names = ("ours", "XLA's own", "torch")
    print(f"| convolution, {batch_size} volumes | | {' | '.join(names)} |\n| --- | --- | --- | --- | --- |")
    for index, (wide, narrow) in enumerate(zip(channels, (*channels[1:], 1), strict=True)):
        side = 4 * 2**index
        work = 2 * batch_size * side**3 * 64 * wide * narrow / 1e9
        for kind, small, large in (("double", "", " to "), ("halve", " from ", "")):
            between = f"{wide} x {side}^3{large or small}{narrow} x {2 * side}^3"
            for way, sides in sides_of_a_layer(kind, batch_size, side, wide, narrow).items():
                found = measure(sides, TURNS.value, SECONDS.value)
                done = work if way == "forward" else 2 * work
                rates = " | ".join(f"{done / statistics.median(found[name]):.1f}" for name in names)
                print(f"| `{kind}`, {between} | {way} | {rates} |", flush=True)


def main() -> None:
    if jax.default_backend() != "cpu":
        raise UsageError("This benchmark is of the CPU: set JAX_PLATFORMS=cpu.")
    if not all(number.isdecimal() and int(number) for number in CHANNELS.value):
        raise UsageError(f"--channels={','.join(CHANNELS.value)}: give numbers such as 256,128,64.")
    report(tuple(map(int, CHANNELS.value)))


if __name__ == "__main__":
    start(main)
