import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import torch_weights
from experiments.commands import UsageError
from gans.frozen import mobilenet
from tests.experiments import torch_writer


def norm(name, width):
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)
    yield f"{name}.running_mean", (width,)
    yield f"{name}.running_var", (width,)
    yield f"{name}.num_batches_tracked", ()


def layer(convolution, normalisation, *shape):
    yield f"{convolution}.weight", shape
    yield from norm(normalisation, shape[0])


def torchvision_shapes():
    """{name: shape} as torchvision's MobileNetV2 builds its state dict."""
    yield from layer("features.0.0", "features.0.1", 32, 3, 3, 3)
    width, block = 32, 1
    for expansion, filters, repetitions in [
        (1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)
    ]:  # fmt: skip
        for _ in range(repetitions):
            name, hidden, last = f"features.{block}.conv", expansion * width, 1 if expansion == 1 else 2
            if expansion > 1:
                yield from layer(f"{name}.0.0", f"{name}.0.1", hidden, width, 1, 1)
            yield from layer(f"{name}.{last - 1}.0", f"{name}.{last - 1}.1", hidden, 1, 3, 3)
            yield from layer(f"{name}.{last}", f"{name}.{last + 1}", filters, hidden, 1, 1)
            width, block = filters, block + 1
    yield from layer("features.18.0", "features.18.1", 1280, 320, 1, 1)
    yield from [("classifier.1.weight", (1000, 1280)), ("classifier.1.bias", (1000,))]


def state_dict():
    generator = np.random.default_rng(0)
    return {
        name: generator.uniform(0.5, 1, shape).astype(np.int64 if name.endswith("tracked") else np.float32)
        for name, shape in torchvision_shapes()
    }


def test_the_whole_network_is_converted(tmp_path):
    state, source = state_dict(), tmp_path / "w.pth"
    torch_writer.write_legacy(source, *torch_writer.contiguous(state))  # as torchvision's file is
    variables = torch_weights.mobilenet_variables(source)
    depthwise = variables["params"]["features_5_conv_1_0"]["kernel"]
    np.testing.assert_array_equal(depthwise[:, :, 0], state["features.5.conv.1.0.weight"][:, 0].transpose(1, 2, 0))
    np.testing.assert_array_equal(
        variables["batch_stats"]["features_1_conv_2"]["mean"], state["features.1.conv.2.running_mean"]
    )
    logits, features = jax.eval_shape(mobilenet.apply, variables, jnp.zeros((2, 32, 32, 3)))
    assert (logits.shape, features.shape) == ((2, 1000), (2, 1280))


def test_another_network_is_refused(tmp_path):
    state, source = state_dict(), tmp_path / "w.pth"
    del state["features.18.1.bias"]
    torch_writer.write_legacy(source, *torch_writer.contiguous(state))
    with pytest.raises(UsageError, match="weights of MobileNetV2: params/features_18_1/bias is missing"):
        torch_weights.mobilenet_variables(source)
