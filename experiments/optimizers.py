"""Optimizers from configs."""

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import optax
from ml_collections import ConfigDict, config_dict

from experiments.commands import UsageError
from gans import stabilizers

# Settings of ours; everything else in an optimizer's config is handed to the optax function of that name.
OWN = (
    "name",
    "learning_rate",
    "schedule",
    "warmup",
    "decay_updates",
    "final_fraction",
    "clip_norm",
    "historical_averaging",
)
NAMES = ("adam", "adamw", "sgd", "rmsprop", "adadelta", "adagrad", "adamax", "nadam", "lion", "radam", "yogi")


def default(learning_rate: float, **settings: Any) -> ConfigDict:
    """An optimizer's config: Adam with a constant learning rate, changed by `settings`."""
    number = functools.partial(config_dict.placeholder, float)  # a new one each time: a shared one would set all fields
    config = ConfigDict(
        {
            "name": "adam",  # one of NAMES
            "learning_rate": float(learning_rate),
            "schedule": "constant",  # or cosine, linear: from the learning rate to final_fraction of it
            "warmup": 0,  # updates of this player over which the rate rises from 0
            "decay_updates": 0,  # updates of this player over which it falls; 0: the steps of the phase
            "final_fraction": 0.0,  # of the learning rate, at the end of the fall
            "clip_norm": number(),  # largest norm of a gradient
            "historical_averaging": number(),  # weight of the pull to the mean of the past: arXiv 1606.03498
            # Settings of the optimizers; None: not given to optax.
            "b1": 0.9,
            "b2": 0.999,
            "eps": 1e-8,
            "momentum": number(),
            "nesterov": config_dict.placeholder(bool),
            "decay": number(),
            "rho": number(),
            "weight_decay": number(),
        }
    )
    config.update(settings)
    return config


def make(config: Mapping[str, Any], steps: int, in_state: Sequence[str] = ()) -> optax.GradientTransformation:
    """The optax transformation that a config describes.

    Args:
      config: as `default` makes it. Settings of None are left to optax.
      steps: length of the phase in steps, for schedules that do not say their own length. A schedule counts the
        updates of the player that it drives.
      in_state: settings, numbers all, that lie in the optimizer's state, `hyperparams`, and may be changed there; its
        `inner_state` is then what the state is without them.

    Raises:
      UsageError: for an unknown optimizer or schedule, or a setting that the optimizer does not take.
    """
    if in_state:
        return _with_numbers_in_state(config, steps, in_state)
    name = config["name"]
    if name not in NAMES:
        raise UsageError(f"There is no optimizer {name!r}; choose one of {', '.join(NAMES)}.")
    function = getattr(optax, name)
    settings = {key: value for key, value in dict(config).items() if key not in OWN and value is not None}
    known = inspect.signature(function).parameters
    if strange := sorted(settings.keys() - known.keys()):
        takes = ", ".join(key for key in known if key != "learning_rate")
        raise UsageError(f"{name} takes no {strange[0]} (it takes {takes}); set {strange[0]}=None beside name={name}.")
    chain = [function(_schedule(config, steps), **settings)]
    if config["clip_norm"] is not None:
        chain.insert(0, optax.clip_by_global_norm(config["clip_norm"]))
    if config["historical_averaging"] is not None:
        chain.insert(0, stabilizers.historical_averaging(config["historical_averaging"]))
    return optax.chain(*chain) if len(chain) > 1 else chain[0]


def _with_numbers_in_state(config, steps, names):
    def factory(**numbers):
        return make({**config, **numbers}, steps)

    # Where inject_hyperparams looks for the names.
    keyword = functools.partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY)
    factory.__signature__ = inspect.Signature([keyword(name) for name in names])
    return optax.inject_hyperparams(factory)(**{name: float(config[name]) for name in names})


def _schedule(config, steps):
    rate, warmup = config["learning_rate"], config["warmup"]
    length = config["decay_updates"] or max(steps - warmup, 1)
    final = config["final_fraction"]
    match config["schedule"]:
        case "constant":
            falling = optax.constant_schedule(rate)
        case "cosine":
            falling = optax.cosine_decay_schedule(rate, length, alpha=final)
        case "linear":
            falling = optax.linear_schedule(rate, final * rate, length)
        case other:
            raise UsageError(f"There is no schedule {other!r}; choose constant, cosine or linear.")
    if not warmup:
        return falling
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), falling], [warmup])
