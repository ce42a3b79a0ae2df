"""Networks that restore masked pictures, and those that tell restored pictures from real ones."""

import functools

import flax.linen as nn
import jax.numpy as jnp

from gans.layers import (
    Dropout,
    UpsampleConv,
    average_pool,
    conv_with_stride,
    depth_to_space,
    keras_conv,
    keras_dense,
    keras_norm,
    leaky_relu,
    space_to_depth,
)


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
        x = nn.relu(keras_conv(128, (3, 3))(x))
        x = nn.relu(UpsampleConv(64, 3, name="Conv_4")(x))
        return jnp.tanh(UpsampleConv(masked.shape[-1], 3, name="Conv_5")(x))


class FoldedUNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015, arXiv 1505.04597) on folded pixels, with a view of the whole picture.

    Pixels are folded into channels (space to depth), so that no convolution works at full resolution: the levels are at
    a half and a quarter of it. What completes a digit lies far from the hole, so at the bottom a dense code of the
    whole picture is added to the features. Without normalisation: inference and training are one function.

    Masked pictures [batch, height, width, channels] in [-1, 1], sides divisible by 4, to restored ones of that shape.

    Attributes:
      fine: channels at half resolution.
      coarse: channels at a quarter of it.
      code: length of the code of the whole picture; it ties the network to one size of pictures.
    """

    fine: int = 32
    coarse: int = 128
    code: int = 512

    @nn.compact
    def __call__(self, masked, train: bool = False):
        del train  # nothing here differs
        he_normal = nn.initializers.he_normal()
        conv = functools.partial(nn.Conv, kernel_size=(3, 3), kernel_init=he_normal)
        dense = functools.partial(nn.Dense, kernel_init=he_normal)
        x = nn.relu(conv(self.fine)(space_to_depth(masked)))
        skip = nn.relu(conv(self.fine)(x))
        x = nn.relu(dense(self.coarse)(space_to_depth(skip)))
        x = x + nn.relu(conv(self.coarse)(x))
        whole = nn.relu(dense(32)(x))
        code = nn.relu(dense(self.code)(whole.reshape(whole.shape[0], -1)))
        spread = nn.relu(dense(whole[0].size)(code)).reshape(whole.shape)
        x = x + nn.Dense(self.coarse)(spread)
        x = x + nn.relu(conv(self.coarse)(x))
        x = depth_to_space(nn.relu(dense(4 * self.fine)(x)))
        x = nn.relu(conv(self.fine)(jnp.concatenate([x, skip], -1)))
        x = nn.relu(conv(self.fine)(x))
        logits = depth_to_space(nn.Conv(4 * masked.shape[-1], (3, 3))(x))
        return jnp.tanh(logits / 2)  # so that sigmoid(logits) is the brightness in [0, 1]


class Discriminator(nn.Module):
    """The document's discriminator: 382,209 parameters on images of [28, 28, 1].

    Images [batch, height, width, channels] in [-1, 1] to logits [batch, 1] and the last features before them. With
    `train`, a dropout key named `dropout` is needed.
    """

    dropout: float = 0.2

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = images
        for index, (filters, stride) in enumerate(((64, 2), (128, 2), (256, 1))):
            x = leaky_relu(conv_with_stride(filters, 3, stride, f"Conv_{index}")(x))
            self.sow("intermediates", f"stage_{index}", x)
            x = Dropout(self.dropout, deterministic=not train)(x)
        features = x.reshape(x.shape[0], -1)
        return keras_dense(1)(features), features


class FoldedDiscriminator(nn.Module):
    """The document's discriminator with space to depth in place of strides, and narrower: a fraction of its cost.

    Called as `Discriminator`; sides divisible by 4.
    """

    channels: tuple[int, int, int] = (32, 64, 64)
    dropout: float = 0.2

    @nn.compact
    def __call__(self, images, train: bool = False):
        drop = Dropout(self.dropout, deterministic=not train)
        first, second, third = self.channels
        x = leaky_relu(nn.Conv(first, (3, 3))(space_to_depth(images)))
        self.sow("intermediates", "stage_0", x)
        x = leaky_relu(nn.Dense(second)(space_to_depth(drop(x))))
        self.sow("intermediates", "stage_1", x)
        x = leaky_relu(nn.Conv(third, (3, 3))(drop(x)))
        self.sow("intermediates", "stage_2", x)
        features = drop(x).reshape(x.shape[0], -1)
        return nn.Dense(1)(features), features
