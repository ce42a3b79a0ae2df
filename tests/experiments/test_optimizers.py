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
