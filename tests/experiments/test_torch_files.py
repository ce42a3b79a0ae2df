import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from experiments import torch_files
from experiments.commands import UsageError
from tests.experiments import torch_writer

WRITERS = pytest.mark.parametrize("write", [torch_writer.write_zip, torch_writer.write_legacy])


def small_state():
    generator = np.random.default_rng(0)
    return {
        "Mixed_5b.branch1x1.conv.weight": generator.standard_normal((4, 3, 1, 2)).astype(np.float32),
        "Mixed_5b.branch1x1.bn.weight": generator.standard_normal(4).astype(np.float32),
        "Mixed_5b.branch1x1.bn.running_mean": generator.standard_normal(4).astype(np.float32),
        "Mixed_5b.branch1x1.bn.running_var": generator.standard_normal(4).astype(np.float32),
        "Mixed_5b.branch1x1.bn.num_batches_tracked": np.array(7, np.int64),
        "fc.weight": generator.standard_normal((5, 4)).astype(np.float32),
        "fc.bias": generator.standard_normal(5).astype(np.float32),
    }


@WRITERS
def test_arrays_come_back(tmp_path, write):
    state = small_state()
    write(tmp_path / "w.pth", *torch_writer.contiguous(state))
    found = torch_files.read(tmp_path / "w.pth")
    assert list(found) == list(state)
    for name, array in state.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@WRITERS
def test_tensors_may_share_a_storage_and_have_strides(tmp_path, write):
    values = np.arange(12, dtype=np.float32)
    storage = torch_writer.Storage("shared", values)
    tensors = OrderedDict(
        a=torch_writer.Tensor(storage, 2, (2, 3), (1, 2)), b=torch_writer.Tensor(storage, 9, (3,), (1,))
    )
    tensors._metadata = OrderedDict([("", {"version": 2})])  # as nn.Module.state_dict leaves it
    write(tmp_path / "w.pth", tensors, [storage])
    found = torch_files.read(tmp_path / "w.pth")
    np.testing.assert_array_equal(found["a"], values[2:8].reshape(3, 2).T)
    np.testing.assert_array_equal(found["b"], values[9:])


def test_leaves_are_named_and_laid_out_as_flax_has_them():
    state = small_state()
    leaves = torch_files.flax_leaves(state)
    layer = ("Mixed_5b", "branch1x1")
    expected = {
        ("params", *layer, "conv", "kernel"): np.moveaxis(
            state["Mixed_5b.branch1x1.conv.weight"], (2, 3, 1, 0), range(4)
        ),
        ("params", *layer, "bn", "scale"): state["Mixed_5b.branch1x1.bn.weight"],
        ("batch_stats", *layer, "bn", "mean"): state["Mixed_5b.branch1x1.bn.running_mean"],
        ("batch_stats", *layer, "bn", "var"): state["Mixed_5b.branch1x1.bn.running_var"],
        ("params", "fc", "kernel"): state["fc.weight"].T,
        ("params", "fc", "bias"): state["fc.bias"],
    }
    assert leaves.keys() == expected.keys()
    for leaf, array in expected.items():
        np.testing.assert_array_equal(leaves[leaf], array)


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@WRITERS
def test_a_malicious_file_is_refused_and_not_run(tmp_path, write):
    harmed = tmp_path / "harmed"
    write(tmp_path / "w.pth", OrderedDict(weight=Harm(harmed)), [])
    with pytest.raises(UsageError, match=r"asks for \w+\.mkdir"):
        torch_files.read(tmp_path / "w.pth")
    assert not harmed.exists()
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Harm(harmed)))
    with pytest.raises(UsageError, match="mkdir"):
        torch_files.read(tmp_path / "bare.pth")
    assert not harmed.exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (13,), (1,)),
        (3, (10,), (1,)),
        (-1, (2,), (1,)),
        (4, (3,), (-1,)),
        (0, (2, 2), (1, 11)),
        (0, (1000,), (0,)),
        (0, (2, 2), (1,)),
        (0, (-2, -2), (-1, -1)),
    ],
)
@WRITERS
def test_a_tensor_outside_its_storage_is_refused(tmp_path, write, offset, shape, strides):
    storage = torch_writer.Storage("0", np.arange(12, dtype=np.float32))
    write(tmp_path / "w.pth", OrderedDict(a=torch_writer.Tensor(storage, offset, shape, strides)), [storage])
    with pytest.raises(UsageError, match="cannot be read"):
        torch_files.read(tmp_path / "w.pth")


def test_what_is_no_state_dict_is_refused(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"no weights at all")
    with pytest.raises(UsageError, match="w.pth cannot be read"):
        torch_files.read(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UsageError, match="cannot be read"):
        torch_files.read(path)
    with pytest.raises(UsageError, match="No such file"):
        torch_files.read(tmp_path / "nowhere.pth")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("something", "else")
    with pytest.raises(UsageError, match="cannot be read"):
        torch_files.read(path)
    torch_writer.write_zip(path, OrderedDict(epoch=3), [])
    with pytest.raises(UsageError, match="more than named tensors"):
        torch_files.read(path)


@WRITERS
def test_a_cut_file_is_refused(tmp_path, write):
    path = tmp_path / "w.pth"
    write(path, *torch_writer.contiguous(small_state()))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UsageError, match="cannot be read"):
        torch_files.read(path)
