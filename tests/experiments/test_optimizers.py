import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import optimizers
from experiments.commands import UsageError


def rate(config, steps, updates):
    """The size of the `updates`-th update of plain gradient descent: the learning rate then."""
    transformation = optimizers.make(config, steps)
    params = {"x": jnp.zeros(())}
    state = transformation.init(params)
    for _ in range(updates):
        update, state = transformation.update({"x": jnp.ones(())}, state, params)
    return -float(update["x"])


def plain(**settings):
    return optimizers.default(0.5, name="sgd", b1=None, b2=None, eps=None, **settings)


def test_the_default_is_optax_adam():
    ours = optimizers.make(optimizers.default(0.1, b1=0.5), 10)
    params, gradient = {"x": jnp.array(2.0)}, {"x": jnp.array(3.0)}
    theirs = optax.adam(0.1, b1=0.5)
    np.testing.assert_array_equal(
        *(t.update(gradient, t.init(params), params)[0]["x"] for t in (ours, theirs)),
    )


def test_schedules_count_updates():
    assert rate(plain(), 10, 10) == pytest.approx(0.5)
    assert rate(plain(schedule="linear", final_fraction=0.5), 10, 11) == pytest.approx(0.25)
    assert rate(plain(schedule="cosine"), 10, 6) == pytest.approx(0.25)
    assert rate(plain(schedule="cosine", decay_updates=4), 10, 3) == pytest.approx(0.25)
    warm = plain(schedule="linear", warmup=4, final_fraction=0.0)
    assert [rate(warm, 8, n) for n in (1, 3, 5, 9)] == pytest.approx([0, 0.25, 0.5, 0])


def test_gradients_are_clipped_by_norm():
    assert rate(plain(clip_norm=0.1), 10, 1) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "adma"}, "no optimizer 'adma'; choose one of adam"),
        ({"name": "sgd"}, r"sgd takes no b1 .*set b1=None"),
        ({"schedule": "step"}, "no schedule 'step'"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        optimizers.make(optimizers.default(0.1, **settings), 10)


SETTINGS = {
    "adam": {"b1": 0.5, "b2": 0.9, "eps": 1e-6},
    "adamw": {"b1": 0.5, "b2": 0.9, "eps": 1e-6, "weight_decay": 0.1},
    "sgd": {"momentum": 0.8},
    "rmsprop": {"decay": 0.8, "eps": 1e-6, "momentum": 0.5},
    "adadelta": {"rho": 0.8, "eps": 1e-3, "weight_decay": 0.1},
    "adagrad": {"eps": 1e-3},
    "adamax": {"b1": 0.5, "b2": 0.9, "eps": 1e-6},
    "nadam": {"b1": 0.5, "b2": 0.9, "eps": 1e-6},
    "lion": {"b1": 0.5, "b2": 0.9, "weight_decay": 0.1},
    "radam": {"b1": 0.5, "b2": 0.9, "eps": 1e-6},
    "yogi": {"b1": 0.5, "b2": 0.9, "eps": 1e-3},
}


@pytest.mark.parametrize(
    ("name", "schedule"), [("sgd", "constant"), ("sgd", "linear"), *((name, "cosine") for name in optimizers.NAMES)]
)
def test_every_number_can_lie_in_the_state(name, schedule):
    numbers = {"learning_rate": 0.1, "final_fraction": 0.2, "clip_norm": 2.0, "historical_averaging": 0.1}
    numbers |= SETTINGS[name]
    config = optimizers.default(0.3, name=name, schedule=schedule, warmup=2, b1=None, b2=None, eps=None)
    config.update(numbers)
    other = config.copy_and_resolve_references()
    other.update(dict.fromkeys(numbers, 0.3))
    plain, carrying = optimizers.make(config, 8), optimizers.make(other, 8, list(numbers))

    params = {"x": jnp.array([2.0, -1.0])}
    own, state = plain.init(params), carrying.init(params)
    assert jax.tree.structure(state.inner_state) == jax.tree.structure(own)
    state = state._replace(hyperparams={field: jnp.float32(value) for field, value in numbers.items()})
    update, again = jax.jit(plain.update), jax.jit(carrying.update)
    for gradient in (3.0, -1.0, 2.0, 0.5):
        gradients = {"x": jnp.array([gradient, 1.0])}
        wanted, own = update(gradients, own, params)
        found, state = again(gradients, state, params)
        np.testing.assert_allclose(found["x"], wanted["x"], rtol=3e-5)
    assert np.any(wanted["x"] != 0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=3e-5), state.inner_state, own)
