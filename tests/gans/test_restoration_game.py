import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gans import core, deblur, losses, parallel, restoration_game, srgan
from gans.frozen import vgg
from gans.scores import images as image_scores
from tests.gans.golden import assert_golden

KEY = jax.random.key(0)
LAYER = "block1_conv2"
PIXEL = {"pixel": 1.0}


def optimizers():
    # Plain gradients, so that rounding is not blown up by Adam's division.
    players = {"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.05)}
    return {"pretrain": {"generator": optax.sgd(0.1)}, "adversarial": players}


def make(grad=core.plain, **settings):
    settings = {
        "image_shape": (16, 16, 3),
        "generator_options": {"channels": (4, 4, 4), "blocks": 2},
        "discriminator_options": {"channels": (4, 8)},
        "content_layers": (LAYER,),
    } | settings
    return deblur.make(optimizers(), grad, **settings)


def batch_of(count, scale=1):
    image = jax.random.uniform(jax.random.key(1), (count, 16, 16, 3), minval=-1)
    source = jax.random.uniform(jax.random.key(2), (count, 16 // scale, 16 // scale, 3), minval=-1)
    return {"image": image, "source": source}


def entered(gan, phase, coefficients, frozen=None):
    shapes = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), gan.inputs(2))
    return gan.phases[phase].enter(gan.init(KEY, shapes, frozen, coefficients))


def step_of(gan, batch, coefficients, phase="adversarial", frozen=None):
    return jax.jit(gan.phases[phase].step)(entered(gan, phase, coefficients, frozen), batch, KEY)


def content():
    return {"content": vgg.random_variables(jax.random.key(3), 16)}


def test_pretraining_moves_the_generator_alone_and_by_pixels():
    gan, batch = make(), batch_of(4)
    before = entered(gan, "pretrain", PIXEL)
    after, metrics = jax.jit(gan.phases["pretrain"].step)(before, batch, KEY)
    assert set(metrics) == {"generator/loss", "generator/gradient_norm", "generator/update_norm"}
    # A new generator returns its source.
    expected = losses.pixel_l2(batch["source"], batch["image"]).mean()
    np.testing.assert_allclose(metrics["generator/loss"], expected, rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, after.players["discriminator"], before.players["discriminator"])
    assert int(after.players["generator"].updates) == 1


def test_the_generators_loss_is_the_sum_of_its_weighed_terms():
    batch, frozen = batch_of(4), content()
    weights = {"pixel": 0.5, "content": 2.0, "adversarial": 0.25}
    _, metrics = step_of(make(), batch, weights, frozen=frozen)
    total = sum(weight * metrics[f"generator/{name}"] for name, weight in weights.items())
    np.testing.assert_allclose(metrics["generator/loss"], total, rtol=1e-5)
    features = [vgg.features(frozen["content"], batch[name], [LAYER])[LAYER] for name in ("source", "image")]
    np.testing.assert_allclose(metrics["generator/content"], np.square(features[0] - features[1]).mean(), rtol=1e-4)


def test_the_content_loss_is_the_mean_over_its_layers():
    variables, batch = content()["content"], batch_of(2)
    layers = (LAYER, "block1_pool")
    each = [restoration_game.content_loss(variables, batch["source"], batch["image"], [name]) for name in layers]
    both = restoration_game.content_loss(variables, batch["source"], batch["image"], layers)
    np.testing.assert_allclose(both, (each[0] + each[1]) / 2, rtol=1e-5)
    same = restoration_game.content_loss(variables, batch["image"], batch["image"], layers)
    np.testing.assert_array_equal(same, np.zeros(2))


@pytest.mark.parametrize("adversarial", ["non_saturating", "least_squares", "wasserstein", "relativistic"])
def test_losses_with_every_penalty(adversarial):
    coefficients = {"adversarial": 1.0, "gradient_penalty": 1.0, "r1": 0.1, "r2": 0.1}
    state, metrics = step_of(make(adversarial=adversarial), batch_of(4), coefficients)
    assert all(np.isfinite(value) for value in metrics.values())
    assert {f"discriminator/{name}" for name in losses.PENALTIES} < metrics.keys()
    assert int(state.step) == 1


def test_the_documents_turns_are_two_for_the_discriminator_and_one_on_fresh_examples():
    gan = make(passes="turns", fresh=True, inference_fakes=True)
    assert gan.phases["adversarial"].slices == 2
    state, metrics = step_of(gan, batch_of(8), {"adversarial": 1.0})
    assert {"discriminator_real/loss", "discriminator_fake/loss", "generator/loss"} < metrics.keys()
    assert int(state.players["discriminator"].updates) == 2
    assert int(state.players["generator"].updates) == 1


def test_several_critic_turns_each_see_examples_of_their_own():
    gan = make(discriminator_turns=3)
    assert gan.phases["adversarial"].slices == 4
    state, _ = step_of(gan, batch_of(8), {"adversarial": 1.0})
    assert int(state.players["discriminator"].updates) == 3


@pytest.mark.parametrize("phase", ["pretrain", "adversarial"])
def test_devices_micro_batches_and_one_device_take_the_same_step(phase):
    coefficients = {"pixel": 1.0, "adversarial": 0.5, "r1": 0.1}

    def run(gan, wrap, layout):
        state, metrics = wrap(gan.phases[phase].step)(entered(gan, phase, coefficients), layout(batch_of(8)), KEY)
        return jax.device_get((state, metrics))

    def spread(batch):
        return jax.tree.map(lambda leaf: leaf.reshape(4, -1, *leaf.shape[1:]), batch)

    one = run(make(), jax.jit, lambda batch: batch)
    accumulated = run(make(parallel.accumulate(2)), jax.jit, lambda batch: batch)
    many = run(make(parallel.mean_over("devices")), parallel.data_parallel, spread)
    for other in (accumulated, many):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), other, one)


