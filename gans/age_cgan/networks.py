"""Networks of the document's Age-cGAN: faces [batch, 64, 64, 3] in [-1, 1], labels int32 [batch] of age groups."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from gans.layers import (
    Dropout,
    HalvingConv,
    UpsampleConv,
    constrained,
    keras_dense,
    keras_norm,
    leaky_relu,
    with_label,
)


class Encoder(nn.Module):
    """Faces to latents [batch, latent_size]: 18,278,180 parameters and 9,088 running statistics.

    Attributes:
      latent_size: length of the latent.
      channels: of the four convolutions.
      hidden: units of the dense layer.
    """

    latent_size: int = 100
    channels: tuple[int, ...] = (32, 64, 128, 256)
    hidden: int = 4096

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = images
        for index, filters in enumerate(self.channels):
            x = HalvingConv(filters, name=f"Conv_{index}")(x)
            if index:
                x = keras_norm(use_running_average=not train)(x)
            x = leaky_relu(x)
        x = keras_dense(self.hidden)(x.reshape(x.shape[0], -1))
        x = leaky_relu(keras_norm(use_running_average=not train)(x))
        return keras_dense(self.latent_size)(x)


class Generator(nn.Module):
    """Latents [batch, 100] and labels to faces: 34,852,099 parameters and 33,152 running statistics.

    Attributes:
      image_shape: (height, width, channels), sides divisible by 8.
      classes: number of age groups.
      hidden: units of the first dense layer.
      channels: after the second dense layer and after each upsampling but the last.
      dropout: after both dense layers.
    """

    image_shape: tuple[int, int, int] = (64, 64, 3)
    classes: int = 6
    hidden: int = 2048
    channels: tuple[int, int, int] = (256, 128, 64)
    dropout: float = 0.2

    @nn.compact
    def __call__(self, latents, train: bool = False, label=None):
        drop = functools.partial(Dropout, self.dropout, deterministic=not train)
        first, *others = self.channels
        x = leaky_relu(keras_dense(self.hidden)(with_label(latents, label, self.classes)))
        height, width, colours = self.image_shape
        x = keras_dense(height // 8 * (width // 8) * first)(drop()(x))
        x = drop()(leaky_relu(keras_norm(use_running_average=not train)(x)))
        x = x.reshape(-1, height // 8, width // 8, first)
        for filters in others:
            x = UpsampleConv(filters, 5)(x)
            x = leaky_relu(keras_norm(use_running_average=not train, momentum=0.8)(x))
        return jnp.tanh(UpsampleConv(colours, 5)(x))


class Discriminator(nn.Module):
    """Faces and labels to logits [batch, 1] and the features before them: 1,567,873 parameters and 1,792 statistics.

    The label joins the first layer's maps as channels of ones and zeros (Perarnau et al. 2016, arXiv 1611.06355).

    Attributes:
      classes: number of age groups.
      channels: of the four convolutions, each of which halves the sides.
      norm: whether the last three have batch norm, as in the document.
      spectral_norm: see `gans.layers.constrained`.
    """

    classes: int = 6
    channels: tuple[int, ...] = (64, 128, 256, 512)
    norm: bool = True
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, images, train: bool = False, label=None):
        x = images
        for index, filters in enumerate(self.channels):
            x = constrained(HalvingConv(filters, 3, name=f"Conv_{index}"), self.spectral_norm, train)(x)
            if index and self.norm:
                x = keras_norm(use_running_average=not train)(x)
            x = leaky_relu(x)
            self.sow("intermediates", f"stage_{index}", x)
            if not index:
                ones = jax.nn.one_hot(label, self.classes, dtype=x.dtype)
                tiled = jnp.broadcast_to(ones[:, None, None], (*x.shape[:3], self.classes))
                x = jnp.concatenate([x, tiled], -1)
        features = x.reshape(x.shape[0], -1)
        return constrained(keras_dense(1), self.spectral_norm, train)(features), features
