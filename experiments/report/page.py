"""One page that needs no network: what differs, curves, scores, samples over time, and what went wrong."""

import base64
import hashlib
import html
import json
import string
from collections.abc import Iterable, Sequence
from importlib import resources

from experiments import report, table
from experiments.report import Run, curves, pictures

MANY = 12  # settings that differ; more are folded up
WIDE = 2.0  # a picture's width by its height, from which on it takes a whole line
STATES = ("finished", "collapsed", "diverged", "pruned", "unfinished", "damaged")


def page(found: Sequence[Run]) -> str:
    """The page as HTML; what comes from folders' names and configs is text in it, never markup."""
    files = resources.files(__package__)
    script = files.joinpath("page.js").read_text()
    films = {run.name: pictures.film(run.pictures, pictures.BYTES // len(found)) for run in found}
    parts = {
        "Scores": _scores(found),
        "Runs": _overview(found),
        "Settings": _settings(found),
        "Curves": _curves(found),
        "Samples": _samples(found, films),
    }
    parts = {name: content for name, content in parts.items() if content}
    rows = len(table.by_row([run.result for run in found]))
    values = {
        "title": f"{_many(len(found), 'run')} in {_many(rows, 'row')}",
        "style": files.joinpath("page.css").read_text(),
        "links": "".join(f'<a href="#{name.lower()}">{name}</a>' for name in parts),
        "main": "\n".join(
            f'<section id="{name.lower()}" aria-labelledby="h-{name.lower()}"><h2 id="h-{name.lower()}">{name}</h2>\n'
            f"{content}</section>"
            for name, content in parts.items()
        ),
        "data": _json(_data(found, films)),
        "script": script,
        "hash": "sha256-" + base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode(),
    }
    return string.Template(files.joinpath("page.html").read_text()).substitute(values)


def _many(count, name):
    return f"{count} {name}{'s' * (count != 1)}"


def _json(content):
    """JSON inside of a script element, which nothing in it can end."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _table(label: str, head: Iterable[str], body: Iterable[str], *, numbers=(), sort: bool = False) -> str:
    """A table in a box that scrolls by itself, by keyboard too; `numbers` are the headings of its numeric columns."""
    kinds = dict.fromkeys(numbers, ' class="number"')
    cells = "".join(f'<th scope="col"{kinds.get(name, "")}>{html.escape(name)}</th>' for name in head)
    return (
        f'<div class="scroll" role="region" aria-label="{html.escape(label)}" tabindex="0">'
        f"<table{' data-sort' * sort}><thead><tr>{cells}</tr></thead>\n<tbody>{''.join(body)}</tbody></table></div>\n"
    )


def _line(first: str, cells: Iterable[str]) -> str:
    return f'<tr><th scope="row">{html.escape(first)}</th>{"".join(cells)}</tr>\n'


def _text(text: str, kind: str = "") -> str:
    return f"<td{kind and f' class={chr(34)}{kind}{chr(34)}'}>{html.escape(text)}</td>"


def _number(value: float | None) -> str:
    """A cell; it is sorted by its whole value."""
    if value is None:
        return '<td class="number">–</td>'
    return f'<td class="number" data-value="{value!r}">{value:{".4g" if isinstance(value, float) else ","}}</td>'


def _overview(found: Sequence[Run]) -> str:
    names = list(dict.fromkeys(name for run in found for name in run.result.scores))
    said = [f"{sum(run.status == state for run in found)} {state}" for state in STATES]
    said = ", ".join(one for one in said if not one.startswith("0 ")) + "."
    sentences = [f"{run.name}: {note}" for run in found for note in run.notes] + report.repeated(found)
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    body = (
        _line(
            run.name,
            [
                _text(run.result.row),
                _number(run.result.seed if run.fields else None),
                _text(run.status, "" if run.status == "finished" else "fault"),
                _number(run.step),
                _number(run.steps if run.fields else None),
                *(_number(run.result.scores.get(name)) for name in names),
            ],
        )
        for run in found
    )
    head = ["run", "row", "seed", "state", "step", "of", *names]
    return f"<p>{html.escape(said)}</p>\n{items and f'<ul>{items}</ul>'}\n" + _table(
        "All runs", head, body, numbers={*head} - {"run", "row", "state"}, sort=True
    )


def _scores(found: Sequence[Run]) -> str:
    results = [run.result for run in found if run.status != "damaged"]
    names = list(dict.fromkeys(name for result in results for name in result.scores))
    if not names:
        return "<p>No run has final scores yet.</p>\n"
    marks = table.protocol_marks(results)
    body = []
    for row, own in table.by_row(results).items():
        ended, diverged, collapsed = table.counts(own)
        faults = [_text(str(count), "number fault" if count else "number") for count in (diverged, collapsed)]
        cells = [
            _text(str(ended), "number"),
            *faults,
            *(_text(table.cell(own, name, marks), "number") for name in names),
        ]
        body.append(_line(row, cells))
    protocols = "".join(f"<li>{html.escape(f'{mark} {protocol}'.strip())}</li>" for protocol, mark in marks.items())
    head = ["row", "ended", "diverged", "collapsed", *names]
    return (
        "<p>Mean ± sample standard deviation (number of seeds). Collapsed runs are counted and stay in the means; "
        "diverged and pruned ones are counted and have no scores; unfinished ones are left out.</p>\n"
        + _table("Scores", head, body, numbers=head[1:])
        + f"<p>Taken on:</p><ul>{protocols}</ul>\n"
    )


def _settings(found: Sequence[Run]) -> str:
    settings = report.differing(found)
    fields = list(next(iter(settings.values()), {}))
    if not settings:
        return ""
    if not fields:
        text = "<p>The runs differ in their seeds alone.</p>\n" if len(found) > 1 else ""
    elif len(fields) > len(settings):  # the longer side downwards
        lines = (_line(path, (_text(values[path]) for values in settings.values())) for path in fields)
        text = _table("Settings that differ", ["field", *settings], lines)
    else:
        lines = (_line(row, map(_text, values.values())) for row, values in settings.items())
        text = _table("Settings that differ", ["row", *fields], lines)
    if len(fields) > MANY:
        text = f"<details><summary>{_many(len(fields), 'setting')} that differ</summary>{text}</details>\n"
    same = report.common(found)
    lines = (_line(path, [_text(value)]) for path, value in same.items())
    inner = _table("Settings of all runs", ["field", "value"], lines)
    return text + f"<details><summary>{_many(len(same), 'setting')} of all runs</summary>{inner}</details>\n"


def _curves(found: Sequence[Run]) -> str:
    if not any(run.metrics for run in found):
        return ""
    return (
        "<noscript><p>The curves are drawn by a script, which this browser does not run.</p></noscript>\n"
        '<div id="chart" hidden></div>\n'
    )


def _samples(found: Sequence[Run], films) -> str:
    figures = "".join(_figure(index, run, films[run.name]) for index, run in enumerate(found) if films[run.name])
    return figures and f'<div id="time" class="stretch" hidden></div>\n<div class="films">{figures}</div>\n'


def _figure(index, run, film):
    step, content = film.frames[-1]
    name, (width, height) = html.escape(run.name), film.size
    state = "" if run.status == "finished" else f' <span class="fault">{run.status}</span>'
    said = f'<br><span class="faint">{film.said}</span>' if film.said else ""
    return (
        f'<figure data-run="{index}"{" class=wide" if width > WIDE * height else ""}>'
        f'<figcaption><strong>{name}</strong>{state}, step <span class="step">{step:,}</span>{said}</figcaption>'
        f'<img src="{_uri(content)}" width="{width}" height="{height}" alt="Samples of {name} at step {step}">'
        "</figure>\n"
    )


def _uri(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _data(found, films):
    """What the script draws: curves, and the pictures before the last, which stands in the page itself."""
    rows = list(table.by_row([run.result for run in found]))
    return {
        "rows": rows,
        "runs": [
            {
                "name": run.name,
                "row": rows.index(run.result.row),
                "status": run.status,
                "curves": own,
                "frames": [[step, base64.b64encode(content).decode()] for step, content in film.frames[:-1]]
                + [[film.frames[-1][0], ""]]
                if (film := films[run.name])
                else [],
            }
            for run, own in zip(found, curves.curves(found), strict=True)
        ],
    }
