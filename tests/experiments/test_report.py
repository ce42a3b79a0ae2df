"""Reports on made-up runs: whole, collapsed, diverged, pruned, unfinished and damaged ones."""

import csv
import html
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from experiments import figures, report, runs
from experiments.commands import UsageError
from experiments.report import curves, page, pictures, tables
from tests.experiments import programs
from tests.experiments.test_commands import assert_refused

EVIL = "<img src=x onerror=alert(1)>"
COLLAPSE = {"diversity": 0.3, "accuracy": 0.99, "patience": 100, "stop": True}
PROTOCOL = "digits5k test split, judge abc"
SCORES = {"accuracy_restored": 96.0, "fid_digits_1k": 3.0}


def write_run(folder, *, seed=0, rate=1e-3, steps=200, last=200, scores=SCORES, diversity=0.9, **fields):
    """A workdir; `last` is the step that it has reached, and `scores` are those of one that is finished."""
    (folder / "samples").mkdir(parents=True)
    config = {"family": "dcgan", "seed": seed, "log_every": 1, "phases": {"adversarial": {"steps": steps}}, "model": {}}
    config |= {"rate": rate, "collapse": COLLAPSE, **fields}
    runs.write_json(folder / "config.json", {"config": config, "frozen": {}})
    healthy = {"generator/diversity": diversity, "discriminator/accuracy_real": 0.7, "discriminator/accuracy_fake": 0.7}
    lines = [
        {"step": step, "generator/loss": rate * step + seed, **healthy, "seconds": 0.1 * step}
        for step in range(1, last + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for step in range(50, last + 1, 50):
        figures.write(folder / "samples" / f"step-{step:07d}.png", np.full((28, 84, 3), step % 256, np.uint8))
    if last == steps:
        entries = {name: {"value": value, "step": steps, "protocol": PROTOCOL} for name, value in scores.items()}
        runs.write_json(folder / "scores.json", entries)
        figures.write(folder / "samples" / "final.png", np.full((28, 84, 3), 255, np.uint8))
    return folder


def write_many(folder):
    """Two rows of three and of four seeds, with a fault of each kind, and a run of its own."""
    for seed, score in enumerate((96.0, 97.0, 98.0)):
        write_run(folder / f"slow-{seed}", seed=seed, scores={"accuracy_restored": score})
    write_run(folder / "fast-0", rate=1e-2, diversity=0.1, scores={"accuracy_restored": 10.0})
    write_run(folder / "fast-1", rate=1e-2, seed=1, last=120)
    runs.note_stop(folder / "fast-1", "diverged", "Step 121: the loss of the generator is nan.")
    write_run(folder / "fast-2", rate=1e-2, seed=2, last=90)
    write_run(folder / "fast-3", rate=1e-2, seed=3, last=60)
    runs.note_stop(folder / "fast-3", "pruned", "Step 60: too bad.")
    write_run(folder / EVIL, rate=1e-4, name="</script><script>document.title = 'run'</script>")
    (write_run(folder / "broken", rate=1.0) / "config.json").write_text('{"config": ')
    (folder / "slow-0.log").write_text("said")
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return write_many(tmp_path_factory.mktemp("many"))


@pytest.fixture(scope="module")
def found(many):
    return {run.name: run for run in report.read(report.find(many.iterdir()))}


def test_runs_that_differ_in_their_seeds_alone_are_one_row(found):
    rows = {name: run.result.row for name, run in found.items()}
    assert [rows[f"slow-{seed}"] for seed in range(3)] == ["slow"] * 3
    assert [rows[f"fast-{seed}"] for seed in range(4)] == ["fast"] * 4
    assert rows[EVIL] == EVIL
    settings = report.differing(list(found.values()))
    assert set(settings) == {"slow", "fast", EVIL}
    assert settings["slow"] == {"name": "absent", "rate": "0.001"}
    assert report.common(list(found.values()))["collapse.patience"] == "100"


def test_every_fault_has_its_name_and_its_sentence(found):
    states = {name: run.status for name, run in found.items()}
    assert states == {f"slow-{seed}": "finished" for seed in range(3)} | {
        "fast-0": "collapsed",
        "fast-1": "diverged",
        "fast-2": "unfinished",
        "fast-3": "pruned",
        EVIL: "finished",
        "broken": "damaged",
    }
    said = {name: " ".join(run.notes) for name, run in found.items()}
    assert "the generator has collapsed" in said["fast-0"]
    assert "Step 121: the loss of the generator is nan." in said["fast-1"]
    assert "Step 90 of 200" in said["fast-2"]
    assert "Step 60: too bad." in said["fast-3"]
    assert "config.json is damaged" in said["broken"]
    assert said["slow-0"] == ""


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("scores.json", "{", "scores.json is damaged"),
        ("config.json", '{"config": {"seed": 1}, "frozen": {}}', "phases"),
        ("stopped.json", "[]", "TypeError"),
    ],
)
def test_what_cannot_be_read_is_damaged_and_the_others_are_shown(file, content, words, tmp_path):
    write_run(tmp_path / "whole")
    broken = write_run(tmp_path / "broken", last=100)
    (broken / file).write_text(content)
    first, second = report.read(report.find([broken, tmp_path / "whole"]))
    assert (first.status, second.status) == ("damaged", "finished")
    assert words in first.notes[0]
    assert "broken" in page.page([first, second])


