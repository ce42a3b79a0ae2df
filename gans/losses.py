"""Losses, unreduced: one value an example, so that the caller decides on weights and means.

An adversarial loss is a pair of functions on logits (no sigmoid in the network).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class AdversarialLoss(NamedTuple):
    """The two sides of a game.

    discriminator: (real_logits, fake_logits) -> [batch]; where `labelled`, also real_label=1 and fake_label=0, one for
                   all or [batch], and None for the logits of a side leaves its term out.
    generator:     (real_logits, fake_logits) -> [batch]
    labelled:      whether the discriminator aims at labels, which can be smoothed.
    boundary:      the logit above which it calls a picture real; None if only differences of logits mean something.

    Logits are [batch] or [batch, ...] (a map of verdicts, averaged).
    """

    discriminator: Callable[..., jax.Array]
    generator: Callable[..., jax.Array]
    labelled: bool
    boundary: float | None


def _per_example(values: jax.Array) -> jax.Array:
    return values.reshape(values.shape[0], -1).mean(1)


def _against(label, logits):
    """The label, one for all or [batch], in the shape of the logits."""
    label = jnp.asarray(label)
    return jnp.broadcast_to(label.reshape(*label.shape, *(1,) * (logits.ndim - label.ndim)), logits.shape)


def _cross_entropy(logits, label):
    return _per_example(optax.sigmoid_binary_cross_entropy(logits, _against(label, logits)))


def _half_square(logits, label):
    return _per_example(jnp.square(logits - _against(label, logits))) / 2


def _two_sides(one_side):
    def discriminator(real_logits, fake_logits, real_label=1.0, fake_label=0.0):
        sides = ((real_logits, real_label), (fake_logits, fake_label))
        return sum(one_side(logits, label) for logits, label in sides if logits is not None)

    return discriminator


def _non_saturating_generator(real_logits, fake_logits):
    del real_logits
    return _cross_entropy(fake_logits, 1.0)


def _minimax_generator(real_logits, fake_logits):
    del real_logits
    return -_cross_entropy(fake_logits, 0.0)


def _least_squares_generator(real_logits, fake_logits):
    del real_logits
    return _half_square(fake_logits, 1.0)


def _hinge_discriminator(real_logits, fake_logits):
    return _per_example(jax.nn.relu(1 - real_logits)) + _per_example(jax.nn.relu(1 + fake_logits))


def _critic(real_logits, fake_logits):
    return _per_example(fake_logits) - _per_example(real_logits)


def _critic_generator(real_logits, fake_logits):
    del real_logits
    return -_per_example(fake_logits)


def _relativistic_discriminator(real_logits, fake_logits):
    return _per_example(jax.nn.softplus(fake_logits - real_logits))


def _relativistic_generator(real_logits, fake_logits):
    return _per_example(jax.nn.softplus(real_logits - fake_logits))


# G minimises -log D(G(z)): strong gradients while D is sure. Goodfellow et al. 2014, arXiv 1406.2661, section 3;
# one-sided label smoothing (real_label=0.9): Salimans et al. 2016, arXiv 1606.03498, section 3.4.
non_saturating = AdversarialLoss(_two_sides(_cross_entropy), _non_saturating_generator, True, 0.0)

# G minimises log(1 - D(G(z))), the value of the two-player game itself. Goodfellow et al. 2014, equation 1.
minimax = AdversarialLoss(_two_sides(_cross_entropy), _minimax_generator, True, 0.0)

# Mao et al. 2016, arXiv 1611.04076, equation 9 (a = 0, b = c = 1).
least_squares = AdversarialLoss(_two_sides(_half_square), _least_squares_generator, True, 0.5)

# Lim and Ye 2017, arXiv 1705.02894; Miyato et al. 2018, arXiv 1802.05957, equations 16 and 17.
hinge = AdversarialLoss(_hinge_discriminator, _critic_generator, False, 0.0)

# Arjovsky et al. 2017, arXiv 1701.07875; the critic must be kept Lipschitz: `gradient_penalty`, or spectral norm.
wasserstein = AdversarialLoss(_critic, _critic_generator, False, None)

# RpGAN, each real beside one fake: Jolicoeur-Martineau 2018, arXiv 1807.00734; Huang et al. 2025, arXiv 2501.05441,
# equation 2. Both sides need as many reals as fakes.
relativistic = AdversarialLoss(_relativistic_discriminator, _relativistic_generator, False, None)


def squared_gradient_norm(logits_of: Callable[[jax.Array], jax.Array], images: jax.Array) -> jax.Array:
    """|| d D(x) / d x ||^2 for each picture, [batch].

    With the weight gamma / 2 it is R1 on real pictures and R2 on generated ones: Mescheder et al. 2018, arXiv
    1801.04406, equation 9; Huang et al. 2025, arXiv 2501.05441.

    Args:
      logits_of: pictures to logits [batch, ...]; a map of verdicts is summed.
      images: [batch, ...].
    """
    gradients = jax.grad(lambda images: logits_of(images).sum())(images)
    return jnp.square(gradients).reshape(len(images), -1).sum(1)


def gradient_penalty(
    logits_of: Callable[[jax.Array], jax.Array], real: jax.Array, fake: jax.Array, mix: jax.Array
) -> jax.Array:
    """WGAN-GP's (|| d D(x) / d x || - 1)^2 between pairs, [batch]. Gulrajani et al. 2017, arXiv 1704.00028, equation 3.

    Args:
      logits_of: pictures to logits [batch, ...].
      real, fake: [batch, ...].
      mix: [batch], uniform in [0, 1): how far x lies from `fake` towards `real`.
    """
    mix = mix.reshape(-1, *(1,) * (real.ndim - 1))
    squared = squared_gradient_norm(logits_of, fake + mix * (real - fake))
    return jnp.square(jnp.sqrt(squared + 1e-12) - 1)  # the root's slope is infinite at 0


PENALTIES = ("gradient_penalty", "r1", "r2")


def penalties(
    logits_of: Callable[[jax.Array], jax.Array],
    real: jax.Array,
    fake: jax.Array,
    mix: jax.Array,
    coefficients: Mapping[str, jax.Array],
) -> dict[str, jax.Array]:
    """The discriminator's penalties that have a coefficient, {name in PENALTIES: mean over the batch, []}.

    Args:
      logits_of: pictures to logits [batch, ...].
      real, fake: [batch, ...].
      mix: [batch], as for `gradient_penalty`.
      coefficients: {name: weight}; which are there decides, by how much they count is left to the caller.
    """
    found = {}
    if "gradient_penalty" in coefficients:
        found["gradient_penalty"] = gradient_penalty(logits_of, real, fake, mix).mean()
    for name, images in (("r1", real), ("r2", fake)):
        if name in coefficients:
            found[name] = squared_gradient_norm(logits_of, images).mean() / 2
    return found


def accuracies(pair: AdversarialLoss, real: jax.Array | None, fake: jax.Array | None) -> dict[str, jax.Array]:
    """How often the discriminator is right on each side whose logits are given, as metrics.

    Right is on the right side of the pair's boundary, or of half-way between the two sides' means where it has none.
    """
    boundary = (real.mean() + fake.mean()) / 2 if pair.boundary is None else pair.boundary
    found = {} if real is None else {"discriminator/accuracy_real": (real > boundary).mean()}
    return found if fake is None else found | {"discriminator/accuracy_fake": (fake < boundary).mean()}


def pixel_l1(images: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean absolute difference, [batch]; images and targets are [batch, ...] in the same units."""
    return _per_example(jnp.abs(images - targets))


def pixel_l2(images: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean squared difference, [batch]; images and targets are [batch, ...] in the same units."""
    return _per_example(jnp.square(images - targets))
