r"""A whole train step of 3D-GAN beside the same in PyTorch, or its convolutions one by one, on the CPU.

    python -m experiments.benchmarks.gan3d [--channels=256,128,64 --batch_size=4 --pairs=10]
    python -m experiments.benchmarks.gan3d --layers

Both sides start from the same weights on the same volumes, and before anything is timed a first step on the same
latents must give the same losses. A step is a turn of each player with Adam; ours makes new volumes in each turn,
PyTorch's the customary one batch for both. Its tensors are channels_last_3d, and it has as many threads as there are
cores. The sides take turns; printed are their times and the ratios of the pairs, of wall-clock time and of processor
time, which is what can be believed on a machine that others use. Needs PyTorch: pip install -e '.[bench]'.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torch.nn.functional as F
from absl import flags
from torch import nn

from experiments.commands import UsageError, start
from gans import gan3d, volumes
from gans.core import Player, State

CHANNELS = flags.DEFINE_list("channels", ["256", "128", "64"], "Of the generator's maps from 4^3 on; 3 make 32^3.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Volumes of a step.", lower_bound=2)
PAIRS = flags.DEFINE_integer("pairs", 10, "Interleaved measurements.", lower_bound=1)
LAYERS = flags.DEFINE_bool("layers", False, "Measure the convolutions, also as XLA's own, and not the step.")

LATENT = 200
RATES = {"generator": (2.5e-3, 0.5), "discriminator": (1e-5, 0.9)}  # learning rate and b1 of the document's recipe
FORMAT = torch.channels_last_3d


def our_gan(channels: tuple[int, ...]):
    """The family's `Gan` for these channels, with the document's optimizers."""
    side = 4 * 2 ** len(channels)
    return gan3d.make(
        {"adversarial": {name: optax.adam(rate, b1=b1) for name, (rate, b1) in RATES.items()}},
        image_shape=(side, side, side, 1),
        latent_size=LATENT,
        generator_options={"channels": channels},
        discriminator_options={"channels": channels[::-1]},
    )


def weight(kernel: jax.Array) -> torch.Tensor:
    """A kernel [4, 4, 4, a, b] as PyTorch's weight [b, a, 4, 4, 4]."""
    return torch.tensor(np.asarray(kernel)).permute(4, 3, 0, 1, 2)


def with_weights(layer: nn.Module, kernel: jax.Array, bias: jax.Array) -> nn.Module:
    with torch.no_grad():
        layer.weight.copy_(weight(kernel))
        layer.bias.copy_(torch.tensor(np.asarray(bias)))
    return layer


def norm(channels: int) -> nn.Module:
    return nn.BatchNorm3d(channels, eps=1e-3, momentum=0.01)


def torch_generator(player: Player) -> nn.Sequential:
    """Latents [batch, 200, 1, 1, 1] to volumes [batch, 1, side, side, side] with our generator's weights."""
    layers, count = [], sum(name.startswith("ConvTranspose3D") for name in player.params)
    for index in range(count):
        kernel, bias = (player.params[f"ConvTranspose3D_{index}"][name] for name in ("kernel", "bias"))
        features, channels = kernel.shape[3:]
        place = {"stride": 2, "padding": 1} if index else {}
        layers.append(with_weights(nn.ConvTranspose3d(channels, features, 4, **place), kernel, bias))
        layers += [norm(features), nn.ReLU(inplace=True)] if index < count - 1 else [nn.Sigmoid()]
    return nn.Sequential(*layers).to(memory_format=FORMAT)


def torch_discriminator(player: Player) -> nn.Sequential:
    """Volumes [batch, 1, side, side, side] to logits [batch] with our discriminator's weights."""
    layers, count = [], sum(name.startswith("Conv3D") for name in player.params)
    for index in range(count):
        kernel, bias = (player.params[f"Conv3D_{index}"][name] for name in ("kernel", "bias"))
        channels, features = kernel.shape[3:]
        convolution = with_weights(nn.Conv3d(channels, features, 4, 2, 1), kernel, bias)
        layers += [convolution, norm(features), nn.LeakyReLU(0.2, inplace=True)]
    last = player.params["Projection_0"]["Dense_0"]
    kernel = last["kernel"].reshape(4, 4, 4, -1, 1)
    layers += [with_weights(nn.Conv3d(features, 1, 4), kernel, last["bias"]), nn.Flatten(0)]
    return nn.Sequential(*layers).to(memory_format=FORMAT)


class TorchStep:
    """Train steps in PyTorch from the weights of our state."""

    def __init__(self, state: State):
        self.generator = torch_generator(state.players["generator"])
        self.discriminator = torch_discriminator(state.players["discriminator"])
        players = {"generator": self.generator, "discriminator": self.discriminator}
        self.optimizers = {
            name: torch.optim.Adam(player.parameters(), lr=RATES[name][0], betas=(RATES[name][1], 0.999))
            for name, player in players.items()
        }

    def __call__(self, real: torch.Tensor, latents: torch.Tensor) -> dict[str, float]:
        """One turn of each player on volumes [batch, 1, side, side, side] and latents [batch, 200]: the losses."""
        fakes = self.generator(latents[:, :, None, None, None])
        self.optimizers["discriminator"].zero_grad()
        judging = _cross_entropy(self.discriminator(real), 1.0)
        judging = judging + _cross_entropy(self.discriminator(fakes.detach()), 0.0)
        judging.backward()
        self.optimizers["discriminator"].step()
        self.optimizers["generator"].zero_grad()
        making = _cross_entropy(self.discriminator(fakes), 1.0)
        making.backward()
        self.optimizers["generator"].step()
        return {"discriminator/loss": judging.item(), "generator/loss": making.item()}


