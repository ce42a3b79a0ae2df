"""R3GAN's networks, small: residual blocks without any normalisation. Huang et al. 2025, arXiv 2501.05441.

From the paper's Config E: a generator and a discriminator that mirror each other, an equal number of blocks a stage
(section 3), 1x1 - grouped 3x3 - 1x1 blocks after ResNeXt (section 3.3), Fix-up initialisation instead of normalisation
(section 3.3; Zhang et al. 2019, arXiv 1901.09321), LeakyReLU, bilinear resampling between stages (section 3.2), and no
mapping network, style or noise.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from gans.layers import add_bias, leaky_relu, with_label

# What keeps the variance through a LeakyReLU of slope 0.2: He et al. 2015, arXiv 1502.01852, equation 15.
GAIN = math.sqrt(2 / (1 + 0.2**2))


def _scaled(gain: float):
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


def enlarge(x: jax.Array) -> jax.Array:
    """Bilinear enlargement by 2: [batch, height, width, channels] -> [batch, 2 height, 2 width, channels]."""
    n, height, width, channels = x.shape
    return jax.image.resize(x, (n, 2 * height, 2 * width, channels), "bilinear")


def shrink(x: jax.Array) -> jax.Array:
    """Bilinear, antialiased reduction by 2: [batch, height, width, channels] -> [batch, height / 2, width / 2, c]."""
    n, height, width, channels = x.shape
    return jax.image.resize(x, (n, height // 2, width // 2, channels), "bilinear")


class ResidualBlock(nn.Module):
    """x + conv1(act(conv3(act(conv1(act(x)))))), maps of any size; the last convolution starts at 0.

    Attributes:
      expansion: channels of the 3x3 convolution over those of x.
      groups: of the 3x3 convolution.
      blocks: residual blocks of the whole network, L: Fix-up scales the first two convolutions by L^(-1/4), that is
        L^(-1 / (2m - 2)) with m = 3 convolutions a branch (arXiv 1901.09321, section 3).
    """

    expansion: int = 2
    groups: int = 16
    blocks: int = 4

    @nn.compact
    def __call__(self, x):
        channels = x.shape[-1]
        inner = self.expansion * channels
        init = _scaled(GAIN * self.blocks**-0.25)
        y = nn.Dense(inner, use_bias=False, kernel_init=init)(leaky_relu(x))
        y = leaky_relu(add_bias(self, y, "bias_0"))
        y = nn.Conv(inner, (3, 3), feature_group_count=self.groups, use_bias=False, kernel_init=init)(y)
        y = leaky_relu(add_bias(self, y, "bias_1"))
        return x + nn.Dense(channels, use_bias=False, kernel_init=nn.initializers.zeros)(y)


def _stages(image_shape, channels):
    """(height, width) of the coarsest stage.

    Raises:
      ValueError: if the image cannot be halved between the stages.
    """
    factor = 2 ** (len(channels) - 1)
    height, width, _ = image_shape
    if height % factor or width % factor:
        raise ValueError(f"image_shape {tuple(image_shape)}: sides must be divisible by {factor}.")
    return height // factor, width // factor


class ResidualGenerator(nn.Module):
    """Latents [batch, size] to images [batch, *image_shape] in [-1, 1]; with `train` a little beyond.

    The paper has no tanh at the end. Alone it would have no gradient left at its ends, where early updates can drive
    all pixels; so it leaks, tanh(y) + 0.02 y, and what is beyond the range is cut off when training is over.

    Attributes:
      image_shape: (height, width, channels), sides divisible by 2 for each stage after the first.
      classes: number of classes, 0 for none; else labels int32 [batch] are needed.
      channels: of each stage, the coarsest first.
      blocks: residual blocks a stage.
      expansion, groups: as of `ResidualBlock`.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    classes: int = 0
    channels: tuple[int, ...] = (128, 64, 32)
    blocks: int = 2
    expansion: int = 2
    groups: int = 16

    @nn.compact
    def __call__(self, latents, train: bool = False, label=None):
        height, width = _stages(self.image_shape, self.channels)
        # The basis: a learned map of the coarsest stage, each channel scaled by the latent.
        basis = self.param("basis", nn.initializers.normal(1.0), (height, width, self.channels[0]))
        scales = nn.Dense(self.channels[0], use_bias=False, kernel_init=_scaled(1.0))(
            with_label(latents, label, self.classes)
        )
        x = basis[None] * scales[:, None, None]
        for stage, channels in enumerate(self.channels):
            if stage:
                x = enlarge(x)
                if channels != x.shape[-1]:
                    x = nn.Dense(channels, use_bias=False, kernel_init=_scaled(1.0))(x)
            for _ in range(self.blocks):
                x = ResidualBlock(self.expansion, self.groups, self.blocks * len(self.channels))(x)
        y = nn.Dense(self.image_shape[-1], use_bias=False, kernel_init=_scaled(1.0))(x)
        images = jnp.tanh(y) + 0.02 * y
        return images if train else images.clip(-1, 1)


class ResidualDiscriminator(nn.Module):
    """Images [batch, height, width, channels] in [-1, 1] to logits [batch, 1] and the last features before them.

    Attributes: as of `ResidualGenerator`; `channels` in the same order, the coarsest stage's first.
    """

    classes: int = 0
    channels: tuple[int, ...] = (128, 64, 32)
    blocks: int = 2
    expansion: int = 2
    groups: int = 16

    @nn.compact
    def __call__(self, images, train: bool = False, label=None):
        del train  # nothing here differs
        _stages(images.shape[1:], self.channels)
        x = nn.Dense(self.channels[-1], use_bias=False, kernel_init=_scaled(1.0))(images)
        for stage, channels in enumerate(reversed(self.channels)):
            if stage:
                x = shrink(x)
                if channels != x.shape[-1]:
                    x = nn.Dense(channels, use_bias=False, kernel_init=_scaled(1.0))(x)
            for _ in range(self.blocks):
                x = ResidualBlock(self.expansion, self.groups, self.blocks * len(self.channels))(x)
            self.sow("intermediates", f"stage_{stage}", x)
        # The classifier's basis: one weight a place for each channel, then a dense layer.
        basis = self.param("basis", _scaled(1.0), (math.prod(x.shape[1:3]), x.shape[-1]))
        features = (x.reshape(len(x), *basis.shape) * basis[None]).sum(1)
        if not self.classes:
            return nn.Dense(1, use_bias=False, kernel_init=_scaled(1.0))(features), features
        # Conditional logits as in the paper's code: an embedding of the label is compared with the features.
        if label is None:
            raise ValueError(f"A network for {self.classes} classes needs the label of each example.")
        size = features.shape[-1]
        projected = nn.Dense(size, use_bias=False, kernel_init=_scaled(1.0))(features)
        embedded = nn.Embed(self.classes, size, embedding_init=nn.initializers.normal(1.0))(label)
        return (projected * embedded).sum(-1, keepdims=True) / math.sqrt(size), features
