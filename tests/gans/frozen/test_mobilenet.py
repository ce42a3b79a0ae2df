import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from gans.frozen import mobilenet
from tests.gans import keras_parity
from tests.gans.frozen import keras_applications

SIZE = 65  # odd down to the last layer, where Keras pads as torchvision does
EPSILONS = 1e-3, 1e-5  # Keras', torchvision's


@pytest.fixture(scope="module")
def keras_model():
    with keras_applications.built(keras.applications.MobileNetV2, SIZE) as model:
        yield model


def names():
    """torchvision's names of the convolutions and their norms, in order."""
    yield "0_0", "0_1"
    yield from [("1_conv_0_0", "1_conv_0_1"), ("1_conv_1", "1_conv_2")]
    for block in range(2, 18):
        yield from ((f"{block}_conv_{layer}_0", f"{block}_conv_{layer}_1") for layer in (0, 1))
        yield f"{block}_conv_2", f"{block}_conv_3"
    yield "18_0", "18_1"


def variables_of(model):
    params, statistics = {}, {}
    kernels = [layer.kernel for layer in model.layers if "Conv" in type(layer).__name__]  # built and listed in order
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for (convolution, norm), kernel, layer in zip(names(), kernels, norms, strict=True):
        kernel = np.asarray(kernel.value)
        if "depthwise" in layer.name:
            kernel = kernel.transpose(0, 1, 3, 2)
        scale, bias, mean, variance = (np.asarray(weight.value) for weight in layer.weights)
        params[f"features_{convolution}"] = {"kernel": kernel}
        params[f"features_{norm}"] = {"scale": scale, "bias": bias}
        statistics[f"features_{norm}"] = {"mean": mean, "var": variance + EPSILONS[0] - EPSILONS[1]}
    kernel, bias = (np.asarray(weight.value) for weight in model.layers[-1].weights)
    params["classifier_1"] = {"kernel": kernel, "bias": bias}
    return {"params": params, "batch_stats": statistics}


def test_the_network_is_that_of_keras(keras_model):
    images = np.random.default_rng(0).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    expected = keras_applications.logits_and_features(keras_model, images)
    ours = jax.jit(mobilenet.MobileNetV2().apply)(variables_of(keras_model), images)
    for mine, theirs in zip(ours, expected, strict=True):
        keras_parity.assert_same(mine, theirs)


def test_its_variables_have_those_shapes(keras_model):
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    shapes = jax.eval_shape(mobilenet.MobileNetV2().init, jax.random.key(0), images)
    assert jax.tree.map(jnp.shape, variables_of(keras_model)) == jax.tree.map(jnp.shape, shapes)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 3_504_872  # torchvision's count


def test_apply_resizes_and_normalises(monkeypatch):
    seen = []
    monkeypatch.setattr(
        mobilenet.MobileNetV2, "apply", lambda self, variables, images: seen.append((self.classes, np.asarray(images)))
    )
    images = np.broadcast_to(np.float32([-1, 0, 1]), (2, 8, 8, 3))
    mobilenet.apply({"params": {"classifier_1": {"bias": np.zeros(7)}}}, images)
    ((classes, given),) = seen
    assert (classes, given.shape) == (7, (2, 224, 224, 3))
    np.testing.assert_allclose(
        given[1, 100, 50], [-0.485 / 0.229, (0.5 - 0.456) / 0.224, (1 - 0.406) / 0.225], rtol=1e-5
    )