def _cross_entropy(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def to_torch(array: jax.Array) -> torch.Tensor:
    """[batch, x, y, z, channels] as [batch, channels, x, y, z], the same in memory."""
    return torch.tensor(np.asarray(array)).permute(0, 4, 1, 2, 3)


def sides_of_a_step(channels: tuple[int, ...], batch_size: int) -> dict[str, Callable[[], object]]:
    """{side: one more step}, after a first step of both whose losses are equal.

    Raises:
      AssertionError: if they are not.
    """
    gan = our_gan(channels)
    side, key = 4 * 2 ** len(channels), jax.random.key(0)
    image = (jax.random.uniform(key, (batch_size, side, side, side, 1)) < 0.03).astype(jnp.float32)
    phase = gan.phases["adversarial"]
    states = [phase.enter(jax.jit(gan.init)(key, {"image": image}))]
    take, in_torch = jax.jit(phase.step), TorchStep(states[0])
    latents = jax.random.normal(jax.random.key(1), (batch_size, LATENT))
    real, given = to_torch(image), torch.tensor(np.asarray(0.33 * latents))

    _, metrics = take(states[0], {"image": image, "latent": latents}, key)
    losses = in_torch(real, given)
    np.testing.assert_allclose([metrics[name] for name in losses], list(losses.values()), rtol=1e-3)

    step = jax.jit(phase.step, donate_argnums=0)

    def ours():
        state, metrics = step(states.pop(), {"image": image}, key)
        states.append(state)
        return jax.block_until_ready(metrics)

    return {"ours": ours, "torch": lambda: in_torch(real, 0.33 * torch.randn(batch_size, LATENT))}


def own_halve(x, kernel):
    """`volumes.halve` as XLA's own convolution."""
    dimensions = ("NDHWC", "DHWIO", "NDHWC")
    return jax.lax.conv_general_dilated(x, kernel, (2, 2, 2), "SAME", dimension_numbers=dimensions)


def own_double(x, kernel):
    """`volumes.double` as XLA's own transposed convolution."""
    dimensions = ("NDHWC", "DHWIO", "NDHWC")
    return jax.lax.conv_transpose(x, kernel, (2, 2, 2), "SAME", dimension_numbers=dimensions, transpose_kernel=True)


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
        layer.weight.copy_(weight(kernel))
    layer = layer.to(memory_format=FORMAT)
    inputs, gradient = to_torch(x).requires_grad_(), to_torch(back)
    output = layer(inputs)

    def torch_forward():
        with torch.no_grad():
            layer(inputs)

    made["forward"]["torch"] = torch_forward
    made["backward"]["torch"] = lambda: torch.autograd.grad(output, (inputs, layer.weight), gradient, retain_graph=True)
    return made


def measure(sides: Mapping[str, Callable[[], object]], pairs: int) -> dict[str, np.ndarray]:
    """{side: seconds of wall-clock and of processor time, [2, pairs]}, by turns, after a call that is not counted."""
    found = {name: [] for name in sides}
    for pair in range(pairs + 1):
        for name, call in sides.items():
            time.sleep(0.05)  # the other side's threads spin for a while
            begin = time.perf_counter(), time.process_time()
            call()
            if pair:
                found[name].append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    return {name: np.array(seconds).T for name, seconds in found.items()}


def spread(values) -> str:
    """The median, and from where to where."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def report_step(channels: tuple[int, ...], batch_size: int, pairs: int) -> None:
    found = measure(sides_of_a_step(channels, batch_size), pairs)
    for name, (wall, processor) in found.items():
        print(f"{name:6} {spread(wall)} s a step, {spread(processor)} s of processor time")
    for index, kind in enumerate(("wall-clock", "processor")):
        ratios = found["ours"][index] / found["torch"][index]
        lowest = found["ours"][index].min() / found["torch"][index].min()
        print(f"ours / torch, {kind} time: {spread(ratios)}, of the shortest {lowest:.2f}")


def report_layers(channels: tuple[int, ...], batch_size: int, pairs: int) -> None:
    names = ("ours", "XLA's own", "torch")
    print(f"{'GFLOP/s of a direct convolution':44}" + "".join(f"{name:>12}" for name in names))
    for index, (wide, narrow) in enumerate(zip(channels, (*channels[1:], 1), strict=True)):
        side = 4 * 2**index
        for kind in ("double", "halve"):
            between = f"{wide} x {side}^3" + (" from " if kind == "halve" else " to ") + f"{narrow} x {2 * side}^3"
            work = 2 * batch_size * side**3 * 64 * wide * narrow / 1e9
            for way, sides in sides_of_a_layer(kind, batch_size, side, wide, narrow).items():
                found = measure(sides, pairs)
                work_done = work if way == "forward" else 2 * work
                rates = "".join(f"{work_done / found[name][0].min():12.1f}" for name in names)
                print(f"{kind:7} {way:9} {between:27}{rates}", flush=True)


def main() -> None:
    if jax.default_backend() != "cpu":
        raise UsageError("This benchmark is of the CPU: set JAX_PLATFORMS=cpu.")
    if not all(number.isdecimal() and int(number) for number in CHANNELS.value):
        raise UsageError(f"--channels={','.join(CHANNELS.value)}: give numbers such as 256,128,64.")
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    torch.manual_seed(0)
    channels = tuple(map(int, CHANNELS.value))
    (report_layers if LAYERS.value else report_step)(channels, BATCH_SIZE.value, PAIRS.value)


if __name__ == "__main__":
    start(main)
