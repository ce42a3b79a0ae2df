import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gans import core, inpainting, parallel
from gans.frozen import digits
from gans.inpainting.gan import hole_cross_entropy
from tests.gans.golden import assert_golden

KEY = jax.random.key(0)
OPTIMIZERS = {"adversarial": {"generator": optax.adam(2e-4, b1=0.5), "discriminator": optax.adam(4e-4, b1=0.5)}}
SMALL = (8, 8, 1)


class TinyGenerator(nn.Module):
    """No norm and no dropout, so that devices and micro-batches can be compared."""

    @nn.compact
    def __call__(self, masked, train=False):
        return nn.tanh(nn.Conv(1, (3, 3))(nn.relu(nn.Conv(4, (3, 3))(masked))))


class TinyDiscriminator(nn.Module):
    @nn.compact
    def __call__(self, images, train=False):
        features = images.reshape(len(images), -1)
        return nn.Dense(1)(features), features


def make(grad=core.plain, **settings):
    settings = {"image_shape": SMALL, "generator": TinyGenerator(), "discriminator": TinyDiscriminator()} | settings
    return inpainting.make(OPTIMIZERS, grad, **settings)


def batch_of(count, shape=SMALL, seed=0):
    image = jax.random.uniform(jax.random.key(seed), (count, *shape), minval=-1)
    mask = jnp.zeros((count, *shape)).at[:, 2:5, 2:5].set(1)
    return {"image": image, "masked": jnp.where(mask > 0, -1.0, image), "mask": mask}


def entered(gan, batch, coefficients=inpainting.COEFFICIENTS, frozen=None):
    return gan.phases["adversarial"].enter(gan.init(KEY, batch, frozen, coefficients))


@pytest.mark.parametrize("unpaired", [False, True])
def test_devices_micro_batches_and_one_device_take_the_same_step(unpaired):
    def run(gan, wrap, layout):
        batch = batch_of(48)
        state, metrics = wrap(gan.phases["adversarial"].step)(entered(gan, batch), layout(batch), KEY)
        return jax.device_get((state, metrics))

    def spread(batch):
        slices = 3 if unpaired else 1  # each device gets its share of every slice
        return jax.tree.map(
            lambda leaf: leaf.reshape(slices, 4, -1, *leaf.shape[1:]).swapaxes(0, 1).reshape(4, -1, *leaf.shape[1:]),
            batch,
        )

    one = run(make(unpaired=unpaired), jax.jit, lambda batch: batch)
    accumulated = run(make(parallel.accumulate(2), unpaired=unpaired), jax.jit, lambda batch: batch)
    many = run(make(parallel.mean_over("devices"), unpaired=unpaired), parallel.data_parallel, spread)
    for other in (accumulated, many):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), other, one)


def test_unpaired_turns_see_the_slices_they_should():
    gan, batch = make(unpaired=True, average_decay=None), batch_of(24)
    assert gan.phases["adversarial"].slices == 3
    state = entered(gan, batch)
    _, expected = gan.phases["adversarial"].step(state, batch, KEY)
    # What no turn looks at may be anything: originals of the second slice, masked pictures of the first.
    nonsense = {
        "image": batch["image"].at[8:16].set(7.0),
        "masked": batch["masked"].at[:8].set(7.0),
        "mask": batch["mask"].at[:8].set(0.5),
    }
    _, metrics = gan.phases["adversarial"].step(state, nonsense, KEY)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), metrics, expected)
    _, changed = gan.phases["adversarial"].step(state, {**batch, "image": batch["image"].at[:8].set(0.5)}, KEY)
    assert changed["discriminator/loss"] != expected["discriminator/loss"]


def test_a_term_without_a_coefficient_is_gone():
    gan, batch = make(), batch_of(8)
    for kept, gone in (("adversarial", "reconstruction"), ("reconstruction", "adversarial")):
        state = entered(gan, batch, {kept: 1.0, gone: None})
        _, metrics = gan.phases["adversarial"].step(state, batch, KEY)
        assert f"generator/{kept}" in metrics
        assert f"generator/{gone}" not in metrics


@pytest.mark.parametrize("coefficients", [{}, {"adversarial": None}, {"adversarial": 1.0, "perceptual": 1.0}])
def test_coefficients_that_mean_nothing_are_refused(coefficients):
    with pytest.raises(ValueError, match=r"one or both of \['adversarial', 'reconstruction'\]"):
        make().init(KEY, batch_of(4), None, coefficients)


