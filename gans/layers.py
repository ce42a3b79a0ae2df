"""Blocks that several families share. Images are [batch, height, width, channels]."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from gans import strided, thin
from gans.convolution import convolution

# Keras' defaults, which the documents' networks are written in.
keras_conv = functools.partial(
    nn.Conv,
    padding="SAME",
    kernel_init=nn.initializers.glorot_uniform(),
    conv_general_dilated=convolution,
)
keras_dense = functools.partial(nn.Dense, kernel_init=nn.initializers.glorot_uniform())
keras_norm = functools.partial(nn.BatchNorm, momentum=0.99, epsilon=1e-3)


def leaky_relu(x: jax.Array) -> jax.Array:
    """LeakyReLU with the slope 0.2 that GANs use (Radford et al. 2015, arXiv 1511.06434), not Flax's 0.01."""
    return nn.leaky_relu(x, 0.2)


def average_pool(x: jax.Array) -> jax.Array:
    """Mean over 2x2 blocks: [batch, height, width, channels] -> [batch, height / 2, width / 2, channels]."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def space_to_depth(x: jax.Array) -> jax.Array:
    """2x2 blocks of pixels into channels: [batch, height, width, c] -> [batch, height / 2, width / 2, 4 c]."""
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, height // 2, width // 2, 4 * channels)


def depth_to_space(x: jax.Array) -> jax.Array:
    """The inverse of `space_to_depth`: [batch, height, width, 4 c] -> [batch, 2 height, 2 width, c]."""
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height, width, 2, 2, channels // 4).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, 2 * height, 2 * width, channels // 4)


def enlarge(x: jax.Array, factor: int) -> jax.Array:
    """Bicubic enlargement (Keys 1981, a = -1/2) with mirrored edges, as MATLAB's `imresize` does it.

    [batch, height, width, channels] -> [batch, factor height, factor width, channels].
    """
    if factor == 1:
        return x
    margin = 2  # pixels of the source that a pixel of the result can see beyond its own
    n, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    shape = (n, factor * (height + 2 * margin), factor * (width + 2 * margin), channels)
    cut = slice(factor * margin, -factor * margin)
    return jax.image.resize(x, shape, "bicubic")[:, cut, cut]


def max_pool(x: jax.Array) -> jax.Array:
    """Largest of 2x2 blocks; an odd last row or column is dropped, as in Keras.

    Written with `maximum`, for XLA:CPU takes 13 to 31 times as long for the gradient of `nn.max_pool`. Where two pixels
    are largest, each takes half of the gradient.
    """
    n, height, width, channels = x.shape
    blocks = x[:, : height // 2 * 2, : width // 2 * 2].reshape(n, height // 2, 2, width // 2, 2, channels)
    rows = jnp.maximum(blocks[:, :, 0], blocks[:, :, 1])
    return jnp.maximum(rows[:, :, :, 0], rows[:, :, :, 1])


class HalvingConv(nn.Module):
    """Keras' Conv2D with stride 2 and "same" padding: sides are halved.

    See `gans.strided.halve`. The kernel is [size, size, channels, features].

    Attributes:
      features: output channels.
      size: side of the kernel, 3, 4 or 5.
      use_bias: whether a bias is added.
      kernel_init: what the kernel starts from.
    """

    features: int
    size: int = 5
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", self.kernel_init, (self.size, self.size, x.shape[-1], self.features))
        x = strided.halve(x, kernel)
        return add_bias(self, x) if self.use_bias else x


def conv_with_stride(features: int, size: int, stride: int, name: str) -> nn.Module:
    """Keras' Conv2D with "same" padding and a stride of 1 or 2, under a name, for which both are one layer."""
    if stride == 2:
        return HalvingConv(features, size, name=name)
    return keras_conv(features, (size, size), stride, name=name)


def add_bias(module: nn.Module, x: jax.Array, name: str = "bias") -> jax.Array:
    """x plus a parameter of the compact module, one number a channel, 0 at first."""
    return x + module.param(name, nn.initializers.zeros, (x.shape[-1],)).reshape(*(1,) * (x.ndim - 1), -1)


class ConvTranspose(nn.Module):
    """Keras' Conv2DTranspose with stride 2 and "same" padding: sides are doubled.

    See `gans.strided.double`. The kernel is [size, size, features, channels].

    Attributes:
      features: output channels.
      size: side of the kernel, 3, 4 or 5.
      use_bias: whether a bias is added.
      kernel_init: what the kernel starts from.
    """

    features: int
    size: int = 5
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", self.kernel_init, (self.size, self.size, self.features, x.shape[-1]))
        x = strided.double(x, kernel)
        return add_bias(self, x) if self.use_bias else x


class UpsampleConv(nn.Module):
    """Nearest-neighbour upsampling by 2 and Keras' convolution with "same" padding, in one.

    Of each four pixels of the output every one sees fewer different pixels of the input than the kernel has, so four
    small convolutions do with 16 products what 36 take after upsampling (kernels of 3), with 36 what 100 take (of 5).
    With kernels of 3 and 64 to 256 channels the forward pass takes 0.3 to 0.55 and the gradients 0.25 to 0.5 of the
    plain form's time on two cores. The kernel is [size, size, channels, features].

    Attributes:
      features: output channels.
      size: side of the kernel, 3 or 5.
      kernel_init: what the kernel starts from.
    """

    features: int
    size: int = 3
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    @nn.compact
    def __call__(self, x):
        if self.size not in (3, 5):
            raise ValueError(f"The kernel's size is {self.size}; it must be 3 or 5.")
        kernel = self.param("kernel", self.kernel_init, (self.size, self.size, x.shape[-1], self.features))
        if thin.few(self.features):
            return add_bias(self, thin.to_few(x, kernel, thin.upsampled(self.size)))
        pads = [(1 - phase, phase) if self.size == 3 else (1, 1) for phase in (0, 1)]
        phases = [
            thin.convolve(
                x, _met_by(_met_by(kernel, row).swapaxes(0, 1), column).swapaxes(0, 1), (pads[row], pads[column])
            )
            for row in (0, 1)
            for column in (0, 1)
        ]
        return add_bias(self, strided.interleave(phases))


