import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gans import age_cgan, core, parallel
from gans.age_cgan import gan as age_gan

KEY = jax.random.key(0)
SHAPE = (8, 8, 1)
LATENT = 5
PIXEL = {"adversarial": 1.0, "pixel": 1.0}
TERMS = {**PIXEL, "ageing": 0.5, "latent": 0.2}


class Drawing(nn.Module):
    """Writes the latent and the label into the first pixels of a picture, plus a shift that can be learnt."""

    @nn.compact
    def __call__(self, latents, train=False, label=None):
        shift = self.param("shift", nn.initializers.zeros, ())
        numbers = jnp.concatenate([latents, label[:, None] / 10], 1) + shift
        return jnp.pad(numbers, ((0, 0), (0, 64 - LATENT - 1))).reshape(-1, *SHAPE)


class Reading(nn.Module):
    """Reads the latent of a drawing, scaled."""

    @nn.compact
    def __call__(self, images, train=False):
        scale = self.param("scale", nn.initializers.ones, ())
        return scale * images.reshape(-1, 64)[:, :LATENT]


class Telling(nn.Module):
    """Reads the latent of a drawing and adds to it what it sees of the label."""

    @nn.compact
    def __call__(self, images, train=False):
        share = self.param("share", nn.initializers.ones, ())
        numbers = images.reshape(-1, 64)
        return numbers[:, :LATENT] + share * numbers[:, LATENT : LATENT + 1]


class Normed(nn.Module):
    """Reads the latent of a drawing, normed over the batch."""

    @nn.compact
    def __call__(self, images, train=False):
        return nn.BatchNorm(use_running_average=not train)(images.reshape(-1, 64)[:, :LATENT])


class Verdict(nn.Module):
    """One logit a picture and label."""

    @nn.compact
    def __call__(self, images, train=False, label=None):
        features = images.reshape(-1, 64)
        return nn.Dense(1)(features) + nn.Embed(6, 1)(label), features


def optimizers(*refined):
    # Plain gradients, so that rounding is not blown up by Adam's division.
    def sgd(*players):
        return {player: optax.sgd(0.1) for player in players}

    return {
        "adversarial": sgd("generator", "discriminator"),
        "encode": sgd("encoder"),
        "refine": sgd("encoder", "generator", *refined),
    }


def make(*refined, grad=core.plain, **settings):
    networks = {"generator": Drawing(), "encoder": Reading(), "discriminator": Verdict()}
    return age_cgan.make(optimizers(*refined), grad, image_shape=SHAPE, latent_size=LATENT, **(networks | settings))


def batch_of(count):
    """Faces that the two networks know: drawn from latents, under their labels."""
    label = jnp.arange(count) % 6
    latents = jax.random.normal(jax.random.key(1), (count, LATENT))
    return {"image": Drawing().apply({"params": {"shift": 0.0}}, latents, label=label), "label": label}


def entered(gan, phase, coefficients=PIXEL):
    shapes = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), gan.inputs(2))
    return gan.phases[phase].enter(gan.init(KEY, shapes, None, coefficients))


def stepped(gan, phase, state, batch):
    return jax.jit(gan.phases[phase].step)(state, batch, KEY)


def with_param(state, player, **params):
    own = state.players[player]
    return state.replace(players={**state.players, player: own.replace(params={**own.params, **params})})


def test_the_encoder_learns_the_generators_inverse_and_moves_alone():
    gan = make()
    before, batch = entered(gan, "encode"), batch_of(8)
    _, metrics = stepped(gan, "encode", before, batch)
    assert metrics["encoder/loss"] < 1e-5
    # An encoder that is off by a factor is off by the latents' lengths, and is corrected.
    wrong = with_param(before, "encoder", scale=jnp.asarray(3.0))
    after, metrics = stepped(gan, "encode", wrong, batch)
    assert 2 < metrics["encoder/loss"] < 2 * 2 * LATENT**0.5
    assert after.players["encoder"].params["scale"] < 3
    for name in ("generator", "discriminator"):
        jax.tree.map(np.testing.assert_array_equal, after.players[name].params, wrong.players[name].params)


def test_refining_draws_faces_under_their_own_labels():
    gan = make()
    state, batch = entered(gan, "refine"), batch_of(6)
    _, metrics = stepped(gan, "refine", state, batch)
    assert metrics["refine/pixel"] < 1e-5
    _, metrics = stepped(gan, "refine", state, {**batch, "label": (batch["label"] + 1) % 6})
    assert metrics["refine/pixel"] > 0.01


def test_the_distance_by_pixels():
    ones = jnp.ones((2, *SHAPE))
    np.testing.assert_allclose(
        age_gan.pixel_distance(ones, ones * jnp.asarray([0.5, -1])[:, None, None, None]), [0.5, 2]
    )


