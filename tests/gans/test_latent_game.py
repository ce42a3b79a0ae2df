import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gans import core, dcgan, losses, parallel, vanilla
from gans.frozen import digits
from gans.frozen.compare import compare
from tests.gans.golden import assert_golden

KEY = jax.random.key(0)
SHAPE = (8, 8, 1)
ADVERSARIAL = {"adversarial": 1.0}


def optimizers():
    # Plain gradients, so that rounding is not blown up by Adam's division.
    return {"adversarial": {"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.05)}}


def make(grad=core.plain, **settings):
    small = {"hidden": (8,)}
    settings = {"generator_options": small, "discriminator_options": small, "latent_size": 4} | settings
    return vanilla.make(optimizers(), grad, image_shape=SHAPE, **settings)


def batch_of(count):
    image = jax.random.uniform(jax.random.key(1), (count, *SHAPE), minval=-1)
    return {"image": image, "label": jnp.arange(count) % 10}


def entered(gan, coefficients=None):
    shapes = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), gan.inputs(2))
    return gan.phases["adversarial"].enter(gan.init(KEY, shapes, None, coefficients or ADVERSARIAL))


def step_of(gan, batch, coefficients=None):
    return jax.jit(gan.phases["adversarial"].step)(entered(gan, coefficients), batch, KEY)


@pytest.mark.parametrize("settings", [{}, {"classes": 10}, {"passes": "turns"}, {"augmentation": ("cutout",)}])
def test_devices_micro_batches_and_one_device_take_the_same_step(settings):
    def run(gan, wrap, layout):
        state, metrics = wrap(gan.phases["adversarial"].step)(entered(gan), layout(batch_of(16)), KEY)
        metrics = {name: value for name, value in metrics.items() if "diversity" not in name}  # it couples the batch
        return jax.device_get((state, metrics))

    def spread(batch):
        return jax.tree.map(lambda leaf: leaf.reshape(4, -1, *leaf.shape[1:]), batch)

    one = run(make(**settings), jax.jit, lambda batch: batch)
    accumulated = run(make(parallel.accumulate(2), **settings), jax.jit, lambda batch: batch)
    many = run(make(parallel.mean_over("devices"), **settings), parallel.data_parallel, spread)
    for other in (accumulated, many):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), other, one)


