"""Metrics over steps, in as few numbers as a page can hold; the least and the greatest value of what is drawn as one
point are kept, so that no spike is lost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.report import Run

NUMBERS = 250_000  # in a page, each of about seven characters
MOST, FEWEST = 600, 60  # points of a curve
CLOCK = ("step", "seconds")


def curves(found: Sequence[Run]) -> list[dict[str, dict[str, list]]]:
    """For each run {metric: {'x': steps, 'mean', and, where points stand for several values, 'low' and 'high'}}.

    Runs of a row have their points at the same steps. Values are rounded to four digits; None stands for no value.
    Scores on the way are the metrics `scores/NAME`.
    """
    limit = _points_each(found)
    longest, most = {}, {}
    for run in found:
        row = run.result.row
        longest[row] = max(longest.get(row, 1), run.steps, *(record["step"] for record in run.metrics), 1)
        most[row] = max(most.get(row, 0), len(run.metrics))
    return [
        _metrics(run, longest[run.result.row] / limit if most[run.result.row] > limit else 0)
        | {f"scores/{name}": _scores(values) for name, values in run.history.items()}
        for run in found
    ]


def _points_each(found):
    count = sum(len({name for record in run.metrics[:1] + run.metrics[-1:] for name in record}) for run in found)
    return min(max(NUMBERS // (3 * max(count, 1)), FEWEST), MOST)


def _scores(values: Mapping[int, float]):
    steps = sorted(values)
    return {"x": steps, "mean": [rounded(values[step]) for step in steps]}


def _metrics(run: Run, width: float):
    """Every metric; `width` is that of a point's share of the steps, 0 for a point for each value."""
    shares: dict[Any, list[dict]] = {}
    for record in run.metrics:
        shares.setdefault((record["step"] - 1) // width if width else record["step"], []).append(record)
    names = dict.fromkeys(name for record in run.metrics for name in record if name not in CLOCK)
    return {name: _curve(name, shares, width) for name in names}


def _curve(name, shares, width):
    values = {share: [record[name] for record in own if _finite(record.get(name))] for share, own in shares.items()}
    values = {share: own for share, own in values.items() if own}
    found = {
        "x": [round((share + 0.5) * width) if width else share for share in values],
        "mean": [rounded(sum(own) / len(own)) for own in values.values()],
    }
    if width:
        found |= {"low": [rounded(min(own)) for own in values.values()]}
        found |= {"high": [rounded(max(own)) for own in values.values()]}
    return found


def _finite(value):
    return isinstance(value, int | float) and math.isfinite(value)


def rounded(value: float) -> float:
    """To four digits."""
    return float(f"{value:.4g}")
