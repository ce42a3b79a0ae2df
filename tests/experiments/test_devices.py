"""Every family takes the same step on four devices as with four micro-batches; new ones are found by themselves."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import data, runs, scoring
from gans import parallel
from tests.experiments.test_configs import CONFIGS, get_config

DEVICES, PER = 4, 2


def make(config, grad):
    """The config's networks and losses, with plain gradients: Adam's division would blow up rounding."""
    optimizers = {
        phase: {player: optax.sgd(0.01) for player in players} for phase, players in config.optimizers.items()
    }
    return importlib.import_module(f"gans.{config.family}").make(optimizers, grad, **config.model)


def batch_of(config, slices):
    """A batch with the names, shapes and types of the config's own, with all its values drawn."""
    random = np.random.default_rng(0)

    def drawn(leaf):
        if np.issubdtype(leaf.dtype, np.integer):
            return random.integers(0, max(config.model.get("classes", 0), 1), leaf.shape).astype(leaf.dtype)
        return random.uniform(-1, 1, leaf.shape).astype(leaf.dtype)

    return {name: drawn(leaf) for name, leaf in data.example_batch(config, slices * DEVICES * PER).items()}


def spread(leaf, slices):
    """Of each slice the devices have a part, one after another, as the loader lays it out."""
    parts = leaf.reshape(slices, DEVICES, PER, *leaf.shape[1:]).swapaxes(0, 1)
    return parts.reshape(DEVICES, slices * PER, *leaf.shape[1:])


def assert_close(one, other, name):
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True):
        where = f"{name}{jax.tree_util.keystr(path)}"
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5, err_msg=where)


@pytest.mark.parametrize("name", CONFIGS)
def test_four_devices_are_four_micro_batches(name):
    config = get_config(name)
    frozen = scoring.frozen_networks(config, {})[0] if "perceptual" in config else None
    one = make(config, parallel.accumulate(DEVICES))
    many = make(config, parallel.mean_over("devices"))
    state, key = runs.initial(config, one, frozen), jax.random.key(1)
    for phase in one.phases:
        slices = one.phases[phase].slices
        batch = batch_of(config, slices)
        state = one.phases[phase].enter(state)
        # Copies, since the state on many devices is donated.
        copy = parallel.replicate(jax.tree.map(jnp.copy, state.replace(frozen=None))).replace(frozen=frozen)
        expected, expected_metrics = jax.jit(one.phases[phase].step)(state, batch, key)
        laid_out = {leaf_name: spread(leaf, slices) for leaf_name, leaf in batch.items()}
        found, metrics = parallel.data_parallel(many.phases[phase].step)(copy, laid_out, key)
        parallel.assert_replicated((found.replace(frozen=None), metrics))
        assert_close(metrics, expected_metrics, phase)
        assert_close(found.players, expected.players, phase)
        state = expected


def test_the_config_synchronises_batch_norm():
    config = get_config("dcgan")
    config.model.update(generator_options={"channels": (4, 4)}, discriminator_options={"channels": (4, 4)})
    programs = []
    for synchronised in (False, True):
        config.synchronised_norm = synchronised
        gan = runs.build(config)
        state = gan.phases["adversarial"].enter(runs.initial(config, gan))
        batch = {name: spread(leaf, 1) for name, leaf in batch_of(config, 1).items()}
        step = jax.pmap(gan.phases["adversarial"].step, runs.AXIS, in_axes=(None, 0, None))
        programs.append(str(jax.make_jaxpr(step)(state, batch, jax.random.key(0))).count("psum"))
    assert programs[1] > programs[0] > 0
