"""Convolutional generators and discriminators.

With classes, labels stand one-hot beside the latent (Mirza and Osindero 2014, arXiv 1411.1784), and the discriminator
compares its last features with a vector for each class (projection, Miyato and Koyama 2018, arXiv 1802.05637).
"""

import functools

import flax.linen as nn
import jax.numpy as jnp

from gans.dcgan.residual import ResidualDiscriminator, ResidualGenerator
from gans.layers import (
    ConvTranspose,
    Dropout,
    HalvingConv,
    MinibatchDiscrimination,
    Projection,
    UpsampleConv,
    constrained,
    keras_conv,
    keras_dense,
    leaky_relu,
    max_pool,
    normalise,
    with_label,
)

__all__ = [
    "DocumentDiscriminator",
    "DocumentGenerator",
    "Discriminator",
    "Generator",
    "ResidualDiscriminator",
    "ResidualGenerator",
]


class Generator(nn.Module):
    """Latents [batch, size] to images [batch, *image_shape] in [-1, 1] by two transposed convolutions.

    Attributes:
      image_shape: (height, width, channels), sides divisible by 4.
      classes: number of classes, 0 for none; else labels int32 [batch] are needed.
      channels: of the dense layer's map, at a quarter of the size, and of the one at half of it.
      norm: `batch`, `instance` or `none`.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    classes: int = 0
    channels: tuple[int, int] = (128, 64)
    norm: str = "batch"

    @nn.compact
    def __call__(self, latents, train: bool = False, label=None):
        height, width, colours = self.image_shape
        if height % 4 or width % 4:
            raise ValueError(f"image_shape {tuple(self.image_shape)}: height and width must be divisible by 4.")
        coarse, fine = self.channels
        x = keras_dense(height // 4 * (width // 4) * coarse)(with_label(latents, label, self.classes))
        x = nn.relu(normalise(x, self.norm, train)).reshape(-1, height // 4, width // 4, coarse)
        x = nn.relu(normalise(ConvTranspose(fine)(x), self.norm, train))
        return jnp.tanh(ConvTranspose(colours)(x))


class Discriminator(nn.Module):
    """Images [batch, height, width, channels] in [-1, 1] to logits [batch, 1] and the last features before them.

    With `train` and dropout, a dropout key named `dropout` is needed.

    Attributes:
      classes: as for `Generator`.
      channels: of the convolutions, each of which halves the sides.
      dropout: rate after each of them.
      norm: `instance`, `batch` or `none`, after each of them but the first.
      spectral_norm: whether each kernel is divided by its largest singular value.
      minibatch_discrimination: whether the last layer also sees how close the batch's examples are to each other.
    """

    classes: int = 0
    channels: tuple[int, ...] = (64, 128)
    dropout: float = 0.3
    norm: str = "none"
    spectral_norm: bool = False
    minibatch_discrimination: bool = False

    @nn.compact
    def __call__(self, images, train: bool = False, label=None):
        x = images
        for index, filters in enumerate(self.channels):
            x = constrained(HalvingConv(filters), self.spectral_norm, train)(x)
            x = leaky_relu(normalise(x, self.norm if index else "none", train))
            self.sow("intermediates", f"stage_{index}", x)
            x = Dropout(self.dropout, deterministic=not train)(x)
        features = x.reshape(len(x), -1)
        x = MinibatchDiscrimination()(features) if self.minibatch_discrimination else features
        return Projection(self.classes, self.spectral_norm)(x, label, train), features


class DocumentGenerator(nn.Module):
    """The document's network for faces: latents [batch, 100] to images [batch, *image_shape] in [-1, 1].

    34,839,427 parameters and 32,768 running statistics for [64, 64, 3]; sides divisible by 8.

    Attributes: as of `Generator`.
    """

    image_shape: tuple[int, int, int] = (64, 64, 3)
    classes: int = 0
    norm: str = "batch"

    @nn.compact
    def __call__(self, latents, train: bool = False, label=None):
        height, width, colours = self.image_shape
        if height % 8 or width % 8:
            raise ValueError(f"image_shape {tuple(self.image_shape)}: height and width must be divisible by 8.")
        x = leaky_relu(keras_dense(2048)(with_label(latents, label, self.classes)))
        x = keras_dense(height // 8 * (width // 8) * 256)(x)
        x = leaky_relu(normalise(x, self.norm, train)).reshape(-1, height // 8, width // 8, 256)
        for index, filters in enumerate((128, 64)):
            x = leaky_relu(UpsampleConv(filters, 5, name=f"Conv_{index}")(x))
        return jnp.tanh(UpsampleConv(colours, 5, name="Conv_2")(x))


class DocumentDiscriminator(nn.Module):
    """The document's network for faces: images [batch, 64, 64, 3] to logits [batch, 1] and features [batch, 1024].

    20,361,473 parameters for images of [64, 64, 3].

    Attributes: as of `Discriminator`; dropout follows each convolution.
    """

    classes: int = 0
    dropout: float = 0.0
    spectral_norm: bool = False
    minibatch_discrimination: bool = False

    @nn.compact
    def __call__(self, images, train: bool = False, label=None):
        layer = functools.partial(constrained, spectral_norm=self.spectral_norm, train=train)
        drop = Dropout(self.dropout, deterministic=not train)
        x = images
        for index, (filters, size, padding) in enumerate(((128, 5, "SAME"), (256, 3, "VALID"), (512, 3, "VALID"))):
            x = leaky_relu(layer(keras_conv(filters, (size, size), padding=padding))(x))
            self.sow("intermediates", f"stage_{index}", x)
            x = max_pool(drop(x))
        features = leaky_relu(layer(keras_dense(1024))(x.reshape(len(x), -1)))
        x = MinibatchDiscrimination()(features) if self.minibatch_discrimination else features
        return Projection(self.classes, self.spectral_norm)(x, label, train), features
