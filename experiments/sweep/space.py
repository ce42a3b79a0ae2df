"""What a search looks through, and what it looks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from experiments import logs, runs, sweep
from experiments.commands import UsageError, fields_of

WINDOWS = 20  # parts of a run, over each of which a metric is averaged


class Range(NamedTuple):
    """The values of a field from `low` to `high`, both included; drawn evenly, or evenly in their logarithm."""

    low: float
    high: float
    log: bool = False


def read_range(text: str) -> tuple[str, Range]:
    """(field, its range) of FIELD=LOW,HIGH or FIELD=LOW,HIGH,log.

    Raises:
      UsageError: for another form.
    """
    path, _, values = text.partition("=")
    low, high, *rest = [*values.split(","), ""]
    try:
        if rest not in ([""], ["log", ""]):
            raise ValueError
        return path, Range(float(low), float(high), rest == ["log", ""])
    except ValueError as error:
        raise UsageError(f"--range={text} is not of the form FIELD=LOW,HIGH or FIELD=LOW,HIGH,log.") from error


class Goal(NamedTuple):
    """What a search is for.

    name:       a score of scores.json, or a metric of metrics.jsonl, which has a '/' in it: its mean over the last
                twentieth of the steps.
    highest:    whether more is better.
    validation: whether the runs hold out a validation split, whose last score then counts, not that of the test split.
    """

    name: str
    highest: bool
    validation: bool = False

    def on_the_way(self, workdir: Path, steps: int) -> dict[int, float]:
        """{step: value}: the scores taken on the way, or the metric's mean over each whole twentieth of the steps."""
        if "/" not in self.name:
            return {int(step): value for step, value in runs.score_history(workdir).get(self.name, {}).items()}
        windows = {}
        for record in logs.read_metrics(workdir):
            if self.name in record:
                windows.setdefault(-(-record["step"] * WINDOWS // steps), []).append(record)
        return {own[-1]["step"]: self._mean(own) for own in list(windows.values())[:-1]}

    def reached(self, workdir: Path, steps: int) -> float:
        """A finished run's value.

        Raises:
          UsageError: if it has none of that name.
        """
        if "/" in self.name:
            records = [record for record in logs.read_metrics(workdir) if self.name in record]
            if last := [record for record in records if record["step"] > steps * (1 - 1 / WINDOWS)]:
                return self._mean(last)
            names = {name for record in logs.read_metrics(workdir) for name in record if "/" in name}
            raise UsageError(f"{workdir} has no metric {self.name!r} at its end; it has {_listed(names)}.")
        if self.validation:
            found = runs.score_history(workdir)
            scores = {name: values[max(values, key=int)] for name, values in found.items()}
        else:
            scores = {name: entry["value"] for name, entry in runs.read_json(workdir / "scores.json").items()}
        if self.name not in scores:
            raise UsageError(f"{workdir} has no score {self.name!r}; it has {_listed(scores)}.")
        return scores[self.name]

    def _mean(self, records):
        return sum(record[self.name] for record in records) / len(records)


def _listed(names):
    return ", ".join(sorted(names)) or "none"


def distributions(
    config: ConfigDict, ranges: Mapping[str, Range], choices: Mapping[str, Sequence]
) -> dict[str, BaseDistribution]:
    """What is searched, by field. A range is of whole numbers where the config has one.

    Raises:
      UsageError: for a range that is none, or a search of seeds.
    """
    if "seed" in {*ranges, *choices}:
        raise UsageError(
            "A seed is no setting: a search would choose a lucky one. Repeat the best trial with --grid=seed=0,1,2."
        )
    if twice := sorted(set(ranges) & set(choices)):
        raise UsageError(f"{twice[0]} has both a --range and a --grid.")
    if not ranges and not choices:
        raise UsageError("There is nothing to search: give --range=FIELD=LOW,HIGH[,log] or --grid=FIELD=VALUE,VALUE.")
    known, found = fields_of(config), {}
    for path, (low, high, log) in ranges.items():
        whole = isinstance(known.get(path), int) and float(low).is_integer() and float(high).is_integer()
        try:
            found[path] = IntDistribution(int(low), int(high), log) if whole else FloatDistribution(low, high, log)
        except ValueError as error:
            raise UsageError(f"--range={path}={low},{high}{',log' * log}: {error}") from error
    return found | {path: CategoricalDistribution([shown(value) for value in own]) for path, own in choices.items()}


def shown(value: Any) -> int | float | str | None:
    """A choice as Optuna keeps it."""
    return value if isinstance(value, int | float | str | None) else repr(value)


def corners(found: Mapping[str, BaseDistribution], choices: Mapping[str, Sequence]) -> list[sweep.Overrides]:
    """Members at the low and at the high end of all ranges, and with each of the choices."""
    ranges = {path: own for path, own in found.items() if path not in choices}
    low = {path: own.low for path, own in ranges.items()} | {path: own[0] for path, own in choices.items()}
    high = low | {path: own.high for path, own in ranges.items()}
    return [low, high, *(low | {path: value} for path, own in choices.items() for value in own[1:])]
