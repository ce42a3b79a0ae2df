"""Strange command lines: one message and exit status 2, never a stack trace, and nothing written.

The commands' functions are called as `python -m` calls them, in processes that share their imports.
"""

import contextlib
import io
import os
import sys

import pytest
from absl import flags
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines import prepare
from experiments import commands
from tests.experiments import programs

STRANGE = (
    "",
    "x",
    "-1",
    "nan",
    "1e999",
    "99999999999999999999",
    "None",
    "a,b",
    "=",
    "../..",
    "é",
    "\udce9",
    "[",
    "'",
    "()",
)
CONFIGS = [f"experiments/configs/{name}.py" for name in ("vanilla", "dcgan", "inpainting")]
FIELDS = ("seed", "batch_size", "data", "data.name", "data.maps", "model.generator", "model.nothing", "phases", "judge")
FIELDS += (
    "optimizers.adversarial.generator.learning_rate",
    "coefficients.adversarial",
    "",
    ".",
    "data.",
    "model.classes",
)


def config_lines():
    """Command lines of experiments.run that are refused, or at least parsed, before anything is read."""
    presets = st.lists(st.sampled_from(("tiny", "document", *STRANGE)), max_size=3).map(",".join)
    config = st.builds("{}:{}".format, st.sampled_from((*CONFIGS, "nowhere.py", "README.md", "tests", "")), presets)
    value = st.one_of(st.sampled_from(STRANGE), st.text(st.characters(exclude_characters="\0"), max_size=5))
    field = st.builds("--config.{}={}".format, st.sampled_from(FIELDS), value)
    other = st.builds("{}{}".format, st.sampled_from(("--", "-", "", "--no", "--config", "--config.")), value)
    return st.builds(
        lambda config, more: [f"--config={config}", *more], config, st.lists(st.one_of(field, other), max_size=3)
    )


@contextlib.contextmanager
def fresh_flags():
    """Flags of a process that has parsed none, and its own sys.argv; what it says is collected."""
    known, argv, said = flags.FLAGS, sys.argv, io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            flags.FLAGS = flags.FlagValues()
            yield said
    finally:
        flags.FLAGS, sys.argv = known, argv


@given(config_lines())
def test_flags_of_configs(arguments):
    from ml_collections import config_flags

    with fresh_flags() as said:
        holder = config_flags.DEFINE_config_file("config", None, "", flags.FLAGS)
        sys.argv = ["run", *arguments]
        try:
            commands._parse(sys.argv)
            commands.fields_of(holder.value)
        except SystemExit as stopped:
            assert stopped.code in (0, 2)
            assert stopped.code == 0 or said.getvalue().startswith("error: ")
            assert said.getvalue().count("error: ") <= 2


NAMES = ("images", "voxels", "faces", "mnist", "digits5k", "photo_folder", "nothing", "")
OPTIONS = (
    "--from",
    "--output",
    "--size",
    "--crop",
    "--grey",
    "--test",
    "--resolution",
    "--category",
    "--csv",
    "--keep",
)


@given(
    st.sampled_from(NAMES),
    st.lists(
        st.tuples(st.sampled_from(OPTIONS), st.sampled_from((*STRANGE, "FOLDER", "FOLDER/out.npz", "64"))), max_size=5
    ),
)
def test_prepare(tmp_path_factory, name, options):
    # The sets of TFDS may go to the network, so only their missing --from is tried.
    options = [] if name in ("mnist", "photo_folder", "digits5k") else options
    if name == "digits5k":
        return
    folder = tmp_path_factory.mktemp("folder")
    line = [name, *(f"{option}={value.replace('FOLDER', str(folder))}" for option, value in options)]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        assert prepare.main(line) == 2
    assert "Traceback" not in said.getvalue()
    assert not os.listdir(folder)


LINES = {
    "run": ("--config=experiments/configs/vanilla.py:tiny", "--config.data.path=/dev/null", "--workdir=FOLDER/run"),
    "run of another size": (
        "--config=experiments/configs/vanilla.py:tiny",
        "--config.model.image_shape=(8,8,1)",
        "--workdir=FOLDER/run",
    ),
    "sample": ("--workdir=FOLDER", "--output=FOLDER/a.png", "--count=-3"),
    "evaluate": ("--workdir=/dev/null",),
    "apply": ("--workdir=FOLDER/no", "--input=/dev/zero", "--output=FOLDER/out.png"),
    "export": ("--workdir=FOLDER", "--output=/dev/null/x.bin"),
    "features": ("--workdir=FOLDER", "--output=FOLDER/f.npz", "--split=neither"),
    "describe": ("--config=experiments/configs/vanilla.py:tiny", "--config.model.latent_size=-4"),
    "inception_weights": ("--from=/dev/zero", "--output=FOLDER/out.npz"),
    "face_weights": ("--from=FOLDER", "--output=FOLDER/out.npz"),
    "sweep": ("--config=experiments/configs/vanilla.py:tiny", "--output=FOLDER/s", "--grid=batch_size=many"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_mistake_is_one_message_of_a_real_process(tmp_path, name):
    done = programs.call(name.split()[0], *(part.replace("FOLDER", str(tmp_path)) for part in LINES[name]))
    assert done.returncode in (1, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
    assert not list(tmp_path.iterdir())
