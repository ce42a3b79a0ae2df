import json

import jax
import keras
import numpy as np
import pytest
from keras import layers, ops

from experiments import tfjs_layers
from experiments.commands import UsageError

SOURCE = np.random.default_rng(0).uniform(0, 1, (2, 5, 7, 3)).astype(np.float32)


def conv(name, filters, source, activation="linear", **settings):
    config = {"name": name, "padding": "same", "activation": activation, "use_bias": True, "strides": [1, 1]}
    return {
        "class_name": "Conv2D",
        "name": name,
        "config": config | {"dilation_rate": [1, 1], "groups": 1, "data_format": "channels_last"} | settings,
        "inbound_nodes": [[[source, 0, 0, {}]]],
        "filters": filters,
    }


def layer(kind, name, *sources, **config):
    nodes = [[[source, 0, 0, {}] for source in sources]] if sources else []
    return {"class_name": kind, "name": name, "config": config, "inbound_nodes": nodes}


# A small network with everything that the ESRGAN networks have.
LAYERS = [
    layer("InputLayer", "low"),
    conv("first", 8, "low"),
    conv("grow", 4, "first"),
    layer("Activation", "grow_relu", "grow", activation="relu"),
    layer("Concatenate", "dense", "first", "grow_relu", axis=3),
    conv("fuse", 8, "dense"),
    layer("MultiplyBeta", "scaled", "fuse", beta=0.2),
    layer("Add", "sum", "first", "scaled"),
    conv("before", 48, "sum", "tanh"),
    layer("PixelShuffle4x", "shuffled", "before", scale=4),
    conv("last", 3, "shuffled"),
]


def reference():
    """The same network in Keras."""
    low = keras.Input((5, 7, 3))
    first = layers.Conv2D(8, 3, padding="same", name="first")(low)
    grown = layers.Activation("relu")(layers.Conv2D(4, 3, padding="same", name="grow")(first))
    fused = layers.Conv2D(8, 3, padding="same", name="fuse")(layers.Concatenate(axis=3)([first, grown]))
    x = layers.Add()([first, layers.Lambda(lambda x: 0.2 * x)(fused)])
    x = layers.Conv2D(48, 3, padding="same", activation="tanh", name="before")(x)
    x = layers.Lambda(shuffled)(x)
    return keras.Model(low, layers.Conv2D(3, 3, padding="same", name="last")(x))


def shuffled(x):
    """TensorFlow's depth_to_space by 4 as its documentation words it, one place in the block after the other."""
    parts = ops.reshape(ops.stack(ops.split(x, 16, -1), 3), (-1, 5, 7, 4, 4, 3))
    rows = [ops.reshape(parts[:, :, :, row], (-1, 5, 28, 3)) for row in range(4)]
    return ops.reshape(ops.stack(rows, 2), (-1, 20, 28, 3))


def write(folder, model, description=LAYERS):
    random, weights, content = np.random.default_rng(1), [], b""
    for one in model.layers:
        arrays = [random.normal(0, 0.3, value.shape).astype(np.float32) for value in one.get_weights()]
        one.set_weights(arrays)
        for kind, array in zip(("kernel", "bias"), arrays, strict=False):
            weights.append({"name": f"{one.name}/{kind}", "shape": list(array.shape), "dtype": "float32"})
            content += array.tobytes()
    (folder / "shard.bin").write_bytes(content)
    config = {"layers": description, "input_layers": [["low", 0, 0]], "output_layers": [["last", 0, 0]]}
    manifest = {
        "format": "layers-model",
        "modelTopology": {"model_config": {"class_name": "Functional", "config": config}},
        "weightsManifest": [{"paths": ["shard.bin"], "weights": weights}],
    }
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder / "model.json"


def test_a_network_does_what_it_does_in_keras(tmp_path):
    model = reference()
    apply, variables = tfjs_layers.read(write(tmp_path, model))
    made = jax.jit(apply)(variables, SOURCE)
    assert made.shape == (2, 20, 28, 3)
    np.testing.assert_allclose(made, model(SOURCE), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("index", "change", "words"),
    [
        (5, {"class_name": "Conv3D"}, ["fuse is a Conv3D"]),
        (3, {"config": {"activation": "swish"}}, ["swish"]),
        (
            7,
            {"inbound_nodes": [[["first", 0, 0, {}], ["last", 0, 0, {}]]]},
            ["sum takes first, last", "not made before"],
        ),
        (7, {"inbound_nodes": [[["first", 0, 0, {}]], [["scaled", 0, 0, {}]]]}, ["sum is used 2 times"]),
        (10, {"name": "nowhere"}, ["nowhere/kernel"]),
        (1, conv("first", 8, "low", strides=[2, 2]), ["first has strides=[2, 2]"]),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, index, change, words):
    description = [LAYERS[i] | (change if i == index else {}) for i in range(len(LAYERS))]
    with pytest.raises(UsageError) as caught:
        tfjs_layers.read(write(tmp_path, reference(), description))
    for word in ("model.json", *words):
        assert word in str(caught.value)
