"""The command: its file, its scores, and its refusals."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.checkpoints import Checkpoints
from experiments.configs import dcgan, vanilla
from tests.experiments import programs, untrained
from tests.experiments.test_commands import assert_refused


def pictures(counts, labels=3, shape=(28, 28, 1)):
    """Arrays of an .npz: noise, with a bright band whose place is the class."""
    random = np.random.default_rng(0)
    arrays = {}
    for split, count in counts.items():
        label = np.arange(count) % labels
        image = random.integers(0, 60, (count, *shape), np.uint8)
        for one, band in zip(image, label, strict=True):
            one[8 * band : 8 * band + 8] += 150
        arrays |= {f"{split}_image": image, f"{split}_label": label}
    return arrays


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(workdir, gan, state) of a small conditional run."""
    config = dcgan.get_config("conditional,tiny")
    config.model.generator_options.channels = (8, 4)
    config.model.discriminator_options.channels = (4, 8)
    workdir = tmp_path_factory.mktemp("runs") / "run"
    return workdir, *untrained.write(workdir, config)


def test_features_of_every_example_and_what_a_classifier_reads_in_them(run, tmp_path):
    workdir, gan, state = run
    arrays = pictures({"train": 90, "test": 30})
    np.savez(tmp_path / "own.npz", **arrays)
    (workdir / "scores.json").write_text(json.dumps({"fid": {"value": 1.0, "step": 1, "protocol": "kept"}}))
    output = tmp_path / "features.npz"
    done = programs.call("features", f"--workdir={workdir}", f"--output={output}", f"--path={tmp_path / 'own.npz'}")
    assert done.returncode == 0, done.stderr
    with np.load(output) as file:
        written = dict(file)
    assert written.keys() == {"train_features", "train_label", "test_features", "test_label"}
    for split in ("train", "test"):
        np.testing.assert_array_equal(written[f"{split}_label"], arrays[f"{split}_label"])
        seen = jax.jit(gan.features)(state, {"image": arrays[f"{split}_image"].astype(np.float32) / 127.5 - 1})
        expected = np.concatenate([seen["stage_0"], seen["stage_1"]], 1)
        assert written[f"{split}_features"].dtype == np.float32
        np.testing.assert_allclose(written[f"{split}_features"], expected, atol=1e-5)
    found = json.loads((workdir / "scores.json").read_text())
    names = {f"linear_accuracy_{name}" for name in ("discriminator", "untrained", "pixels")}
    assert found.keys() == {"fid"} | names
    assert found["linear_accuracy_discriminator"]["value"] == found["linear_accuracy_pixels"]["value"] == 100
    assert "192 features" in found["linear_accuracy_untrained"]["protocol"]
    assert found["linear_accuracy_discriminator"]["step"] == 0
    for words in ("192 features", "90 training pictures", "own.npz", "test split, 30 pictures"):
        assert words in found["linear_accuracy_discriminator"]["protocol"]
    assert "784 pixels" in found["linear_accuracy_pixels"]["protocol"]


def test_a_discriminator_that_became_blind_stands_beside_the_one_it_was(run, tmp_path):
    workdir, _, state = run
    blind = shutil.copytree(workdir, tmp_path / "blind")
    with Checkpoints(blind / "checkpoints", None) as checkpoints:
        checkpoints.save(1, jax.tree.map(jnp.zeros_like, state), {"phase": "adversarial"})
    np.savez(tmp_path / "own.npz", **pictures({"train": 90, "test": 30}))
    options = (f"--output={tmp_path / 'features.npz'}", f"--path={tmp_path / 'own.npz'}")
    done = programs.call("features", f"--workdir={blind}", *options)
    assert done.returncode == 0, done.stderr
    found = json.loads((blind / "scores.json").read_text())
    assert found["linear_accuracy_discriminator"]["value"] < 40
    assert found["linear_accuracy_untrained"]["value"] == 100


def test_volumes_are_read_by_a_support_vector_machine(tmp_path):
    config = vanilla.get_config("tiny")
    config.model.update(image_shape=(8, 8, 8, 1), latent_size=6)
    config.data.maps = config.data.evaluation_maps = ("volumes.scale",)
    untrained.write(tmp_path / "run", config)
    random, arrays = np.random.default_rng(0), {}
    for split, count in {"train": 60, "test": 20}.items():
        image, label = (random.random((count, 8, 8, 8, 1)) < 0.05).astype(np.uint8), np.arange(count) % 2
        image[label == 1, :, 4] = 1
        arrays |= {f"{split}_image": image, f"{split}_label": label}
    np.savez(tmp_path / "own.npz", **arrays)
    options = (f"--output={tmp_path / 'features.npz'}", f"--path={tmp_path / 'own.npz'}")
    done = programs.call("features", f"--workdir={tmp_path / 'run'}", *options)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert found.keys() == {f"linear_accuracy_{name}" for name in ("discriminator", "untrained", "voxels")}
    assert found["linear_accuracy_voxels"]["value"] == 100
    assert "512 voxels; linear SVM" in found["linear_accuracy_voxels"]["protocol"]
    assert "60 training volumes" in found["linear_accuracy_discriminator"]["protocol"]


def test_without_classes_there_are_features_and_no_score(run, tmp_path):
    workdir, *_ = run
    before = (workdir / "scores.json").read_bytes() if (workdir / "scores.json").exists() else None
    np.savez(tmp_path / "own.npz", **pictures({"train": 8, "test": 4}, labels=1))
    arguments = (f"--workdir={workdir}", f"--output={tmp_path / 'f.npz'}", f"--path={tmp_path / 'own.npz'}")
    done = programs.call("features", *arguments)
    assert done.returncode == 0, done.stderr
    assert "No accuracy of a linear classifier: all training pictures have one label." in done.stdout
    done = programs.call("features", *arguments, "--split=test")
    assert "--split is test" in done.stdout
    with np.load(tmp_path / "f.npz") as file:
        assert file["test_features"].shape == (4, 192)
        assert "train_features" not in file
    assert ((workdir / "scores.json").read_bytes() if before else None) == before


def test_pictures_of_another_size_are_refused(run, tmp_path):
    workdir, *_ = run
    np.savez(tmp_path / "own.npz", **pictures({"train": 8, "test": 4}, shape=(32, 32, 1)))
    output = tmp_path / "f.npz"
    arguments = (f"--workdir={workdir}", f"--output={output}", f"--path={tmp_path / 'own.npz'}")
    assert_refused(programs.call("features", *arguments), "(32, 32, 1)", "(28, 28, 1)")
    assert not output.exists()
