"""A population's member goes the way that it would go alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

from gans import core, parallel, vanilla
from tests.gans import game

RATES = (0.01, 0.02, 0.03, 0.04)
KEYS = jax.random.split(jax.random.key(3), len(RATES))
STEPS = 3


def close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), one, other)


def optimizers(rate):
    """The game's, with the generator's learning rate in its state."""
    return {"generator": optax.inject_hyperparams(optax.adam)(rate), "discriminator": optax.sgd(0.1, momentum=0.9)}


def loss_with_a_weight(moving, state, batch, key):
    value, aux = game.generator_loss(moving, state, batch, key)
    return value * state.coefficients["weight"] + state.frozen["shift"], aux


def slow_down(state, batch, key):
    """Halves the generator's bias at odd steps, as a lazy penalty would."""
    del batch, key
    player = state.players["generator"]
    bias = jax.lax.cond(state.step % 2 == 1, lambda x: x / 2, lambda x: x, player.params["bias"])
    player = player.replace(params={**player.params, "bias": bias})
    return state.replace(players={**state.players, "generator": player}), {}


def one_step():
    moved = optimizers(0.5)  # the rate of each member lies in its state
    return core.train_step(
        core.turn("discriminator", game.discriminator_loss, moved),
        core.turn("generator", loss_with_a_weight, moved),
        slow_down,
    )


def fresh(index):
    rate = RATES[index]
    state = core.enter_with(optimizers(rate))(game.state(frozen={"shift": jnp.float32(1)}))
    return state.replace(coefficients={"weight": jnp.float32(1 + index)})


def batch(index, at):
    return game.batch(seed=10 * index + at)


def members_batch(at):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *[batch(index, at) for index in range(len(RATES))])


@pytest.fixture(scope="module")
def alone():
    """What becomes of each member by itself: (state, metrics of the last step)."""
    step, found = jax.jit(one_step()), []
    for index in range(len(RATES)):
        state = fresh(index)
        for at in range(STEPS):
            state, metrics = step(state, batch(index, at), KEYS[index])
        found.append((state, metrics))
    return found


def population():
    return parallel.stack([fresh(index) for index in range(len(RATES))])


def run(step, state):
    for at in range(STEPS):
        state, metrics = step(state, members_batch(at), KEYS)
    return state, metrics


def assert_same(found, alone):
    state, metrics = found
    assert state.step.shape == ()
    for index, (own, last) in enumerate(alone):
        close(parallel.member(state, index), own)
        close({name: value[index] for name, value in metrics.items()}, last)


def test_members_differ(alone):
    kernels = [state.players["generator"].params["kernel"] for state, _ in alone]
    assert not any(np.allclose(kernels[0], kernel, rtol=1e-3) for kernel in kernels[1:])


@pytest.mark.parametrize("form", [None, *parallel.FORMS])
def test_a_member_equals_the_run_made_alone(form, alone):
    assert_same(run(jax.jit(parallel.population(one_step(), form)), population()), alone)


@pytest.mark.parametrize("form", parallel.FORMS)
def test_several_steps_a_dispatch(form, alone):
    batches = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[members_batch(at) for at in range(STEPS)])
    state, metrics = jax.jit(parallel.scan_steps(parallel.population(one_step(), form)))(population(), batches, KEYS)
    assert_same((state, jax.tree.map(lambda values: values[-1], metrics)), alone)
    # The other way round: each member scans its own steps.
    batches = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), batches)
    state, metrics = jax.jit(parallel.population(parallel.scan_steps(one_step()), form))(population(), batches, KEYS)
    assert_same((state, jax.tree.map(lambda values: values[:, -1], metrics)), alone)


@pytest.mark.parametrize("devices", [4, 2])
def test_members_spread_over_devices(devices, alone):
    step = parallel.member_parallel(parallel.population(one_step()), jax.devices()[:devices])
    state, metrics = run(step, population())
    assert state.players["generator"].params["kernel"].sharding.spec == PartitionSpec("members")
    assert_same(jax.device_get((state, metrics)), alone)


def test_a_population_on_one_device_moves_to_where_it_is_trained(alone):
    state = jax.device_put(population(), jax.devices()[3])
    assert_same(jax.device_get(run(parallel.member_parallel(parallel.population(one_step())), state)), alone)


