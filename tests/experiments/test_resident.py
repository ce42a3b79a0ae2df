import itertools

import jax
import numpy as np
import pytest

from data_pipelines import batching, images, volumes
from data_pipelines.maps import OnNumpy, PerPicture
from experiments import resident
from experiments.commands import UsageError

RNG = np.random.default_rng(0)
PICTURES = {"image": RNG.integers(0, 256, (23, 12, 10, 3), np.uint8), "label": np.arange(23)}
VOLUMES = {"image": np.uint8(RNG.random((23, 8, 8, 8, 1)) < 0.3), "label": np.arange(23)}
CASES = {
    "plain": (PICTURES, []),
    "pictures": (PICTURES, [images.scale, images.flip_horizontal, images.shift(3), images.mask_square(4, 1, 4)]),
    "per picture": (PICTURES, [images.scale, PerPicture(images.mask_square(4, 1, 4))]),
    "volumes": (VOLUMES, [volumes.scale, volumes.mirror, volumes.quarter_turns, volumes.jitter(0.2, 2)]),
}
LAYOUTS = [
    {"devices": 1},
    {"devices": 4, "slices": 2, "steps": 3, "start": 999},
    {"devices": 2, "host": 1, "hosts": 2},
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_batches_are_those_of_the_other_loaders(case, layout):
    arrays, maps = CASES[case]
    held = resident.train_batches(arrays, maps, 8, 7, **layout)
    read = batching.train_batches(arrays, maps, 8, 7, loader="memory", **layout)
    for one, other in itertools.islice(zip(held, read, strict=True), 4):
        assert one.keys() == other.keys()
        for name, leaf in one.items():
            assert {shard.data.shape[0] for shard in leaf.addressable_shards} == {1}
            assert len(leaf.sharding.device_set) == layout["devices"]
            np.testing.assert_allclose(leaf, other[name], atol=1e-6)


def test_only_numbers_of_examples_travel(monkeypatch):
    batches = resident.train_batches(PICTURES, [images.scale], 8, 7, devices=1)
    sent, put = [], jax.device_put

    def noted(tree, *where):
        sent.append(sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
        return put(tree, *where)

    monkeypatch.setattr(jax, "device_put", noted)
    next(batches)
    assert sent == [8 * 4 + 8 * 4 * 4]  # a number and four draws an example


def test_maps_that_are_numpy_code_are_refused():
    with pytest.raises(UsageError, match="numpy code.*'memory'"):
        resident.train_batches(PICTURES, [OnNumpy(images.scale)], 8, 7, devices=1)
