"""Keras' own image networks, with weights of their own at every place."""

import contextlib

import jax
import keras
import numpy as np
import pytest

from tests.gans import keras_parity


@contextlib.contextmanager
def built(application, size, **options):
    """A network for images [n, size, size, 3]; clones of it are cheap inside too."""
    with pytest.MonkeyPatch.context() as patch:
        # Keras would compile a program for each shape, only for weights that are replaced at once.
        patch.setattr(
            keras.initializers.GlorotUniform, "__call__", lambda self, shape, dtype=None: np.zeros(shape, dtype)
        )
        model = application(weights=None, input_shape=(size, size, 3), classifier_activation=None, **options)
        keras_parity.randomize(model)
        yield model


def logits_and_features(model, images):
    return outputs(model, [model.layers[-1], model.layers[-2]], images)


def outputs(model, layers, images):
    """What some of the model's layers make of images, one array a layer."""
    several = keras.Model(model.inputs, [layer.output for layer in layers])
    values = [
        [variable.value for variable in kind] for kind in (several.trainable_variables, several.non_trainable_variables)
    ]
    with jax.numpy_rank_promotion("allow"):  # Keras' own code relies on it
        return jax.jit(lambda *values: several.stateless_call(*values, [images], training=False)[0])(*values)
