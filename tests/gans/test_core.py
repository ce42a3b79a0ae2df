import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gans import core, draws
from tests.gans import game
from tests.gans.golden import assert_golden

KEY = jax.random.key(3)


def assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_player_outside_its_turn_keeps_everything_bit_for_bit():
    before = game.state()
    after, _ = jax.jit(game.turns()[0])(before, game.batch(), KEY)
    assert_equal(after.players["generator"], before.players["generator"])
    assert not np.array_equal(
        after.players["discriminator"].params["out"], before.players["discriminator"].params["out"]
    )
    assert int(after.players["discriminator"].updates) == 1
    assert int(after.step) == 0


def test_a_turn_is_one_optax_update_of_its_loss():
    before, batch = game.state(), game.batch()
    after, metrics = game.turns()[1](before, batch, KEY)
    player = before.players["generator"]
    loss = lambda params: game.generator_loss({"generator": params}, before, batch, KEY)[0]  # noqa: E731
    value, gradient = jax.value_and_grad(loss)(player.params)
    updates, _ = game.OPTIMIZERS["generator"].update(gradient, player.opt_state, player.params)
    expected = optax.apply_updates(player.params, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), after.players["generator"].params, expected)
    assert metrics["generator/loss"] == value
    np.testing.assert_allclose(metrics["generator/gradient_norm"], optax.tree.norm(gradient), rtol=1e-6)
    np.testing.assert_allclose(metrics["generator/update_norm"], optax.tree.norm(updates), rtol=1e-6)


def test_the_optimizer_states_are_separate():
    state = game.state()
    after, _ = game.step()(state, game.batch(), KEY)
    count = optax.tree.get(after.players["generator"].opt_state, "count")
    assert int(count) == 1
    alone, _ = game.turns()[0](state, game.batch(), jax.random.fold_in(jax.random.fold_in(KEY, 0), 0))
    assert_equal(after.players["discriminator"].opt_state, alone.players["discriminator"].opt_state)


@pytest.mark.parametrize("moves", [True, False])
def test_a_skipped_turn_leaves_the_player_alone(moves):
    before = game.state()
    turn = core.turn(
        "discriminator",
        game.discriminator_loss,
        game.OPTIMIZERS,
        when=lambda state, metrics: (metrics["discriminator/loss"] > 0) == moves,
    )
    after, metrics = jax.jit(turn)(before, game.batch(), KEY)
    always, _ = jax.jit(game.turns()[0])(before, game.batch(), KEY)
    expected = always if moves else before
    assert_equal(after.players["discriminator"], expected.players["discriminator"])
    assert float(metrics["discriminator/moved"]) == moves


def test_players_can_move_together():
    def loss(moving, state, batch, key):
        value, (stats, metrics) = game.discriminator_loss(moving, state, batch, key)
        return value + game.generator_loss(moving, state, batch, key)[0], (stats, metrics)

    before = game.state()
    after, metrics = core.turn(("generator", "discriminator"), loss, game.OPTIMIZERS)(before, game.batch(), KEY)
    assert "generator+discriminator/loss" in metrics
    for name in before.players:
        assert int(after.players[name].updates) == 1
        assert float(metrics[f"{name}/gradient_norm"]) > 0


def test_stats_of_a_standing_player_are_refused():
    def loss(moving, state, batch, key):
        return game.generator_loss(moving, state, batch, key)[0], ({"discriminator": {}}, {})

    with pytest.raises(ValueError, match=r"returned stats of \['discriminator'\]"):
        jax.eval_shape(core.turn("generator", loss, game.OPTIMIZERS), game.state(), game.batch(), KEY)


def test_a_metric_named_twice_is_refused():
    with pytest.raises(ValueError, match="discriminator/loss"):
        jax.eval_shape(core.in_turn(game.turns()[0], game.turns()[0]), game.state(), game.batch(), KEY)


