"""Networks that enlarge pictures, and those that tell enlarged pictures from real ones.

A generator takes pictures [batch, height, width, 3] in [-1, 1] of any size and returns them `scale` times as large; its
normalisation uses running statistics unless `train`, and then what it makes of a pixel depends on those within `reach`
pixels of it alone. Discriminators return a map of logits and the features before it.
"""

import functools
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from gans.layers import (
    UpsampleConv,
    constrained,
    conv_with_stride,
    depth_to_space,
    enlarge,
    keras_conv,
    keras_dense,
    keras_norm,
    leaky_relu,
)

norm = functools.partial(keras_norm, momentum=0.8)


class DocumentGenerator(nn.Module):
    """The document's generator, four times as large: 2,038,467 parameters and 4,224 running statistics."""

    blocks: int = 16
    scale: int = 4
    multiple = 1  # what the sides of sources must be divisible by

    @property
    def reach(self) -> int:
        """How many pixels of the source beyond its own a restored pixel can see, to each side."""
        last = 4
        for _ in range(doublings(self.scale)):
            last = math.ceil((last + 1) / 2)
        return 4 + 2 * self.blocks + 1 + last

    @nn.compact
    def __call__(self, source, train: bool = False):
        x = first = nn.relu(keras_conv(64, (9, 9))(source))
        for _ in range(self.blocks):
            y = norm(use_running_average=not train)(nn.relu(keras_conv(64, (3, 3))(x)))
            x = x + norm(use_running_average=not train)(keras_conv(64, (3, 3))(y))
        x = first + norm(use_running_average=not train)(keras_conv(64, (3, 3))(x))
        for _ in range(doublings(self.scale)):
            x = nn.relu(UpsampleConv(256)(x))
        return jnp.tanh(keras_conv(3, (9, 9), conv_general_dilated=conv_to_few)(x))


def conv_to_few(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: str, *, feature_group_count: int, **settings
) -> jax.Array:
    """A convolution with few output channels and a large kernel: `nn.Conv(..., conv_general_dilated=conv_to_few)`.

    The rows of the kernel become output channels, which are shifted against each other and added: a product that fits
    the processor. On two cores the document's generator, which ends with 256 to 3 channels, then takes 0.89 of the time
    in inference and 0.28 for its gradients. From 48 channels nothing is won.

    Args:
      x: [batch, height, width, channels].
      kernel: [rows, columns, channels, features], an odd number of rows.
      strides, padding, feature_group_count: 1, "SAME" and 1.
      settings: others of `jax.lax.conv_general_dilated`, without dilation.

    Returns: [batch, height, width, features].

    Raises:
      ValueError: for another kind of convolution.
    """
    rows, columns, channels, features = kernel.shape
    dilation = {*settings["lhs_dilation"], *settings["rhs_dilation"]}
    if rows % 2 == 0 or padding != "SAME" or {*strides, *dilation, feature_group_count} != {1}:
        raise ValueError(f"conv_to_few: {kernel.shape=}, {padding=}, or strides, dilation or groups are not its own.")
    turned = kernel.transpose(1, 2, 0, 3).reshape(1, columns, channels, rows * features)
    # Up to whole vector registers.
    turned = jnp.pad(turned, ((0, 0), (0, 0), (0, 0), (0, -(rows * features) % 16)))
    made = jax.lax.conv_general_dilated(x, turned, strides, padding, **settings)
    made, height = jnp.pad(made, ((0, 0), (rows // 2, rows // 2), (0, 0), (0, 0))), x.shape[1]
    return sum(made[:, row : row + height, :, row * features : (row + 1) * features] for row in range(rows))


class Generator(nn.Module):
    """SRResNet: Ledig et al. 2017, arXiv 1609.04802, figure 4, with sub-pixel upsampling (arXiv 1609.05158).

    Attributes:
      channels: of every layer; the paper has 64.
      blocks: residual blocks; the paper has 16.
      scale: 2, 4 or another power of two.
      norm: whether the blocks have batch norm, as in the paper; networks for restoration do as well without, see Lim
        et al. 2017, arXiv 1707.02921, section 3.1.
      residual: whether the network's output is added to the source in bicubic enlargement, as in Kim et al. 2016, arXiv
        1511.04587; the paper's is the picture itself.
    """

    channels: int = 64
    blocks: int = 16
    scale: int = 4
    norm: bool = True
    residual: bool = False
    multiple = 1  # what the sides of sources must be divisible by

    @property
    def reach(self) -> int:
        """How many pixels of the source beyond its own a restored pixel can see, to each side."""
        last = 4
        for _ in range(doublings(self.scale)):
            last = math.ceil(last / 2) + 1
        return 4 + 2 * self.blocks + 1 + last

    @nn.compact
    def __call__(self, source, train: bool = False):
        conv = functools.partial(keras_conv, kernel_size=(3, 3))

        def normalised(x):
            return norm(use_running_average=not train)(x) if self.norm else x

        x = first = PReLU()(keras_conv(self.channels, (9, 9))(source))
        for _ in range(self.blocks):
            y = PReLU()(normalised(conv(self.channels)(x)))
            x = x + normalised(conv(self.channels)(y))
        x = first + normalised(conv(self.channels)(x))
        for _ in range(doublings(self.scale)):
            x = PReLU()(depth_to_space(conv(4 * self.channels)(x)))
        x = keras_conv(3, (9, 9))(x)
        return x + enlarge(source, self.scale) if self.residual else jnp.tanh(x)


class PReLU(nn.Module):
    """max(0, x) + a min(0, x) with a slope to learn for each channel: He et al. 2015, arXiv 1502.01852."""

    @nn.compact
    def __call__(self, x):
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],))
        return jnp.where(x > 0, x, slope.reshape(*(1,) * (x.ndim - 1), -1) * x)