@pytest.mark.parametrize("line", [b"half a li", b"\xff\xfe", b'{"loss": 1}'])
def test_a_damaged_line_of_metrics_is_left_out(line, tmp_path):
    folder = write_run(tmp_path / "a", last=100)
    with open(folder / "metrics.jsonl", "ab") as file:
        file.write(line + b'\n{"step": 101}\n')
    (run,) = report.read([folder])
    assert (run.status, run.step) == ("unfinished", 101)


def test_a_metric_line_that_was_cut_short_is_no_damage(tmp_path):
    folder = write_run(tmp_path / "a", last=100)
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 101, "gen')
    (run,) = report.read([folder])
    assert (run.status, run.step) == ("unfinished", 100)


def test_a_folder_of_runs_stands_for_them_in_natural_order(tmp_path):
    for seed in (10, 9):
        write_run(tmp_path / "sweep" / f"seed={seed}", seed=seed)
    (tmp_path / "table.md").write_text("")
    names = [
        path.name for path in report.find([tmp_path / "sweep", tmp_path / "sweep" / "seed=9", tmp_path / "table.md"])
    ]
    assert names == ["seed=9", "seed=10"]
    found = report.read(report.find([tmp_path / "sweep"]))
    assert {run.result.row for run in found} == {"all"}
    (tmp_path / "empty").mkdir()
    for paths, words in (([tmp_path / "empty"], "no run's workdir"), ([tmp_path / "x"], "not exist"), ([], "no runs")):
        with pytest.raises(UsageError, match=words):
            report.find(paths)


def test_names_tell_runs_of_the_same_name_apart(tmp_path):
    folders = [write_run(tmp_path / sweep / "seed=0", rate=rate) for sweep, rate in (("a", 1.0), ("b", 2.0))]
    assert [run.name for run in report.read(folders)] == ["a/seed=0", "b/seed=0"]
    assert [run.result.row for run in report.read(folders)] == ["a", "b"]


def test_a_seed_that_is_there_twice_is_told(tmp_path):
    found = report.read([write_run(tmp_path / name) for name in ("a", "b")])
    assert report.repeated(found) == ["Seed 0 of a is there 2 times (a, b), and counts as often."]


def test_the_scores_are_mean_and_deviation_with_their_number_and_protocol(found):
    text = tables.as_markdown(list(found.values()))
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in text.splitlines() if " | " in line}
    assert rows["slow"][:4] == ["3", "0", "0", "97.00 ± 1.00 (n=3)"]
    assert rows["fast"][:4] == ["3", "1", "1", "10 (n=1)"]  # the collapsed one stays in the mean
    assert f"Scores: {PROTOCOL}." in text
    assert "fast, seed 2 has not come to its end" in text
    assert "broken is damaged" in text
    assert EVIL not in text


def test_what_was_scored_by_different_protocols_is_not_mixed(tmp_path):
    folders = [write_run(tmp_path / f"a-{seed}", seed=seed) for seed in range(3)]
    scores = json.loads((folders[2] / "scores.json").read_text())
    scores["accuracy_restored"]["protocol"] = "another judge"
    (folders[2] / "scores.json").write_text(json.dumps(scores))
    text = tables.as_markdown(report.read(folders))
    assert "96 ± 0 (n=2) [2]; 96 (n=1) [1]" in text
    assert "Scores [1]: another judge." in text


def test_a_csv_has_a_line_for_each_run(found):
    lines = {line["run"]: line for line in csv.DictReader(io.StringIO(tables.as_csv(list(found.values()))))}
    assert set(lines) == set(found)
    assert lines["slow-1"]["accuracy_restored"] == "97.0"
    assert lines["slow-1"]["rate"] == "0.001"
    assert lines["slow-1"]["protocol"] == PROTOCOL
    assert lines["fast-1"]["status"] == "diverged"
    assert "is nan" in lines["fast-1"]["why"]


