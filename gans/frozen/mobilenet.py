"""MobileNetV2, a small network for features of pictures: Sandler et al. 2018, arXiv 1801.04381."""

import flax.linen as nn
import jax
import jax.numpy as jnp

SIZE = 224
# Of ImageNet's pixels in [0, 1], which torchvision's weights are trained on.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Table 2: expansion, filters, repetitions, strides of the first of them.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class MobileNetV2(nn.Module):
    """MobileNetV2 of width 1 in inference mode, with torchvision's padding, epsilon and order of layers.

    Called on images [batch, height, width, 3], normalised by `MEAN` and `DEVIATION`, it returns logits
    [batch, classes] and the features [batch, 1280] before them. A layer has its name in torchvision's file, with
    underscores for dots.
    """

    classes: int = 1000

    @nn.compact
    def __call__(self, images):
        def convolved(x, convolution, norm, filters, size=1, strides=1, groups=1):
            # Symmetric also for strides of 2, where "SAME" would pad even sizes at one side only.
            x = nn.Conv(
                filters,
                (size, size),
                strides,
                padding=size // 2,
                feature_group_count=groups,
                use_bias=False,
                name=f"features_{convolution}",
            )(x)
            return nn.BatchNorm(use_running_average=True, epsilon=1e-5, name=f"features_{norm}")(x)

        def activated(x, name, *arguments, **options):
            return nn.relu6(convolved(x, f"{name}_0", f"{name}_1", *arguments, **options))

        def inverted_residual(x, name, expansion, filters, strides):
            y, layer, width = x, 0, expansion * x.shape[-1]
            if expansion > 1:
                y, layer = activated(y, f"{name}_conv_0", width), 1
            y = activated(y, f"{name}_conv_{layer}", width, 3, strides, groups=width)
            y = convolved(y, f"{name}_conv_{layer + 1}", f"{name}_conv_{layer + 2}", filters)
            return x + y if strides == 1 and x.shape == y.shape else y

        x, index = activated(images, "0", 32, 3, 2), 1
        for expansion, filters, repetitions, strides in STAGES:
            for repetition in range(repetitions):
                x = inverted_residual(x, str(index), expansion, filters, 1 if repetition else strides)
                index += 1
        features = activated(x, str(index), 1280).mean((1, 2))
        return nn.Dense(self.classes, name="classifier_1")(features), features


def apply(variables, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logits [n, classes] and features [n, 1280] of images [n, height, width, 3] in [-1, 1] of any size."""
    classes = variables["params"]["classifier_1"]["bias"].shape[0]
    shape = (images.shape[0], SIZE, SIZE, images.shape[3])
    pixels = jax.image.resize(images, shape, "bilinear", antialias=False) / 2 + 0.5
    mean, deviation = (jnp.asarray(values, pixels.dtype).reshape(1, 1, 1, 3) for values in (MEAN, DEVIATION))
    return MobileNetV2(classes).apply(variables, (pixels - mean) / deviation)
