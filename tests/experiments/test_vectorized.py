"""Members of a sweep that are trained as a population end as runs of their own."""

import itertools
import json
import os
import shutil
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import experiments
from experiments import checkpoints, data, logs, runs, sweep, train
from experiments.configs import dcgan, inpainting, srgan, vanilla
from experiments.sweep import vectorized
from experiments.sweep.member import Member
from gans import parallel
from tests.experiments import programs

RATE = "optimizers.adversarial.generator.learning_rate"
MOMENTUM = "optimizers.adversarial.discriminator.b1"
# A bias before batch norm has no gradient but rounding errors, which Adam would make whole steps of.
EPSILON = {f"optimizers.adversarial.{player}.eps": 1e-3 for player in ("generator", "discriminator")}
FIELDS = EPSILON | {
    "phases.adversarial.steps": 8,
    "checkpoint_every": 3,
    "sample_every": 4,
    "score_every": 0,
    "data.loader": "memory",
}
MEMBERS = {
    "plain": {"seed": 0},
    "other": {"seed": 1, RATE: 1e-3, MOMENTUM: 0.3, "coefficients.adversarial": 0.5},
    "diverging": {"seed": 2, RATE: 1e30},
}


def configs(members=MEMBERS, **fields):
    (base,) = sweep.expand(vanilla.get_config("tiny"), [FIELDS | fields])
    return dict(zip(members, sweep.expand(base, members.values()), strict=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The sweep's folder, when all has gone well."""
    output = tmp_path_factory.mktemp("sweep")
    assert vectorized.train_members(configs(), output) == ["diverging"]
    return output


def final_state(workdir, step=8):
    config, _ = runs.read_workdir(workdir)
    found, state = runs.restore(workdir, config, runs.build(config))
    assert found == step
    return state


def assert_close(one, other):
    """Two states of the same run; summing in another order is magnified by training."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-4), one, other)


def assert_same_run(workdir, other):
    assert_close(final_state(workdir), final_state(other))
    one, two = logs.read_metrics(workdir), logs.read_metrics(other)
    assert [record["step"] for record in one] == [record["step"] for record in two] == list(range(1, 9))
    for name in ("generator/loss", "discriminator/loss"):
        np.testing.assert_allclose([r[name] for r in one], [r[name] for r in two], rtol=2e-3)


def test_members_that_differ_in_numbers_alone_make_a_group():
    optimizer = "optimizers.adversarial.generator"
    members = {
        "a": {"seed": 0},
        "b": {"seed": 1, RATE: 0.1, "coefficients.adversarial": 2.0},
        "none": {"coefficients.adversarial": None, "coefficients.feature_matching": 1.0},
        "also none": {"coefficients.adversarial": None, "coefficients.feature_matching": 2.0, "seed": 3},
        "batch": {"batch_size": 8},
        "decay": {f"{optimizer}.decay_updates": 3},
        "schedule": {f"{optimizer}.schedule": "cosine"},
        "clip": {f"{optimizer}.clip_norm": 0.1},
        "also clip": {f"{optimizer}.clip_norm": 0.2},
    }
    assert vectorized.groups(configs(members)) == [
        ["a", "b"],
        ["none", "also none"],
        ["batch"],
        ["decay"],
        ["schedule"],
        ["clip", "also clip"],
    ]


def test_only_what_differs_lies_in_the_state():
    found = vectorized.differing(list(configs().values()))
    assert found == {"adversarial": {"generator": ("learning_rate",), "discriminator": ("b1",)}}
    seeds = [{"seed": seed} for seed in range(2)]
    found = vectorized.differing(list(sweep.expand(inpainting.get_config(), seeds)))
    assert found == {"adversarial": {"generator": (), "discriminator": ()}}


def test_a_states_numbers_go_in_and_out():
    config = configs()["other"]
    gan, names = runs.build(config), vectorized.differing(list(configs().values()))["adversarial"]
    state = train.enter(gan, "adversarial", runs.initial(config, gan))
    carrying = vectorized.with_numbers(state, config, "adversarial", names)
    assert carrying.players["generator"].opt_state.hyperparams == {"learning_rate": jnp.float32(1e-3)}
    back = vectorized.without_numbers(carrying, names)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, back, state)


def test_eight_seeds_of_a_dcgan_equal_eight_runs_alone():
    fields = EPSILON | {"data.loader": "memory"}
    seeds = list(sweep.expand(dcgan.get_config("tiny"), [fields | {"seed": seed} for seed in range(8)]))
    config = seeds[0]
    gan, arrays = runs.build(config, axis=None), data.read(config)["train"]
    step, keys = gan.phases["adversarial"].step, [runs.run_key(one) for one in seeds]
    states = [train.enter(gan, "adversarial", runs.initial(one, gan)) for one in seeds]
    batches = [
        [
            jax.tree.map(lambda leaf: leaf[0], batch)
            for batch in itertools.islice(data.train_batches(one, arrays, phase=0, start=0, slices=1, devices=1), 2)
        ]
        for one in seeds
    ]
    # Of the forms the one that compiles once.
    together, whole = jax.jit(parallel.population(step, "vmap")), parallel.stack(states)
    for of_all in zip(*batches, strict=True):
        whole, metrics = together(whole, jax.tree.map(lambda *leaves: np.stack(leaves), *of_all), jnp.stack(keys))
    alone = jax.jit(step)
    for index, state in enumerate(states):
        for batch in batches[index]:
            state, own = alone(state, batch, keys[index])
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), parallel.member(whole, index), state
        )
        np.testing.assert_allclose(metrics["generator/loss"][index], own["generator/loss"], rtol=1e-4)


@pytest.mark.parametrize("name", ["plain", "other"])
def test_a_member_equals_the_run_made_alone(name, trained, tmp_path):
    fields = FIELDS | MEMBERS[name]
    config = "--config=experiments/configs/vanilla.py:tiny"
    flags = [f"--config.{path}={value}" for path, value in fields.items()]
    done = programs.call("run", config, *flags, f"--workdir={tmp_path / 'alone'}")
    assert done.returncode == 0, done.stderr
    assert_same_run(trained / name, tmp_path / "alone")
    # What the program gave back is on disk as a run writes it: the same command finds nothing left to be done.
    again = programs.call("run", config, *flags, f"--workdir={trained / name}")
    assert again.returncode == 0, again.stderr
    assert "Going on from step 8" in again.stdout


def test_a_members_workdir_is_an_ordinary_one(trained):
    workdir = trained / "other"
    assert json.loads((workdir / "config.json").read_text())["config"]["seed"] == 1
    assert checkpoints.steps(workdir / "checkpoints") == [8, 6, 3]
    assert {path.name for path in (workdir / "samples").iterdir()} >= {"step-0000004.png", "final.png", "losses.png"}
    assert list(workdir.glob("events.out.tfevents.*"))
    assert {entry["step"] for entry in json.loads((workdir / "scores.json").read_text()).values()} == {8}
    gan, state = experiments.load(workdir)
    assert gan.sample(state, {"position": jnp.arange(2)}, jax.random.key(0))["generated"].shape[0] == 2
    assert "final.png" in (trained / "other.log").read_text()


def test_a_member_that_diverges_says_so_and_stops(trained):
    assert "error: Step 1: the update_norm of the generator is inf." in (trained / "diverging.log").read_text()
    assert not (trained / "diverging" / "scores.json").exists()


def test_members_at_different_steps_are_brought_together(trained, tmp_path):
    output = Path(shutil.copytree(trained, tmp_path / "sweep"))
    for name, kept in (("plain", 3), ("other", 6)):
        for step in checkpoints.steps(output / name / "checkpoints"):
            if step > kept:
                shutil.rmtree(output / name / "checkpoints" / str(step))
    two = {name: config for name, config in configs().items() if name != "diverging"}
    assert vectorized.train_members(two, output) == []
    for name in two:
        assert_same_run(output / name, trained / name)


def test_several_phases_and_steps_a_dispatch(tmp_path):
    config = srgan.get_config("tiny")
    config.steps_per_dispatch = config.log_every = 3
    config.coefficients.content = None
    config.data.loader = "memory"
    overrides = [{"seed": 0}, {"seed": 1, "optimizers.pretrain.generator.learning_rate": 1e-2}]
    found = dict(zip("ab", sweep.expand(config, overrides), strict=True))
    assert vectorized.train_members(found, tmp_path) == []
    for name in found:
        assert [record["step"] for record in logs.read_metrics(tmp_path / name)] == [3, 6]
        assert {entry["step"] for entry in json.loads((tmp_path / name / "scores.json").read_text()).values()} == {6}
        assert int(final_state(tmp_path / name, 6).players["generator"].updates) == 6


@pytest.fixture
def at_step(monkeypatch):
    """{(member, step): what to do there, once}."""
    todo, log = {}, Member.log

    def faulty(member, step, values):
        if work := todo.pop((member.workdir.name, step), None):
            work()
        log(member, step, values)

    monkeypatch.setattr(Member, "log", faulty)
    return todo


def raises(error):
    def work():
        raise error

    return work


def test_asked_to_stop_all_write_a_checkpoint_and_go_on_from_there(trained, tmp_path, at_step):
    at_step["plain", 4] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    two = {name: config for name, config in configs().items() if name != "diverging"}
    with pytest.raises(train.Interrupted) as stopped:
        vectorized.train_members(two, tmp_path)
    assert stopped.value.status == 143
    newest = [checkpoints.steps(tmp_path / name / "checkpoints")[0] for name in two]
    assert newest[0] == newest[1] and newest[0] in (4, 5)
    assert vectorized.train_members(two, tmp_path) == []
    for name in two:
        assert_same_run(tmp_path / name, trained / name)


def test_a_member_goes_back_alone(trained, tmp_path, at_step):
    at_step["plain", 5] = raises(logs.Diverged("Step 5: the loss of the generator is nan."))
    two = {name: config for name, config in configs(rollbacks=1).items() if name != "diverging"}
    assert vectorized.train_members(two, tmp_path) == []
    assert "The run goes back" in (tmp_path / "plain.log").read_text()
    losses = [record["discriminator/loss"] for record in logs.read_metrics(tmp_path / "plain")]
    before = [record["discriminator/loss"] for record in logs.read_metrics(trained / "plain")]
    np.testing.assert_allclose(losses[:3], before[:3], rtol=2e-3)
    assert len(losses) == 8 and not np.allclose(losses[3:], before[3:], rtol=1e-4)
    assert_close(final_state(tmp_path / "other"), final_state(trained / "other"))


def test_what_breaks_one_member_does_not_stop_the_other(trained, tmp_path, at_step):
    at_step["plain", 2] = raises(RuntimeError("broken"))
    two = {name: config for name, config in configs().items() if name != "diverging"}
    assert vectorized.train_members(two, tmp_path) == ["plain"]
    assert "RuntimeError: broken" in (tmp_path / "plain.log").read_text()
    assert_same_run(tmp_path / "other", trained / "other")
