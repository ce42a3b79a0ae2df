"""What a run tells: a progress bar, metrics.jsonl and TensorBoard. Nothing here imports TensorFlow."""

import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.graph_pb2 import GraphDef
from tqdm import tqdm

from experiments.sentinel import Sentinel


class Diverged(Exception):
    """A metric or a parameter is not finite."""


def progress_bar(*iterable, **settings) -> tqdm:
    """A tqdm bar over steps; drawn rarely where it is not on a terminal, for there each drawing is a line."""
    return tqdm(*iterable, unit="step", mininterval=0.5 if sys.stderr.isatty() else 15, dynamic_ncols=True, **settings)


def read_metrics(workdir: Path) -> list[dict]:
    """The lines of metrics.jsonl in the order of their steps; what is cut short or damaged is left out."""
    path = workdir / "metrics.jsonl"
    records, last = [], -1
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
            if record["step"] <= last:
                continue
            last = int(record["step"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            continue
        records.append(record)
    return records


def _forget_after(workdir: Path, step: int) -> None:
    """Drops the metrics of steps that will be run again."""
    kept = [record for record in read_metrics(workdir) if record["step"] <= step]
    part = workdir / "metrics.jsonl.part"
    part.write_text("".join(json.dumps(record) + "\n" for record in kept))
    os.replace(part, workdir / "metrics.jsonl")


class Logs:
    """Writes a run's metrics and pictures into its workdir; a context manager."""

    def __init__(
        self,
        workdir: Path,
        step: int,
        steps: int,
        every: int,
        sentinel: Sentinel | None = None,
        writes: bool = True,
        bar: bool = True,
    ):
        """Goes on after `step` of `steps`, writing each `every`-th step's metrics; a sentinel sees these too.

        One that does not write, for all but one of several processes, only looks at the metrics.
        """
        if writes:
            _forget_after(workdir, step)
        self._writes = writes
        self._every = every
        self._sentinel = sentinel
        self._file = open(workdir / "metrics.jsonl" if writes else os.devnull, "a")  # noqa: SIM115 (closed in __exit__)
        self._board = SummaryWriter(str(workdir), purge_step=step + 1 if step else None, write_to_disk=writes)
        self._bar = progress_bar(total=steps, initial=step, desc="training", disable=not (writes and bar))
        self._start = self._last_time = time.monotonic()
        self._last_step = step

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._bar.close()
        self._board.close()
        self._file.close()

    def metrics(self, step: int, values: Mapping[str, jax.Array]) -> None:
        """Takes the metrics of a dispatch that ends with `step`: scalars, or one value for each of its steps.

        Raises:
          Diverged: with step, player and metric, if a value is not finite.
        """
        values = {name: np.atleast_1d(value) for name, value in jax.device_get(dict(values)).items()}
        count = len(next(iter(values.values()), [0]))
        for index in range(count):
            self._one(step - count + 1 + index, {name: float(value[index]) for name, value in values.items()})

    def _one(self, step, values):
        for name, value in values.items():
            if not math.isfinite(value):
                player, _, what = name.partition("/")
                raise Diverged(f"Step {step}: the {what} of the {player} is {value}.")
        self._bar.update(1)
        if step % self._every:
            return
        losses = {
            name.removesuffix("/loss"): f"{value:.3f}" for name, value in values.items() if name.endswith("/loss")
        }
        self._bar.set_postfix(losses, refresh=False)
        now = time.monotonic()
        rate = (step - self._last_step) / max(now - self._last_time, 1e-9)
        self._last_time, self._last_step = now, step
        clock = {"seconds": round(now - self._start, 3), "steps_per_second": round(rate, 3)}
        self._file.write(json.dumps({"step": step, **values, **clock}) + "\n")
        self._file.flush()
        for name, value in {**values, "steps_per_second": rate}.items():
            self._board.add_scalar(name, value, step)
        if self._sentinel and (sentence := self._sentinel.look(step, values)) and self._writes:
            self._bar.write(sentence)
            self.text("collapse", sentence, step)

    def picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Shows a picture, uint8 [height, width, 3], in TensorBoard."""
        self._board.add_image(name, picture, step, dataformats="HWC")

    def text(self, name: str, content: str, step: int = 0) -> None:
        """Shows a text in TensorBoard as it is."""
        self._board.add_text(name, "    " + content.replace("\n", "\n    "), step)

    def scores(self, step: int, scores: Mapping[str, float]) -> None:
        """Shows scores in TensorBoard, beside the metrics."""
        for name, value in scores.items():
            self._board.add_scalar(f"scores/{name}", value, step)

    def graph(self, graph: GraphDef) -> None:
        """Shows a graph in TensorBoard's GRAPHS tab."""
        if self._writes:
            self._board.file_writer.add_event(Event(graph_def=graph.SerializeToString()))
