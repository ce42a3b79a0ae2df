"""A run: its config, its workdir, and the way from a finished workdir back to networks."""

import contextlib
import fcntl
import importlib
import inspect
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import checkpoints, hosts, optimizers, weights
from experiments.commands import UsageError, fields_of, fitting, write_text
from gans import parallel
from gans.core import Gan, State, plain

AXIS = "devices"
HISTORY = "score_history.json"
STOPPED = "stopped.json"


def build(
    config: ConfigDict,
    axis: str | None = AXIS,
    in_state: Mapping[str, Mapping[str, Sequence[str]]] = MappingProxyType({}),
) -> Gan:
    """The family's `Gan` with the config's optimizers and settings.

    Args:
      config: as the files in experiments/configs return it.
      axis: the mapped axis over which gradients are averaged; None for a step under plain `jax.jit`.
      in_state: {phase: {player: settings of its optimizer that lie in its state}}, see `optimizers.make`.

    Raises:
      UsageError: for an unknown family, or settings that its `make` refuses.
    """
    make = _make_of(config.family)
    phases = {
        phase: {
            name: optimizers.make(settings, config.phases[phase].steps, in_state.get(phase, {}).get(name, ()))
            for name, settings in players.items()
        }
        for phase, players in config.optimizers.items()
    }
    grad = plain
    if axis is not None and config.get("synchronised_norm", False):
        grad = parallel.synchronised(axis)
    if config.accumulate > 1:
        grad = parallel.accumulate(config.accumulate, grad)
    if axis is not None:
        grad = parallel.mean_over(axis, grad)
    if strange := sorted(set(config.model) - set(inspect.signature(make).parameters)):
        raise UsageError(f"gans.{config.family}.make takes no {strange[0]!r}; it stands in config.model.")
    try:
        return make(phases, grad, **config.model)
    except ValueError as error:
        raise UsageError(error) from error


def _make_of(family: str) -> Callable[..., Gan]:
    name = f"gans.{family}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not name.startswith(error.name):  # something that the family needs
            raise
        module = None
    if not hasattr(module, "make"):
        raise UsageError(f"There is no family {family!r} in the package gans.")
    return module.make


def initial(config: ConfigDict, gan: Gan, frozen: Any = None) -> State:
    """A new run's state, before any phase was entered; a function of the config's seed and the networks alone.

    Raises:
      UsageError: for coefficients or shapes that the family refuses.
    """
    key = jax.random.split(jax.random.key(config.seed), 3)[0]

    def init():
        zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), gan.inputs(2))
        return gan.init(key, zeros, None, config.coefficients.to_dict())

    try:
        return jax.jit(init)().replace(frozen=frozen)
    except ValueError as error:
        raise UsageError(error) from error


def run_key(config: ConfigDict) -> jax.Array:
    """The one key of all of a run's train steps."""
    return jax.random.split(jax.random.key(config.seed), 3)[1]


def sample_key(config: ConfigDict) -> jax.Array:
    """The key for pictures that are drawn outside of train steps."""
    return jax.random.split(jax.random.key(config.seed), 3)[2]


def score_history(workdir: Path) -> dict[str, dict[str, float]]:
    """The scores that a run has had on the way: {name: {step: value}}."""
    return read_json(workdir / HISTORY) if (workdir / HISTORY).is_file() else {}


def best_step(workdir: Path, config: ConfigDict, steps: Collection[int]) -> int | None:
    """Of these steps the one with the best score on the way by `config.best`; None if none of them has such a score."""
    scores = score_history(workdir).get(config.best.score, {})
    values = {int(step): value for step, value in scores.items() if int(step) in steps}
    return (min if config.best.lowest else max)(values, key=values.get, default=None)


def restore(workdir: Path, config: ConfigDict, gan: Gan, last: int | None = None) -> tuple[int, State] | None:
    """(step, state without frozen) of a workdir's newest whole checkpoint, up to step `last`; None if it has none."""

    def target(meta):
        return jax.eval_shape(lambda: gan.phases[meta["phase"]].enter(initial(config, gan)))

    found = checkpoints.restore_newest(workdir / "checkpoints", target, hosts.tell, last)
    return found and found[:2]


def load(workdir: str | os.PathLike, axis: str | None = None, best: bool = False) -> tuple[Gan, State]:
    """A run's networks, to be used by any program: `gan, state = load(workdir)`.

    Args:
      workdir: the folder of a run, finished or not; it is only read.
      axis: as for `build`; matters only to those who call the train step.
      best: whether to take the checkpoint with the best score on the way by `config.best`, not the newest.

    Returns:
      The family's `Gan` and the state of the newest whole checkpoint, or of the best. `state.frozen` holds the judges
      if their files still lie where the run found them, else None.

    Raises:
      UsageError: if the folder holds no run or no whole checkpoint, or if a judge's file has changed.
    """
    workdir = Path(workdir)
    config, record = read_workdir(workdir)
    with fitting(f"{workdir / 'config.json'} is damaged"):
        gan = build(config, axis)
    last = None
    if best:
        last = best_step(workdir, config, checkpoints.steps(workdir / "checkpoints"))
        if last is None:
            raise UsageError(f"{workdir} has no best checkpoint: its run was not told a score by config.best.")
    found = restore(workdir, config, gan, last)
    if found is None or best and found[0] != last:
        raise UsageError(
            f"{workdir} holds no whole checkpoint"
            + (f" of step {last}." if best else "; train it with experiments.run first.")
        )
    return gan, found[1].replace(frozen=weights.load_frozen(record))


