import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from experiments import torch_files, torch_weights, weights
from experiments.commands import UsageError
from gans.frozen import inception
from tests.experiments import programs, torch_writer

NAMES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def inception_state():
    """A state dict of the whole network, with a constant a tensor."""
    images = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
    shapes = flatten_dict(jax.eval_shape(inception.InceptionV3().init, jax.random.key(0), images))
    state = {}
    for value, ((_, *layers, leaf), array) in enumerate(shapes.items()):
        order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]
        state[".".join([*layers, NAMES[leaf]])] = np.full([array.shape[i] for i in order], value, np.float32)
        if leaf == "mean":
            state[".".join([*layers, "num_batches_tracked"])] = np.array(0, np.int64)
    return state


def test_the_whole_network_is_converted(tmp_path):
    state = inception_state()
    source, output = tmp_path / "w.pth", tmp_path / "inception.npz"
    torch_writer.write_zip(source, *torch_writer.contiguous(state))
    finished = programs.call("inception_weights", f"--from={source}", f"--output={output}")
    assert finished.returncode == 0, finished.stderr
    variables = weights.read(output)
    kernel = variables["params"]["Mixed_6b"]["branch7x7_2"]["conv"]["kernel"]
    assert kernel.shape == (1, 7, 128, 128)
    assert (kernel == state["Mixed_6b.branch7x7_2.conv.weight"].flat[0]).all()
    variance = variables["batch_stats"]["Mixed_7c"]["branch_pool"]["bn"]["var"]
    assert (variance == state["Mixed_7c.branch_pool.bn.running_var"].flat[0]).all()
    logits, features = jax.eval_shape(inception.apply, variables, jnp.zeros((2, 32, 32, 3)))
    assert (logits.shape, features.shape) == ((2, 1008), (2, 2048))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc.bias": np.zeros(1000, np.float32)}, r"params/fc/bias is \(1000,\), expected \(1008,\)"),
        ({"AuxLogits.fc.bias": np.zeros(3, np.float32)}, r"AuxLogits/fc/bias is \(3,\), expected nothing"),
        ({"fc.bias": None}, "params/fc/bias is missing"),
    ],
)
def test_another_inception_is_refused(tmp_path, monkeypatch, change, message):
    state = {name: array for name, array in (inception_state() | change).items() if array is not None}
    monkeypatch.setattr(torch_files, "read", lambda path: state)
    with pytest.raises(UsageError, match=message):
        torch_weights.inception_variables(tmp_path / "w.pth")


def test_mistakes_are_told_in_one_message(tmp_path):
    source = tmp_path / "w.pth"
    source.write_bytes(b"no weights at all")
    finished = programs.call("inception_weights", f"--from={source}", f"--output={tmp_path / 'inception.npz'}")
    assert finished.returncode == 2
    assert "w.pth cannot be read as a PyTorch file of weights" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "inception.npz").exists()
