"""A linear classifier on features: how much of the classes lies in them, without a further network.

Multinomial logistic regression, which unlike the L2-SVM of Radford et al. 2015 (arXiv 1511.06434, section 5.1) has one
smooth loss for all classes; or with `hinge` the L2-SVM itself, one class against the rest. In JAX, so that an
accelerator can fit it to a whole data set.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
VALIDATION = 0.1  # of the training examples


class Weights(NamedTuple):
    """kernel: float32 [size, classes]; bias: float32 [classes]."""

    kernel: jax.Array
    bias: jax.Array


def loss(
    weights: Weights,
    features: jax.Array,
    labels: jax.Array,
    sample_weight: jax.Array,
    l2: float,
    hinge: bool = False,
) -> jax.Array:
    """Mean cross-entropy + l2 / 2 * |kernel|^2; scikit-learn's, divided by C n, with l2 = 1 / (C n).

    The mean is weighted by `sample_weight`, [n]. With `hinge` the squared hinge losses of all classes, each against
    the rest, stand in the cross-entropy's place, as in scikit-learn's LinearSVC, but for the bias, which is free.
    """
    logits = features @ weights.kernel + weights.bias[None]
    if hinge:
        sign = 2 * jax.nn.one_hot(labels, logits.shape[1]) - 1
        each = jnp.square(jax.nn.relu(1 - sign * logits)).sum(1)
    else:
        each = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return (each * sample_weight).sum() / sample_weight.sum() + l2 / 2 * jnp.square(weights.kernel).sum()


@functools.partial(jax.jit, static_argnames=("classes", "hinge"))
def fit(
    features: jax.Array,
    labels: jax.Array,
    classes: int,
    l2: float,
    sample_weight: jax.Array,
    tolerance: float = 1e-4,
    steps: int = 500,
    hinge: bool = False,
) -> Weights:
    """The weights that minimise `loss`, by L-BFGS from 0 on.

    Args:
      features: float32 [n, size], of similar scale, see `standardise`.
      labels: integers [n] in [0, classes).
      classes: how many there are.
      l2: weight of the squared kernel.
      sample_weight: float32 [n], how much each example counts.
      tolerance: the largest absolute slope of the loss at which it ends.
      steps: at which it ends in any case.
      hinge: see `loss`.
    """
    solver = optax.lbfgs()
    given = {"features": features, "labels": labels, "sample_weight": sample_weight, "l2": l2, "hinge": hinge}
    value = functools.partial(loss, **given)
    value_and_grad = optax.value_and_grad_from_state(value)

    def steep(carried):
        _, _, taken, slope = carried
        return (taken < steps) & (slope > tolerance)

    def step(carried):
        weights, state, taken, _ = carried
        found, slopes = value_and_grad(weights, state=state)
        updates, state = solver.update(slopes, state, weights, value=found, grad=slopes, value_fn=value)
        return optax.apply_updates(weights, updates), state, taken + 1, optax.tree.norm(slopes, ord=jnp.inf)

    start = Weights(jnp.zeros((features.shape[1], classes)), jnp.zeros(classes))
    return jax.lax.while_loop(steep, step, (start, solver.init(start), 0, jnp.inf))[0]


@jax.jit
def predict(weights: Weights, features: jax.Array) -> jax.Array:
    """The most likely class of features [n, size], int32 [n]."""
    return jnp.argmax(features @ weights.kernel + weights.bias[None], 1)


def standardise(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Arrays [n, size], shifted and scaled so that each feature of the first has mean 0 and deviation 1.

    A feature that does not vary there (deviation below 1e-6) is only shifted.
    """
    mean, deviation = train.mean(0, keepdims=True), train.std(0, keepdims=True)
    scale = np.where(deviation < 1e-6, 1, deviation)
    return [(array - mean) / scale for array in (train, *others)]


def accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, hinge: bool = False
) -> float:
    """The fraction of test examples that the classifier of the training examples gets right.

    The features are standardised. The strength of the regularisation is that of STRENGTHS which does best on a tenth of
    the training examples, always the same one, when the others are fitted; the strongest, if several do. Then all of
    them are fitted with it.

    Args:
      train, test: features, float32 [n, size] and [m, size].
      train_labels, test_labels: integers from 0 on, [n] and [m].
      hinge: see `loss`.

    Raises:
      ValueError: if numbers of examples do not agree, there are fewer than two classes, or features are not finite.
    """
    for features, labels in ((train, train_labels), (test, test_labels)):
        if features.ndim != 2 or labels.shape != features.shape[:1]:
            raise ValueError(f"features {features.shape} and labels {labels.shape} must be [n, size] and [n].")
        if not np.isfinite(features).all():
            raise ValueError("features hold values that are not finite.")
    if len(np.unique(train_labels)) < 2:
        raise ValueError("All training examples have one label: there is nothing to classify.")
    classes = int(max(train_labels.max(), test_labels.max())) + 1
    train, test = (jnp.asarray(features) for features in standardise(train, test))
    everyone = np.ones(len(train), np.float32)
    fitted = everyone.copy()
    # Left out by their weight, not cut out: one compiled program, and no second copy of the features.
    fitted[np.random.default_rng(0).permutation(len(train))[: max(1, round(VALIDATION * len(train)))]] = 0

    def held_out_accuracy(l2):
        right = np.asarray(predict(fit(train, train_labels, classes, l2, fitted, hinge=hinge), train)) == train_labels
        return right[fitted == 0].mean()

    best = max(reversed(STRENGTHS), key=held_out_accuracy)
    weights = fit(train, train_labels, classes, best, everyone, hinge=hinge)
    return float((np.asarray(predict(weights, test)) == test_labels).mean())
