"""Generators and discriminators of dense layers.

With classes, labels stand one-hot beside the latent and beside the pixels (Mirza and Osindero 2014, arXiv 1411.1784).
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from gans.layers import Dropout, MinibatchDiscrimination, constrained, keras_dense, leaky_relu, normalise, with_label


class Generator(nn.Module):
    """Latents [batch, size] to images [batch, *image_shape] in [-1, 1].

    693,784 parameters as in the document (latents of 100, images of [28, 28, 1]).

    Attributes:
      image_shape: (height, width, channels).
      classes: number of classes, 0 for none; else labels int32 [batch] are needed.
      hidden: sizes of the hidden layers.
      norm: `batch` or `none`, after each hidden layer.
    """

    image_shape: tuple[int, int, int] = (28, 28, 1)
    classes: int = 0
    hidden: tuple[int, ...] = (500, 500)
    norm: str = "none"

    @nn.compact
    def __call__(self, latents, train: bool = False, label=None):
        x = with_label(latents, label, self.classes)
        for size in self.hidden:
            x = leaky_relu(normalise(keras_dense(size)(x), self.norm, train))
        x = jnp.tanh(keras_dense(math.prod(self.image_shape))(x))
        return x.reshape(-1, *self.image_shape)


class Discriminator(nn.Module):
    """Images [batch, height, width, channels] in [-1, 1] to logits [batch, 1] and the last features before them.

    643,501 parameters as in the document. With `train` and dropout, a dropout key named `dropout` is needed.

    Attributes:
      classes: as for `Generator`.
      hidden: sizes of the hidden layers.
      dropout: rate after each hidden layer.
      spectral_norm: whether each kernel is divided by its largest singular value.
      minibatch_discrimination: whether the last layer also sees how close the batch's examples are to each other.
    """

    classes: int = 0
    hidden: tuple[int, ...] = (500, 500)
    dropout: float = 0.0
    spectral_norm: bool = False
    minibatch_discrimination: bool = False

    @nn.compact
    def __call__(self, images, train: bool = False, label=None):
        x = with_label(images.reshape(len(images), -1), label, self.classes)
        for size in self.hidden:
            x = leaky_relu(constrained(keras_dense(size), self.spectral_norm, train)(x))
            x = Dropout(self.dropout, deterministic=not train)(x)
        features = x
        if self.minibatch_discrimination:
            x = MinibatchDiscrimination()(x)
        return constrained(keras_dense(1), self.spectral_norm, train)(x), features