def test_one_step_of_the_default_gives_these_numbers():
    """If you did not mean to change what a step computes, these numbers must stay."""
    gan = inpainting.make(OPTIMIZERS, image_shape=SMALL)
    batch = batch_of(8)
    _, metrics = jax.jit(gan.phases["adversarial"].step)(entered(gan, batch), batch, KEY)
    golden = {
        "discriminator/accuracy_fake": 0,
        "discriminator/accuracy_real": 0.75,
        "discriminator/gradient_norm": 0.5407024,
        "discriminator/loss": 0.6962364,
        "discriminator/update_norm": 0.08636143,
        "generator/adversarial": 0.6500883,
        "generator/gradient_norm": 1.772998,
        "generator/loss": 0.9589444,
        "generator/reconstruction": 0.7639179,
        "generator/update_norm": 0.1209435,
    }
    assert_golden(metrics, golden, 1e-4)


def test_hole_cross_entropy_counts_the_hole_and_a_little_of_the_dark():
    batch = batch_of(4)
    image = jnp.where((batch["image"] < 0) & (batch["mask"] == 0), -1.0, batch["image"])
    masked = jnp.where(batch["mask"] > 0, -1.0, image)
    generated = jnp.where(batch["mask"] > 0, 0.2, jnp.where(image > -1, 0.9, -0.5))
    target = np.asarray((1 + image[:, 2:5, 2:5]) / 2).reshape(4, -1)
    hole = -(target * np.log(0.6) + (1 - target) * np.log(0.4)).mean(1)
    dark = np.asarray((masked <= -1) & (batch["mask"] == 0)).sum((1, 2, 3))
    expected = hole + 0.1 * dark * -np.log(0.75) / 9
    found = hole_cross_entropy(generated, image, masked, batch["mask"])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    ones = jnp.ones_like(image)
    assert np.isfinite(hole_cross_entropy(ones, -ones, -ones, ones)).all()


def test_known_pixels_are_kept_and_a_given_mask_rules():
    gan, batch = make(), batch_of(4)
    state = entered(gan, batch)
    blind = gan.sample(state, {"masked": batch["masked"]}, KEY)["restored"]
    known = batch["masked"] > -1
    np.testing.assert_array_equal(blind[known], batch["masked"][known])
    assert not np.array_equal(blind, batch["masked"])
    mask = jnp.zeros_like(batch["mask"]).at[:, 0, 0].set(1)
    guided = gan.sample(state, {"masked": batch["masked"], "mask": mask}, KEY)["restored"]
    np.testing.assert_array_equal(guided[mask == 0], batch["masked"][mask == 0])
    assert not np.array_equal(guided[mask == 1], batch["masked"][mask == 1])
    raw = make(paste=False).sample(state, {"masked": batch["masked"]}, KEY)["restored"]
    assert not np.array_equal(raw[known], batch["masked"][known])


def test_sampling_uses_the_moving_average():
    gan, batch = make(), batch_of(4)
    state = entered(gan, batch)
    player = state.players["generator"]
    moved = player.replace(params=jax.tree.map(lambda leaf: leaf + 1, player.params))
    after = state.replace(players={**state.players, "generator": moved})
    inputs = {"masked": batch["masked"]}
    np.testing.assert_array_equal(*(gan.sample(s, inputs, KEY)["restored"] for s in (state, after)))


def test_no_gradient_of_the_judge_and_the_judge_only_in_evaluation():
    gan = make(image_shape=(28, 28, 1))
    batch = {**batch_of(4, (28, 28, 1)), "label": jnp.arange(4)}
    state = entered(gan, batch)
    gan.phases["adversarial"].step(state, batch, KEY)  # needs no judge at all
    judge = digits.DigitClassifier().init(KEY, batch["image"])
    found = gan.evaluate(state.replace(frozen={"digits": judge}), batch, KEY)
    assert {name for name in found if name.startswith("correct_")} == {
        "correct_clean",
        "correct_masked",
        "correct_restored",
    }
    np.testing.assert_array_equal(found["correct_clean"], digits.verdicts(judge, batch["image"]) == batch["label"])
    restored = gan.sample(state, {"masked": batch["masked"]}, KEY)["restored"]
    np.testing.assert_array_equal(found["verdict_restored"], digits.verdicts(judge, restored))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator": "Unet"}, "no network 'Unet' for the generator"),
        ({"discriminator": "jnp"}, "no network 'jnp' for the discriminator"),
        ({"adversarial": "pixel_l1"}, "no adversarial loss 'pixel_l1'"),
        ({"image_shape": (30, 28, 1)}, "divisible by 4"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_the_discriminator_separates_and_the_generator_learns_in_a_few_steps():
    gan, batch = make(adversarial="minimax"), batch_of(32)
    state = entered(gan, batch)
    step = jax.jit(gan.phases["adversarial"].step, donate_argnums=0)
    losses = []
    for _ in range(60):
        state, metrics = step(state, batch, KEY)
        losses.append(float(metrics["generator/reconstruction"]))
    assert losses[-1] < 0.98 * losses[0]
    assert int(state.step) == 60
