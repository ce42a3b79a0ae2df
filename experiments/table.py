"""What became of several runs: a table of their scores over the seeds, and a picture of their samples."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from experiments import figures, logs, runs
from experiments.sentinel import Sentinel

# What a column's name begins with, since the rest says the number of pictures; how its numbers are written.
COLUMNS = {
    "fid_": ".2f",
    "mode_score_": ".3f",
    "inception_score_": ".3f",
    "modes_": ".1f",
    "kl_": ".4f",
    "precision_": ".3f",
    "recall_": ".3f",
    "coverage_": ".3f",
    "minutes": ".1f",
}
SIDE = 28
SAMPLES = 20  # of each row, in the picture


class Result(NamedTuple):
    """One run.

    scores:    {name: value}, and `minutes` of training with its compilation; empty unless the run came to its end.
    diverged:  the sentence that says where it did, or ''.
    sentences: what the sentinel says of its metrics.
    protocol:  what its scores were taken on, or ''.
    """

    row: str
    seed: int
    workdir: Path
    scores: dict[str, float]
    diverged: str = ""
    sentences: tuple[str, ...] = ()
    protocol: str = ""


def log_of(workdir: Path) -> Path:
    """The file that holds what a run said when it was last started; beside its workdir, which it must find empty."""
    return workdir.with_name(workdir.name + ".log")


def read(output: Path, rows: Iterable[str], steps: int, collapse: ConfigDict, every: int) -> list[Result]:
    """The runs found in the folders OUTPUT/ROW-SEED, by rows and then seeds.

    Args:
      output: the benchmark's folder.
      rows: their names, in the table's order.
      steps: of a whole run; scores of another step are not its end.
      collapse: settings of the sentinel that reads each run's metrics once more, so that a resumed run counts whole.
      every: steps between metrics.
    """
    found = []
    for row in rows:
        folders = [path for path in output.glob(f"{row}-*") if path.is_dir() and path.name[len(row) + 1 :].isdigit()]
        seeds = {int(path.name[len(row) + 1 :]): path for path in folders}
        found += [result(row, seed, seeds[seed], steps, Sentinel(collapse, every)) for seed in sorted(seeds)]
    return found


def result(row: str, seed: int, workdir: Path, steps: int, sentinel: Sentinel | None) -> Result:
    """What became of one run.

    Args:
      row, seed: what the table calls it.
      workdir: its folder.
      steps: of a whole run; scores of another step are not its end.
      sentinel: reads its metrics once more, so that a resumed run counts whole; None where a family has none.
    """
    records = logs.read_metrics(workdir)
    looks = (sentinel.look(record["step"], record) for record in records) if sentinel else ()
    sentences = tuple(filter(None, looks))
    scores = runs.read_json(workdir / "scores.json") if (workdir / "scores.json").is_file() else {}
    if not scores or any(entry["step"] != steps for entry in scores.values()):
        return Result(row, seed, workdir, {}, _divergence(workdir), sentences)
    values = {name: entry["value"] for name, entry in scores.items()} | {"minutes": _minutes(records)}
    return Result(row, seed, workdir, values, "", sentences, next(iter(scores.values()))["protocol"])


def _divergence(workdir):
    """The sentence on which a run stopped itself; '' for one that was stopped or broke."""
    log = log_of(workdir)
    _, _, message = (log.read_text() if log.is_file() else "").rpartition("error: ")
    return message.partition(". ")[0].strip().rstrip(".") + "." if message.startswith("Step ") else ""


def _minutes(records):
    """Of training, compilation included; the clock of metrics.jsonl starts anew when a run is resumed."""
    clock = [record["seconds"] for record in records]
    ends = [now for now, after in zip(clock, [*clock[1:], 0.0], strict=True) if after < now]
    return sum(ends) / 60


def markdown(results: Sequence[Result], title: str, columns: Mapping[str, str] = COLUMNS) -> str:
    """The table: a line for each row, mean and sample deviation over its seeds, and a note for each faulty run.

    Args:
      results: of all runs.
      title: the line above the table.
      columns: {what the name of a score begins with: how its numbers are written}; other scores are left out.
    """
    names = {name for result in results for name in result.scores}
    columns = {name: form for start, form in columns.items() for name in sorted(names) if name.startswith(start)}
    lines = [title, "", "| " + " | ".join(["row", "runs", "diverged", "collapsed", *columns]) + " |"]
    lines.append("|" + " --- |" * (4 + len(columns)))
    for row in dict.fromkeys(result.row for result in results):
        lines.append(_line(row, [result for result in results if result.row == row], columns))
    notes = [f"- {name}" for name in _notes(results)]
    protocols = sorted({result.protocol for result in results if result.protocol})
    return "\n".join([*lines, "", *(f"Scores: {protocol}." for protocol in protocols), *notes]) + "\n"


def _line(row, results, columns):
    ended = [result for result in results if result.scores or result.diverged]
    diverged = sum(bool(result.diverged) for result in ended)
    collapsed = sum(any("collapsed" in sentence for sentence in result.sentences) for result in ended)
    cells = [_cell([r.scores[name] for r in ended if name in r.scores], form) for name, form in columns.items()]
    return "| " + " | ".join([row, str(len(ended)), str(diverged), str(collapsed), *cells]) + " |"


def _cell(values, form):
    if not values:
        return "–"
    deviation = f" ± {statistics.stdev(values):{form}}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{form}}{deviation}"


def _notes(results):
    for result in results:
        name = f"{result.row}, seed {result.seed}"
        yield from (f"{name}: {sentence}" for sentence in result.sentences)
        if result.diverged:
            yield f"{name} diverged and has no scores. {result.diverged}"
        elif not result.scores:
            yield f"{name} has not come to its end and is not counted."


def picture(results: Sequence[Result]) -> np.ndarray | None:
    """A labelled line of samples for each row, of its first run that has some: uint8 [height, width, 3]."""
    lines = {}
    for result in results:
        path = result.workdir / "samples" / "final.png"
        if path.is_file() and result.row not in lines:
            lines[result.row] = _first_samples(path)
    return figures.rows(lines, {}, {}) if lines else None


def _first_samples(path):
    """The first pictures of a grid as `figures.grid` lays them out: float32 [SAMPLES, SIDE, SIDE, 1] in [-1, 1]."""
    whole = np.asarray(Image.open(path).convert("L"))
    height, width = whole.shape
    tiles = whole.reshape(height // SIDE, SIDE, width // SIDE, SIDE).transpose(0, 2, 1, 3)
    return tiles.reshape(-1, SIDE, SIDE, 1)[:SAMPLES] / np.float32(127.5) - 1
