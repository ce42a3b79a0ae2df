import gc
import itertools
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines import DataError, images
from data_pipelines.batching import evaluation_batches, order, train_batches
from data_pipelines.maps import OnNumpy, PerPicture, generators

COUNT = 50
ARRAYS = {
    "image": np.random.default_rng(0).integers(0, 256, (COUNT, 20, 20, 1), np.uint8),
    "label": np.arange(COUNT),
}


def keep_draws(examples, draws):
    return {**examples, "draws": draws}


def every_map():
    return [
        images.scale,
        images.flip_horizontal,
        images.shift(3),
        PerPicture(images.mask_square(size=5, low=2, high=9)),
        keep_draws,
    ]


def add_spectrum(examples, draws):
    """What no tensor can do: Fourier transforms, other types and shapes, more random numbers, without the label."""
    image = examples["image"]
    grain = np.stack([own.standard_normal(3) for own in generators(draws)])
    return {
        "image": image[:, 1:-2] * np.float32(2),
        "phase": np.angle(np.fft.rfft2(image[..., 0])),
        "grain": grain,
        "dark": image.mean((1, 2, 3)) < 0,
        "draws": draws,
    }


def maps_of_both_kinds():
    return [images.scale, OnNumpy(add_spectrum), images.shift(3), PerPicture(OnNumpy(keep_draws)), keep_draws]


def train(maps=(), batch_size=4, seed=7, arrays=ARRAYS, loader="memory", **options):
    return train_batches(arrays, maps, batch_size, seed, loader=loader, **options)


def take(batches, count):
    return list(itertools.islice(batches, count))


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert one[key].dtype == other[key].dtype
        np.testing.assert_array_equal(one[key], other[key])


@settings(max_examples=100)
@given(st.integers(1, 20), st.integers(0, 60), st.integers(0, 60), st.integers(0, 2**64 - 1))
def test_order_is_permutations_laid_end_to_end(count, start, length, seed):
    epochs = [order(count, e * count, (e + 1) * count, seed) for e in range((start + length) // count + 1)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(count))
    part = order(count, start, start + length, seed)
    assert part.dtype == np.int64
    np.testing.assert_array_equal(part, np.concatenate(epochs)[start : start + length])


def test_order_depends_on_epoch_and_seed():
    orders = {tuple(order(30, 30 * epoch, 30 * (epoch + 1), seed)) for epoch in range(5) for seed in range(5)}
    assert len(orders) == 25


def test_golden_order_and_draws():
    # If you did not intend this: runs resumed after the change see other batches than they would have.
    assert order(10, 5, 15, seed=3).tolist() == [7, 9, 4, 3, 0, 9, 7, 8, 3, 5]
    visit = next(train([keep_draws], batch_size=2, start=10))["draws"][0, 0]
    assert visit.tolist() == [1314531389, 1843749623, 1310652549, 1559631056]
    picture = next(train([PerPicture(keep_draws)], batch_size=2, start=10))["draws"][0, 0]
    assert picture.tolist() == [125857189, 987948923, 2109888978, 1745604440]


def test_training_from_a_step_on_is_the_run_from_zero():
    options = {"batch_size": 2, "slices": 2, "maps": every_map()}
    from_zero = itertools.islice(train(**options), 1000, 1003)
    for one, other in zip(from_zero, train(**options, start=1000), strict=False):
        assert_same(one, other)


def test_draws_belong_to_positions_not_to_batches():
    small = np.concatenate([b["draws"][0] for b in take(train([keep_draws], batch_size=4), 3)])
    large = next(train([keep_draws], batch_size=12))["draws"][0]
    np.testing.assert_array_equal(small, large)
    assert large.dtype == np.int32
    assert large.min() >= 0
    assert len(np.unique(large)) == large.size


def test_each_map_has_draws_of_its_own():
    def keep_more(examples, draws):
        return {**examples, "more": draws}

    batch = next(train([keep_draws, keep_more]))
    assert not (batch["draws"] == batch["more"]).any()


def test_shares_of_hosts_and_devices_make_the_global_batch():
    options = {"maps": every_map(), "batch_size": 8, "slices": 3}
    for whole, *shares in itertools.islice(
        zip(train(**options), *(train(**options, devices=2, host=h, hosts=2) for h in (0, 1)), strict=True), 5
    ):
        for key, value in whole.items():
            both = np.concatenate([share[key] for share in shares])
            assert both.shape[:2] == (4, 6)
            # [devices, slices, per] to [slices, devices, per], the order of the global batch.
            both = both.reshape(4, 3, 2, *both.shape[2:]).swapaxes(0, 1)
            np.testing.assert_array_equal(both.reshape(value.shape), value)


def test_slices_lie_outermost_within_a_device():
    batch = next(train(batch_size=4, slices=3, devices=2))
    rows = order(COUNT, 0, 12, seed=7).reshape(3, 2, 2)
    for device, part in itertools.product(range(2), range(3)):
        piece = np.split(batch["label"][device], 3)[part]
        np.testing.assert_array_equal(piece, rows[part, device])


def test_steps_are_the_single_steps_stacked():
    options = {"maps": every_map(), "slices": 2, "devices": 2}
    for item, several in enumerate(take(train(**options, steps=3, start=5), 3)):
        singles = take(train(**options, start=5 + 3 * item), 3)
        assert_same(several, {key: np.stack([s[key] for s in singles], 1) for key in several})
    assert next(train(**options, steps=1))["label"].shape == (2, 1, 4)


@pytest.mark.parametrize("maps", [every_map, maps_of_both_kinds])
@pytest.mark.parametrize("options", [{}, {"slices": 2, "steps": 3, "devices": 2, "host": 1, "hosts": 2, "start": 999}])
def test_loaders_agree_bit_for_bit(maps, options):
    for one, other in zip(
        take(train(maps(), **options), 20),
        take(train(maps(), **options, loader="tf.data"), 20),
        strict=True,
    ):
        assert_same(one, other)


@pytest.mark.parametrize("loader", ["memory", "tf.data"])
def test_maps_on_numpy_go_on_from_any_step(loader):
    options = {"batch_size": 2, "slices": 2, "maps": maps_of_both_kinds()}
    from_zero = itertools.islice(train(**options), 1000, 1003)
    for one, other in zip(from_zero, train(**options, start=1000, loader=loader), strict=False):
        assert_same(one, other)


def test_maps_on_numpy_in_evaluation_draw_once_per_picture():
    for one, other in zip(
        evaluation_batches(ARRAYS, maps_of_both_kinds(), 16, 7),
        evaluation_batches(ARRAYS, maps_of_both_kinds(), 16, 7, "tf.data"),
        strict=True,
    ):
        assert_same(one, other)
        assert one["image"].shape == (16, 17, 20, 1)


def test_generators_are_a_function_of_each_examples_draws():
    draws = np.random.default_rng(0).integers(0, 2**31, (6, 4), np.int32)
    numbers = [own.random() for own in generators(draws)]
    assert [own.random() for own in generators(draws[3:])] == numbers[3:]
    for column in range(4):
        other = draws.copy()
        other[:, column] ^= 1
        assert not set(numbers) & {own.random() for own in generators(other)}


@pytest.mark.parametrize("loader", ["memory", "tf.data"])
def test_without_maps_arrays_come_as_stored(loader):
    batch = next(train(loader=loader))
    rows = order(COUNT, 0, 4, seed=7)
    assert_same(batch, {key: array[rows][None] for key, array in ARRAYS.items()})


def test_draws_once_per_picture_or_at_each_visit():
    def visits(f):
        batches = take(train([f], batch_size=COUNT), 2)
        return [batch["draws"][0][np.argsort(batch["label"][0])] for batch in batches]

    first, second = visits(PerPicture(keep_draws))
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first)) == first.size
    first, second = visits(keep_draws)
    assert not (first == second).all(1).any()


