import importlib
import json

import numpy as np
import pytest
from PIL import Image

from experiments import data
from experiments.configs import dcgan

torch = pytest.importorskip("torch")
torch_dcgan = importlib.import_module("experiments.benchmarks.torch_dcgan")


def parameters(network):
    return sum(leaf.numel() for leaf in network.parameters())


def tiny():
    config = dcgan.get_config("digits5k,tiny")
    config.phases.adversarial.steps = 3
    return config


def test_the_networks_are_as_large_as_the_tutorials():
    assert parameters(torch_dcgan.generator(64, 3)) == 3_576_704
    assert parameters(torch_dcgan.discriminator(64, 3)) == 2_765_568


@pytest.mark.parametrize("size", [32, 64])
def test_shapes_ranges_and_initial_weights(size):
    torch.manual_seed(0)
    generator, discriminator = torch_dcgan.generator(size, 1), torch_dcgan.discriminator(size, 1)
    images = generator(torch.randn(5, 100, 1, 1))
    assert images.shape == (5, 1, size, size)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (5,)
    for layer in (*generator, *discriminator):
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            assert layer.bias is None
            assert abs(layer.weight.mean()) < 0.003
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
        elif isinstance(layer, torch.nn.BatchNorm2d):
            assert layer.weight.mean().item() == pytest.approx(1, abs=0.02)
            assert not layer.bias.any()


@pytest.mark.parametrize(("size", "off"), [(32, 0), (64, 0.1)])
def test_pictures_come_back_from_the_networks_size(size, off):
    ramp = torch.linspace(-1, 1, 28).expand(2, 1, 28, 28)
    there = torch_dcgan.to_networks(ramp, size)
    assert there.shape == (2, 1, size, size)
    back = torch_dcgan.to_judge(there, 28)
    assert back.shape == ramp.shape
    assert (back - ramp).abs().max() <= off


def test_each_player_moves_in_its_own_turn_alone():
    torch.manual_seed(0)
    networks = torch_dcgan.generator(32, 1), torch_dcgan.discriminator(32, 1)
    real = torch.rand(4, 1, 32, 32) * 2 - 1
    for moving, standing in (networks, networks[::-1]):
        rates = {moving: 1e-2, standing: 0.0}
        before = [[leaf.clone() for leaf in network.parameters()] for network in (moving, standing)]
        players = [
            torch_dcgan.Player(network, torch.optim.Adam(network.parameters(), lr=rates[network]))
            for network in networks
        ]
        metrics = torch_dcgan.step(*players, real)
        assert all(np.isfinite(value) for value in metrics.values())
        assert all((a != b).any() for a, b in zip(before[0], moving.parameters(), strict=True))
        assert all((a == b).all() for a, b in zip(before[1], standing.parameters(), strict=True))


def test_a_run_from_end_to_end(tmp_path):
    torch_dcgan.run(tiny(), tmp_path / "run", 32)
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 2, 3]
    assert {"generator/loss", "discriminator/loss", "generator/diversity", "seconds"} < set(records[0])
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert {"modes_10", "kl_10", "mode_score_digits", "coverage_digits_1k"} < set(scores)
    assert {entry["step"] for entry in scores.values()} == {3}
    assert "1000 pictures and as many samples, digits " in scores["modes_10"]["protocol"]
    assert Image.open(tmp_path / "run" / "samples" / "final.png").size == (5 * 28, 4 * 28)


def test_the_same_seed_gives_the_same_samples(tmp_path):
    def samples(name, seed):
        config = tiny()
        config.seed = seed
        (tmp_path / name).mkdir()
        torch.manual_seed(seed)
        network = torch_dcgan.fit(config, tmp_path / name, 32, data.read(config)["train"])
        return torch_dcgan.sample(network, 3, 28)

    first = samples("first", 0)
    assert first.shape == (3, 28, 28, 1)
    np.testing.assert_array_equal(first, samples("again", 0))
    assert not np.array_equal(first, samples("other", 1))
