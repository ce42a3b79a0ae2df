import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from gans.frozen import inception
from tests.gans import keras_parity
from tests.gans.frozen import keras_applications

SIZE = 139  # the smallest where a pool in the last blocks has whole windows: they see 3x3
A = "branch1x1 branch5x5_1 branch5x5_2 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3 branch_pool"
B = "branch3x3 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3"
C = (
    "branch1x1 branch7x7_1 branch7x7_2 branch7x7_3 "
    + " ".join(f"branch7x7dbl_{i}" for i in range(1, 6))
    + " branch_pool"
)
D = "branch3x3_1 branch3x3_2 branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4"
E = (
    "branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b "
    "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a branch3x3dbl_3b branch_pool"
)
STEM = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"]
BLOCKS = dict.fromkeys(["Mixed_5b", "Mixed_5c", "Mixed_5d"], A) | {"Mixed_6a": B}
BLOCKS |= dict.fromkeys(["Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"], C) | {"Mixed_7a": D}
BLOCKS |= dict.fromkeys(["Mixed_7b", "Mixed_7c"], E)
# The names of the weights' PyTorch file, in the order in which Keras builds the same layers.
PATHS = [(name,) for name in STEM] + [(block, name) for block, names in BLOCKS.items() for name in names.split()]


def in_order_of_building(layers, kind):
    found = [layer for layer in layers if isinstance(layer, kind)]
    return sorted(found, key=lambda layer: [int(part) for part in layer.name.split("_") if part.isdigit()])


def nested(flat):
    tree = {}
    for path, value in flat.items():
        inner = tree
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value
    return tree


def variables_of(model):
    convolutions = in_order_of_building(model.layers, keras.layers.Conv2D)
    norms = in_order_of_building(model.layers, keras.layers.BatchNormalization)
    params, statistics = {}, {}
    for path, convolution, norm in zip(PATHS, convolutions, norms, strict=True):
        bias, mean, variance = (jnp.asarray(weight.value) for weight in norm.weights)
        params[(*path, "conv")] = {"kernel": jnp.asarray(convolution.kernel.value)}
        params[(*path, "bn")] = {"scale": jnp.ones_like(bias), "bias": bias}
        statistics[(*path, "bn")] = {"mean": mean, "var": variance}
    kernel, bias = (jnp.asarray(weight.value) for weight in model.layers[-1].weights)
    params[("fc",)] = {"kernel": kernel, "bias": bias}
    return {"params": nested(params), "batch_stats": nested(statistics)}


def with_last_pool_by_maximum(model):
    *_, last = in_order_of_building(model.layers, keras.layers.AveragePooling2D)

    def cloned(layer):
        if layer is last:
            return keras.layers.MaxPooling2D((3, 3), strides=(1, 1), padding="same")
        return type(layer).from_config(layer.get_config())

    changed = keras.models.clone_model(model, clone_function=cloned)
    changed.set_weights(model.get_weights())
    return changed


@pytest.fixture(scope="module")
def keras_model():
    with keras_applications.built(keras.applications.InceptionV3, SIZE) as model:
        yield model


@pytest.mark.parametrize("fid", [False, True])
def test_the_network_is_that_of_keras(keras_model, fid):
    images = np.random.default_rng(0).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    expected = keras_applications.logits_and_features(
        with_last_pool_by_maximum(keras_model) if fid else keras_model, images
    )
    network = inception.InceptionV3(classes=1000, fid=fid)
    ours = jax.jit(network.apply)(variables_of(keras_model), images)
    for mine, theirs in zip(ours, expected, strict=True):
        keras_parity.assert_same(mine, theirs)


def test_the_weights_have_the_shapes_of_the_network(keras_model):
    images = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
    shapes = jax.eval_shape(inception.InceptionV3(classes=1000).init, jax.random.key(0), images)
    copied = variables_of(keras_model)
    assert jax.tree.map(jnp.shape, copied) == jax.tree.map(jnp.shape, shapes)


def windows(images):
    """The values of each 3x3 window that lie inside the picture, by pixel."""
    _, height, width, _ = images.shape
    for i in range(height):
        for j in range(width):
            yield i, j, images[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]


@pytest.mark.parametrize(("pool", "reduce"), [(inception.average_pool, np.mean), (inception.max_pool, np.max)])
def test_pools_do_not_see_their_padding(pool, reduce):
    images = np.random.default_rng(0).standard_normal((2, 5, 4, 3)).astype(np.float32) - 5
    expected = np.empty_like(images)
    for i, j, window in windows(images):
        expected[:, i, j] = reduce(window, axis=(1, 2))
    np.testing.assert_allclose(pool(images), expected, rtol=1e-6)


def bilinear(images, size):
    """Between pixel centres, clamped at the borders, by plain indexing."""

    def weights(length):
        centre = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(centre).astype(int)
        return low, np.minimum(low + 1, length - 1), centre - low

    top, bottom, down = weights(images.shape[1])
    left, right, across = weights(images.shape[2])
    down, across = down[:, None, None], across[:, None]
    rows = images[:, top] * (1 - down) + images[:, bottom] * down
    return rows[:, :, left] * (1 - across) + rows[:, :, right] * across


@pytest.mark.parametrize("shape", [(32, 32), (28, 40), (299, 299), (400, 512)])
def test_resizing_is_bilinear_without_antialiasing(shape):
    images = np.random.default_rng(0).uniform(-1, 1, (1, *shape, 3)).astype(np.float32)
    np.testing.assert_allclose(inception.resize(images), bilinear(images, 299), atol=1e-4)


def test_apply_takes_small_images():
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    large = jax.ShapeDtypeStruct((2, 299, 299, 3), jnp.float32)
    variables = jax.eval_shape(inception.InceptionV3().init, jax.random.key(0), large)
    logits, features = jax.eval_shape(inception.apply, variables, images)
    assert (logits.shape, features.shape) == ((2, 1008), (2, 2048))
