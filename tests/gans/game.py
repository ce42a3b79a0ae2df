"""A game small enough to check by hand: two linear players, a loss that is a mean over examples, drawn latents."""

import jax
import jax.numpy as jnp
import optax

from gans import core, draws

OPTIMIZERS = {"generator": optax.adam(0.01), "discriminator": optax.sgd(0.1, momentum=0.9)}


def generate(params, latents):
    return jnp.tanh(latents @ params["kernel"] + params["bias"][None])


def logits(params, examples):
    return jnp.tanh(examples @ params["hidden"]) @ params["out"]


def discriminator_loss(moving, state, batch, key):
    fakes = generate(state.players["generator"].params, draws.draw_latents(key, batch, 3))
    real = logits(moving["discriminator"], batch["x"])
    fake = logits(moving["discriminator"], fakes)
    value = (jax.nn.softplus(-real) + jax.nn.softplus(fake)).mean()
    return value, ({}, {"discriminator/real": real.mean()})


def generator_loss(moving, state, batch, key):
    fakes = generate(moving["generator"], draws.draw_latents(key, batch, 3))
    fake = logits(state.players["discriminator"].params, fakes)
    return jax.nn.softplus(-fake).mean(), ({}, {})


def state(averaged=False, frozen=None):
    keys = jax.random.split(jax.random.key(7), 4)
    generator = {"kernel": jax.random.normal(keys[0], (3, 5)), "bias": jax.random.normal(keys[1], (5,))}
    discriminator = {"hidden": jax.random.normal(keys[2], (5, 4)), "out": jax.random.normal(keys[3], (4, 1))}
    players = {
        "generator": core.new_player({"params": generator}, averaged),
        "discriminator": core.new_player({"params": discriminator}),
    }
    return core.enter_with(OPTIMIZERS)(core.new_state(players, frozen))


def batch(count=24, seed=0):
    return {"x": jax.random.normal(jax.random.key(seed), (count, 5))}


def turns(grad=core.plain):
    return (
        core.turn("discriminator", discriminator_loss, OPTIMIZERS, grad),
        core.turn("generator", generator_loss, OPTIMIZERS, grad),
    )


def step(grad=core.plain):
    return core.train_step(*turns(grad))