def test_each_term_of_refining_counts_with_its_coefficient():
    gan, batch = make("discriminator"), batch_of(6)
    batch["image"] = batch["image"] + 0.3
    state = with_param(entered(gan, "refine", {**TERMS, "pixel": 2.0}), "encoder", scale=jnp.asarray(2.0))
    _, metrics = stepped(gan, "refine", state, batch)
    expected = 2 * metrics["refine/pixel"] + 0.5 * metrics["refine/ageing"] + 0.2 * metrics["refine/latent"]
    assert metrics["refine/latent"] > 0.1
    np.testing.assert_allclose(metrics["encoder+generator/loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("stands", [True, False])
def test_running_statistics_stand_still_while_refining_where_that_is_asked_for(stands):
    gan, batch = make(encoder=Normed(), inference_refine=stands), batch_of(8)
    batch["image"] = 3 * batch["image"]
    before = entered(gan, "refine")
    after, metrics = stepped(gan, "refine", before, batch)
    stats = [jax.tree.leaves(state.players["encoder"].stats) for state in (before, after)]
    assert stands == all(np.array_equal(a, b) for a, b in zip(*stats, strict=True))
    # What stands on no statistics of the batch is the mean of what each half gives.
    halves = [{name: leaf[part] for name, leaf in batch.items()} for part in (slice(4), slice(4, 8))]
    apart = [stepped(gan, "refine", before, half)[1]["refine/pixel"] for half in halves]
    assert stands == bool(np.isclose(np.mean(apart), metrics["refine/pixel"], rtol=1e-5))


def test_a_latent_that_tells_the_age_is_unlearnt_by_the_encoder_alone():
    gan = make(encoder=Telling())
    before = entered(gan, "refine", {**PIXEL, "pixel": 0.0, "latent": 1.0})
    after, metrics = stepped(gan, "refine", before, batch_of(60))
    assert metrics["refine/latent"] > 0.1
    assert after.players["encoder"].params["share"] < 1
    jax.tree.map(np.testing.assert_array_equal, after.players["generator"].params, before.players["generator"].params)
    # One that tells nothing has nothing to unlearn.
    blind = with_param(before, "encoder", share=jnp.asarray(0.0))
    _, metrics = stepped(gan, "refine", blind, batch_of(60))
    assert metrics["refine/latent"] < 1e-5


@pytest.mark.parametrize("refined", [(), ("discriminator",)])
def test_the_discriminator_learns_on_where_it_has_an_optimizer(refined):
    gan, batch = make(*refined), batch_of(6)
    before = entered(gan, "refine", {**PIXEL, "ageing": 0.5})
    after, _ = stepped(gan, "refine", before, batch)
    moved = [
        not np.array_equal(a, b)
        for a, b in zip(*(jax.tree.leaves(s.players["discriminator"].params) for s in (before, after)), strict=True)
    ]
    assert all(moved) if refined else not any(moved)


@pytest.mark.parametrize("phase", ["encode", "refine"])
def test_devices_micro_batches_and_one_device_take_the_same_step(phase):
    batch = batch_of(16)
    batch["image"] = batch["image"] * 1.5

    def run(grad, wrap, layout):
        gan = make("discriminator", grad=grad)
        return jax.device_get(wrap(gan.phases[phase].step)(entered(gan, phase, TERMS), layout, KEY))

    one = run(core.plain, jax.jit, batch)
    accumulated = run(parallel.accumulate(2), jax.jit, batch)
    spread = jax.tree.map(lambda leaf: leaf.reshape(4, -1, *leaf.shape[1:]), batch)
    many = run(parallel.mean_over("devices"), parallel.data_parallel, spread)
    for other in (accumulated, many):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), other, one)


def test_faces_are_aged_by_their_label_and_drawn_from_latents():
    gan, batch = make(), batch_of(3)
    state = entered(gan, "refine")
    aged = gan.sample(state, {"image": batch["image"], "label": jnp.full(3, 5)}, KEY)["generated"]
    np.testing.assert_allclose(aged.reshape(3, 64)[:, :LATENT], batch["image"].reshape(3, 64)[:, :LATENT], atol=1e-6)
    np.testing.assert_allclose(aged.reshape(3, 64)[:, LATENT], 0.5, atol=1e-6)
    drawn = gan.sample(state, {"latent": jnp.ones((2, LATENT)), "label": jnp.zeros(2, jnp.int32)}, KEY)["generated"]
    np.testing.assert_allclose(drawn.reshape(2, 64)[:, : LATENT + 1], [[1] * LATENT + [0]] * 2, atol=1e-6)


def test_refining_needs_a_distance():
    with pytest.raises(ValueError, match="identity or pixel"):
        entered(make(), "refine", {"adversarial": 1.0})
