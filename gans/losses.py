"""Losses, unreduced: one value an example, so that the caller decides on weights and means.

An adversarial loss is a pair of functions on logits (no sigmoid in the network).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class AdversarialLoss(NamedTuple):
    """The two sides of a game.

    discriminator: (real_logits, fake_logits, real_label=1, fake_label=0) -> [batch]
    generator:     (real_logits, fake_logits) -> [batch]

    Logits are [batch] or [batch, ...] (a map of verdicts, averaged); labels are floats or arrays that broadcast.
    """

    discriminator: Callable[..., jax.Array]
    generator: Callable[..., jax.Array]


def _per_example(values: jax.Array) -> jax.Array:
    return values.reshape(values.shape[0], -1).mean(1)


def _cross_entropy(logits, label):
    return _per_example(optax.sigmoid_binary_cross_entropy(logits, jnp.broadcast_to(label, logits.shape)))


def _binary_discriminator(real_logits, fake_logits, real_label=1.0, fake_label=0.0):
    return _cross_entropy(real_logits, real_label) + _cross_entropy(fake_logits, fake_label)


def _non_saturating_generator(real_logits, fake_logits):
    del real_logits
    return _cross_entropy(fake_logits, 1.0)


def _minimax_generator(real_logits, fake_logits):
    del real_logits
    return -_cross_entropy(fake_logits, 0.0)


# G minimises -log D(G(z)): strong gradients while D is sure. Goodfellow et al. 2014, arXiv 1406.2661, section 3;
# one-sided label smoothing (real_label=0.9): Salimans et al. 2016, arXiv 1606.03498, section 3.4.
non_saturating = AdversarialLoss(_binary_discriminator, _non_saturating_generator)

# G minimises log(1 - D(G(z))), the value of the two-player game itself. Goodfellow et al. 2014, equation 1.
minimax = AdversarialLoss(_binary_discriminator, _minimax_generator)


def pixel_l1(images: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean absolute difference, [batch]; images and targets are [batch, ...] in the same units."""
    return _per_example(jnp.abs(images - targets))


def pixel_l2(images: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean squared difference, [batch]; images and targets are [batch, ...] in the same units."""
    return _per_example(jnp.square(images - targets))
