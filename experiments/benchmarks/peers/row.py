"""What a row of the benchmark is: one family's train step, its data and the work that it is."""

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.benchmarks.peers.layers import Shape, without_dropout, work
from gans.core import Gan
from gans.frozen import vgg

CONTENT_LAYER = "block3_conv3"
LATENT_DEVIATION = 0.33  # of 3D-GAN


class Row(NamedTuple):
    """One family's train step.

    generator, discriminator: their layers.
    given: shape of the generator's input.
    image: shape of a real picture.
    make: optimizers of the phase `adversarial` -> our `Gan`, without dropout if asked, in a `precision`.
    batch_size: examples of a step.
    mixed: whether the discriminator has one step on real and generated pictures instead of two.
    real_label: what it should say of real ones.
    classes: of labels, which stand one-hot behind the latent and which `JoinLabel` joins; 0 for none.
    content: layers of a frozen network whose features, squared, are the generator's loss beside the adversarial one.
    coefficients: of our losses.
    rate: of the plain gradient descent by which sides are compared.
    precision: what the networks compute in, see `gans.precision`.
    """

    generator: Sequence[Any]
    discriminator: Sequence[Any]
    given: Shape
    image: Shape
    make: Callable[..., Gan]
    batch_size: int
    mixed: bool = False
    real_label: float = 1.0
    classes: int = 0
    content: Sequence[Any] = ()
    coefficients: Mapping[str, float | None] = MappingProxyType({"adversarial": 1.0})
    rate: float = 1e-2
    precision: str = "float32"

    def plain(self) -> "Row":
        """The row without dropout, which no two frameworks draw alike."""
        return self._replace(
            generator=without_dropout(self.generator),
            discriminator=without_dropout(self.discriminator),
            make=functools.partial(self.make, drop=False),
        )


def step_work(row: Row) -> int:
    """Floating-point operations of a train step for one example, in products of matrices and convolutions."""
    generator, discriminator = work(row.generator, row.given), work(row.discriminator, row.image)
    content = sum(work(row.content, row.image))

    def training(layers):
        # Nobody asks for the gradient of what the first layer is given.
        return 3 * sum(layers) - layers[0]

    judged = 2 * training(discriminator)
    return sum(generator) + judged + training(generator) + 2 * sum(discriminator) + 3 * content


def example_batch(row: Row, seed: int) -> dict[str, np.ndarray]:
    """What our step eats: `image`, `latent` or `source` or `masked`, and `label` where there are classes."""
    draw = np.random.default_rng(seed)
    shape = (row.batch_size, *row.image)
    if len(row.image) == 4:
        batch = {"image": np.float32(draw.random(shape) < 0.03)}
    else:
        batch = {"image": draw.uniform(-1, 1, shape).astype(np.float32)}
    given = draw.standard_normal((row.batch_size, *row.given)).astype(np.float32)
    if row.classes:
        batch["label"] = draw.integers(0, row.classes, row.batch_size).astype(np.int32)
        given = given[:, : -row.classes]
    if len(row.given) == 1:
        return batch | {"latent": given}
    given = np.tanh(given)
    return batch | ({"source": given} if row.content else {"masked": given, "mask": np.zeros(shape, np.float32)})


def given(row: Row, batch: dict[str, np.ndarray]) -> np.ndarray:
    """What a peer's generator is given for a batch."""
    if row.classes:
        return np.concatenate([batch["latent"], one_hot(row, batch)], 1)
    if len(row.image) == 4:
        return LATENT_DEVIATION * batch["latent"]
    return next(batch[name] for name in ("latent", "source", "masked") if name in batch)


def one_hot(row: Row, batch: dict[str, np.ndarray]) -> np.ndarray:
    """Labels [batch, classes], for a row that has them."""
    return np.eye(row.classes, dtype=np.float32)[batch["label"]]


def frozen(row: Row) -> dict[str, Any] | None:
    """The frozen network of our state, where the row has one: the used layers of VGG, with random weights."""
    if not row.content:
        return None
    names = vgg.layer_names(16)
    used = names[: names.index(CONTENT_LAYER) + 1]

    @jax.jit  # which draws no layer that is not used
    def draw(key):
        made = vgg.random_variables(key, 16)
        return made | {"params": {name: own for name, own in made["params"].items() if name in used}}

    return {"content": draw(jax.random.key(7))}
