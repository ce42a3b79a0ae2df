"""The document's own deblurring GAN, which makes pictures from noise and so has nothing to apply to a photograph.

Its text wants blurred photographs in and sharp ones out (that is `gans.deblur`), its code feeds noise of 50x100x100.
This is the code, as `gans.latent_game` between its networks; the family's name in a config is `deblur.document`.
"""

import functools
import sys

import flax.linen as nn
import jax.numpy as jnp

from gans import latent_game
from gans.layers import Dropout, keras_conv, keras_dense, leaky_relu

NOISE = (50, 100, 100)


class Generator(nn.Module):
    """28,623 parameters: noise [batch, 500000], read as [batch, 50, 100, 100], to pictures [batch, 50, 50, 3]."""

    image_shape: tuple[int, int, int] = (50, 50, 3)
    classes: int = 0

    @nn.compact
    def __call__(self, latents, train: bool = False):
        if self.image_shape != (50, 50, 3) or self.classes:
            raise ValueError("The document's generator makes pictures of 50x50x3, without classes.")
        x = latents.reshape(-1, *NOISE)
        x = nn.leaky_relu(jnp.tanh(keras_conv(32, (2, 2), 2)(x)), 0.6)
        x = Dropout(0.4, deterministic=not train)(x)
        x = nn.leaky_relu(jnp.tanh(keras_conv(32, (2, 2))(x)), 0.3)
        x = Dropout(0.2, deterministic=not train)(x)
        x = jnp.repeat(jnp.tanh(keras_conv(32, (3, 3))(x)), 2, axis=1)
        return jnp.tanh(keras_dense(3)(jnp.tanh(keras_conv(3, (5, 5))(x))))


class Discriminator(nn.Module):
    """15,976 parameters: pictures [batch, 50, 50, 3] to logits [batch, 1] and the features before the last layer.

    The document pools sigmoids; the largest logit's sigmoid is the same.
    """

    classes: int = 0

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = images
        for size, units in ((2, 100), (3, 50), (3, 25)):
            x = leaky_relu(keras_dense(units)(jnp.tanh(keras_conv(10, (size, size), 2)(x))))
            x = Dropout(0.3, deterministic=not train)(x)
        logits = nn.max_pool(keras_conv(1, (4, 4), 3)(x), (2, 3), (2, 3))
        return logits.reshape(logits.shape[0], -1), x.reshape(x.shape[0], -1)


make = functools.partial(latent_game.make, sys.modules[__name__])
