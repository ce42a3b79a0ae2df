"""What frozen networks see of pictures, one network beside the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gans.frozen import compare as compare_module
from gans.frozen import digits
from gans.frozen.compare import compare

KEY = jax.random.key(0)


def mean_color(variables, images):
    """Stands for a large network: features and logits are colour means."""
    assert images.shape[-1] == 3
    means = images.mean((1, 2))
    return means @ variables, means


@pytest.fixture
def networks(monkeypatch):
    found = {**compare_module.NETWORKS, "inception": mean_color, "mobilenet": mean_color}
    monkeypatch.setattr(compare_module, "NETWORKS", found)


@pytest.mark.parametrize("order", [("digits", "inception"), ("inception", "digits")])
def test_each_network_sees_what_it_takes(networks, order):
    real, generated = jax.random.uniform(KEY, (2, 4, 28, 28, 1), minval=-1)
    variables = {"digits": digits.DigitClassifier().init(KEY, real), "inception": 2 * jnp.eye(3)}
    seen = compare({name: variables[name] for name in order}, real, generated, jnp.arange(4))
    logits, features = digits.apply(variables["digits"], generated)
    np.testing.assert_allclose(seen["generated_features_digits"], features, rtol=1e-6)
    np.testing.assert_array_equal(seen["generated_verdict"], logits.argmax(-1))
    grey = jnp.repeat(real.mean((1, 2)), 3, axis=1)
    np.testing.assert_allclose(seen["real_features_inception"], grey, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(seen["real_probabilities_inception"], jax.nn.softmax(2 * grey), rtol=1e-5)
    np.testing.assert_array_equal(seen["generated_right"], seen["generated_verdict"] == jnp.arange(4))


def test_without_a_judge_nothing_is_right_or_wrong(networks):
    images = jax.random.uniform(KEY, (2, 8, 8, 3))
    seen = compare({"mobilenet": jnp.eye(3)}, images, images, jnp.arange(2))
    assert seen.keys() == {f"{s}_{w}_mobilenet" for s in ("real", "generated") for w in ("features", "probabilities")}
