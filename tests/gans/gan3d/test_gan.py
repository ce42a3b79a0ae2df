import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gans import gan3d, losses
from tests.gans.golden import assert_golden

KEY = jax.random.key(0)
SHAPE = (16, 16, 16, 1)
ADVERSARIAL = {"adversarial": 1.0}


def make(**settings):
    # Plain gradients, so that rounding is not blown up by Adam's division.
    optimizers = {"adversarial": {"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.05)}}
    options = {"channels": (8, 4), "norm": settings.pop("norm", "batch")}
    return gan3d.make(
        optimizers,
        image_shape=SHAPE,
        generator_options=options,
        discriminator_options=options | {"channels": (4, 8)},
        **settings,
    )


def batch_of(count):
    image = (jax.random.uniform(jax.random.key(1), (count, *SHAPE)) < 0.1).astype(jnp.float32)
    return {"image": image, "label": jnp.arange(count) % 3}


def step_of(gan, coefficients=None):
    shapes = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), gan.inputs(2))
    phase = gan.phases["adversarial"]
    return jax.jit(phase.step)(phase.enter(gan.init(KEY, shapes, None, coefficients or ADVERSARIAL)), batch_of(4), KEY)


def test_one_step_gives_these_numbers():
    """If you did not mean to change what a step computes, these numbers must stay."""
    state, metrics = step_of(make())
    golden = {
        "discriminator/accuracy_fake": 0.25,
        "discriminator/accuracy_real": 0.75,
        "discriminator/gradient_norm": 13.21331,
        "discriminator/loss": 1.265345,
        "discriminator/update_norm": 0.6606654,
        "generator/adversarial": 4.975493,
        "generator/diversity": 0.2701101,
        "generator/gradient_norm": 19.60477,
        "generator/loss": 4.975493,
        "generator/update_norm": 1.960477,
    }
    assert_golden(metrics, golden, 1e-4)
    volumes = make().sample(state, {"position": jnp.arange(3)}, KEY)["generated"]
    assert volumes.shape == (3, *SHAPE)
    assert 0 <= volumes.min() < volumes.max() <= 1


@pytest.mark.parametrize("adversarial", ["wasserstein", "relativistic"])
def test_penalties_and_feature_matching_work_on_volumes(adversarial):
    coefficients = {"adversarial": 1.0, "feature_matching": 0.1, "gradient_penalty": 1.0, "r1": 0.1, "r2": 0.1}
    state, metrics = step_of(make(adversarial=adversarial, norm="none"), coefficients)
    assert all(np.isfinite(value) for value in metrics.values())
    assert {f"discriminator/{name}" for name in losses.PENALTIES} < metrics.keys()
    assert metrics["discriminator/gradient_norm"] > 0
    assert int(state.step) == 1


def test_shapes_of_a_class_with_averages_and_an_adaptive_discriminator():
    gan = make(classes=3, average_decay=0.9, adaptive_accuracy=0.8, real_label=(0.8, 1.0))
    state, metrics = step_of(gan)
    assert metrics["discriminator/moved"] in (0, 1)
    position = {"position": jnp.zeros(2, jnp.int32)}  # the same latent for both
    one, other = gan.sample(state, position | {"label": jnp.array([0, 1])}, KEY)["generated"]
    assert not np.array_equal(one, other)


def test_volumes_are_not_augmented_as_pictures_are():
    with pytest.raises(ValueError, match="leave it empty for volumes"):
        make(augmentation=("cutout",))
