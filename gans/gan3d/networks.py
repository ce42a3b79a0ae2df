"""The networks of 3D-GAN for volumes of any size 4 * 2^n, here 64^3. Wu et al. 2016, arXiv 1610.07584, section 3.1.

With classes, labels stand one-hot beside the latent (Mirza and Osindero 2014, arXiv 1411.1784), and the discriminator
compares its last features with a vector for each class (projection, Miyato and Koyama 2018, arXiv 1802.05637).
"""

import flax.linen as nn

from gans.layers import Dropout, MinibatchDiscrimination, Projection, constrained, leaky_relu, normalise, with_label
from gans.volumes import Conv3D, ConvTranspose3D


class Generator(nn.Module):
    """Latents [batch, size] to volumes [batch, *image_shape] in [0, 1] by transposed convolutions.

    17,570,625 parameters and 1,920 running statistics for 64^3 and latents of 200.

    Attributes:
      image_shape: (side, side, side, 1), the side 4 * 2^len(channels): the first layer makes 4^3, the others double.
      classes: number of classes, 0 for none; else labels int32 [batch] are needed.
      channels: of the maps, from 4^3 on.
      norm: `batch`, `instance` or `none`.
    """

    image_shape: tuple[int, int, int, int] = (64, 64, 64, 1)
    classes: int = 0
    channels: tuple[int, ...] = (512, 256, 128, 64)
    norm: str = "batch"

    @nn.compact
    def __call__(self, latents, train: bool = False, label=None):
        _check_shape(self.image_shape, self.channels)
        x = with_label(latents, label, self.classes)[:, None, None, None]
        for index, features in enumerate(self.channels):
            x = ConvTranspose3D(features, stride=2 if index else 1)(x)
            x = nn.relu(normalise(x, self.norm, train))
        return nn.sigmoid(ConvTranspose3D(self.image_shape[-1])(x))


class Discriminator(nn.Module):
    """Volumes [batch, side, side, side, 1] in [0, 1] to logits [batch, 1] and the last features before them.

    11,049,793 parameters and 1,920 running statistics for 64^3. With `train` and dropout, a dropout key named `dropout`
    is needed.

    Attributes:
      classes: as for `Generator`.
      channels: of the convolutions, each of which halves the sides; 4^3 must be left.
      dropout: rate after each of them.
      norm: `batch`, `instance` or `none`.
      spectral_norm: whether each kernel is divided by its largest singular value.
      minibatch_discrimination: whether the last layer also sees how close the batch's examples are to each other.
    """

    classes: int = 0
    channels: tuple[int, ...] = (64, 128, 256, 512)
    dropout: float = 0.0
    norm: str = "batch"
    spectral_norm: bool = False
    minibatch_discrimination: bool = False

    @nn.compact
    def __call__(self, images, train: bool = False, label=None):
        _check_shape(images.shape[1:], self.channels)
        x = images
        for index, features in enumerate(self.channels):
            x = constrained(Conv3D(features), self.spectral_norm, train)(x)
            x = leaky_relu(normalise(x, self.norm, train))
            self.sow("intermediates", f"stage_{index}", x)
            x = Dropout(self.dropout, deterministic=not train)(x)
        features = x.reshape(len(x), -1)
        x = MinibatchDiscrimination()(features) if self.minibatch_discrimination else features
        # On a map of 4x4x4 the last convolution, of 4x4x4 and one channel, is a dense layer.
        return Projection(self.classes, self.spectral_norm)(x, label, train), features


def _check_shape(image_shape, channels):
    side = 4 * 2 ** len(channels)
    if tuple(image_shape[:-1]) != (side,) * 3:
        raise ValueError(
            f"image_shape {tuple(image_shape)}: with {len(channels)} channels, {tuple(channels)}, volumes are "
            f"{side}x{side}x{side}; a stage more or less is a number of channels more or less."
        )
