"""The digit classifier that judges restored digits: it scores and never gives a gradient to a generator."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gans.layers import keras_conv, keras_dense


class DigitClassifier(nn.Module):
    """Three convolutions and two dense layers: 6,526,474 parameters for images of [28, 28, 1] and ten classes.

    Called on images [batch, height, width, channels] in [-1, 1] it returns logits [batch, classes] and the features
    [batch, 1024] before them. With `train`, a dropout key named `dropout` is needed.
    """

    classes: int = 10
    dropout: float = 0.2

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = images
        for filters, strides in ((32, 2), (64, 2)):
            x = nn.relu(keras_conv(filters, (3, 3), strides)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.relu(keras_conv(128, (3, 3))(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        features = nn.relu(keras_dense(1024)(x.reshape(x.shape[0], -1)))
        return keras_dense(self.classes)(features), features


def apply(variables, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logits [batch, classes] and features [batch, 1024] of images [batch, height, width, channels] in [-1, 1]."""
    classes = variables["params"]["Dense_1"]["bias"].shape[0]
    return DigitClassifier(classes).apply(variables, images)


def verdicts(variables, images: jax.Array) -> jax.Array:
    """The classes that the judge sees in images [batch, height, width, channels] in [-1, 1]: int32 [batch]."""
    return apply(variables, images)[0].argmax(-1).astype(jnp.int32)