def _met_by(kernel, phase):
    """A kernel's first axis, on doubled pixels, as one on the pixels themselves, for even (0) or odd (1) outputs."""
    # Which taps fall on one pixel: an even output of a kernel of 3 meets the last pixel once and its own twice.
    runs = {3: ((1, 2), (2, 1)), 5: ((2, 2, 1), (1, 2, 2))}[len(kernel)][phase]
    starts = [sum(runs[:index]) for index in range(len(runs))]
    return jnp.stack([kernel[start : start + run].sum(0) for start, run in zip(starts, runs, strict=True)])


class Dropout(nn.Module):
    """Flax's Dropout with a byte of randomness for each number instead of four, which on CPUs are most of its cost.

    Rates are therefore rounded to multiples of 1/256, and what is kept is scaled by what that makes of it. Needs a key
    named `dropout` unless `deterministic`.

    Attributes:
      rate: share of the numbers that become 0.
      deterministic: whether nothing happens.
    """

    rate: float
    deterministic: bool

    @nn.compact
    def __call__(self, x):
        kept = 256 - round(256 * self.rate)
        if self.deterministic or kept == 256:
            return x
        if not kept:
            return jnp.zeros_like(x)
        words = jax.random.bits(self.make_rng("dropout"), (-(-x.size // 4),))
        drawn = jax.lax.bitcast_convert_type(words, jnp.uint8).ravel()[: x.size].reshape(x.shape)
        return jnp.where(drawn < kept, x * (256 / kept), jnp.zeros_like(x))


class MinibatchDiscrimination(nn.Module):
    """Features of the whole batch beside each example's own: Salimans et al. 2016, arXiv 1606.03498, section 3.2.

    Features [batch, A] to [batch, A + B]: o_b(x_i) = sum over j != i of exp(-|| M_ib - M_jb ||_1), with M = f(x) T and
    T of shape [A, B, C]. The batch is that of one device or micro-batch.

    Attributes:
      kernels: B.
      dimensions: C.
    """

    kernels: int = 32
    dimensions: int = 8

    @nn.compact
    def __call__(self, features):
        shape = (features.shape[-1], self.kernels, self.dimensions)
        tensor = self.param("tensor", nn.initializers.normal(0.05), shape)
        m = jnp.einsum("na,abc->nbc", features, tensor)
        distances = jnp.abs(m[:, None] - m[None]).sum(-1)
        similarity = jnp.exp(-distances).sum(1) - 1  # without the example itself
        return jnp.concatenate([features, similarity], -1)


def normalise(x: jax.Array, norm: str, train: bool) -> jax.Array:
    """A normalisation layer by name, within a compact module: `batch` (as in Keras), `instance` or `none`.

    Instance norm: Ulyanov et al. 2016, arXiv 1607.08022. Without spatial axes it has nothing to average over and is
    left out.

    Raises:
      ValueError: for another name.
    """
    match norm:
        case "batch":
            return keras_norm(use_running_average=not train)(x)
        case "instance":
            return nn.InstanceNorm(epsilon=1e-3)(x) if x.ndim > 2 else x
        case "none":
            return x
    raise ValueError(f"There is no norm {norm!r}; choose batch, instance or none.")


def constrained(layer: nn.Module, spectral_norm: bool, train: bool):
    """The layer, its kernel divided by its largest singular value if asked: Miyato et al. 2018, arXiv 1802.05957."""
    if not spectral_norm:
        return layer
    # In the input's type, which the singular value, float32 always, would widen.
    return lambda x: nn.SpectralNorm(layer, dtype=x.dtype)(x, update_stats=train)


def with_label(x: jax.Array, label: jax.Array | None, classes: int) -> jax.Array:
    """Vectors [batch, size] with their labels, int32 [batch], one-hot behind them: Mirza and Osindero 2014, 1411.1784.

    Raises:
      ValueError: if there are classes but no labels.
    """
    if not classes:
        return x
    if label is None:
        raise ValueError(f"A network for {classes} classes needs the label of each example.")
    return jnp.concatenate([x, jax.nn.one_hot(label, classes, dtype=x.dtype)], -1)


class Projection(nn.Module):
    """A logit, and with classes how well the features fit the label: Miyato and Koyama 2018, arXiv 1802.05637, eq. 3.

    Features [batch, size], and labels int32 [batch] where there are classes, to logits [batch, 1].
    """

    classes: int = 0
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, features, label=None, train: bool = False):
        logits = constrained(keras_dense(1), self.spectral_norm, train)(features)
        if not self.classes:
            return logits
        if label is None:
            raise ValueError(f"A network for {self.classes} classes needs the label of each example.")
        # Dense on one-hot labels, not Embed, so that spectral norm applies to it as to the others.
        rows = nn.Dense(features.shape[-1], use_bias=False, kernel_init=nn.initializers.glorot_uniform())
        ones = jax.nn.one_hot(label, self.classes, dtype=features.dtype)
        embedded = constrained(rows, self.spectral_norm, train)(ones)
        return logits + (features * embedded).sum(-1, keepdims=True)
