"""What a config asks for, looked through before any work: numbers that can be, steps that fit their data."""

import math
from fnmatch import fnmatchcase

import jax
from ml_collections import ConfigDict

from data_pipelines import batching
from experiments import data, resident, runs
from experiments.commands import UsageError, fields_of, fitting
from gans.core import Gan

# {fields: (the least, the largest value)}.
_BATCH, _SEED, _STEPS, _EVERY = (1, 2**20), (0, 2**32 - 1), (0, 2**40), (1, 2**40)
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
    "log_every": _EVERY,
    "sample_every": _EVERY,
    "checkpoint_every": _EVERY,
    "keep_every": _STEPS,
    "rollbacks": (0, 2**20),
    "score_every": _STEPS,
    "phases.*.steps": _STEPS,
    "faces.judge.steps": (1, 2**40),
    "judge.epochs": (0, 2**20),
    "judge.shift": (0, 2**10),
    "judge.validation": (0, 0.99),
    "data.cell": (2, 2**14),
    "data.shrink": (1, 2**10),
    "model.latent_size": (1, 2**20),
    "model.classes": (0, 2**20),
    "optimizers.*.learning_rate": (0, math.inf),
    "optimizers.*.warmup": _STEPS,
    "optimizers.*.decay_updates": _STEPS,
    "optimizers.*.clip_norm": (1e-30, math.inf),
    "optimizers.*.b1": (0, 1),
    "optimizers.*.b2": (0, 1),
}


def check(config: ConfigDict) -> None:
    """Refuses, before any work, lengths and cadences that do not fit together, and maps that do not exist."""
    check_numbers(config)
    if config.data.loader not in data.LOADERS:
        raise UsageError(f"data.loader={config.data.loader!r}: choose from {', '.join(data.LOADERS)}.")
    data.maps(config, config.data.maps + config.data.evaluation_maps)
    devices = jax.device_count()
    if devices != jax.local_device_count() * jax.process_count():
        raise UsageError(f"This host has {jax.local_device_count()} of {devices} devices; all need the same number.")
    if config.batch_size % (devices * config.accumulate):
        raise UsageError(
            f"batch_size={config.batch_size} cannot be shared by {devices} devices"
            + (f" in {config.accumulate} micro-batches each." if config.accumulate > 1 else ".")
        )
    lengths = {f"phases.{name}.steps": phase.steps for name, phase in config.phases.items()}
    if not any(lengths.values()):
        raise UsageError("No phase has any steps; set one of " + ", ".join(f"config.{name}" for name in lengths) + ".")
    cadences = {name: value for name, value in lengths.items() if value != 0}
    cadences |= {name: config[name] for name in ("log_every", "checkpoint_every", "sample_every")}
    if config.score_every:
        cadences["score_every"] = config.score_every
    for name, value in cadences.items():
        if value < 1 or value % config.steps_per_dispatch:
            raise UsageError(f"{name}={value} must be a positive multiple of {config.steps_per_dispatch=}.")
    if config.keep_every < 0 or config.keep_every % config.checkpoint_every:
        raise UsageError(f"keep_every={config.keep_every} must be 0 or a multiple of {config.checkpoint_every=}.")
    if not 0 <= config.data.validation < 1:
        raise UsageError(f"data.validation={config.data.validation} is no share of the training split, in [0, 1).")
    if config.best.score and not (config.data.validation and config.score_every):
        raise UsageError("best.score needs a validation split and scores on the way: data.validation, score_every.")
    if config.best.score and config.score_every % config.checkpoint_every:
        raise UsageError(f"score_every={config.score_every} must be a multiple of {config.checkpoint_every=}.")


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
            # Settings of the optimizers that are None are optax' own.
            if not fnmatchcase(path, pattern) or (value is None and path.startswith("optimizers.")):
                continue
            if not isinstance(value, int | float) or not least <= value <= largest:
                limits = f"at least {least}" if largest == math.inf else f"from {least} to {largest}"
                raise UsageError(f"config.{path}={value} must be {limits}.")


def check_pictures(config: ConfigDict, arrays: data.Arrays) -> None:
    """Refuses data of another size, or of more classes, than the config's networks take.

    Raises:
      UsageError: says which, and what to set.
    """
    if "cell" in config.data or "image" not in arrays:
        return  # cells are cut as the config says
    where, wanted = config.data.path or config.data.name, tuple(config.model.image_shape)
    if (found := arrays["image"].shape[1:]) != wanted:
        raise UsageError(f"{where}: its images are {found}; set config.model.image_shape, which is {wanted}, to that.")
    classes = config.model.get("classes", 0)
    if classes and "label" in arrays and not 0 <= arrays["label"].min() <= arrays["label"].max() < classes:
        labels = f"{arrays['label'].min()} to {arrays['label'].max()}"
        raise UsageError(
            f"{where}: its labels are {labels}, but config.model.classes={classes} says 0 to {classes - 1}."
        )


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
    maps = data.maps(config, config.data.maps)
    if config.data.loader == "device":
        resident.traceable(maps)
    with fitting("A train step cannot be made of this config and its data"):
        # Shapes are the same in one example as in many.
        few = {name: array[:2] for name, array in arrays.items()}
        one = next(batching.train_batches(few, maps, 1, 0, loader="memory"))
        dtypes = {key: jax.dtypes.canonicalize_dtype(x.dtype) for key, x in one.items()}  # int64: int32 on devices
        for name, phase in gan.phases.items():
            if not config.phases[name].steps:
                continue
            count = config.batch_size // jax.device_count() * phase.slices
            batch = {key: jax.ShapeDtypeStruct((1, count, *x.shape[2:]), dtypes[key]) for key, x in one.items()}
            state = jax.eval_shape(lambda phase=phase: phase.enter(runs.initial(config, gan))).replace(frozen=frozen)
            step = jax.vmap(phase.step, (None, 0, None), axis_name=runs.AXIS)
            jax.eval_shape(step, state, batch, jax.random.key(0))
