"""Inception-V3, whose features and logits FID, KID and the Inception score are made of.

Szegedy et al. 2015, arXiv 1512.00567. Its layers are named as in the PyTorch files of its weights.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

SIZE = 299

# The padding of an average pool is not counted, as in TensorFlow, where the weights come from.
average_pool = functools.partial(
    nn.avg_pool, window_shape=(3, 3), strides=(1, 1), padding="SAME", count_include_pad=False
)
max_pool = functools.partial(nn.max_pool, window_shape=(3, 3), strides=(1, 1), padding="SAME")
halve = functools.partial(nn.max_pool, window_shape=(3, 3), strides=(2, 2))


class ConvBlock(nn.Module):
    """A convolution without bias, batch normalisation by the stored statistics, and ReLU."""

    filters: int
    kernel: tuple[int, int]
    strides: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(self.filters, self.kernel, self.strides, padding=self.padding, use_bias=False, name="conv")(x)
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(x))


def _halving(filters, name):
    return ConvBlock(filters, (3, 3), 2, "VALID", name=name)


def _joined(*branches):
    return jnp.concatenate(branches, -1)


class BlockA(nn.Module):
    """35x35: kernels of 1, 5 and twice 3, and a pool."""

    pool_filters: int

    @nn.compact
    def __call__(self, x):
        single = ConvBlock(64, (1, 1), name="branch1x1")(x)
        five = ConvBlock(48, (1, 1), name="branch5x5_1")(x)
        five = ConvBlock(64, (5, 5), name="branch5x5_2")(five)
        double = ConvBlock(64, (1, 1), name="branch3x3dbl_1")(x)
        double = ConvBlock(96, (3, 3), name="branch3x3dbl_2")(double)
        double = ConvBlock(96, (3, 3), name="branch3x3dbl_3")(double)
        pooled = ConvBlock(self.pool_filters, (1, 1), name="branch_pool")(average_pool(x))
        return _joined(single, five, double, pooled)


class BlockB(nn.Module):
    """35x35 to 17x17."""

    @nn.compact
    def __call__(self, x):
        three = _halving(384, "branch3x3")(x)
        double = ConvBlock(64, (1, 1), name="branch3x3dbl_1")(x)
        double = ConvBlock(96, (3, 3), name="branch3x3dbl_2")(double)
        double = _halving(96, "branch3x3dbl_3")(double)
        return _joined(three, double, halve(x))


class BlockC(nn.Module):
    """17x17: kernels of 7 split into 1x7 and 7x1, once and twice, and a pool."""

    filters: int

    @nn.compact
    def __call__(self, x):
        single = ConvBlock(192, (1, 1), name="branch1x1")(x)
        seven = ConvBlock(self.filters, (1, 1), name="branch7x7_1")(x)
        seven = ConvBlock(self.filters, (1, 7), name="branch7x7_2")(seven)
        seven = ConvBlock(192, (7, 1), name="branch7x7_3")(seven)
        double = ConvBlock(self.filters, (1, 1), name="branch7x7dbl_1")(x)
        double = ConvBlock(self.filters, (7, 1), name="branch7x7dbl_2")(double)
        double = ConvBlock(self.filters, (1, 7), name="branch7x7dbl_3")(double)
        double = ConvBlock(self.filters, (7, 1), name="branch7x7dbl_4")(double)
        double = ConvBlock(192, (1, 7), name="branch7x7dbl_5")(double)
        pooled = ConvBlock(192, (1, 1), name="branch_pool")(average_pool(x))
        return _joined(single, seven, double, pooled)


class BlockD(nn.Module):
    """17x17 to 8x8."""

    @nn.compact
    def __call__(self, x):
        three = ConvBlock(192, (1, 1), name="branch3x3_1")(x)
        three = _halving(320, "branch3x3_2")(three)
        seven = ConvBlock(192, (1, 1), name="branch7x7x3_1")(x)
        seven = ConvBlock(192, (1, 7), name="branch7x7x3_2")(seven)
        seven = ConvBlock(192, (7, 1), name="branch7x7x3_3")(seven)
        seven = _halving(192, "branch7x7x3_4")(seven)
        return _joined(three, seven, halve(x))


class BlockE(nn.Module):
    """8x8: 1x3 beside 3x1, once and after a kernel of 3, and a pool."""

    pool: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x):
        single = ConvBlock(320, (1, 1), name="branch1x1")(x)
        three = ConvBlock(384, (1, 1), name="branch3x3_1")(x)
        three = _joined(
            ConvBlock(384, (1, 3), name="branch3x3_2a")(three), ConvBlock(384, (3, 1), name="branch3x3_2b")(three)
        )
        double = ConvBlock(448, (1, 1), name="branch3x3dbl_1")(x)
        double = ConvBlock(384, (3, 3), name="branch3x3dbl_2")(double)
        double = _joined(
            ConvBlock(384, (1, 3), name="branch3x3dbl_3a")(double),
            ConvBlock(384, (3, 1), name="branch3x3dbl_3b")(double),
        )
        pooled = ConvBlock(192, (1, 1), name="branch_pool")(self.pool(x))
        return _joined(single, three, double, pooled)


class InceptionV3(nn.Module):
    """Inception-V3 without its auxiliary classifier, in inference mode only.

    Called on images [batch, height, width, 3] in [-1, 1], of 299x299 where scores are meant and of at least 75x75, it
    returns logits [batch, classes] and the features [batch, 2048] before them.

    With `fid` it is the graph of 2015-12-05 that FID is defined by (Heusel et al. 2017, arXiv 1706.08500): its last
    block pools by the maximum, and it has 1008 logits. Without, it is the published network, as in Keras. (torchvision
    counts the padding of average pools, so that it differs at the borders.)
    """

    classes: int = 1008
    fid: bool = True

    @nn.compact
    def __call__(self, images):
        x = _halving(32, "Conv2d_1a_3x3")(images)
        x = ConvBlock(32, (3, 3), padding="VALID", name="Conv2d_2a_3x3")(x)
        x = ConvBlock(64, (3, 3), name="Conv2d_2b_3x3")(x)
        x = ConvBlock(80, (1, 1), name="Conv2d_3b_1x1")(halve(x))
        x = ConvBlock(192, (3, 3), padding="VALID", name="Conv2d_4a_3x3")(x)
        x = BlockA(32, name="Mixed_5b")(halve(x))
        x = BlockA(64, name="Mixed_5c")(x)
        x = BlockA(64, name="Mixed_5d")(x)
        x = BlockB(name="Mixed_6a")(x)
        for name, filters in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = BlockC(filters, name=name)(x)
        x = BlockD(name="Mixed_7a")(x)
        x = BlockE(average_pool, name="Mixed_7b")(x)
        x = BlockE(max_pool if self.fid else average_pool, name="Mixed_7c")(x)
        features = x.mean((1, 2))
        return nn.Dense(self.classes, name="fc")(features), features


def resize(images: jax.Array) -> jax.Array:
    """Images [n, height, width, 3] as [n, 299, 299, 3], bilinearly between pixel centres and without antialiasing.

    This is how the common PyTorch program for FID resizes (`align_corners=False`). Other ways to resize change FID by
    more than many models differ: Parmar et al. 2022, arXiv 2104.11222.
    """
    shape = (images.shape[0], SIZE, SIZE, images.shape[3])
    return jax.image.resize(images, shape, "bilinear", antialias=False)


def apply(variables, images: jax.Array, fid: bool = True) -> tuple[jax.Array, jax.Array]:
    """Logits [n, classes] and features [n, 2048] of images [n, height, width, 3] in [-1, 1] of any size.

    `fid` as in `InceptionV3`; the number of classes is that of the variables.
    """
    classes = variables["params"]["fc"]["bias"].shape[0]
    return InceptionV3(classes, fid).apply(variables, resize(images))