def test_super_resolution_enlarges_sources_of_any_size():
    options = {"channels": 4, "blocks": 1, "scale": 4}
    gan = make(scale=4, generator=srgan.networks.Generator(name="generator", **options), average_decay=0.9)
    state = entered(gan, "pretrain", PIXEL)
    for height, width in ((4, 4), (6, 9)):
        restored = gan.sample(state, {"source": jnp.zeros((1, height, width, 3))}, KEY)["restored"]
        assert restored.shape == (1, 4 * height, 4 * width, 3)


def test_scores_stand_beside_those_of_the_plain_picture():
    batch = batch_of(2)
    gan = make()
    found = gan.evaluate(entered(gan, "pretrain", PIXEL), batch, KEY)
    assert set(found) == {"psnr_rgb", "ssim_rgb", "psnr_rgb_source", "ssim_rgb_source"}
    np.testing.assert_allclose(found["psnr_rgb"], found["psnr_rgb_source"], rtol=1e-5)


def test_fidelity_of_enlarged_pictures_is_taken_of_the_luma_inside_a_border():
    target = jax.random.uniform(KEY, (1, 24, 24, 3), minval=-1)
    spoiled = target.at[:, :4].set(0).at[:, :, -4:].set(0)
    found = restoration_game.fidelity(spoiled, target, 4)
    assert set(found) == {"psnr_luma_crop4", "ssim_luma_crop4"}
    assert np.isinf(found["psnr_luma_crop4"]).all()
    shifted = restoration_game.fidelity(target + 0.02, target, 1)
    np.testing.assert_allclose(shifted["psnr_rgb"], -20 * np.log10(0.01), rtol=1e-4)


def test_lpips_is_a_score_where_its_weights_are():
    frozen = content()["content"]
    frozen["heads"] = {name: jnp.ones(frozen["params"][name]["bias"].shape[0]) for name in image_scores.LPIPS_LAYERS}
    target = jax.random.uniform(KEY, (1, 16, 16, 3), minval=-1)
    found = restoration_game.fidelity(target[:, ::-1], target, 1, frozen)
    assert found["lpips_vgg"] > 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scale": 3}, "multiples of scale=3"),
        ({"adversarial": "softmax"}, "no adversarial loss 'softmax'"),
        ({"pixel": "l3"}, "pixel='l3'"),
        ({"passes": "mixed"}, "passes='mixed'"),
        ({"passes": "turns", "adversarial": "relativistic"}, "passes='turns' cannot be"),
        ({"generator": "Nobody"}, "no network 'Nobody'"),
        ({"generator_options": {"width": 3}}, "no 'width' to be set"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        make(**settings)


@pytest.mark.parametrize("coefficients", [{"style": 1.0}, {"r1": 1.0}, {"pixel": None}])
def test_coefficients_that_train_nothing_are_refused(coefficients):
    with pytest.raises(ValueError, match="the generator needs one"):
        entered(make(), "adversarial", coefficients)


def test_penalties_need_both_sides_in_one_turn():
    with pytest.raises(ValueError, match="penalties need passes='separate'"):
        entered(make(passes="turns"), "adversarial", {"adversarial": 1.0, "r1": 1.0})


GOLDEN = {
    "discriminator/accuracy_fake": 0.453125,
    "discriminator/accuracy_real": 0.5625,
    "discriminator/gradient_norm": 0.45413,
    "discriminator/loss": 0.770213,
    "discriminator/r1": 0.661584,
    "discriminator/update_norm": 0.0227065,
    "generator/adversarial": 0.69475,
    "generator/content": 0.321604,
    "generator/gradient_norm": 4.77383,
    "generator/loss": 1.06456,
    "generator/pixel": 0.685022,
    "generator/update_norm": 0.477383,
}


def test_one_step_gives_the_numbers_it_always_gave():
    """If you did not intend to change what a step computes, something is wrong."""
    coefficients = {"pixel": 1.0, "content": 0.1, "adversarial": 0.5, "r1": 0.1}
    _, metrics = step_of(make(adversarial="relativistic"), batch_of(4), coefficients, frozen=content())
    assert_golden(metrics, GOLDEN, 1e-4)
