"""The rows of the benchmark: each family's documented networks and recipe, as lists of layers and as our own GAN.

In all of them the players take the turns of the documents: the discriminator an optimizer step on real pictures and one
on generated ones, which come from the generator in inference mode (of the simple GAN and of inpainting one step on
both), then the generator one. Losses are binary cross-entropies of logits, optimizers Adam 2e-4 (0.5, 0.999).
"""

import functools
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from experiments.benchmarks.peers.layers import (
    Activation,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    Fold,
    JoinLabel,
    Pool,
    Reshape,
    Residual,
    Shape,
    Unfold,
    Upsample,
)
from experiments.benchmarks.peers.row import CONTENT_LAYER, Row
from gans import age_cgan, dcgan, deblur, gan3d, inpainting, srgan, vanilla
from gans.core import Gan
from gans.frozen import vgg

RELU, LEAKY, TANH, SIGMOID = map(Activation, ("relu", "leaky", "tanh", "sigmoid"))


RESTORING = MappingProxyType({"pixel": None, "content": 1.0, "adversarial": 1e-3})
TURNS = {"passes": "turns", "inference_fakes": True}


def _vanilla() -> Row:
    hidden = [Dense(500), LEAKY]
    return Row(
        [*hidden, *hidden, Dense(784), TANH, Reshape((28, 28, 1))],
        [Flatten(), *hidden, *hidden, Dense(1)],
        (100,),
        (28, 28, 1),
        lambda optimizers, drop=True, **settings: vanilla.make(
            optimizers,
            passes="mixed",
            inference_fakes=True,
            generator_options={"hidden": (500, 500)},
            discriminator_options={"hidden": (500, 500)},
            **settings,
        ),
        batch_size=128,
        mixed=True,
    )


def _dcgan28() -> Row:
    return Row(
        [
            *(Dense(7 * 7 * 128), BatchNorm(), RELU, Reshape((7, 7, 128))),
            *(ConvTranspose(64, 5), BatchNorm(), RELU, ConvTranspose(1, 5), TANH),
        ],
        [Conv(64, 5, 2), LEAKY, Dropout(0.3), Conv(128, 5, 2), LEAKY, Dropout(0.3), Flatten(), Dense(1)],
        (100,),
        (28, 28, 1),
        lambda optimizers, drop=True, **settings: dcgan.make(
            optimizers, discriminator_options={"dropout": 0.3 if drop else 0.0}, **TURNS, **settings
        ),
        batch_size=64,
    )


def _dcgan64() -> Row:
    return Row(
        [
            *(Dense(2048), LEAKY, Dense(8 * 8 * 256), BatchNorm(), LEAKY, Reshape((8, 8, 256))),
            *(Upsample(), Conv(128, 5), LEAKY, Upsample(), Conv(64, 5), LEAKY, Upsample(), Conv(3, 5), TANH),
        ],
        [
            *(Conv(128, 5), LEAKY, Pool("max"), Conv(256, 3, padding="valid"), LEAKY, Pool("max")),
            *(Conv(512, 3, padding="valid"), LEAKY, Pool("max"), Flatten(), Dense(1024), LEAKY, Dense(1)),
        ],
        (100,),
        (64, 64, 3),
        lambda optimizers, drop=True, **settings: dcgan.make(
            optimizers,
            image_shape=(64, 64, 3),
            generator="DocumentGenerator",
            discriminator="DocumentDiscriminator",
            **TURNS,
            **settings,
        ),
        batch_size=32,
    )


def _inpainting() -> Row:
    down = [part for filters in (32, 64) for part in (Conv(filters, 3), BatchNorm(), RELU, Pool("average"))]
    up = [part for filters in (128, 64) for part in (Conv(filters, 3), RELU, Upsample())]
    judge = [part for f, stride in ((64, 2), (128, 2), (256, 1)) for part in (Conv(f, 3, stride), LEAKY, Dropout(0.2))]

    def make(optimizers, drop=True, **settings):
        return inpainting.make(
            optimizers,
            generator="DocumentGenerator",
            discriminator="Discriminator",
            discriminator_options={"dropout": 0.2 if drop else 0.0},
            real_label=0.9,
            paste=False,
            average_decay=None,
            **settings,
        )

    return Row(
        [*down, Conv(128, 3), BatchNorm(), RELU, *up, Conv(1, 3), TANH],
        [*judge, Flatten(), Dense(1)],
        (28, 28, 1),
        (28, 28, 1),
        make,
        batch_size=128,
        mixed=True,
        real_label=0.9,
    )


def _content() -> list[Any]:
    """VGG up to a layer, and its ReLU; so far VGG-16 and VGG-19 are the same."""
    names = vgg.layer_names(16)
    layers = []
    for name in names[: names.index(CONTENT_LAYER) + 1]:
        filters = vgg.FILTERS[int(name[len("block")]) - 1]
        layers += [Pool("max")] if name.endswith("pool") else [Conv(filters, 3), RELU]
    return layers