def test_long_curves_keep_their_least_and_greatest_values(tmp_path):
    folder = write_run(tmp_path / "a", steps=5000, last=5000)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    spike = json.loads(lines[3210]) | {"generator/loss": 1e4}
    lines[3210], lines[77] = json.dumps(spike), json.dumps(json.loads(lines[77]) | {"generator/loss": -50.0})
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (drawn,) = curves.curves(report.read([folder]))
    loss = drawn["generator/loss"]
    assert len(loss["x"]) <= curves.MOST + 1
    assert max(loss["high"]) == 1e4
    assert min(loss["low"]) == -50
    assert max(loss["mean"]) < 1e4
    assert loss["x"][loss["high"].index(1e4)] == pytest.approx(3211, abs=5000 / curves.MOST)


def test_short_curves_are_drawn_as_they_are(tmp_path):
    folder = write_run(tmp_path / "a", last=3)
    (folder / "score_history.json").write_text(json.dumps({"fid": {"20": 2.0, "3": 1.0}}))
    (drawn,) = curves.curves(report.read([folder]))
    assert drawn["generator/loss"] == {"x": [1, 2, 3], "mean": [0.001, 0.002, 0.003]}
    assert drawn["scores/fid"] == {"x": [3, 20], "mean": [1.0, 2.0]}
    assert "seconds" not in drawn


def noise(folder, count, size):
    generator = np.random.default_rng(0)
    paths = []
    for step in range(count):
        paths.append((step, folder / f"{step}.png"))
        Image.fromarray(generator.integers(0, 256, (*size, 3), np.uint8)).save(paths[-1][1])
    return paths


def test_pictures_that_fit_are_shown_as_they_are(tmp_path):
    paths = noise(tmp_path, 3, (20, 30))
    film = pictures.film(paths, 1_000_000)
    assert film.frames == [(step, path.read_bytes()) for step, path in paths]
    assert (film.size, film.said) == ((30, 20), "")


def test_many_and_large_pictures_become_few_and_small_ones(tmp_path):
    film = pictures.film(noise(tmp_path, 9, (300, 600)), 250_000)
    assert sum(len(content) for _, content in film.frames) <= 250_000
    assert [step for step, _ in film.frames] == [0, 4, 8]
    assert film.said.startswith("3 of 9 pictures, scaled down from 600 × 300 to ")
    assert max(film.size) >= pictures.LEAST
    film = pictures.film(noise(tmp_path, 9, (300, 600)), 1)
    assert [step for step, _ in film.frames] == [8]
    assert film.size == (240, 120)


def test_a_file_that_is_no_picture_is_left_out(tmp_path):
    paths = noise(tmp_path, 2, (20, 30))
    paths[1][1].write_bytes(paths[1][1].read_bytes()[:100])
    assert [step for step, _ in pictures.film(paths, 1_000_000).frames] == [0]
    assert pictures.film(paths[1:], 1_000_000) is None


def test_names_and_settings_are_text_in_the_page(found):
    text = page.page(list(found.values()))
    assert EVIL not in text
    assert html.escape(EVIL) in text
    assert len(re.findall("</script>", text)) == 2
    assert "document.title = &#x27;run&#x27;" in text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1]
    assert EVIL in json.loads(data)["rows"]


def test_the_page_needs_no_network(found):
    text = page.page(list(found.values()))
    text = re.sub(r'"http://www.w3.org/2000/svg"', "", text)
    assert not re.search(r"https?://|@import|url\(|src=\"(?!data:)", text)


def test_without_a_script_tables_and_last_pictures_are_there(found):
    text = page.page(list(found.values()))
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "97.00 ± 1.00 (n=3)" in body
    assert "Step 121: the loss of the generator is nan." in body
    assert body.count("<img src=") == len(found)
    assert "<noscript>" in body


def test_the_command_writes_each_format_and_overwrites_only_reports(many, tmp_path):
    (tmp_path / "thesis.html").write_text("precious")
    refused = programs.call("report", many, f"--output={tmp_path / 'thesis.html'}")
    assert_refused(refused, "no earlier report")
    assert (tmp_path / "thesis.html").read_text() == "precious"
    for format_ in ("html", "csv", "markdown"):
        output = tmp_path / f"report.{format_}"
        for _ in range(2):
            done = programs.call("report", *sorted(many.iterdir()), f"--format={format_}", f"--output={output}")
            assert done.returncode == 0, done.stderr
            assert "9 runs in" in done.stdout
    done = programs.call("report", many, "--format=markdown")
    assert done.stdout == (tmp_path / "report.markdown").read_text()
    assert_refused(programs.call("report", f"--output={tmp_path / 'none.html'}"), "There are no runs")
    assert not (tmp_path / "none.html").exists()
