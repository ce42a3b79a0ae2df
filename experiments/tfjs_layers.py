"""Networks that TensorFlow.js keeps as layers models, run in JAX: the `model.json` of a functional network of Keras.

Known are convolutions, activations, sums and concatenations, and two layers that the ESRGAN networks of UpscalerJS add:
`MultiplyBeta`, a constant factor, and `PixelShuffle4x`, channels into 4x4 blocks of pixels.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments import tfjs_weights
from experiments.commands import UsageError

ACTIVATIONS = {"linear": lambda x: x, "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}
# What a convolution must be beside its padding and activation.
PLAIN = {"strides": [1, 1], "dilation_rate": [1, 1], "groups": 1, "data_format": "channels_last"}
Apply = Callable[[Mapping[str, np.ndarray], jax.Array], jax.Array]


def read(path: Path) -> tuple[Apply, dict[str, np.ndarray]]:
    """A network with one input and one output.

    Args:
      path: its `model.json`, with the shards of its weights beside it.

    Returns:
      (apply, variables): `apply(variables, images)` with images [batch, height, width, channels].

    Raises:
      UsageError: if it cannot be read, or has a layer, or a layer's setting, that is not known here.
    """
    variables = tfjs_weights.read(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))["modelTopology"]["model_config"]["config"]
        ((begin, _, _),), ((end, _, _),) = content["input_layers"], content["output_layers"]
        layers, seen = [], {begin}
        for layer in content["layers"]:
            name, sources = layer["name"], _sources(layer)
            if name == begin:
                continue
            if not sources or not seen.issuperset(sources):
                raise ValueError(
                    f"the layer {name} takes {', '.join(sources) or 'nothing'}, which is not made before it"
                )
            layers.append((name, _layer(layer, variables), sources))
            seen.add(name)
        if end not in seen:
            raise ValueError(f"it has no layer {end}")
    except (OSError, KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise UsageError(f"{path} is no layers model that can be run here: {why}.") from error

    def apply(variables, images):
        made = {begin: images}
        for name, call, sources in layers:
            made[name] = call(variables, [made[source] for source in sources])
        return made[end]

    return apply, variables


def _sources(layer):
    """The layers that it takes its inputs from; a layer that is used twice is not known here."""
    nodes = layer["inbound_nodes"]
    if len(nodes) > 1:
        raise ValueError(f"the layer {layer['name']} is used {len(nodes)} times")
    return [source for node in nodes for source, _, _, _ in node]


def _layer(layer, variables):
    """(variables, inputs) -> output."""
    kind, config, name = layer["class_name"], layer["config"], layer["name"]
    if kind == "Conv2D":
        return _convolution(name, config, variables)
    if kind == "Concatenate":
        return lambda variables, inputs: jnp.concatenate(inputs, config["axis"])
    if kind == "Add":
        return lambda variables, inputs: sum(inputs)
    if kind == "Activation":
        activation = ACTIVATIONS[config["activation"]]
        return lambda variables, inputs: activation(*inputs)
    if kind == "MultiplyBeta":
        return lambda variables, inputs: config["beta"] * inputs[0]
    if re.fullmatch(r"PixelShuffle\d+x", kind):
        return lambda variables, inputs: _pixel_shuffle(*inputs, config["scale"])
    raise ValueError(f"the layer {name} is a {kind}")


def _convolution(name, config, variables):
    strange = [
        f"{setting}={config[setting]}" for setting, value in PLAIN.items() if config.get(setting, value) != value
    ]
    if strange:
        raise ValueError(f"the convolution {name} has {', '.join(strange)}")
    kernel, bias = f"{name}/kernel", f"{name}/bias" if config["use_bias"] else None
    if variables[kernel].ndim != 4 or (bias and variables[bias].shape != variables[kernel].shape[-1:]):
        raise ValueError(f"the weights of {name} are no convolution's")
    activation, padding = ACTIVATIONS[config["activation"]], config["padding"].upper()
    convolve = functools.partial(
        jax.lax.conv_general_dilated,
        window_strides=(1, 1),
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )

    def call(variables, inputs):
        x = convolve(*inputs, variables[kernel])
        return activation(x + variables[bias].reshape(1, 1, 1, -1) if bias else x)

    return call


def _pixel_shuffle(x, scale):
    """TensorFlow's depth_to_space: [n, h, w, scale^2 c], blocks' rows first, to [n, scale h, scale w, c]."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height, width, scale, scale, channels // scale**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, scale * height, scale * width, channels // scale**2)
