"""Whose face it is, and how old: two small networks that face-api.js runs in browsers, with its names of layers.

The recogniser is dlib's ResNet of 29 layers (https://blog.dlib.net/2017/02/high-quality-face-recognition-with-deep.html,
after He et al. 2015, arXiv 1512.03385) with half as many filters: faces of one person lie within 0.6 of each other. The
other network is a small Xception (Chollet 2016, arXiv 1610.02357). Both want one upright face, cut so that from the
eyes to the mouth it is about 0.45 of the picture's side.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from gans import layers

SIZE, AGE_SIZE = 150, 112
# Euclidean distance of descriptors below which two faces are taken for one person's (dlib, face-api.js).
THRESHOLD = 0.6
# Of red, green and blue in 0..255, in the pictures that the networks were trained on.
MEAN = (122.782, 117.001, 104.298)
STAGES = (("conv32", 32, 3), ("conv64", 64, 3), ("conv128", 128, 2), ("conv256", 256, 2))


class _ScaledConv(nn.Module):
    """Convolution, then a scale and a shift a channel (batch normalisation, its statistics folded in)."""

    filters: int
    size: int = 3
    halve: bool = False

    @nn.compact
    def __call__(self, x):
        shape = (self.size, self.size, x.shape[3], self.filters)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        x = layers.add_bias(self, _halving_conv(x, kernel) if self.halve else _conv(x, kernel, 1, "SAME"))
        scale = self.param("scale", nn.initializers.ones, (self.filters,))
        return layers.add_bias(self, x * scale.reshape(1, 1, 1, -1), "shift")


def _conv(x, kernel, strides, padding):
    return jax.lax.conv_general_dilated(
        x, kernel, (strides, strides), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _halving_conv(x, kernel):
    """Convolution with stride 2 and without padding."""
    if kernel.shape[0] == 3:
        return _conv(x, kernel, 2, "VALID")
    # On pixels folded by 2 and with padding that is cut off again: on the CPU XLA is 17 times faster so.
    size = x.shape[1] // 2 - 3
    kernel = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0))).reshape(4, 2, 4, 2, *kernel.shape[2:])
    folded = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(4, 4, -1, kernel.shape[-1])
    return _conv(layers.space_to_depth(x), folded, 1, "SAME")[:, 1 : size + 1, 1 : size + 1]


def _max_pool(x):
    """The largest of 3x3 windows with stride 2: [batch, side, side, channels], odd or even sides, without padding."""
    end = 2 * ((x.shape[1] - 3) // 2) + 1
    windows = [x[:, i : i + end : 2, j : j + end : 2] for i in range(3) for j in range(3)]
    # Not nn.max_pool, whose gradient is 7 times slower on the CPU.
    return functools.reduce(jnp.maximum, windows)


class _Residual(nn.Module):
    """Two convolutions beside a shortcut; with `halve`, the shortcut is a pool, with zeros for new channels."""

    filters: int
    halve: bool = False

    @nn.compact
    def __call__(self, x):
        y = nn.relu(_ScaledConv(self.filters, halve=self.halve, name="conv1")(x))
        y = _ScaledConv(self.filters, name="conv2")(y)
        if self.halve:
            x = nn.avg_pool(x, (2, 2), (2, 2))
            x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.filters - x.shape[3])))
            # The pool keeps one row and column more where sides are even.
            y = jnp.pad(y, ((0, 0), (0, x.shape[1] - y.shape[1]), (0, x.shape[2] - y.shape[2]), (0, 0)))
        return nn.relu(x + y)


class FaceRecogniser(nn.Module):
    """dlib's face recogniser in inference mode, 5,614,592 parameters.

    Called on images [batch, 150, 150, 3], normalised as `descriptor` does, it returns descriptors [batch, 128].
    """

    @nn.compact
    def __call__(self, images):
        x = nn.relu(_ScaledConv(32, 7, halve=True, name="conv32_down")(images))
        x = _max_pool(x)
        for name, filters, repetitions in STAGES:
            if filters > 32:
                x = _Residual(filters, halve=True, name=f"{name}_down")(x)
            for repetition in range(1, repetitions + 1):
                x = _Residual(filters, name=f"{name}_{repetition}")(x)
        x = _Residual(256, halve=True, name="conv256_down_out")(x)
        return nn.Dense(128, use_bias=False, name="fc")(x.mean((1, 2)))


class _SeparableConv(nn.Module):
    """One 3x3 kernel for each channel, then a convolution of 1x1."""

    filters: int

    @nn.compact
    def __call__(self, x):
        channels = x.shape[3]
        x = nn.Conv(channels, (3, 3), feature_group_count=channels, use_bias=False, name="depthwise")(x)
        return nn.Conv(self.filters, (1, 1), name="pointwise")(x)


class _Reduction(nn.Module):
    """Two separable convolutions and a pool beside a strided convolution of 1x1: sides are halved."""

    filters: int
    activate: bool = True

    @nn.compact
    def __call__(self, x):
        y = nn.relu(x) if self.activate else x
        y = _SeparableConv(self.filters, name="separable_conv0")(y)
        y = _SeparableConv(self.filters, name="separable_conv1")(nn.relu(y))
        y = nn.max_pool(y, (3, 3), (2, 2), padding="SAME")
        return y + nn.Conv(self.filters, (1, 1), 2, name="expansion_conv")(x)


class _Main(nn.Module):
    """Three separable convolutions beside a shortcut."""

    @nn.compact
    def __call__(self, x):
        y = x
        for index in range(3):
            y = _SeparableConv(x.shape[3], name=f"separable_conv{index}")(nn.relu(y))
        return x + y


class AgeGenderNet(nn.Module):
    """face-api.js' estimator of age and gender in inference mode, 421,731 parameters.

    Called on images [batch, 112, 112, 3], normalised as `age_gender` does, it returns ages [batch] and logits
    [batch, 2].
    """

    @nn.compact
    def __call__(self, images):
        x = nn.relu(nn.Conv(32, (3, 3), 2, name="entry_flow_conv_in")(images))
        x = _Reduction(64, activate=False, name="entry_flow_reduction_block_0")(x)
        x = _Reduction(128, name="entry_flow_reduction_block_1")(x)
        for index in range(2):
            x = _Main(name=f"middle_flow_main_block_{index}")(x)
        x = _Reduction(256, name="exit_flow_reduction_block")(x)
        x = nn.relu(_SeparableConv(512, name="exit_flow_separable_conv")(x)).mean((1, 2))
        return nn.Dense(1, name="fc_age")(x).reshape(-1), nn.Dense(2, name="fc_gender")(x)


def _normalised(images, size):
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise ValueError(f"Images are {images.shape}; the face networks take [batch, side, side, 3].")
    # Antialiased, so that large pictures lose detail and gain no noise.
    pixels = jax.image.resize(images, (images.shape[0], size, size, 3), "bilinear") * 127.5 + 127.5
    # dlib itself divides by 256; face-api.js 1.7 by 255.
    return (pixels - jnp.asarray(MEAN, pixels.dtype).reshape(1, 1, 1, 3)) / 255


def descriptor(variables, images: jax.Array) -> jax.Array:
    """What is a face's own: [batch, 128], near for two pictures of one person in Euclidean distance, see `THRESHOLD`.

    Args:
      variables: of `FaceRecogniser`.
      images: one face each, [batch, side, side, 3] in [-1, 1]; they are resized bilinearly to 150x150, with gradients.

    Raises:
      ValueError: for images that are not square and RGB.
    """
    return FaceRecogniser().apply(variables, _normalised(images, SIZE))


def age_gender(variables, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(ages [batch] in years, probabilities [batch, 2] that the face is male and that it is female).

    Args:
      variables: of `AgeGenderNet`.
      images: as for `descriptor`; they are resized bilinearly to 112x112.

    Raises:
      ValueError: as `descriptor`.
    """
    ages, logits = AgeGenderNet().apply(variables, _normalised(images, AGE_SIZE))
    return ages, jax.nn.softmax(logits)
