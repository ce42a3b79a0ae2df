import pickle

import jax
import numpy as np
import pytest

from experiments import weights
from experiments.commands import UsageError
from experiments.configs import inpainting
from gans.frozen import mobilenet
from tests.gans.filled import filled


def few_digits():
    generator = np.random.default_rng(0)
    return {
        "image": generator.integers(0, 256, (40, 28, 28, 1), np.uint8),
        "label": np.arange(40, dtype=np.int64) % 10,
    }


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gans" / "judges"


def recipe(**changes):
    found = inpainting.get_config("tiny").judge
    found.update(batch_size=8, **changes)
    return found


def test_a_judge_is_trained_once_for_its_data_and_recipe(cache, monkeypatch):
    train = few_digits()
    first, record = weights.judge(recipe(), train)
    assert [str(path) for path in cache.iterdir()] == [record["path"]]
    with monkeypatch.context() as patch:
        patch.setattr(weights, "_train_judge", None)  # would fail if it were called
        again, same = weights.judge(recipe(), train)
    assert same == record
    np.testing.assert_array_equal(first["params"]["Dense_1"]["bias"], again["params"]["Dense_1"]["bias"])
    _, other = weights.judge(recipe(seed=1), train)
    assert other["path"] != record["path"]
    _, third = weights.judge(recipe(), {**train, "label": train["label"][::-1].copy()})
    assert len({record["path"], other["path"], third["path"]}) == 3


def test_a_judge_without_held_out_pictures(cache):
    variables, _ = weights.judge(recipe(validation=0.0), few_digits())
    assert np.isfinite(variables["params"]["Dense_1"]["kernel"]).all()


def test_frozen_networks_are_verified(tmp_path):
    path = tmp_path / "judge.npz"
    variables = {"params": {"Dense_0": {"bias": np.arange(3.0)}}}
    weights.save(path, variables)
    record = {"judge": {"path": str(path), "sha256": weights.file_digest(path)}}
    found = weights.load_frozen(record)
    np.testing.assert_array_equal(found["judge"]["params"]["Dense_0"]["bias"], np.arange(3.0))
    weights.save(path, {"params": {"Dense_0": {"bias": np.arange(3.0) + 1}}})
    with pytest.raises(UsageError, match="has changed since this run recorded it as its judge"):
        weights.load_frozen(record)
    path.unlink()
    assert weights.load_frozen(record) is None


class Harm:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_no_pickle_is_executed(tmp_path):
    path = tmp_path / "judge.npz"
    np.savez(path, harm=np.array([Harm()], dtype=object))
    with pytest.raises(ValueError, match="only a pickle can; pickles are not read"):
        weights.read(path)
    path.write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ValueError, match="cannot be read as .npz"):
        weights.read(path)


def test_the_users_weights_are_read_and_recorded(tmp_path):
    shapes = jax.eval_shape(mobilenet.MobileNetV2(10).init, jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))
    variables = filled(shapes)
    path = tmp_path / "mobilenet.npz"
    weights.save(path, variables)
    found, record = weights.read_features({"mobilenet": path})
    assert record == {"mobilenet": {"path": str(path), "sha256": weights.file_digest(path)}}
    jax.tree.map(np.testing.assert_array_equal, found["mobilenet"], variables)


@pytest.mark.parametrize("content", [None, b"no archive", {"a/b": np.zeros(3)}])
def test_files_that_hold_no_such_weights_are_refused(tmp_path, content):
    path = tmp_path / "mobilenet.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        np.savez(path, **content)
    with pytest.raises(UsageError, match=r"config.features.mobilenet=.* experiments.mobilenet_weights"):
        weights.read_features({"mobilenet": path})
