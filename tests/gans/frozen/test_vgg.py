import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from gans.frozen import vgg
from tests.gans import keras_parity
from tests.gans.filled import filled
from tests.gans.frozen import keras_applications

SIZE = 70  # odd on the way: 35, 17, 8, 4, 2
KERAS = {16: keras.applications.vgg16, 19: keras.applications.vgg19}
COUNTS = {16: 14_714_688, 19: 20_024_384}  # Keras' own


def shapes(depth):
    return jax.eval_shape(lambda: vgg.random_variables(jax.random.key(0), depth))


def variables_of(model):
    params = {
        layer.name: dict(zip(("kernel", "bias"), map(np.asarray, layer.get_weights()), strict=True))
        for layer in model.layers
        if "conv" in layer.name
    }
    first = params["block1_conv1"]
    first["kernel"] = first["kernel"][:, :, ::-1]
    return {"params": params, "preprocessing": vgg.preprocessing("caffe")}


@pytest.mark.parametrize("depth", [16, 19])
def test_every_layer_is_that_of_keras(depth):
    application = getattr(KERAS[depth], f"VGG{depth}")
    images = np.random.default_rng(0).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    with keras_applications.built(application, SIZE, include_top=False) as model:
        layers = model.layers[1:]
        assert tuple(layer.name for layer in layers) == vgg.layer_names(depth)
        pixels = KERAS[depth].preprocess_input(127.5 * (images + 1))
        expected = keras_applications.outputs(model, layers, pixels)
        variables = variables_of(model)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, shapes(depth))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == COUNTS[depth]
    ours = jax.jit(lambda *arguments: vgg.features(*arguments, vgg.layer_names(depth)))(variables, images)
    for name, theirs in zip(vgg.layer_names(depth), expected, strict=True):
        keras_parity.assert_same(ours[name], theirs, 1e-4)


def convolutions(variables, layers):
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    program = str(jax.make_jaxpr(lambda *arguments: vgg.features(*arguments, layers))(variables, images))
    return program.count("conv_general_dilated[")


def test_nothing_beyond_the_deepest_layer_is_computed():
    for layers, count in ((["block1_pool"], 2), (["block3_conv4", "block1_conv2"], 8), ([], 0)):
        assert convolutions(shapes(19), layers) == count


def test_the_network_is_seen_from_the_variables():
    assert [vgg.depth_of(shapes(depth)) for depth in (16, 19)] == [16, 19]
    images = jnp.zeros((1, 32, 32, 3))
    with pytest.raises(ValueError, match="VGG-16 has no layer block3_conv4; it has block1_conv1, .*, block5_pool"):
        vgg.features(shapes(16), images, ["block1_conv1", "block3_conv4"])
    with pytest.raises(ValueError, match="VGG-19 has no layer relu1_2"):
        vgg.features(shapes(19), images, ["relu1_2"])


def test_images_of_any_size_that_reaches_the_layers():
    def traced(size, layer):
        images = jax.ShapeDtypeStruct((2, *size), jnp.float32)
        return jax.eval_shape(lambda *arguments: vgg.features(*arguments, [layer]), shapes(16), images)[layer].shape

    assert traced((16, 33, 3), "block5_conv3") == (2, 1, 2, 512)
    assert traced((640, 48, 3), "block5_pool") == (2, 20, 1, 512)
    with pytest.raises(ValueError, match="images of 15x33 are too small for 4 pools"):
        traced((15, 33, 3), "block5_conv3")
    with pytest.raises(ValueError, match=r"must be \[batch, height, width, 3\], not \[2, 32, 32, 4\]"):
        traced((32, 32, 4), "block1_conv1")


def test_grey_pictures_are_seen_as_grey_rgb_and_in_their_own_type():
    variables = filled(shapes(16))
    grey = jax.random.uniform(jax.random.key(0), (1, 8, 8, 1), minval=-1)
    rgb = jnp.repeat(grey, 3, -1)
    one, three = (vgg.features(variables, images, ["block1_conv1"])["block1_conv1"] for images in (grey, rgb))
    np.testing.assert_allclose(one, three, rtol=1e-5)
    halved = vgg.features(variables, rgb.astype(jnp.bfloat16), ["block1_conv1"])["block1_conv1"]
    assert halved.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("origin", "black", "white"),
    [
        ("caffe", [-123.68, -116.779, -103.939], [131.32, 138.221, 151.061]),
        ("torch", [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], [0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]),
        ("raw", [-1, -1, -1], [1, 1, 1]),
    ],
)
def test_preprocessing(origin, black, white):
    found = vgg.preprocessing(origin)
    for pixel, expected in ((-1, black), (1, white)):
        np.testing.assert_allclose((pixel - found["mean"]) * found["scale"], expected, rtol=1e-5)


def test_random_networks_keep_the_scale_of_what_they_see():
    images = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    layers = vgg.layer_names(19)[:11]  # those with few weights
    seen = jax.jit(lambda key: vgg.features(vgg.random_variables(key, 19), images, layers))(jax.random.key(0))
    for name in layers:
        assert 0.1 < float(jnp.sqrt(jnp.square(seen[name]).mean())) < 3, name