def read_workdir(workdir: Path) -> tuple[ConfigDict, dict[str, dict[str, str]]]:
    """The config of a workdir, and the record {name: {'path', 'sha256'}} of its frozen networks."""
    path = workdir / "config.json"
    if not path.is_file():
        raise UsageError(f"{workdir} is not the workdir of a run: it has no config.json.")
    content = read_json(path)
    parts = [content.get(name) for name in ("config", "frozen")] if isinstance(content, dict) else []
    if not parts or not all(isinstance(part, dict) for part in parts):
        raise UsageError(f"{path} is damaged: it has no config and frozen networks.")
    config, record = parts
    if not all(isinstance(entry, dict) and {"path", "sha256"} <= entry.keys() for entry in record.values()):
        raise UsageError(f"{path} is damaged: its frozen networks have no path and sha256.")
    return ConfigDict(config), record


def claim_workdir(workdir: Path, config: ConfigDict) -> None:
    """Makes sure, before any work is done, that the folder is this run's own or can become it; writes nothing.

    Raises:
      UsageError: if the folder cannot be written, holds something else, belongs to a run with another config, or if
        another process trains in it.
    """
    if (workdir / "config.json").exists():
        old, _ = read_workdir(workdir)
        new = ConfigDict(_as_json(config.to_dict()))
        if changed := _differences(fields_of(old), fields_of(new)):
            raise UsageError(
                f"{workdir} belongs to a run with another config; choose another --workdir, or start from that run's "
                "networks with --init_from. Differences (there -> here):\n" + "\n".join(changed)
            )
        with alone_in(workdir):  # here already, not after the data were read and a judge was trained
            pass
    elif workdir.exists() and (not workdir.is_dir() or any(path.suffix != ".part" for path in workdir.iterdir())):
        raise UsageError(f"{workdir} exists and is no run's workdir; choose a new or an empty folder.")
    existing = next(folder for folder in (workdir, *workdir.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"The workdir {workdir} cannot be written: {existing} is no folder that you may write into.")


def record_run(workdir: Path, config: ConfigDict, frozen: Mapping[str, Mapping[str, str]]) -> None:
    """Makes a new run's workdir with its config.json; for an old run, makes sure that its judges are still the same.

    Raises:
      UsageError: if they are not.
    """
    if not (workdir / "config.json").exists():
        workdir.mkdir(parents=True, exist_ok=True)
        write_json(workdir / "config.json", {"config": config.to_dict(), "frozen": frozen})
        return
    check_frozen(workdir, frozen)


@contextlib.contextmanager
def alone_in(workdir: Path) -> Iterator[None]:
    """Keeps other runs out of a workdir; a process that dies lets it go.

    Raises:
      UsageError: if another run is in it.
    """
    folder = os.open(workdir, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # of a file system that has no locks
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"Another run is training in {workdir}; wait for its end, or choose another --workdir."
                ) from error
        yield
    finally:
        os.close(folder)


def check_frozen(workdir: Path, frozen: Mapping[str, Mapping[str, str]]) -> None:
    """Makes sure that frozen networks, wherever their files lie, are those that a workdir's run recorded.

    Raises:
      UsageError: if they are not.
    """
    digests = [
        {name: entry["sha256"] for name, entry in record.items()} for record in (read_workdir(workdir)[1], frozen)
    ]
    if changed := _differences(*digests):
        raise UsageError(f"The frozen networks of {workdir} are not what they were:\n" + "\n".join(changed))


def note_stop(workdir: Path, reason: str, sentence: str) -> None:
    """Notes in a workdir why its run ended before its last step: it 'diverged', 'collapsed' or was 'pruned'."""
    write_json(workdir / STOPPED, {"reason": reason, "sentence": sentence})


def forget_stop(workdir: Path) -> None:
    """Takes that note back, for a run that goes on."""
    (workdir / STOPPED).unlink(missing_ok=True)


def _as_json(content: Any) -> Any:
    return json.loads(json.dumps(content))


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        f"  {name}: {old.get(name, 'absent')!r} -> {new.get(name, 'absent')!r}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name, "absent") != new.get(name, "absent")
    ]


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
      UsageError: if it is damaged.
    """
    try:
        return json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is damaged: {error}.") from error


def write_json(path: Path, content: Any) -> None:
    """Writes a file whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")
