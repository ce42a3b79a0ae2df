"""The benchmark's rows in PyTorch: channels_last, and the paddings that its own convolutions have.

"Same" padding of a convolution with a stride of 2 has one pixel more at the end, PyTorch's has it at the beginning. So
where a network has such convolutions, PyTorch sees a mirrored world: pictures and kernels are turned about, and what it
computes is the same, without a copy for padding.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from experiments.benchmarks.peers.layers import (
    EPSILON,
    LEAK,
    Activation,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    Fold,
    JoinLabel,
    Pool,
    Reshape,
    Residual,
    Shape,
    Unfold,
    Upsample,
    Weights,
    shape_after,
)
from experiments.benchmarks.peers.ours import Batches
from experiments.benchmarks.peers.row import Row, given, one_hot

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NAMES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def channels_last(tensor: torch.Tensor) -> torch.Tensor:
    """[batch, ..., channels] as [batch, channels, ...], the same in memory."""
    return tensor.movedim(-1, 1)


class Function(nn.Module):
    """A layer without weights."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Join(nn.Module):
    """One-hot labels [batch, classes] as channels of a map."""

    def forward(self, x, label):
        return torch.cat([x, label[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)


class Added(nn.Module):
    """x + layers(x)."""

    def __init__(self, layers: nn.Sequential):
        super().__init__()
        self.layers = layers

    def forward(self, x):
        return x + self.layers(x)


class Network(nn.Module):
    """A list of layers; called with one-hot labels where one of them joins labels."""

    def __init__(self, layers: Sequence[Any], shape: Shape):
        super().__init__()
        self.layers = nn.ModuleList(_built(layers, shape))

    def forward(self, x, label=None):
        for layer in self.layers:
            x = layer(x, label) if isinstance(layer, Join) else layer(x)
        return x


def _built(layers, shape):
    found = []
    for layer in layers:
        found.append(_module(layer, shape))
        shape = shape_after(layer, shape)
    return found


def _module(layer: Any, shape: Shape) -> nn.Module:
    *sides, channels = shape
    dimensions = max(len(sides), 2)
    kind = {2: (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d), 3: (nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d)}
    convolution, transposed, norm = kind[dimensions]
    match layer:
        case Dense(units):
            return convolution(channels, units, 1) if sides else nn.Linear(channels, units)
        case Conv(features, size, stride, padding):
            return convolution(channels, features, size, stride, (size - 1) // 2 if padding == "same" else 0)
        case ConvTranspose(features, size, _, "valid"):
            return transposed(channels, features, size)
        case ConvTranspose(features, size, stride, "same"):
            return transposed(channels, features, size, stride, (size - 1) // 2, size % 2)
        case BatchNorm(momentum):
            return (norm if sides else nn.BatchNorm1d)(channels, EPSILON, 1 - momentum)
        case Activation("leaky"):
            return nn.LeakyReLU(LEAK, inplace=True)
        case Activation(name):
            return {"relu": nn.ReLU(inplace=True), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid()}[name]
        case Dropout(rate):
            return nn.Dropout(rate)
        case Pool(name):
            return {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[name](2)
        case Upsample():
            return nn.Upsample(scale_factor=2)
        case Fold():
            return Function(_fold)
        case Unfold():
            return Function(_unfold)
        case Flatten():
            return Function(lambda x: x.movedim(1, -1).flatten(1))
        case Reshape(new):
            return Function(lambda x: channels_last(x.reshape(-1, *new)))
        case JoinLabel():
            return Join()
        case Residual(inner):
            return Added(nn.Sequential(*_built(inner, shape)))
    raise TypeError(f"No module for {layer}.")


def _fold(x):
    n, channels, height, width = x.shape
    blocks = x.movedim(1, -1).reshape(n, height // 2, 2, width // 2, 2, channels).transpose(2, 3)
    return channels_last(blocks.reshape(n, height // 2, width // 2, 4 * channels))


def _unfold(x):
    n, channels, height, width = x.shape
    blocks = x.movedim(1, -1).reshape(n, height, width, 2, 2, channels // 4).transpose(2, 3)
    return channels_last(blocks.reshape(n, 2 * height, 2 * width, channels // 4))


def mirrored(layers: Sequence[Any]) -> bool:
    """Whether "same" padding is not the same at both ends somewhere."""
    return any(
        isinstance(layer, Conv | ConvTranspose) and layer.padding == "same" and layer.stride == 2 and layer.size % 2
        for layer in layers
    )


def _modules(network: nn.Module) -> list[nn.Module]:
    kinds = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm)
    return [module for module in network.modules() if isinstance(module, kinds)]


def _maps(layers, shape):
    """Of each layer with weights, the map that its input was before `Flatten` and its output is after `Reshape`."""
    before = None
    for at, layer in enumerate(layers):
        if isinstance(layer, Residual):
            yield from _maps(layer.layers, shape)
        elif isinstance(layer, Dense | Conv | ConvTranspose | BatchNorm):
            yield before, _becomes(layers[at + 1 :])
        before = shape if isinstance(layer, Flatten) else None
        shape = shape_after(layer, shape)


def _becomes(following):
    for layer in following:
        if not isinstance(layer, BatchNorm | Activation | Dropout):
            return layer.shape if isinstance(layer, Reshape) else None
    return None


def _turned(leaf, before, after):
    """Weights for the mirrored world; done twice, they are what they were."""
    if leaf.ndim > 2:
        return np.flip(leaf, (0, 1))
    if before and leaf.ndim == 2:
        leaf = np.flip(leaf.reshape(*before, -1), (0, 1)).reshape(leaf.shape)
    if after:
        leaf = np.flip(leaf.reshape(-1, *after), (1, 2)).reshape(leaf.shape)
    return leaf


class Player:
    """A network with weights of ours."""

    def __init__(self, layers: Sequence[Any], shape: Shape, weights: Weights, turned: bool):
        self.network = Network(layers, shape)
        self._turn = _turned if turned else lambda leaf, *maps: leaf
        self._maps = list(_maps(layers, shape))
        self._shapes = [{name: leaf.shape for name, leaf in own.items()} for own in weights]
        for module, own, maps in zip(_modules(self.network), weights, self._maps, strict=True):
            for name, leaf in own.items():
                kernel = torch.from_numpy(np.array(self._turn(leaf, *maps)))
                if leaf.ndim > 1:  # [..., a, b] is [b, a, ...] there
                    kernel = kernel.movedim((-1, -2), (0, 1))
                there = getattr(module, NAMES[name])
                there.data.copy_(kernel.reshape(there.shape))
        if shape[:-1] or any(isinstance(layer, Reshape) for layer in layers):
            volumes = any(isinstance(module, nn.Conv3d | nn.ConvTranspose3d) for module in self.network.modules())
            self.network.to(memory_format=torch.channels_last_3d if volumes else torch.channels_last)
        self.network.to(DEVICE)

    def weights(self) -> Weights:
        found = []
        for module, shapes, maps in zip(_modules(self.network), self._shapes, self._maps, strict=True):
            own = {}
            for name, shape in shapes.items():
                leaf = getattr(module, NAMES[name]).detach().cpu()
                if len(shape) > 1:
                    leaf = leaf.reshape(*leaf.shape[:2], *shape[:-2]).movedim((0, 1), (-1, -2))
                own[name] = np.array(self._turn(leaf.numpy().reshape(shape), *maps))
            found.append(own)
        return found


class Side:
    """Train steps in PyTorch from weights of ours, eagerly or with compiled networks."""

    def __init__(
        self,
        row: Row,
        batches: Batches,
        weights: dict[str, Weights],
        optimizer: str = "adam",
        compiled: bool = False,
    ):
        turned = any(map(mirrored, (row.generator, row.discriminator)))
        torch.backends.cudnn.benchmark = True
        self._row = row
        self._generator = Player(row.generator, row.given, weights["generator"], turned)
        self._discriminator = Player(row.discriminator, row.image, weights["discriminator"], turned)
        self._content = None
        if row.content:
            self._content = Player(row.content, row.image, weights["content"], turned).network
            self._content.requires_grad_(False)
        self._optimizers = {
            name: _optimizer(player.network, optimizer, row.rate)
            for name, player in (("generator", self._generator), ("discriminator", self._discriminator))
        }
        if compiled:
            for network in filter(None, (self._generator.network, self._discriminator.network, self._content)):
                network.compile()
        self._batches = [_tensors(row, batch, turned) for batch in batches]
        self._taken = 0

    def __call__(self) -> dict[str, float]:
        """One step, to its end: the loss of the generator."""
        given, image, label = self._batches[self._taken % len(self._batches)]
        self._taken += 1
        with torch.autocast(DEVICE, torch.bfloat16, enabled=self._row.precision == "bfloat16"):
            self._judge(image, self._fakes(given), label)
            loss = self._make(given, image, label)
        return {"generator/loss": loss.item()}

    def device_memory(self) -> float | None:
        """Megabytes of the accelerator at most; None without one."""
        return torch.cuda.max_memory_allocated() / 1e6 if DEVICE == "cuda" else None

    def _fakes(self, given):
        network = self._generator.network.eval()
        with torch.no_grad():
            fakes = network(given)
        network.train()
        return fakes

    def _judge(self, image, fakes, label):
        network, goal = self._discriminator.network, self._row.real_label
        if self._row.mixed:
            logits = network(torch.cat([image, fakes]), label)
            labels = torch.zeros_like(logits)
            labels[: len(image)] = goal
            self._descend("discriminator", F.binary_cross_entropy_with_logits(logits, labels))
            return
        self._descend("discriminator", _cross_entropy(network(image, label), goal))
        self._descend("discriminator", _cross_entropy(network(fakes, label), 0.0))

    def _descend(self, player, loss):
        self._optimizers[player].zero_grad()
        loss.backward()
        self._optimizers[player].step()

    def _make(self, given, image, label):
        coefficients = self._row.coefficients
        self._discriminator.network.requires_grad_(False)
        made = self._generator.network(given)
        loss = coefficients["adversarial"] * _cross_entropy(self._discriminator.network(made, label), 1.0)
        if self._content is not None:
            loss = loss + coefficients["content"] * F.mse_loss(self._content(made), self._content(image))
        self._descend("generator", loss)
        self._discriminator.network.requires_grad_(True)
        return loss

    def weights(self) -> dict[str, Weights]:
        """Of generator and discriminator, in our layouts."""
        return {"generator": self._generator.weights(), "discriminator": self._discriminator.weights()}


def _optimizer(network, name, rate):
    if name == "sgd":
        return torch.optim.SGD(network.parameters(), lr=rate)
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), eps=1e-7)


def _cross_entropy(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def _tensors(row, batch, turned):
    def tensor(array):
        if array.ndim < 4:
            return torch.from_numpy(np.array(array)).to(DEVICE)
        turn = np.flip(array, (1, 2)) if turned else array
        return channels_last(torch.from_numpy(np.array(turn)).to(DEVICE))

    label = tensor(one_hot(row, batch)) if row.classes else None
    return tensor(given(row, batch)), tensor(batch["image"]), label
