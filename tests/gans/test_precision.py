import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.extend.core import jaxprs_in_params

from gans import age_cgan, dcgan, deblur, gan3d, inpainting, precision, srgan, vanilla
from gans.frozen import vgg

KEY = jax.random.key(0)
PLAYERS = {name: optax.sgd(0.1) for name in ("generator", "discriminator", "encoder")}
PHASES = {
    "pretrain": {"generator": PLAYERS["generator"]},
    "adversarial": {name: PLAYERS[name] for name in ("generator", "discriminator")},
    "encode": {"encoder": PLAYERS["encoder"]},
    "refine": PLAYERS,
}
RESTORING = {"pixel": 1.0, "content": 1.0, "adversarial": 1.0}
PRODUCTS = ("conv_general_dilated", "dot_general")  # convolutions and products of matrices


def case(family, coefficients, **settings):
    return pytest.param(family, coefficients, settings, id=family.__name__)


FAMILIES = [
    case(vanilla, {"adversarial": 1.0}),
    case(dcgan, {"adversarial": 1.0}, classes=10),
    case(gan3d, {"adversarial": 1.0}, image_shape=(64, 64, 64, 1)),
    case(inpainting, {"adversarial": 1.0, "reconstruction": 1.0}),
    case(age_cgan, {"adversarial": 1.0, "pixel": 1.0, "ageing": 1.0, "latent": 1.0}, image_shape=(64, 64, 3)),
    case(srgan, RESTORING, image_shape=(32, 32, 3), scale=4, generator_options={"blocks": 1}),
    case(deblur, RESTORING, image_shape=(32, 32, 3)),
]


def batch_of(gan, settings):
    """Two examples with all that any family looks at."""
    given = {name: jnp.zeros(leaf.shape, leaf.dtype) for name, leaf in gan.inputs(2).items()}
    like = given.get("masked", jnp.zeros((2, *settings.get("image_shape", (28, 28, 1)))))
    return {"image": like, "mask": like, "label": jnp.zeros(2, jnp.int32)} | given


def types_of(jaxpr, operations):
    """What numbers these operations are given, wherever in a program they stand."""
    found = set()
    for equation in jaxpr.eqns:
        if equation.primitive.name in operations:
            found |= {str(variable.aval.dtype) for variable in equation.invars}
        for inner in jaxprs_in_params(equation.params):
            found |= types_of(inner, operations)
    return found


def types_in_step(gan, phase, batch, coefficients, operations=PRODUCTS):
    frozen = {"content": jax.eval_shape(lambda: vgg.random_variables(KEY, 16))}
    state = jax.eval_shape(lambda frozen: gan.init(KEY, batch, frozen, coefficients), frozen)
    state = jax.eval_shape(gan.phases[phase].enter, state)
    return types_of(jax.make_jaxpr(gan.phases[phase].step)(state, batch, KEY).jaxpr, operations)


@pytest.mark.parametrize(("family", "coefficients", "settings"), FAMILIES)
def test_all_products_of_a_step_are_in_bfloat16(family, coefficients, settings):
    gan = family.make(PHASES, precision="bfloat16", **settings)
    for phase in gan.phases:
        assert types_in_step(gan, phase, batch_of(gan, settings), coefficients) == {"bfloat16"}


@pytest.mark.parametrize("family", [dcgan, srgan])
@pytest.mark.parametrize("penalty", ["gradient_penalty", "r1", "r2"])
def test_penalties_are_taken_in_float32(family, penalty):
    settings = {"image_shape": (28, 28, 1)} if family is dcgan else {"image_shape": (32, 32, 3), "scale": 4}
    gan = family.make(PHASES, precision="bfloat16", **settings)
    batch = batch_of(gan, settings)
    found = types_in_step(gan, "adversarial", batch, {"adversarial": 1.0, penalty: 1.0})
    assert found == {"bfloat16", "float32"}


@pytest.mark.parametrize("options", [{"spectral_norm": True}, {"norm": "instance"}, {"norm": "batch"}])
def test_convolutions_are_in_bfloat16_whatever_stabilises_them(options):
    gan = dcgan.make(PHASES, precision="bfloat16", discriminator_options=options)
    found = types_in_step(gan, "adversarial", batch_of(gan, {}), {"adversarial": 1.0}, ("conv_general_dilated",))
    assert found == {"bfloat16"}


def test_a_step_in_bfloat16_keeps_float32_and_is_nearly_the_same():
    steps = {}
    for chosen in precision.PRECISIONS:
        gan = vanilla.make(PHASES, precision=chosen, image_shape=(8, 8, 1))
        batch = {"image": jax.random.uniform(KEY, (64, 8, 8, 1), minval=-1)}
        before = gan.phases["adversarial"].enter(
            gan.init(KEY, batch_of(gan, {}), None, {"adversarial": 1.0, "r1": 1.0})
        )
        after, metrics = jax.jit(gan.phases["adversarial"].step)(before, batch, KEY)
        assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, before)
        moves = jax.tree.map(lambda new, old: new - old, after.players, before.players)
        steps[chosen] = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(moves)]), metrics
    (exact, loss), (low, low_loss) = steps.values()
    # Eight bits of a mantissa are a relative error of 0.4% in each number.
    assert 0 < jnp.linalg.norm(low - exact) < 0.05 * jnp.linalg.norm(exact)
    for name in ("discriminator/loss", "generator/loss"):
        np.testing.assert_allclose(low_loss[name], loss[name], rtol=0.02)
    assert low_loss["discriminator/r1"].dtype == jnp.float32


def test_an_unknown_precision_is_told():
    with pytest.raises(ValueError, match="precision='float16': choose float32 or bfloat16"):
        vanilla.make(PHASES, precision="float16")