@pytest.mark.parametrize(
    "adversarial", ["minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "relativistic"]
)
def test_every_loss_with_every_penalty(adversarial):
    coefficients = {"adversarial": 1.0, "feature_matching": 0.1, "gradient_penalty": 1.0, "r1": 0.1, "r2": 0.1}
    state, metrics = step_of(make(adversarial=adversarial), batch_of(8), coefficients)
    assert all(np.isfinite(value) for value in metrics.values())
    assert {f"discriminator/{name}" for name in losses.PENALTIES} < metrics.keys()
    assert int(state.step) == 1


def test_a_penalty_counts_with_its_coefficient():
    gan, batch = make(), batch_of(8)
    _, without = step_of(gan, batch)
    _, weighed = step_of(gan, batch, ADVERSARIAL | {"r1": 3.0})
    expected = without["discriminator/loss"] + 3 * weighed["discriminator/r1"]
    np.testing.assert_allclose(weighed["discriminator/loss"], expected, rtol=1e-5)


def test_feature_matching_alone_trains_the_generator_and_not_by_verdicts():
    state, metrics = step_of(make(), batch_of(8), {"adversarial": None, "feature_matching": 1.0})
    assert "generator/adversarial" not in metrics
    assert metrics["generator/loss"] == metrics["generator/feature_matching"]
    assert int(state.players["generator"].updates) == 1


def test_five_discriminator_turns_see_fresh_examples():
    gan = make(discriminator_turns=5)
    assert gan.phases["adversarial"].slices == 6
    state, _ = step_of(gan, batch_of(48))
    assert int(state.players["discriminator"].updates) == 5
    assert int(state.players["generator"].updates) == 1
    for index in range(5):  # each slice counts
        batch = batch_of(48)
        batch["image"] = batch["image"].at[8 * index].set(1.0)
        other, _ = step_of(gan, batch)
        before, after = (jax.tree.leaves(s.players["discriminator"].params) for s in (state, other))
        assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_real_and_generated_pictures_in_turns_are_two_updates_on_half_the_loss_each():
    batch = batch_of(8)
    state, metrics = step_of(make(passes="turns"), batch)
    assert int(state.players["discriminator"].updates) == 2
    assert {"discriminator_real/loss", "discriminator_fake/loss"} < metrics.keys()


def test_a_mixed_batch_is_the_mean_of_both_sides():
    batch = batch_of(8)
    _, separate = step_of(make(inference_fakes=True), batch)
    _, mixed = step_of(make(inference_fakes=True, passes="mixed"), batch)
    np.testing.assert_allclose(mixed["discriminator/loss"], separate["discriminator/loss"] / 2, rtol=1e-5)


@pytest.mark.parametrize("passes", ["separate", "mixed"])
def test_the_discriminator_waits_while_its_accuracy_is_above_the_bound(passes):
    batch, state = batch_of(8), entered(make())
    _, metrics = make(passes=passes).phases["adversarial"].step(state, batch, KEY)
    accuracy = float(metrics["discriminator/accuracy_real"] + metrics["discriminator/accuracy_fake"]) / 2
    assert 0 < accuracy < 1
    for bound, moves in ((accuracy, True), (accuracy - 0.01, False)):
        gan = make(passes=passes, adaptive_accuracy=bound)
        after, metrics = jax.jit(gan.phases["adversarial"].step)(state, batch, KEY)
        before, now = (s.players["discriminator"] for s in (state, after))
        assert metrics["discriminator/moved"] == int(now.updates) == moves
        leaves = zip(jax.tree.leaves(before.params), jax.tree.leaves(now.params), strict=True)
        assert any(not np.array_equal(a, b) for a, b in leaves) == moves
        assert int(after.players["generator"].updates) == 1


def test_latents_are_given_to_the_generator_with_their_deviation():
    gan, narrow = make(), make(latent_deviation=0.25)
    state, latent = entered(gan), jax.random.normal(KEY, (3, 4))
    expected = gan.sample(state, {"latent": latent / 4}, KEY)["generated"]
    np.testing.assert_allclose(narrow.sample(state, {"latent": latent}, KEY)["generated"], expected, rtol=1e-6)
    loss, expected = (
        g.phases["adversarial"].step(state, batch_of(3) | {"latent": z}, KEY)[1]["generator/loss"]
        for g, z in ((narrow, latent), (gan, latent / 4))
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_samples_with_batch_statistics_are_those_of_training():
    gan = make(batch_statistics=True, generator_options={"hidden": (8,), "norm": "batch"})
    state, latent = entered(gan), jax.random.normal(KEY, (4, 4))
    module = vanilla.networks.Generator(SHAPE, hidden=(8,), norm="batch")
    expected, _ = module.apply(core.variables(state.players["generator"]), latent, True, mutable=["batch_stats"])
    np.testing.assert_allclose(gan.sample(state, {"latent": latent}, KEY)["generated"], expected, rtol=1e-5)
    few = gan.sample(state, {"latent": latent[:2]}, KEY)["generated"]
    assert not np.allclose(few, expected[:2])


def test_labels_steer_generator_and_discriminator():
    gan, batch = make(classes=10), batch_of(8)
    state = entered(gan)
    latent = jnp.ones((2, 4))
    one, other = gan.sample(state, {"latent": latent, "label": jnp.array([3, 4])}, KEY)["generated"]
    assert not np.array_equal(one, other)
    _, metrics = step_of(gan, batch)
    _, changed = step_of(gan, {**batch, "label": batch["label"][::-1]})
    assert metrics["discriminator/loss"] != changed["discriminator/loss"]


def test_a_collapsed_generator_has_no_diversity():
    gan, batch = make(), batch_of(8)
    state = entered(gan)
    player = state.players["generator"]
    frozen = player.replace(params=jax.tree.map(jnp.zeros_like, player.params))  # one picture for all latents
    _, metrics = gan.phases["adversarial"].step(
        state.replace(players={**state.players, "generator": frozen}), batch, KEY
    )
    assert metrics["generator/diversity"] == 0
    _, metrics = gan.phases["adversarial"].step(state, batch, KEY)
    assert metrics["generator/diversity"] > 0.1


def test_samples_come_from_the_moving_average_and_their_numbers():
    gan = make(average_decay=0.9)
    state = entered(gan)
    inputs = {"position": jnp.arange(6)}
    images = gan.sample(state, inputs, KEY)["generated"]
    player = state.players["generator"]
    moved = player.replace(params=jax.tree.map(lambda leaf: leaf + 1, player.params))
    after = state.replace(players={**state.players, "generator": moved})
    np.testing.assert_array_equal(gan.sample(after, inputs, KEY)["generated"], images)
    part = gan.sample(state, {"position": jnp.arange(2, 4)}, KEY)["generated"]
    np.testing.assert_allclose(part, images[2:4], rtol=1e-5, atol=1e-6)


def test_what_the_judge_sees():
    gan = vanilla.make(optimizers(), classes=10)
    batch = {"image": jax.random.uniform(KEY, (4, 28, 28, 1), minval=-1), "label": jnp.arange(4)}
    state = entered(gan).replace(frozen={"digits": digits.DigitClassifier().init(KEY, batch["image"])})
    seen = gan.evaluate(state, batch, KEY)
    assert seen["real_features_digits"].shape == seen["generated_features_digits"].shape == (4, 1024)
    np.testing.assert_allclose(seen["generated_probabilities_digits"].sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(seen["generated_right"], seen["generated_verdict"] == batch["label"])


def test_a_judge_of_single_digits_reads_stacked_ones_channel_by_channel():
    images = jax.random.uniform(KEY, (4, 28, 28, 3), minval=-1)
    judge = digits.DigitClassifier().init(KEY, images[..., :1])
    single = [np.asarray(digits.verdicts(judge, images[..., c : c + 1])) for c in range(3)]
    seen = compare({"digits": judge}, images, images)
    np.testing.assert_array_equal(seen["real_verdict"], 100 * single[0] + 10 * single[1] + single[2])
    assert "real_features_digits" not in seen


def test_one_step_of_a_dcgan_gives_these_numbers():
    """If you did not mean to change what a step computes, these numbers must stay."""
    options = {"channels": (8, 4)}
    gan = dcgan.make(
        optimizers(), image_shape=SHAPE, generator_options=options, discriminator_options={"channels": (4, 8)}
    )
    _, metrics = step_of(gan, batch_of(8))
    golden = {
        "discriminator/accuracy_fake": 0.375,
        "discriminator/accuracy_real": 0.625,
        "discriminator/gradient_norm": 0.6220367,
        "discriminator/loss": 1.364519,
        "discriminator/update_norm": 0.03110184,
        "generator/adversarial": 0.6823551,
        "generator/diversity": 0.3917792,
        "generator/gradient_norm": 0.2980796,
        "generator/loss": 0.6823551,
        "generator/update_norm": 0.02980797,
    }
    assert_golden(metrics, golden, 1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator": "Unet"}, "gans.vanilla.networks has no network 'Unet' for the generator"),
        ({"generator_options": {"hiden": (8,)}}, "Generator has no 'hiden' to be set; it has classes, hidden"),
        ({"adversarial": "pixel_l1"}, "no adversarial loss 'pixel_l1'"),
        ({"adversarial": "hinge", "real_label": 0.9}, "hinge has no labels to smooth"),
        ({"adversarial": "relativistic", "passes": "turns"}, "passes='turns' cannot be"),
        ({"passes": "both"}, "passes='both': choose separate, mixed or turns"),
        ({"augmentation": ("flip",)}, "no augmentation 'flip'"),
        ({"adaptive_accuracy": 0.8, "passes": "turns"}, "adaptive_accuracy needs both sides"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


@pytest.mark.parametrize("coefficients", [{"adversarial": None}, {"r1": 1.0}, {"adversarial": 1.0, "r3": 1.0}])
def test_coefficients_that_mean_nothing(coefficients):
    with pytest.raises(ValueError, match="generator needs adversarial or feature_matching"):
        entered(make(), coefficients)


def test_penalties_need_both_sides_in_one_turn():
    with pytest.raises(ValueError, match="penalties need passes='separate' or 'mixed'"):
        entered(make(passes="turns"), ADVERSARIAL | {"r1": 1.0})
