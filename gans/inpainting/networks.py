"""Networks that restore masked pictures, and those that tell restored pictures from real ones."""

import flax.linen as nn
import jax.numpy as jnp

from gans.layers import average_pool, keras_conv, keras_dense, keras_norm, leaky_relu, upsample


class DocumentGenerator(nn.Module):
    """The document's auto-encoder: 315,073 parameters and 448 running statistics on one channel.

    Masked pictures [batch, height, width, channels] in [-1, 1], sides divisible by 4, to restored ones of that shape.
    """

    @nn.compact
    def __call__(self, masked, train: bool = False):
        x = masked
        for filters in (32, 64):
            x = keras_conv(filters, (3, 3))(x)
            x = average_pool(nn.relu(keras_norm(use_running_average=not train)(x)))
        x = nn.relu(keras_norm(use_running_average=not train)(keras_conv(128, (3, 3))(x)))
        for filters in (128, 64):
            x = upsample(nn.relu(keras_conv(filters, (3, 3))(x)))
        return jnp.tanh(keras_conv(masked.shape[-1], (3, 3))(x))


class Discriminator(nn.Module):
    """The document's discriminator: 382,209 parameters on images of [28, 28, 1].

    Images [batch, height, width, channels] in [-1, 1] to logits [batch, 1] and the last features before them. With
    `train`, a dropout key named `dropout` is needed.
    """

    dropout: float = 0.2

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = images
        for filters, strides in ((64, 2), (128, 2), (256, 1)):
            x = leaky_relu(keras_conv(filters, (3, 3), strides)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        features = x.reshape(x.shape[0], -1)
        return keras_dense(1)(features), features
