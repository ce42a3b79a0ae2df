"""Compares Flax networks with Keras ones that have the same layers, with weights copied from Keras."""

from types import MappingProxyType

import jax
import jax.numpy as jnp
import keras
import numpy as np


def randomize(model, seed=0):
    """Gives every weight, running statistics too, a value of its own, so that nothing equals by accident."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name == "seed_generator_state":
            continue
        # The scale that keeps activations near one, so that rounding is all that can differ.
        scale = np.sqrt(2 / np.prod(weight.shape[:-1])) if weight.name == "kernel" else 0.1
        value = scale * generator.standard_normal(weight.shape)
        if weight.name in ("gamma", "moving_variance"):
            value = 1 + np.abs(value)
        weight.assign(value)


NAMES = {"kernel": "kernel", "bias": "bias", "gamma": "scale", "beta": "bias"}
STATISTICS = {"moving_mean": "mean", "moving_variance": "var"}
KINDS = {"Conv2D": "Conv", "Dense": "Dense", "BatchNormalization": "BatchNorm"}


def variables_of(model, kinds=MappingProxyType({})):
    """A Keras model's weights as variables of a Flax network that has the same layers in the same order.

    Args:
      model: the Keras model.
      kinds: {kind of Keras layer: module of ours}, where it is not Flax's own.
    """
    variables, counts = {"params": {}}, {}
    for layer in model.layers:
        kind = (KINDS | dict(kinds)).get(type(layer).__name__)
        if kind is None:
            continue
        name = f"{kind}_{counts.setdefault(kind, 0)}"
        counts[kind] += 1
        for weight in layer.weights:
            if weight.name in STATISTICS:
                statistics = variables.setdefault("batch_stats", {}).setdefault(name, {})
                statistics[STATISTICS[weight.name]] = jnp.asarray(weight.value)
            else:
                variables["params"].setdefault(name, {})[NAMES[weight.name]] = jnp.asarray(weight.value)
    return variables


def assert_same(ours, theirs, tolerance=1e-5):
    """Equal to within `tolerance` of the largest value."""
    theirs = np.asarray(theirs)
    assert np.shape(ours) == theirs.shape
    assert np.abs(np.asarray(ours) - theirs).max() <= tolerance * np.abs(theirs).max()


def keras_outputs(model, images, training):
    with jax.numpy_rank_promotion("allow"):  # Keras' own code relies on it
        return keras.ops.convert_to_numpy(model(images, training=training))


def assert_same_network(apply, model, images, kinds=MappingProxyType({})):
    """Checks a network in both modes, and the running statistics after a training step.

    Args:
      apply: (variables, images, train) -> (outputs, new statistics {layer: {'mean', 'var'}}); dropout must be off.
      model: the Keras model; its dropout rates must be 0.
      images: numpy array to call both with.
      kinds: as for `variables_of`.
    """
    randomize(model)
    variables = variables_of(model, kinds)
    ours, _ = apply(variables, images, False)
    assert_same(ours, keras_outputs(model, images, False))
    ours, statistics = apply(variables, images, True)
    assert_same(ours, keras_outputs(model, images, True))
    after = variables_of(model, kinds).get("batch_stats", {})
    assert statistics.keys() == after.keys()
    for layer, values in after.items():
        for name, value in values.items():
            assert_same(statistics[layer][name], value)