def test_members_spread_by_pmap(alone):
    def deal(tree):
        return jax.tree.map(lambda leaf: leaf.reshape(2, -1, *leaf.shape[1:]), tree)

    axes = parallel.MEMBERS
    step = jax.pmap(parallel.population(one_step()), in_axes=(axes, 0, 0), out_axes=(axes, 0))
    whole = population()
    players, coefficients = deal((whole.players, whole.coefficients))
    state = whole.replace(players=players, coefficients=coefficients)
    for at in range(STEPS):
        state, _ = step(state, deal(members_batch(at)), deal(KEYS))
    for index, (own, _) in enumerate(alone):
        close(parallel.member(parallel.member(state, index // 2), index % 2).players, own.players)


def test_a_member_that_diverges_leaves_the_others_alone(alone):
    state = population()
    kernel = state.players["generator"].params["kernel"].at[1].set(jnp.nan)
    player = state.players["generator"]
    state.players["generator"] = player.replace(params={**player.params, "kernel": kernel})
    state, _ = run(jax.jit(parallel.population(one_step())), state)
    assert not np.isfinite(state.players["generator"].params["kernel"][1]).any()
    for index in (0, 2, 3):
        close(parallel.member(state, index), alone[index][0])


def conditionals(form):
    step = parallel.population(one_step(), form)
    return str(jax.make_jaxpr(step)(population(), members_batch(0), KEYS)).count("cond[")


def test_a_condition_on_the_step_takes_one_side():
    assert conditionals("vmap") >= 1  # a batched predicate would have made it a `select`


def test_the_frozen_arrays_are_shared_and_survive():
    step = parallel.member_parallel(parallel.population(one_step()))
    state = population()
    after, _ = step(state, members_batch(0), KEYS)
    assert after.frozen is state.frozen
    assert state.frozen["shift"].shape == ()
    assert not state.frozen["shift"].is_deleted()


def test_stack_and_member_are_inverse():
    states = [fresh(index) for index in range(len(RATES))]
    for index, state in enumerate(states):
        jax.tree.map(np.testing.assert_array_equal, parallel.member(parallel.stack(states), index), state)
    jax.tree.map(np.testing.assert_array_equal, jax.jit(parallel.stack)(states), parallel.stack(states))


def test_a_population_that_is_donated_leaves_its_states_whole():
    states = [fresh(index) for index in range(len(RATES))]
    parallel.member_parallel(parallel.population(one_step()))(parallel.stack(states), members_batch(0), KEYS)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(states))


def test_what_does_not_fit_together_is_refused():
    one = fresh(0)
    with pytest.raises(ValueError, match=r"one step.*\[0, 1\]"):
        parallel.stack([one, one.replace(step=one.step + 1)])
    with pytest.raises(ValueError, match="layout"):
        parallel.stack([one, one.replace(coefficients={})])
    with pytest.raises(ValueError, match="layout"):
        parallel.stack([one, one.replace(coefficients={"weight": jnp.zeros(2)})])
    with pytest.raises(ValueError, match="form='scan'"):
        parallel.population(one_step(), "scan")


@pytest.mark.parametrize("form", parallel.FORMS)
def test_a_family_with_batch_norm_dropout_and_averages(form):
    batches = {"image": jax.random.uniform(jax.random.key(0), (2, 8, 28, 28, 1), minval=-1)}
    gan = vanilla.make(
        {"adversarial": {name: optax.adam(1e-3) for name in ("generator", "discriminator")}}, average_decay=0.9
    )
    phase, one = gan.phases["adversarial"], jax.tree.map(lambda leaf: leaf[0], batches)
    keys = jax.random.split(jax.random.key(1))
    states = [phase.enter(jax.jit(gan.init)(key, one)) for key in keys]
    after, _ = jax.jit(parallel.population(phase.step, form))(parallel.stack(states), batches, keys)
    for index, state in enumerate(states):
        own, _ = jax.jit(phase.step)(state, jax.tree.map(lambda leaf, i=index: leaf[i], batches), keys[index])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), parallel.member(after, index), own)