def test_arrays_may_be_anything_that_an_array_indexes():
    class Squares:
        def __len__(self):
            return COUNT

        def __getitem__(self, rows):
            return [int(row) ** 2 for row in rows]

    for loader in ("memory", "tf.data"):
        batch = next(train(arrays={"square": Squares()}, loader=loader))
        assert batch["square"].tolist() == [(order(COUNT, 0, 4, seed=7) ** 2).tolist()]


@pytest.mark.parametrize("loader", ["memory", "tf.data"])
@pytest.mark.parametrize("batch_size", [20, 25, 64])
def test_evaluation_pads_and_marks(loader, batch_size):
    batches = list(evaluation_batches(ARRAYS, every_map(), batch_size, 7, loader))
    assert all(len(array) == batch_size for batch in batches for array in batch.values())
    valid = np.concatenate([batch["valid"] for batch in batches])
    label = np.concatenate([batch["label"] for batch in batches])
    assert len(valid) - batch_size < COUNT <= len(valid)
    assert label[valid].tolist() == list(range(COUNT))
    assert set(label[~valid]) <= {COUNT - 1}
    # Draws belong to the picture, so they do not depend on the batch size.
    draws = np.concatenate([batch["draws"] for batch in batches])[valid]
    one = next(evaluation_batches(ARRAYS, every_map(), COUNT, 7))
    np.testing.assert_array_equal(draws, one["draws"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"batch_size": 6, "devices": 2, "hosts": 2},
            "batch_size=6 .* 2 hosts x 2 devices: .* multiple of 4",
        ),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"slices": 0}, "slices=0 must be at least 1"),
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"start": -1}, "start=-1"),
        ({"host": 1}, "host=1, hosts=1"),
        ({"seed": -1}, "seed=-1 must be in"),
        ({"loader": "numpy"}, "loader='numpy': choose from tf.data, memory"),
        ({"arrays": {"a": np.zeros(3), "b": np.zeros(4)}}, "one common length.*'a': 3, 'b': 4"),
        ({"arrays": {"a": np.zeros(0)}}, "at least 1"),
        ({"arrays": {}}, "at least 1"),
    ],
)
def test_refused_at_the_call(options, message):
    with pytest.raises(DataError, match=message):
        train(**options)


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_thread_ends_with_its_iterator():
    closed, dropped = train(every_map()), train(every_map())
    next(closed), next(dropped)
    assert len(loader_threads()) == 2
    closed.close()
    del dropped
    gc.collect()
    list(evaluation_batches(ARRAYS, [], 8, 7))
    assert not loader_threads()


def test_faults_in_the_thread_reach_the_consumer():
    batches = train([images.mask_square(size=28)])
    with pytest.raises(DataError, match="leaves pictures"):
        next(batches)
    assert not loader_threads()
    for map_ in (images.mask_square(size=28), OnNumpy(images.mask_square(size=28))):
        with pytest.raises(DataError, match="leaves pictures"):
            next(train([map_], loader="tf.data"))


def test_a_program_ends_though_its_batches_were_left_open():
    # Slow reading, so that TensorFlow's threads are surely within Python's code when the program ends.
    program = """
import time
import numpy as np
from data_pipelines import batching
class Slow:
    def __len__(self):
        return 4
    def __getitem__(self, rows):
        time.sleep(0.05)
        return np.zeros(len(rows))
batches = batching.train_batches({"x": Slow()}, [], 2, 0)
next(batches)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
