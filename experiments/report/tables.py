"""The runs as CSV, a line for each, and as Markdown, a line for each row."""

import csv
import io
from collections.abc import Sequence

from experiments import report, table
from experiments.report import Run

MARKDOWN = "<!-- made by experiments.report -->"
START = ["run", "row", "seed", "status", "step", "steps", "why"]


def as_csv(found: Sequence[Run]) -> str:
    """A line for each run: what it is called, what became of it, its settings that differ, its scores and protocol."""
    settings = report.differing(found)
    fields = list(next(iter(settings.values()), {}))
    scores = list(dict.fromkeys(name for run in found for name in run.result.scores))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*START, *fields, *scores, "protocol"])
    for run in found:
        result = run.result
        seed = result.seed if run.fields else ""
        writer.writerow(
            [run.name, result.row, seed, run.status, run.step, run.steps, " ".join(run.notes)]
            + [settings.get(result.row, {}).get(path, "") for path in fields]
            + [result.scores.get(name, "") for name in scores]
            + ["; ".join(dict.fromkeys(result.protocols.values()))]
        )
    return file.getvalue()


def as_markdown(found: Sequence[Run]) -> str:
    """A table of the settings that differ, one of the scores over the seeds, and what is to be said of single runs."""
    settings = report.differing(found)
    fields = list(next(iter(settings.values()), {}))
    parts = [MARKDOWN, ""]
    if fields:
        parts += ["| row | " + " | ".join(map(table.escaped, fields)) + " |", "|" + " --- |" * (1 + len(fields))]
        parts += [
            "| " + " | ".join(map(table.escaped, [row, *values.values()])) + " |" for row, values in settings.items()
        ]
        parts.append("")
    whole = [run.result for run in found if run.status != "damaged"]
    parts.append(table.markdown(whole, "Mean ± sample standard deviation (n) over seeds.", {"": ""}).rstrip("\n"))
    parts += [f"- {table.escaped(sentence)}" for sentence in damages(found) + report.repeated(found)]
    return "\n".join(parts) + "\n"


def damages(found: Sequence[Run]) -> list[str]:
    """A sentence on each damaged run."""
    return [f"{run.name} is {note}" for run in found if run.status == "damaged" for note in run.notes]
