r"""Makes one page, or a table, of runs: finished, still running, diverged or damaged.

    python -m experiments.report runs/* --output=report.html
    python -m experiments.report runs/rates --format=markdown

A folder that is no workdir stands for the workdirs in it, such as a sweep's. Runs that differ in nothing but their seed
are one row. The page is one file that needs no network. A CSV has a line for each run, a Markdown table one for each
row; both go to standard output unless --output names a file. An --output that this command has not made stays as it is.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments import report
from experiments.commands import UsageError, check_output, start, whole_file
from experiments.report import page, tables

FORMATS = {"html": page.page, "csv": tables.as_csv, "markdown": tables.as_markdown}
OUTPUT = flags.DEFINE_string("output", None, "The file; of a page by default report.html, of a table standard output.")
FORMAT = flags.DEFINE_enum("format", "html", list(FORMATS), "A page, or a table.")

# What each format's files have near their beginning.
SIGNS = {"html": '<meta name="generator" content="experiments.report">', "csv": ",".join(tables.START)}
SIGNS["markdown"] = tables.MARKDOWN


def check_old(path: Path, sign: str) -> None:
    """Makes sure that a file which lies there is a report.

    Raises:
      UsageError: if it is something else.
    """
    check_output(path)
    if path.exists() and sign.encode() not in path.read_bytes()[:1000]:
        raise UsageError(f"--output={path} is no earlier report of this format; choose another name, or remove it.")


def main(arguments: Sequence[str]) -> None:
    output = OUTPUT.value or ("report.html" if FORMAT.value == "html" else None)
    if output:
        check_old(Path(output), SIGNS[FORMAT.value])
    found = report.read(report.find(map(Path, arguments)))
    text = FORMATS[FORMAT.value](found)
    if output is None:
        print(text, end="")
        return
    with whole_file(Path(output)) as file:
        file.write(text.encode())
    print(f"{len(found)} runs in {output}, {len(text) / 1e6:.1f} MB")


if __name__ == "__main__":
    start(main, positional=True)
