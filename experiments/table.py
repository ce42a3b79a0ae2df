"""What became of several runs: a table of their scores over the seeds, and a picture of their samples."""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    finished:  whether it came to its last step.
    scores:    {name: value}, and `minutes` of training with its compilation; empty unless the run came to its end.
    protocols: {name: what the score was taken on}.
    stopped:   why it ended before: 'diverged', 'collapsed' or 'pruned', or ''.
    why:       the sentence that says where.
    sentences: what the sentinel says of its metrics.
    """

    row: str
    seed: int
    workdir: Path
    finished: bool
    scores: dict[str, float]
    protocols: dict[str, str]
    stopped: str
    why: str
    sentences: tuple[str, ...]

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to train."""
        return self.finished or bool(self.stopped)

    @property
    def collapsed(self) -> bool:
        """Whether the sentinel saw its generator collapse, at its end or on the way there."""
        return self.stopped == "collapsed" or any("has collapsed" in sentence for sentence in self.sentences)


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
        found += [
            result(row, seed, seeds[seed], logs.read_metrics(seeds[seed]), steps, Sentinel(collapse, every))
            for seed in sorted(seeds)
        ]
    return found


def result(
    row: str, seed: int, workdir: Path, records: Sequence[Mapping], steps: int, sentinel: Sentinel | None
) -> Result:
    """What became of one run.

    Args:
      row, seed: what the table calls it.
      workdir: its folder.
      records: its metrics, as `logs.read_metrics` returns them.
      steps: of a whole run; scores of another step are not its end.
      sentinel: reads its metrics once more, so that a resumed run counts whole; None where a family has none.
    """
    looks = (sentinel.look(record["step"], record) for record in records) if sentinel else ()
    sentences = tuple(filter(None, looks))
    scores = runs.read_json(workdir / "scores.json") if (workdir / "scores.json").is_file() else None
    if scores is None or any(entry["step"] != steps for entry in scores.values()):
        return Result(row, seed, workdir, False, {}, {}, *_stop(workdir), sentences)
    values = {name: entry["value"] for name, entry in scores.items()} | {"minutes": _minutes(records)}
    protocols = {name: entry["protocol"] for name, entry in scores.items()}
    return Result(row, seed, workdir, True, values, protocols, "", "", sentences)


def _stop(workdir):
    """Why a run stopped itself, and the sentence on it; '' both for one that was stopped or broke."""
    if (workdir / runs.STOPPED).is_file():
        note = runs.read_json(workdir / runs.STOPPED)
        return note["reason"], note["sentence"]
    log = log_of(workdir)  # of programs that leave no note
    _, _, message = (log.read_text() if log.is_file() else "").rpartition("error: ")
    if not message.startswith("Step "):
        return "", ""
    return "diverged", message.partition(". ")[0].strip().rstrip(".") + "."


def _minutes(records):
    """Of training, compilation included; the clock of metrics.jsonl starts anew when a run is resumed."""
    clock = [record["seconds"] for record in records]
    ends = [now for now, after in zip(clock, [*clock[1:], 0.0], strict=True) if after < now]
    return sum(ends) / 60


def markdown(results: Sequence[Result], title: str, columns: Mapping[str, str] = COLUMNS) -> str:
    """The table: a line for each row, mean ± sample deviation (n) over its seeds, and a note for each faulty run.

    Args:
      results: of all runs.
      title: the line above the table.
      columns: {what the name of a score begins with: how its numbers are written}; other scores are left out.
    """
    names = {name for result in results for name in result.scores}
    columns = {name: form for start, form in columns.items() for name in sorted(names) if name.startswith(start)}
    marks = protocol_marks(results)
    lines = [title, "", "| " + " | ".join(["row", "runs", "diverged", "collapsed", *columns]) + " |"]
    lines.append("|" + " --- |" * (4 + len(columns)))
    for row, own in by_row(results).items():
        cells = [escaped(row), *map(str, counts(own)), *(cell(own, name, marks, columns[name]) for name in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    protocols = [f"Scores{mark and ' '}{mark}: {protocol}." for protocol, mark in marks.items()]
    faults = [f"- {escaped(f'{result.row}, seed {result.seed}{note}')}" for result in results for note in notes(result)]
    return "\n".join([*lines, "", *protocols, *faults]) + "\n"


def escaped(text: str) -> str:
    """A text as it stands in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def by_row(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The runs of each row."""
    return {row: [result for result in results if result.row == row] for row in dict.fromkeys(r.row for r in results)}


def counts(results: Sequence[Result]) -> tuple[int, int, int]:
    """How many runs have ended, how many of these diverged, and how many collapsed."""
    ended = [result for result in results if result.ended]
    diverged = sum(result.stopped == "diverged" for result in ended)
    return len(ended), diverged, sum(result.collapsed for result in ended)


def protocol_marks(results: Sequence[Result]) -> dict[str, str]:
    """{protocol: its mark beside a score}, '' if there is but one."""
    protocols = sorted({protocol for result in results for protocol in result.protocols.values()})
    return {protocol: f"[{index}]" if len(protocols) > 1 else "" for index, protocol in enumerate(protocols, start=1)}


def cell(results: Sequence[Result], name: str, marks: Mapping[str, str], form: str = "") -> str:
    """One score of a row's runs, collapsed ones too; what was taken by different protocols is never mixed."""
    values = {}
    for result in results:
        if name in result.scores:
            values.setdefault(marks.get(result.protocols.get(name), ""), []).append(result.scores[name])
    return "; ".join(f"{spread(own, form)}{mark and ' '}{mark}" for mark, own in values.items()) or "–"


def spread(values: Sequence[float], form: str = "") -> str:
    """Mean ± sample standard deviation (n) of values, written as `form` says or with two digits of the deviation."""
    mean, deviation = statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0
    if not form:
        digits = min(max(1 - math.floor(math.log10(deviation)), 2), 8) if deviation else 0
        form = f".{digits}f" if deviation and abs(mean) < 1e6 else ".4g"
    return f"{mean:{form}}" + (f" ± {deviation:{form}}" if len(values) > 1 else "") + f" (n={len(values)})"


def notes(result: Result) -> Iterator[str]:
    """What is to be said of a run that is not whole, as the end of a sentence about it."""
    yield from (f": {sentence}" for sentence in result.sentences)
    if result.stopped in ("diverged", "pruned"):
        yield f" {'was ' * (result.stopped == 'pruned')}{result.stopped} and has no scores. {result.why}"
    elif result.stopped and result.why not in result.sentences:
        yield f" {result.stopped} and has no scores. {result.why}"
    elif not result.ended:
        yield " has not come to its end and is not counted."


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
