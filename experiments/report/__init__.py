"""What became of several runs, whole or not: read from their workdirs, which are only read.

    found = report.read([Path("runs/a"), Path("runs/b")])

`python -m experiments.report` makes a page or a table of them.
"""

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments import logs, runs, sentinel, table
from experiments.commands import UsageError, fields_of


class Run(NamedTuple):
    """One run.

    name:     its folder's, with as many of the folders above it as tell it from the others.
    status:   'finished', 'collapsed', 'diverged', 'pruned', 'unfinished' or 'damaged'.
    result:   its scores, and what is to be said of it.
    fields:   {dotted path: value} of its config; {} of a damaged one.
    steps:    how many it should take, and `step`, how many of them it took.
    metrics:  the lines of its metrics.jsonl.
    history:  {score: {step: value}} taken on the way.
    pictures: (step, file) of its samples, by step.
    """

    name: str
    status: str
    result: table.Result
    fields: dict[str, Any]
    steps: int
    step: int
    metrics: list[dict]
    history: dict[str, dict[int, float]]
    pictures: list[tuple[int, Path]]

    @property
    def notes(self) -> list[str]:
        """Sentences on what is not whole."""
        if self.status == "damaged":
            return [f"damaged and not counted. {self.result.why}"]
        reached = f" Step {self.step:,} of {self.steps:,}." if self.status == "unfinished" else ""
        found = [note.removeprefix(":").strip() for note in table.notes(self.result)]
        return [*found[:-1], found[-1] + reached] if found else []


def find(paths: Iterable[Path]) -> list[Path]:
    """The workdirs among paths and directly inside of folders that are none, such as a sweep's; files are passed over.

    Raises:
      UsageError: for what does not exist, for a folder without any run, and if there is no run at all.
    """
    found = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist.")
        if path.is_dir():
            own = [path] if _is_run(path) else sorted(filter(_is_run, path.iterdir()), key=_natural)
            if not own:
                raise UsageError(f"{path} is no run's workdir (it has no config.json), and no folder of them.")
            found += own
    if not found:
        raise UsageError("There are no runs; name their workdirs: python -m experiments.report runs/* --output=FILE.")
    return list({path.resolve(): path for path in found}.values())


def _is_run(path):
    return (path / "config.json").is_file()


def _natural(path):
    """A key that sorts seed=10 behind seed=9."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", path.name)]


def read(workdirs: Sequence[Path]) -> list[Run]:
    """The runs in workdirs; runs that differ in nothing but their seed have the same `result.row`."""
    names = _names(workdirs)
    read_ = [_read(workdir, name) for workdir, name in zip(workdirs, names, strict=True)]
    groups = {}
    for run in read_:
        groups.setdefault(_settings(run) or run.name, []).append(run)
    titles = {key: _common_name([run.name for run in own]) for key, own in groups.items()}
    taken = list(titles.values())
    titles = {key: name if taken.count(name) == 1 else groups[key][0].name for key, name in titles.items()}
    found = [run._replace(result=run.result._replace(row=titles[key])) for key, own in groups.items() for run in own]
    return sorted(found, key=lambda run: list(titles.values()).index(run.result.row))


def differing(found: Sequence[Run]) -> dict[str, dict[str, str]]:
    """{row: {field: value}} of the fields, other than the seed, that are not the same in all runs."""
    rows = {run.result.row: run.fields for run in reversed(found) if run.fields}
    paths = sorted({path for fields in rows.values() for path in fields} - {"seed"})
    shown = {path: {row: _shown(fields, path) for row, fields in rows.items()} for path in paths}
    return {
        row: {path: values[row] for path, values in shown.items() if len(set(values.values())) > 1}
        for row in dict.fromkeys(run.result.row for run in found)
        if row in rows
    }


def common(found: Sequence[Run]) -> dict[str, str]:
    """{field: value} of the fields, other than the seed, that are the same in all runs."""
    configs = [run.fields for run in found if run.fields]
    paths = sorted({path for fields in configs for path in fields} - {"seed"})
    shown = {path: {_shown(fields, path) for fields in configs} for path in paths}
    return {path: next(iter(values)) for path, values in shown.items() if len(values) == 1}


def repeated(found: Sequence[Run]) -> list[str]:
    """A sentence on each seed that a row has more than once: such runs are no evidence of their own."""
    groups = {}
    for run in found:
        if run.fields:
            groups.setdefault((run.result.row, run.result.seed), []).append(run.name)
    return [
        f"Seed {seed} of {row} is there {len(names)} times ({', '.join(names)}), and counts as often."
        for (row, seed), names in groups.items()
        if len(names) > 1
    ]


def _shown(fields, path):
    return _as_text(fields[path]) if path in fields else "absent"


def _settings(run):
    return _as_text({path: value for path, value in run.fields.items() if path != "seed"}) if run.fields else ""


def _as_text(value):
    return json.dumps(value, ensure_ascii=False, default=dict)  # an empty part of a config is a value, too


def _names(workdirs):
    """The last parts of the paths, as many as make them different."""
    parts = [workdir.resolve().parts for workdir in workdirs]
    length = 1
    while len({own[-length:] for own in parts}) < len(parts):
        length += 1
    return [os.path.join(*own[-length:]) for own in parts]


def _common_name(names):
    """What the names of a row's runs begin with, without the seed."""
    if len(names) == 1:
        return re.sub(r"[-_. /]*seed=\d+$", "", names[0]) or names[0]
    start = os.path.commonprefix(names)
    return re.sub(r"[-_. /]*(seed=?)?[-_. /]*$", "", start) or ("all" if start else names[0])


def _read(workdir, name):
    try:
        return _whole(workdir, name)
    except (UsageError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = str(error) if isinstance(error, UsageError) else f"{workdir}: {type(error).__name__}: {error}."
        result = table.Result(name, 0, workdir, False, {}, {}, "", why, ())
        return Run(name, "damaged", result, {}, 0, 0, [], {}, _pictures(workdir, 0))


def _whole(workdir, name):
    config, _ = runs.read_workdir(workdir)
    steps = sum(phase.steps for phase in config.phases.values())
    metrics = logs.read_metrics(workdir)
    result = table.result(name, config.seed, workdir, metrics, steps, sentinel.telling(config))
    history = runs.score_history(workdir)
    history = {score: {int(step): value for step, value in values.items()} for score, values in history.items()}
    step = steps if result.finished else metrics[-1]["step"] if metrics else 0
    end = "collapsed" if result.collapsed else "finished"
    status = result.stopped or (end if result.finished else "unfinished")
    pictures = _pictures(workdir, steps)
    return Run(name, status, result, fields_of(config), steps, step, metrics, history, pictures)


def _pictures(workdir, steps):
    folder = workdir / "samples"
    numbered = {path.stem.removeprefix("step-"): path for path in folder.glob("step-*.png")}
    numbered = {int(step): path for step, path in numbered.items() if step.isdigit()}
    if (folder / "final.png").is_file():
        numbered[max([steps, *numbered])] = folder / "final.png"
    return sorted(numbered.items())