def test_five_critic_turns_see_five_slices_and_the_generator_the_sixth():
    def remember(moving, state, batch, key):
        del key
        value = sum(jax.tree.leaves(jax.tree.map(jnp.sum, moving)))
        # The running sum of 10^turn * first example tells which slices were seen in which order.
        seen = state.players["discriminator"].stats["seen"] * 10 + batch["x"][0, 0]
        return value, ({"discriminator": {"seen": seen}}, {"discriminator/first": batch["x"][0, 0]})

    def look(moving, state, batch, key):
        del state, key
        value = sum(jax.tree.leaves(jax.tree.map(jnp.sum, moving)))
        return value, ({}, {"generator/first": batch["x"][0, 0], "generator/count": jnp.float32(len(batch["x"]))})

    state = game.state()
    critic = state.players["discriminator"].replace(stats={"seen": jnp.zeros(())})
    state = state.replace(players={**state.players, "discriminator": critic})
    step = core.train_step(
        core.part(core.repeat(core.turn("discriminator", remember, game.OPTIMIZERS), 5), 0, 5, of=6),
        core.part(core.turn("generator", look, game.OPTIMIZERS), 5, 6, of=6),
    )
    batch = {"x": jnp.repeat(jnp.arange(1.0, 7.0), 4)[:, None]}
    after, metrics = jax.jit(step)(state, batch, KEY)
    assert float(after.players["discriminator"].stats["seen"]) == 12345
    assert int(after.players["discriminator"].updates) == 5
    assert float(metrics["discriminator/first"]) == 3  # the mean over the five
    assert (float(metrics["generator/first"]), float(metrics["generator/count"])) == (6, 4)


def test_a_repeated_step_equals_steps_one_after_another():
    turn, state, batch = game.turns()[0], game.state(), game.batch()
    repeated, _ = core.repeat(turn, 3)(state, batch, KEY)
    for index, piece in enumerate(jnp.split(batch["x"], 3)):
        state, _ = turn(state, {"x": piece}, jax.random.fold_in(KEY, index))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), repeated, state)


def test_slices_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"batch\['x'\] has 24 examples, which do not make 7 equal slices"):
        core.repeat(game.turns()[0], 7)(game.state(), game.batch(), KEY)
    with pytest.raises(ValueError, match="no slices"):
        core.part(game.turns()[0], 2, 4, of=3)


def test_a_train_step_counts_itself_and_folds_the_key_once():
    state = game.state().replace(step=jnp.int32(41))
    after, _ = game.step()(state, game.batch(), KEY)
    assert int(after.step) == 42
    key = jax.random.fold_in(jax.random.fold_in(KEY, 41), 0)
    expected, _ = game.turns()[0](state, game.batch(), key)
    assert_equal(after.players["discriminator"].params, expected.players["discriminator"].params)


def test_moving_averages_follow_their_definition():
    state = game.state(averaged=True)
    step = core.train_step(*game.turns(), core.average("generator", 0.15))
    after, _ = step(state, game.batch(), KEY)
    decay = min(0.15, 2 / 11)
    old, new = (s.players["generator"].params["kernel"] for s in (state, after))
    average = after.players["generator"].average["params"]["kernel"]
    np.testing.assert_allclose(average, decay * old + (1 - decay) * new, rtol=1e-6)
    assert_equal(core.best_variables(after.players["generator"])["params"]["kernel"], average)
    with pytest.raises(ValueError, match="discriminator has no moving averages"):
        core.average("discriminator", 0.9)(state, game.batch(), KEY)


def test_latents_depend_on_the_position_in_the_global_batch():
    whole = draws.draw_latents(KEY, {"x": jnp.zeros((8, 1))}, 6)
    second = draws.draw_latents(KEY, draws.with_positions({"x": jnp.zeros((4, 1))}, start=4), 6)
    assert_equal(whole[4:], second)
    given = jnp.ones((8, 6))
    assert draws.draw_latents(KEY, {"x": jnp.zeros((8, 1)), "latent": given}, 6) is given


def test_a_coefficient_of_none_is_left_out():
    state = core.new_state({}, coefficients={"kept": 2, "gone": None})
    assert dict(state.coefficients) == {"kept": jnp.float32(2)}


def test_entering_a_phase_starts_fresh_for_those_who_move():
    state, _ = game.step()(game.state(), game.batch(), KEY)
    entered = core.enter_with({"generator": game.OPTIMIZERS["generator"]})(state)
    assert int(optax.tree.get(entered.players["generator"].opt_state, "count")) == 0
    assert entered.players["discriminator"].opt_state == ()
    assert_equal(entered.players["generator"].params, state.players["generator"].params)


def test_one_step_gives_these_numbers():
    """If you did not mean to change what a step computes, these numbers must stay."""
    _, metrics = jax.jit(game.step())(game.state(), game.batch(), KEY)
    golden = {
        "discriminator/gradient_norm": 0.460702,
        "discriminator/loss": 1.63446,
        "discriminator/real": 0.09319542,
        "discriminator/update_norm": 0.0460702,
        "generator/gradient_norm": 0.1630601,
        "generator/loss": 0.4744879,
        "generator/update_norm": 0.04472088,
    }
    assert_golden(metrics, golden, 1e-5)
