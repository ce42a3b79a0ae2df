"""What keeps the players in balance: smoothed labels, feature matching, historical averaging, augmentation."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from gans.core import Batch
from gans.draws import draw

Label = float | tuple[float, float]


def label_range(label: Label) -> tuple[float, float]:
    """(low, high) of a label that is a number or already such a pair."""
    low, high = label if isinstance(label, Sequence) else (label, label)
    return low, high


def draw_labels(key: jax.Array, batch: Batch, label: Label) -> jax.Array | float:
    """A label that is the same for all examples, or one drawn for each, uniform over (low, high): [batch].

    Salimans et al. 2016, arXiv 1606.03498, section 3.4, is one-sided smoothing: real pictures aim at 0.9, fake at 0.
    """
    low, high = label_range(label)
    if low == high:
        return low
    return draw(key, batch, lambda k: jax.random.uniform(k, minval=low, maxval=high))


def feature_matching(real: jax.Array, fake: jax.Array) -> jax.Array:
    """|| E f(x) - E f(G(z)) ||^2 over a batch's features [batch, ...], a scalar. arXiv 1606.03498, section 3.1.

    It couples the batch: N devices equal N micro-batches, not one device.
    """
    return jnp.square(real.mean(0) - fake.mean(0)).sum()


class HistoricalAverage(NamedTuple):
    """State of `historical_averaging`: the mean of all params so far, and how many there were."""

    mean: optax.Params
    count: jax.Array


def historical_averaging(weight: float) -> optax.GradientTransformation:
    """Adds the gradient of weight * || p - mean of p so far ||^2. arXiv 1606.03498, section 3.3.

    The mean includes the current params and is held constant. It stands first in a chain, where updates are gradients.
    """

    def init(params):
        return HistoricalAverage(jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32))

    def update(gradients, state, params=None):
        if params is None:
            raise ValueError("historical_averaging needs the params: optimizer.update(gradients, state, params).")
        count = state.count + 1
        mean = jax.tree.map(lambda mean, p: mean + (p - mean) / count, state.mean, params)
        pulled = jax.tree.map(lambda g, p, mean: g + 2 * weight * (p - mean), gradients, params, mean)
        return pulled, HistoricalAverage(mean, count)

    return optax.GradientTransformation(init, update)


AUGMENTATIONS = ("color", "translation", "cutout")


def augment(key: jax.Array, batch: Batch, images: jax.Array, policy: Sequence[str]) -> jax.Array:
    """Differentiable augmentation, to be applied to all that a discriminator sees. Zhao et al. 2020, arXiv 2006.10738.

    Each example draws its own. `color`: brightness, saturation and contrast; `translation`: by up to an eighth of the
    picture, black (-1) moves in; `cutout`: a square of half the side turns grey (0).

    Args:
      key: key of this use; real and generated pictures need two.
      batch: the batch that the pictures belong to, for the examples' positions.
      images: [batch, height, width, channels] in [-1, 1]; colours may leave that range a little.
      policy: some of AUGMENTATIONS, applied in this order; empty for none.

    Raises:
      ValueError: for an augmentation that does not exist.
    """
    functions = {"color": _color, "translation": _translation, "cutout": _cutout}
    if strange := set(policy) - set(functions):
        raise ValueError(f"There is no augmentation {sorted(strange)[0]!r}; choose from {', '.join(AUGMENTATIONS)}.")
    for index, name in enumerate(policy):
        numbers = draw(jax.random.fold_in(key, index), batch, lambda k: jax.random.uniform(k, (3,)))
        images = jax.vmap(functions[name])(images, numbers)
    return images


def _color(image, numbers):
    brightness, saturation, contrast = numbers
    image = image + (brightness - 0.5)
    grey = image.mean(-1, keepdims=True)
    image = grey + 2 * saturation * (image - grey)
    return image.mean() + (0.5 + contrast) * (image - image.mean())


def _translation(image, numbers):
    height, width, channels = image.shape
    reach = (round(height / 8), round(width / 8))
    padded = jnp.pad(image, [(reach[0],) * 2, (reach[1],) * 2, (0, 0)], constant_values=-1)
    corner = [jnp.floor(u * (2 * r + 1)).astype(jnp.int32) for u, r in zip(numbers, reach, strict=False)]
    return jax.lax.dynamic_slice(padded, (*corner, 0), (height, width, channels))


def _cutout(image, numbers):
    def inside(side, u):
        start = jnp.floor(u * (side + 1)).astype(jnp.int32) - side // 4  # the centre is uniform over the picture
        index = jnp.arange(side)
        return (index >= start) & (index < start + side // 2)

    height, width, _ = image.shape
    hole = inside(height, numbers[0])[:, None, None] & inside(width, numbers[1])[None, :, None]
    return jnp.where(hole, 0.0, image)
