import jax
import numpy as np
import pytest

pytest.importorskip("torch")

from experiments.benchmarks import gan3d
from tests.experiments import programs


def test_both_sides_take_the_same_step_and_are_timed():
    # The program itself makes sure that the first losses are equal.
    done = programs.call("benchmarks.gan3d", "--channels=8,4", "--batch_size=2", "--pairs=2")
    assert done.returncode == 0, done.stderr
    assert "ours / torch, wall-clock time" in done.stdout
    assert "ours / torch, processor time" in done.stdout


@pytest.mark.parametrize("kind", ["halve", "double"])
def test_layers_of_all_sides_do_the_same_work(kind):
    sides = gan3d.sides_of_a_layer(kind, 2, 4, 8, 3)
    ours, own = (jax.device_get(sides["backward"][name]()) for name in ("ours", "XLA's own"))
    for one, other in zip(ours, own, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    in_torch = sides["backward"]["torch"]()
    np.testing.assert_allclose(in_torch[0].permute(0, 2, 3, 4, 1).numpy(), ours[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(in_torch[1].permute(2, 3, 4, 1, 0).numpy(), ours[1], rtol=1e-3, atol=1e-4)


def test_wrong_channels_are_told():
    done = programs.call("benchmarks.gan3d", "--channels=8,no")
    assert done.returncode == 2
    assert "give numbers such as 256,128,64" in done.stderr
