"""The benchmark of train steps, in its smallest form: that all sides compute the same."""

import subprocess

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import inputs
from experiments.benchmarks.peers import layers, ours, sides
from experiments.benchmarks.peers.comparison import check, have_moved
from experiments.benchmarks.peers.row import example_batch
from experiments.benchmarks.peers.rows import ROWS
from experiments.commands import Failure
from tests.experiments import programs

# Of generator and discriminator, from the documents.
COUNTS = {
    "vanilla": (693_784, 643_501),
    "dcgan64": (34_839_427, 20_361_473),
    "inpainting": (315_073, 382_209),
    "srgan": (2_038_467, 5_215_425),
    "gan3d64": (17_570_625, 11_049_793),
    "age_cgan": (34_852_099, 1_567_873),
}


def call(*arguments):
    # Not by `programs.call`, where Keras is there already, on another backend.
    command = programs.command("benchmarks.train_step", "--batch_size=2", *arguments)
    return subprocess.run(command, cwd=programs.ROOT, env=programs.environment(), capture_output=True, text=True)


@pytest.mark.parametrize("peers", ["keras,tensorflow", "torch"])
def test_peers_compute_what_we_do(peers):
    if peers == "torch":
        pytest.importorskip("torch")
    done = call("--family=dcgan28,inpainting", f"--peers={peers}", "--check")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if "loss off by" in line]
    assert len(said) == 2 * len(peers.split(","))
    assert "315,073 and 382,209 parameters" in said[-1]


def test_the_table_is_printed():
    done = call("--family=vanilla", "--peers=", "--turns=1", "--seconds=0")
    assert done.returncode == 0, done.stderr
    line, pipeline = (line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| vanilla, 2 "))
    assert pipeline[1] == "input" and float(pipeline[2]) > 0 and float(pipeline[3].split()[0]) >= 0
    assert line[1] == "ours" and line[3] == "1.00 (1.00 to 1.00)"
    rate, first, again, megabytes = map(float, (line[2], *line[5].strip(")").split(" ("), line[6].strip(" |")))
    assert min(rate, first, again) > 0 and megabytes > 10


def test_names_that_do_not_exist_are_told():
    for flag in ("--family=dcgan29", "--peers=caffe"):
        done = call(flag)
        assert done.returncode == 2
        assert f"{flag}: choose from " in done.stderr
    done = call("--peers=keras", "--precision=bfloat16")
    assert done.returncode == 2
    assert "--precision=bfloat16 is for ours, torch and torch_compile; not for keras." in done.stderr


@pytest.mark.parametrize("family", ROWS)
def test_layers_describe_our_networks(family):
    row = ROWS[family]()._replace(batch_size=1)
    assert list(layers.walk(row.generator, row.given))[-1][2] == row.image
    batch = example_batch(row, 0)
    gan = ours.build(row, "adam")
    shapes = jax.eval_shape(lambda key: gan.init(key, batch, None, row.coefficients), jax.random.key(0))
    found = [
        sum(leaf.size for leaf in jax.tree.leaves(shapes.players[name].params))
        for name in ("generator", "discriminator")
    ]
    assert found == list(COUNTS.get(family, found))


@pytest.mark.parametrize("family", ROWS)
def test_pipelines_make_the_rows_pictures(family):
    batch = next(inputs.batches(family, 2))
    row = ROWS[family]()
    assert batch["image"].shape == (1, 2, *row.image)
    assert not row.classes or batch["label"].shape == (1, 2)


def test_a_side_that_computes_something_else_is_found_out(monkeypatch):
    class Impostor(ours.Side):
        def __init__(self, row, batches, weights, optimizer):
            super().__init__(row._replace(rate=0.9 * row.rate), batches, optimizer)

    row = ROWS["vanilla"]()._replace(batch_size=2)
    monkeypatch.setattr(sides, "load", lambda peer: Impostor)
    with pytest.raises(Failure, match="keras does not compute what we do"):
        check(row, "keras")


def test_both_sides_compute_in_bfloat16():
    pytest.importorskip("torch")
    exact = ROWS["dcgan28"]()._replace(batch_size=8).plain()
    low, batches = exact._replace(precision="bfloat16"), [example_batch(exact, 0)]
    our = ours.Side(low, batches, "sgd")
    their, reference = (sides.load("torch")(row, batches, our.weights(), "sgd") for row in (low, exact))
    true = reference()["generator/loss"]
    for side in (our, their):
        off = abs(float(side()["generator/loss"]) - true)
        assert 0 < off < 0.02 * true


def test_weights_that_stand_still_are_found_out():
    before = {name: [{"kernel": np.zeros((2, 2)), "bias": np.zeros(2)}] for name in ours.PLAYERS}
    after = {name: [{"kernel": np.ones((2, 2)), "bias": np.zeros(2)}] for name in ours.PLAYERS}
    assert have_moved(before, after)
    assert not have_moved(before, {**after, "generator": before["generator"]})


def test_work_counts_products_and_sums():
    network = [layers.Conv(8, 3, 2), layers.Activation("relu"), layers.Flatten(), layers.Dense(10)]
    module = nn.Sequential([nn.Conv(8, (3, 3), 2, padding=1), lambda x: x.reshape(1, -1), nn.Dense(10)])
    assert layers.work(network, (8, 8, 3)) == [2 * 4 * 4 * 8 * 9 * 3, 2 * 4 * 4 * 8 * 10]
    x = jnp.zeros((1, 8, 8, 3))
    cost = jax.jit(module.apply).lower(module.init(jax.random.key(0), x), x).compile().cost_analysis()
    np.testing.assert_allclose(
        sum(layers.work(network, (8, 8, 3))), cost["flops"], rtol=0.15
    )  # without what meets the padding
    up = [layers.ConvTranspose(4, 5)]
    assert layers.work(up, (7, 7, 16)) == [2 * 7 * 7 * 16 * 25 * 4]
    assert layers.shape_after(up[0], (7, 7, 16)) == (14, 14, 4)
