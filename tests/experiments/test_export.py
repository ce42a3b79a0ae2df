"""The command: its file, the program that it prints, and its refusals."""

import jax
import numpy as np
import pytest

from experiments.configs import dcgan
from tests.experiments import isolation, programs, untrained
from tests.experiments.test_commands import assert_refused


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(workdir, gan, state) of a small conditional run."""
    config = dcgan.get_config("conditional,tiny")
    config.model.generator_options.channels = (8, 4)
    config.model.discriminator_options.channels = (4, 8)
    workdir = tmp_path_factory.mktemp("runs") / "run"
    return workdir, *untrained.write(workdir, config)


def test_the_printed_program_makes_the_samples_of_the_run(run, tmp_path):
    workdir, gan, state = run
    output = tmp_path / "new" / "generator.bin"
    done = programs.call("export", f"--workdir={workdir}", f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in output.parent.iterdir()] == ["generator.bin"]
    assert "latent: float32 [batch, 100], drawn from N(0, 1)" in done.stdout
    assert "label: int32 [batch], 0 to 9" in done.stdout
    program = done.stdout.split("\n\n", 1)[1]
    saved = "\nnp.savez('made.npz', latent=latent, label=label, images=samples['generated'])"
    assert "(16, 28, 28, 1)" in isolation.run(program + saved, tmp_path)
    made = np.load(tmp_path / "made.npz")
    inputs = {name: made[name] for name in gan.inputs(1)}
    images = jax.jit(gan.sample)(state, inputs, jax.random.key(0))["generated"]
    assert np.ptp(images, axis=0).max() > 0.1
    np.testing.assert_allclose(made["images"], images, atol=1e-5)


def test_what_cannot_be_exported_is_refused_and_an_old_file_stays(run, tmp_path):
    old = tmp_path / "generator.bin"
    old.write_text("old")

    def refused(workdir, platforms, *words):
        arguments = (f"--workdir={workdir}", f"--output={old}", f"--platforms={platforms}")
        assert_refused(programs.call("export", *arguments), *words)

    refused(run[0], "cpu,gpu", "platforms=cpu,gpu", "cuda")
    refused(tmp_path, "cpu", "no config.json")
    assert old.read_text() == "old"
    assert list(tmp_path.iterdir()) == [old]
