"""What a config asks for, looked through before any work: numbers that can be, networks and data that fit each other."""

import math
import traceback
from fnmatch import fnmatchcase
from pathlib import Path

import jax
from flax.errors import FlaxError
from ml_collections import ConfigDict

from data_pipelines import DataError, batching
from experiments import data, runs
from experiments.commands import UsageError, fields_of
from gans.core import Gan

# {fields: (the least, the largest value)}.
_BATCH, _SEED, _STEPS = (1, 2**20), (0, 2**32 - 1), (0, 2**40)
LIMITS = {
    "seed": _SEED,
    "*.seed": _SEED,
    "data.evaluation_seed": _SEED,
    "batch_size": _BATCH,
    "*.batch_size": _BATCH,
    "evaluation_batch": _BATCH,
    "accumulate": _BATCH,
    "steps_per_dispatch": _BATCH,
    "pictures": (1, 10_000),
    "keep_checkpoints": (1, 2**20),
    "rollbacks": (0, 2**20),
    "score_every": _STEPS,
    "phases.*.steps": _STEPS,
    "faces.judge.steps": (1, 2**40),
    "judge.epochs": (0, 2**20),
    "judge.shift": (0, 2**10),
    "judge.validation": (0, 0.99),
    "model.latent_size": (1, 2**20),
    "model.classes": (0, 2**20),
    "optimizers.*.learning_rate": (0, math.inf),
    "optimizers.*.warmup": _STEPS,
    "optimizers.*.decay_updates": _STEPS,
    "optimizers.*.clip_norm": (1e-30, math.inf),
    "optimizers.*.b1": (0, 1),
    "optimizers.*.b2": (0, 1),
}
# What a value that does not fit leads to, somewhere in a network or a map.
_MISFITS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, AssertionError, MemoryError, FlaxError)


def check_numbers(config: ConfigDict) -> None:
    """Refuses numbers that are not finite or out of range.

    Raises:
      UsageError: names the first such field.
    """
    for path, value in fields_of(config).items():
        for one in value if isinstance(value, tuple | list) else [value]:
            if isinstance(one, float) and not math.isfinite(one):
                raise UsageError(f"config.{path}={value} must be finite.")
        for pattern, (least, largest) in LIMITS.items():
            if fnmatchcase(path, pattern) and isinstance(value, int | float) and not least <= value <= largest:
                limits = f"at least {least}" if largest == math.inf else f"from {least} to {largest}"
                raise UsageError(f"config.{path}={value} must be {limits}.")


def check_networks(config: ConfigDict, gan: Gan) -> None:
    """Traces a new run's first state, at no cost.

    Raises:
      UsageError: if the networks cannot be made as the config says.
    """
    try:
        jax.eval_shape(lambda: runs.initial(config, gan))
    except _MISFITS as error:
        raise UsageError(f"The networks cannot be made as config.model says: {_told(error)}") from error


def check_steps(config: ConfigDict, gan: Gan, arrays: data.Arrays, frozen: dict | None) -> None:
    """Traces one step of each phase on the shapes of the data, with nothing computed.

    Args:
      config: of the run.
      gan: with the mapped axis `runs.AXIS`.
      arrays: the training split.
      frozen: the frozen networks.

    Raises:
      DataError: as the maps.
      UsageError: if config, networks and data do not fit each other.
    """
    try:
        few = {name: array[:2] for name, array in arrays.items()}
        maps = data.maps(config, config.data.maps)
        share = config.batch_size // jax.device_count()
        for name, phase in gan.phases.items():
            if not config.phases[name].steps:
                continue
            # In tens of thousands of examples there is no shape that is not in one.
            one = next(batching.train_batches(few, maps, 1, 0, loader="memory"))
            batch = {
                key: jax.ShapeDtypeStruct((1, share * phase.slices, *leaf.shape[2:]), leaf.dtype)
                for key, leaf in one.items()
            }
            state = jax.eval_shape(lambda phase=phase: phase.enter(runs.initial(config, gan))).replace(frozen=frozen)
            step = jax.vmap(phase.step, (None, 0, None), axis_name=runs.AXIS)
            jax.eval_shape(step, state, batch, jax.random.key(0))
    except DataError:
        raise
    except _MISFITS as error:
        raise UsageError(f"A train step cannot be made of this config and its data: {_told(error)}") from error


def _told(error):
    """An error in one line, with the place in this project where it came up."""
    own = [one for one in traceback.extract_tb(error.__traceback__) if "site-packages" not in one.filename]
    what = (str(error).strip() or "no reason given").splitlines()[0]
    return f"{type(error).__name__}: {what} ({Path(own[-1].filename).name}, line {own[-1].lineno})"
