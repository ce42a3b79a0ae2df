import jax
import numpy as np
import pytest

pytest.importorskip("torch")

from experiments.benchmarks.peers import volumes
from tests.experiments import programs


def test_the_table_has_a_line_for_each_direction():
    done = programs.call("benchmarks.volumes", "--channels=8,4", "--batch_size=2", "--turns=1", "--seconds=0")
    assert done.returncode == 0, done.stderr
    head, rule, *lines = done.stdout.splitlines()
    assert [line.count("|") for line in (head, rule, *lines)] == 10 * [6]
    assert lines[0].startswith("| `double`, 8 x 4^3 to 4 x 8^3 | forward |")
    assert lines[-1].startswith("| `halve`, 4 x 8^3 from 1 x 16^3 | backward |")


@pytest.mark.parametrize("kind", ["halve", "double"])
def test_layers_of_all_sides_do_the_same_work(kind):
    sides = volumes.sides_of_a_layer(kind, 2, 4, 8, 3)
    ours, own = (jax.device_get(sides["backward"][name]()) for name in ("ours", "XLA's own"))
    for one, other in zip(ours, own, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    in_torch = sides["backward"]["torch"]()
    np.testing.assert_allclose(in_torch[0].permute(0, 2, 3, 4, 1).numpy(), ours[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(in_torch[1].permute(2, 3, 4, 1, 0).numpy(), ours[1], rtol=1e-3, atol=1e-4)


def test_wrong_channels_are_told():
    done = programs.call("benchmarks.volumes", "--channels=8,no")
    assert done.returncode == 2
    assert "give numbers such as 256,128,64" in done.stderr
