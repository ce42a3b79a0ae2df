"""Checkpoints that are whole or passed over: Orbax, and a checksum of every file of a step.

Orbax notices a checkpoint that is cut short, but reads flipped bits as if nothing had happened, and a kill can leave an
older step half deleted. So a step counts only once `checksums.sha256` lies in its folder, written last and by rename.
"""

import concurrent.futures
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

SEAL = "checksums.sha256"
REMOVED = "removed"  # Orbax moves old steps here at once, where a kill in the middle of deleting does no harm.
_ROOM = 1_000_000  # bytes that a checkpoint takes beside its arrays
_DAMAGED = 5  # steps that are kept for whoever wants to look at them


class Unsaved(Exception):
    """A checkpoint could not be written."""


def file_digest(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def steps(folder: Path) -> list[int]:
    """The steps that have a folder here, newest first, damaged ones included."""
    return sorted((int(path.name) for path in folder.glob("*") if path.name.isdigit()), reverse=True)


def _files(step_folder: Path) -> list[Path]:
    return sorted(path for path in step_folder.rglob("*") if path.is_file() and not path.name.startswith(SEAL))


def seal(step_folder: Path) -> None:
    """Writes the checksums of a finished step, in the format of sha256sum."""
    lines = [f"{file_digest(path)}  {path.relative_to(step_folder)}\n" for path in _files(step_folder)]
    part = step_folder / (SEAL + ".part")
    with open(part, "w") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, step_folder / SEAL)


def problem(step_folder: Path) -> str | None:
    """What is wrong with a step's files, or None if every one is as it was written."""
    if not (step_folder / SEAL).is_file():
        return "it was not written to its end"
    try:
        lines = (step_folder / SEAL).read_text().splitlines()
        expected = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except ValueError:
        return f"{SEAL} is damaged"
    found = {str(path.relative_to(step_folder)) for path in _files(step_folder)}
    if missing := sorted(expected.keys() - found):
        return f"{missing[0]} is missing"
    changed = [name for name, digest in expected.items() if file_digest(step_folder / name) != digest]
    return f"{changed[0]} has changed since it was written" if changed else None


def restore_newest(
    folder: Path, target: Callable[[dict], Any], tell: Callable[[str], None] = print, last: int | None = None
) -> tuple[int, Any, dict] | None:
    """The newest whole checkpoint, read only.

    Args:
      folder: the checkpoints' folder.
      target: from a checkpoint's meta to the abstract state (ShapeDtypeStructs) to restore into.
      tell: gets a message for each damaged checkpoint that is passed over.
      last: if given, the newest step to look at.

    Returns:
      (step, state on the first device, meta), or None if there is no whole checkpoint.
    """
    folder = folder.absolute()
    for step in steps(folder):
        if last is not None and step > last:
            continue
        if trouble := problem(folder / str(step)):
            tell(f"Checkpoint {folder / str(step)} is passed over: {trouble}.")
            continue
        with ocp.CheckpointManager(folder, options=ocp.CheckpointManagerOptions(read_only=True, **_alone())) as manager:
            meta = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
            state_args = ocp.args.StandardRestore(_on_first_device(target(meta)))
            state = manager.restore(step, args=ocp.args.Composite(state=state_args))["state"]
        return step, state, meta
    return None


def _on_first_device(abstract):
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), abstract)


def _alone() -> dict[str, Any]:
    """Orbax's options for one of several processes that reads or writes without the others."""
    if jax.process_count() == 1:
        return {}
    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process-{me}"
    )
    return {"create": False, "multiprocessing_options": alone}


def set_aside(folder: Path, last: int | None) -> None:
    """Moves the steps after `last` (None: all) to `damaged/`, for they will be written again; a few stay there."""
    damaged = folder / "damaged"
    numbered = {int(path.name.rpartition("-")[2]): path for path in damaged.glob("*-*")}
    again = [step for step in steps(folder) if last is None or step > last]
    for number, step in enumerate(again, 1 + max(numbered, default=-1)):
        damaged.mkdir(exist_ok=True)
        numbered[number] = damaged / f"{step}-{number}"
        os.replace(folder / str(step), numbered[number])
    for number in sorted(numbered)[:-_DAMAGED]:
        shutil.rmtree(numbered[number])


class _Best(NamedTuple):
    """Orbax' policy that keeps the step that a function names among those that there are."""

    of: Callable[[list[int]], int | None]

    def should_preserve(self, checkpoints, *, context):
        del context
        best = self.of([checkpoint.step for checkpoint in checkpoints])
        return [checkpoint.step == best for checkpoint in checkpoints]


class Checkpoints:
    """Writes a run's checkpoints in the background; a context manager. Of several processes one has it.

    It keeps the newest `keep`, for good those of steps that are multiples of `keep_every`, unless that is 0, and the
    one of its steps that `best` names, unless that is None.
    """

    def __init__(
        self,
        folder: Path,
        resumed_at: int | None,
        keep: int = 3,
        keep_every: int = 0,
        best: Callable[[list[int]], int | None] = lambda steps: None,
    ):
        """Opens the folder for a run that goes on at `resumed_at` (None: from the start); newer steps are set aside."""
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        set_aside(self.folder, resumed_at)
        self._empty_removed()
        policies = [ocp.checkpoint_managers.LatestN(keep), _Best(best)]
        if keep_every:
            policies.append(ocp.checkpoint_managers.EveryNSteps(keep_every))
        options = ocp.CheckpointManagerOptions(
            preservation_policy=ocp.checkpoint_managers.AnyPreservationPolicy(policies),
            todelete_subdir=REMOVED,
            **_alone(),
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)
        self._sealer = concurrent.futures.ThreadPoolExecutor(1)
        self._sealed = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.wait()
        self._sealer.shutdown()
        self._manager.close()
        self._empty_removed()

    def save(self, step: int, state: Any, meta: dict) -> None:
        """Starts to write a step; returns once the arrays are copied.

        Raises:
          Unsaved: if the one before it could not be written, or the disk has no room for this one.
        """
        self.wait()
        self._empty_removed()
        # Before Orbax starts, since its threads each print their own traceback when a disk is full.
        needed, free = sum(leaf.nbytes for leaf in jax.tree.leaves(state)), shutil.disk_usage(self.folder).free
        if free < needed + _ROOM:
            raise Unsaved(
                f"Checkpoint {self.folder / str(step)} was not written: it takes {needed / 1e6:,.1f} MB, and its disk "
                f"has {free / 1e6:,.1f} MB left."
            )
        if jax.process_count() > 1:
            state = jax.device_get(state)  # Orbax takes a process' own arrays for a part of one on all devices
        arguments = ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta))
        if not self._manager.save(step, args=arguments):
            raise RuntimeError(f"Orbax did not save step {step} in {self.folder}.")
        self._sealed = self._sealer.submit(self._seal, step)

    def wait(self) -> None:
        """Returns when the last save is on disk and sealed.

        Raises:
          Unsaved: if it could not be written.
        """
        if self._sealed is not None:
            sealed, self._sealed = self._sealed, None
            if trouble := sealed.result():
                raise Unsaved(trouble)

    def _seal(self, step):
        """What went wrong, or None."""
        try:
            self._manager.wait_until_finished()
            seal(self.folder / str(step))
        except (OSError, ValueError) as error:
            return f"Checkpoint {self.folder / str(step)} was not written: {str(error).strip().splitlines()[0]}."

    def _empty_removed(self):
        shutil.rmtree(self.folder / REMOVED, ignore_errors=True)
