"""Any field of any config set to strange values: refused in one message before any work, or possible."""

import importlib

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines import DataError
from experiments import commands, rehearsal, runs
from experiments.commands import UsageError
from tests.experiments.test_configs import CONFIGS

CONFIG = {name: importlib.import_module(f"experiments.configs.{name}").get_config("tiny") for name in CONFIGS}
FIELDS = [(name, path) for name, config in CONFIG.items() for path in commands.fields_of(config)]
# One of a kind: players have the same fields.
FIELDS = sorted({(path if "optimizers" in path else (name, path)): (name, path) for name, path in FIELDS}.values())
NUMBERS = (-1, 0, 1, 2, 3, 7, 10**6, 2**31, 2**63, 10**30, -0.5, 0.5, 1e308, float("nan"), float("inf"))
TEXTS = (
    "",
    "x",
    "../..",
    "\0",
    "None",
    "images.scale",
    "images.nothing",
    "os.system",
    "Generator",
    "a b",
    "é",
    "__doc__",
)
VALUES = st.one_of(
    st.sampled_from((*NUMBERS, *TEXTS, None, True, (), ("x",), (0,), (-1, -1), (2, 2), (1e9,), ((),), {})),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
)


def black(config):
    """Pictures as the config's networks want them, a few."""
    cell = config.data.get("cell", 0)
    shape = (cell, cell, 3) if cell else tuple(config.model.image_shape)
    # Of any size: one pixel is held in memory.
    picture, labels = np.broadcast_to(np.uint8(0), (4, *shape)), np.arange(4) % 2
    return {"image": picture, "source": picture, "label": labels, "identity": labels}


@given(st.lists(st.tuples(st.sampled_from(FIELDS), VALUES), min_size=1, max_size=2))
def test_any_field_of_any_config(changes):
    name = changes[0][0][0]
    config = CONFIG[name].copy_and_resolve_references()
    for (_, path), value in changes:
        try:
            commands.set_field(config, path, value)
        # What the command line tells in one message.
        except (AttributeError, TypeError, ValueError, KeyError):
            return
    try:
        with commands.fitting("The config cannot be used"):
            rehearsal.check(config)
            gan = runs.build(config)
            jax.eval_shape(lambda: runs.initial(config, gan))
        arrays = {field: black(config)[field] for field in config.data.fields if field in black(config)}
        if arrays and not config.get("perceptual") and "faces" not in config:  # these have frozen networks
            rehearsal.check_steps(config, gan, arrays, {})
    except (UsageError, DataError) as error:
        assert str(error).strip()