def _restoring(networks, scale: int, image: Shape, options: dict[str, str], optimizers, drop=True, **settings) -> Gan:
    del drop  # they have no dropout
    return networks.make(
        {"pretrain": {"generator": optimizers["adversarial"]["generator"]}, **optimizers},
        image_shape=image,
        scale=scale,
        content_layers=(CONTENT_LAYER,),
        **options,
        **TURNS,
        **settings,
    )


def _srgan() -> Row:
    norm, conv = BatchNorm(0.8), Conv(64, 3)
    blocks = [Residual((conv, RELU, norm, conv, norm))] * 16
    judge = [
        part
        for filters, stride in ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2))
        for part in (Conv(filters, 3, stride), LEAKY, norm)
    ]
    names = {"generator": "DocumentGenerator", "discriminator": "DocumentDiscriminator"}
    return Row(
        [
            *(Conv(64, 9), RELU, Residual((*blocks, conv, norm))),
            *2 * (Upsample(), Conv(256, 3), RELU),
            *(Conv(3, 9), TANH),
        ],
        [Conv(64, 3), LEAKY, *judge, Dense(1024), LEAKY, Dense(1)],
        (64, 64, 3),
        (256, 256, 3),
        functools.partial(_restoring, srgan, 4, (256, 256, 3), names),
        batch_size=1,
        content=_content(),
        coefficients=RESTORING,
    )


def _deblur() -> Row:
    def blocks(channels, count):
        return [Residual((Conv(channels, 3), RELU, Conv(channels, 3)))] * count

    fine, middle, coarse = 32, 64, 128
    eighth = Residual((Fold(), Dense(coarse), *blocks(coarse, 6), Dense(4 * middle), Unfold()))
    quarter = Residual(
        (Fold(), Dense(middle), *blocks(middle, 3), eighth, *blocks(middle, 3), Dense(4 * fine), Unfold())
    )
    half = [Fold(), Conv(fine, 3), *blocks(fine, 1), quarter, *blocks(fine, 1), Conv(12, 3), Unfold()]
    judge = [part for filters in (32, 64, 128, 256) for part in (Conv(filters, 4, 2), LEAKY)]
    return Row(
        [Residual(tuple(half))],
        [*judge, Conv(256, 3), LEAKY, Dense(1)],
        (128, 128, 3),
        (128, 128, 3),
        functools.partial(_restoring, deblur, 1, (128, 128, 3), {}),
        batch_size=4,
        content=_content(),
        coefficients=RESTORING,
    )


def _gan3d(side: int, channels: tuple[int, ...], batch_size: int) -> Row:
    first, *others = channels
    doublings = [part for features in others for part in (ConvTranspose(features, 4), BatchNorm(), RELU)]
    halvings = [part for features in channels[::-1] for part in (Conv(features, 4, 2), BatchNorm(), LEAKY)]
    return Row(
        [
            *(Reshape((1, 1, 1, 200)), ConvTranspose(first, 4, 1, "valid"), BatchNorm(), RELU),
            *(*doublings, ConvTranspose(1, 4), SIGMOID),
        ],
        # On a map of 4x4x4 the last convolution is a dense layer.
        [*halvings, Flatten(), Dense(1)],
        (200,),
        (side, side, side, 1),
        lambda optimizers, drop=True, **settings: gan3d.make(
            optimizers,
            image_shape=(side, side, side, 1),
            generator_options={"channels": channels},
            discriminator_options={"channels": channels[::-1]},
            **TURNS,
            **settings,
        ),
        batch_size=batch_size,
        rate=1e-4,  # its gradients are large
    )


def _age_cgan() -> Row:
    norm = BatchNorm(0.8)

    def make(optimizers, drop=True, **settings):
        return age_cgan.make(
            {"encode": {}, "refine": {}, **optimizers},
            generator_options={"dropout": 0.2 if drop else 0.0},
            random_labels=False,
            **TURNS,
            **settings,
        )

    judge = [part for filters in (128, 256, 512) for part in (Conv(filters, 3, 2), BatchNorm(), LEAKY)]
    return Row(
        [
            *(Dense(2048), LEAKY, Dropout(0.2), Dense(8 * 8 * 256), BatchNorm(), LEAKY, Dropout(0.2)),
            *(Reshape((8, 8, 256)), Upsample(), Conv(128, 5), norm, LEAKY, Upsample(), Conv(64, 5), norm, LEAKY),
            *(Upsample(), Conv(3, 5), TANH),
        ],
        [Conv(64, 3, 2), LEAKY, JoinLabel(6), *judge, Flatten(), Dense(1)],
        (106,),
        (64, 64, 3),
        make,
        batch_size=32,
        classes=6,
        coefficients={"adversarial": 1.0, "identity": 1.0},  # the latter of another phase
        rate=1e-3,
    )


ROWS: dict[str, Callable[[], Row]] = {
    "vanilla": _vanilla,
    "dcgan28": _dcgan28,
    "dcgan64": _dcgan64,
    "inpainting": _inpainting,
    "srgan": _srgan,
    "deblur": _deblur,
    "gan3d32": lambda: _gan3d(32, (256, 128, 64), 4),
    "gan3d64": lambda: _gan3d(64, (512, 256, 128, 64), 2),
    "age_cgan": _age_cgan,
}
