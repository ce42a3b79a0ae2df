import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gans import stabilizers

KEY = jax.random.key(0)
IMAGES = jax.random.uniform(jax.random.key(1), (64, 16, 16, 3), minval=-1)
BATCH = {"image": IMAGES}


def test_labels_are_one_for_all_or_drawn_from_a_range():
    assert stabilizers.draw_labels(KEY, BATCH, 0.9) == 0.9
    assert stabilizers.draw_labels(KEY, BATCH, (0.7, 0.7)) == 0.7
    drawn = stabilizers.draw_labels(KEY, BATCH, (0.8, 1.0))
    assert drawn.shape == (64,)
    assert drawn.min() >= 0.8
    assert drawn.max() <= 1
    assert 0.87 < drawn.mean() < 0.93
    assert len(np.unique(drawn)) > 60


def test_feature_matching_is_the_squared_distance_of_means():
    real, fake = jnp.array([[0.0, 2.0], [2.0, 4.0]]), jnp.array([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]])
    assert stabilizers.feature_matching(real, fake) == (1 - 3) ** 2 + 3**2


def test_historical_averaging_pulls_to_the_mean_of_the_past():
    optimizer = stabilizers.historical_averaging(0.5)
    path, gradient = [1.0, 4.0, 10.0], 2.0
    state = optimizer.init(jnp.float32(path[0]))
    for step, value in enumerate(path, 1):
        update, state = optimizer.update(jnp.float32(gradient), state, jnp.float32(value))
        mean = np.mean(path[:step])
        assert update == pytest.approx(gradient + 2 * 0.5 * (value - mean), rel=1e-6)
    with pytest.raises(ValueError, match="needs the params"):
        optimizer.update(jnp.float32(0), state)


def test_historical_averaging_makes_a_circling_game_converge():
    # Salimans et al.'s own example: min over x, max over y of xy, which plain gradients circle for ever.
    def distance(optimizer):
        params = {"x": jnp.float32(1), "y": jnp.float32(0)}
        state = optimizer.init(params)

        def step(carry, _):
            params, state = carry
            gradients = {"x": params["y"], "y": -params["x"]}
            updates, state = optimizer.update(gradients, state, params)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(step, (params, state), length=2000)
        return float(optax.tree.norm(params))

    assert distance(optax.sgd(0.02)) > 1
    assert distance(optax.chain(stabilizers.historical_averaging(1.0), optax.sgd(0.02))) < 0.6


def test_augmentation_keeps_shapes_and_can_be_left_out():
    np.testing.assert_array_equal(stabilizers.augment(KEY, BATCH, IMAGES, ()), IMAGES)
    changed = stabilizers.augment(KEY, BATCH, IMAGES, stabilizers.AUGMENTATIONS)
    assert changed.shape == IMAGES.shape
    assert not np.array_equal(changed, IMAGES)
    with pytest.raises(ValueError, match="no augmentation 'flip'; choose from color, translation, cutout"):
        stabilizers.augment(KEY, BATCH, IMAGES, ("flip",))


def test_translation_moves_whole_pixels_by_an_eighth_at_most():
    moved = np.asarray(stabilizers.augment(KEY, BATCH, IMAGES, ("translation",)))
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1)
    offsets = set()
    for index, image in enumerate(moved):
        found = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if np.array_equal(padded[index, row : row + 16, column : column + 16], image)
        ]
        assert len(found) == 1
        offsets.add(found[0])
    assert {row for row, _ in offsets} == {column for _, column in offsets} == set(range(5))


def test_cutout_greys_a_square_of_half_the_side():
    cut = np.asarray(stabilizers.augment(KEY, BATCH, IMAGES, ("cutout",)))
    hole = (cut == 0).all(-1)
    np.testing.assert_array_equal(cut[~hole], np.asarray(IMAGES)[~hole])
    areas = hole.sum((1, 2))
    assert areas.max() == 64
    assert areas.min() >= 16  # in a corner a quarter of it is left


def test_colours_change_by_brightness_saturation_and_contrast():
    numbers = jnp.array([0.75, 0.5, 0.5])  # a brighter picture, colours and contrast as they were
    np.testing.assert_allclose(stabilizers._color(IMAGES[0], numbers), IMAGES[0] + 0.25, rtol=1e-4, atol=1e-5)
    grey = stabilizers._color(IMAGES[0], jnp.array([0.5, 0.0, 0.5]))
    np.testing.assert_allclose(grey, np.broadcast_to(IMAGES[0].mean(-1, keepdims=True), grey.shape), atol=1e-5)
    flat = stabilizers._color(IMAGES[0], jnp.array([0.5, 0.5, 0.0]))
    np.testing.assert_allclose(flat.std(), 0.5 * IMAGES[0].std(), rtol=1e-4)


def test_augmentation_passes_gradients_and_follows_the_position():
    gradients = jax.grad(lambda x: stabilizers.augment(KEY, BATCH, x, stabilizers.AUGMENTATIONS).sum())(IMAGES)
    assert np.isfinite(gradients).all()
    assert (jnp.abs(gradients).sum((1, 2, 3)) > 0).all()
    halves = [
        stabilizers.augment(KEY, {"position": jnp.arange(32) + start}, IMAGES[start : start + 32], ("cutout",))
        for start in (0, 32)
    ]
    np.testing.assert_array_equal(jnp.concatenate(halves), stabilizers.augment(KEY, BATCH, IMAGES, ("cutout",)))