def doublings(scale: int) -> int:
    """How often sides are doubled until they are `scale` times as long.

    Raises:
      ValueError: if that is not a power of two above 1.
    """
    times = int(math.log2(max(scale, 1)))
    if times < 1 or 2**times != scale:
        raise ValueError(f"scale={scale} must be 2, 4 or another power of two.")
    return times


class DocumentDiscriminator(nn.Module):
    """The document's discriminator: 5,215,425 parameters and 3,712 running statistics; a verdict each 16x16 pixels."""

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = leaky_relu(keras_conv(64, (3, 3))(images))
        stages = ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2))
        for index, (filters, stride) in enumerate(stages, start=1):
            x = leaky_relu(conv_with_stride(filters, 3, stride, f"Conv_{index}")(x))
            x = norm(use_running_average=not train)(x)
        features = leaky_relu(keras_dense(1024)(x))
        return keras_dense(1)(features), features


class Discriminator(nn.Module):
    """As the paper's, with a verdict each 2^n x 2^n pixels for n stages, and without normalisation unless asked for.

    Attributes:
      channels: of each stage; a stage is a 3x3 convolution and one that halves the sides.
      norm: batch norm, as in the paper, after all but the first convolution.
      spectral_norm: see `gans.layers.constrained`.
    """

    channels: tuple[int, ...] = (32, 64, 128, 256)
    norm: bool = False
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = images
        for stage, filters in enumerate(self.channels):
            for stride in (1, 2):
                conv = conv_with_stride(filters, 3, stride, f"Conv_{2 * stage + stride - 1}")
                x = constrained(conv, self.spectral_norm, train)(x)
                if self.norm and (stage or stride == 2):
                    x = norm(use_running_average=not train)(x)
                x = leaky_relu(x)
        features = leaky_relu(constrained(keras_dense(self.channels[-1]), self.spectral_norm, train)(x))
        return constrained(keras_dense(1), self.spectral_norm, train)(features), features
