import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gans import layers

IMAGES = jax.random.normal(jax.random.key(0), (2, 6, 8, 3))


def test_average_pool_is_the_mean_of_two_by_two_blocks():
    pooled = layers.average_pool(IMAGES)
    assert pooled.shape == (2, 3, 4, 3)
    np.testing.assert_allclose(pooled[1, 2, 3], IMAGES[1, 4:6, 6:8].mean((0, 1)), rtol=1e-6)


def test_space_to_depth_folds_blocks_and_back():
    folded = layers.space_to_depth(IMAGES)
    assert folded.shape == (2, 3, 4, 12)
    np.testing.assert_array_equal(folded[1, 2, 3].reshape(2, 2, 3), IMAGES[1, 4:6, 6:8])
    np.testing.assert_array_equal(layers.depth_to_space(folded), IMAGES)


def test_leaky_relu_has_the_slope_of_gans():
    np.testing.assert_allclose(layers.leaky_relu(jnp.array([-1.0, 2.0])), [-0.2, 2.0], rtol=1e-6)


def test_max_pool_drops_an_odd_last_row():
    pooled = layers.max_pool(IMAGES[:, :5])
    assert pooled.shape == (2, 2, 4, 3)
    np.testing.assert_array_equal(pooled[1, 1, 3], IMAGES[1, 2:4, 6:8].max((0, 1)))


@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
def test_max_pool_has_the_slope_of_flax(size):
    images = IMAGES[:, : size[0], : size[1]]
    ours, flax = (
        jax.grad(lambda x, pool=pool: jnp.sin(pool(x)).sum())(images)
        for pool in (layers.max_pool, lambda x: nn.max_pool(x, (2, 2), (2, 2)))
    )
    np.testing.assert_allclose(ours, flax, rtol=1e-6)


def test_minibatch_discrimination_is_its_formula_and_tells_a_collapsed_batch():
    module = layers.MinibatchDiscrimination(kernels=3, dimensions=2)
    features = jax.random.normal(jax.random.key(2), (4, 5))
    variables = module.init(jax.random.key(3), features)
    found = module.apply(variables, features)
    m = np.einsum("na,abc->nbc", features, variables["params"]["tensor"])
    for i in range(4):
        expected = sum(np.exp(-np.abs(m[i] - m[j]).sum(-1)) for j in range(4) if j != i)
        np.testing.assert_allclose(found[i], np.concatenate([features[i], expected]), rtol=1e-5)
    collapsed = module.apply(variables, jnp.broadcast_to(features[:1], features.shape))
    np.testing.assert_allclose(collapsed[:, 5:], 3)  # each of the three others is right here
    assert (found[:, 5:] < 3).all()


def test_the_largest_singular_value_becomes_one():
    class Network(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            return layers.constrained(layers.HalvingConv(6, use_bias=False), True, train)(x)

    module = Network()
    variables = module.init(jax.random.key(0), IMAGES, False)
    for _ in range(60):  # power iterations
        _, stats = module.apply(variables, IMAGES, True, mutable=["batch_stats"])
        variables = {**variables, **stats}
    kernel = jax.tree.leaves(variables["params"])[0]
    sigma = jnp.linalg.svd(kernel.reshape(-1, 6), compute_uv=False)[0]
    plain = layers.HalvingConv(6, use_bias=False).apply({"params": {"kernel": kernel / sigma}}, IMAGES)
    np.testing.assert_allclose(module.apply(variables, IMAGES, False), plain, rtol=1e-3, atol=1e-4)


def test_instance_norm_is_of_each_picture_and_channel():
    class Network(nn.Module):
        norm: str

        @nn.compact
        def __call__(self, x):
            return layers.normalise(x, self.norm, True)

    normed, _ = Network("instance").init_with_output(jax.random.key(0), 3 * IMAGES + 2)
    np.testing.assert_allclose(normed.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(normed.std((1, 2)), 1, atol=1e-3)
    vectors = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(Network("instance").init_with_output(jax.random.key(0), vectors)[0], vectors)
    with pytest.raises(ValueError, match="no norm 'layer'; choose batch, instance or none"):
        Network("layer").init(jax.random.key(0), vectors)


def test_projection_scores_the_label():
    module = layers.Projection(classes=3)
    features, label = jax.random.normal(jax.random.key(0), (2, 4)), jnp.array([2, 0])
    variables = module.init(jax.random.key(1), features, label)
    plain, classes = (variables["params"][f"Dense_{i}"]["kernel"] for i in range(2))
    expected = features @ plain + (features * classes[label]).sum(-1, keepdims=True)
    np.testing.assert_allclose(module.apply(variables, features, label), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="needs the label"):
        module.init(jax.random.key(1), features)


@pytest.mark.parametrize("size", [3, 5])
def test_an_upsampling_convolution_equals_the_two_in_value_and_gradients(size):
    module = layers.UpsampleConv(5, size)
    x = jax.random.normal(jax.random.key(0), (2, 6, 7, 4))
    variables = jax.tree.map(lambda leaf: leaf + 0.1, module.init(jax.random.key(1), x))

    def plain(variables, x):
        return nn.Conv(5, (size, size)).apply(variables, jnp.repeat(jnp.repeat(x, 2, 1), 2, 2))

    np.testing.assert_allclose(module.apply(variables, x), plain(variables, x), atol=1e-5)

    def gradients(apply):
        def loss(variables, x):
            return jnp.sin(apply(variables, x)).sum()

        return jax.grad(loss, (0, 1))(variables, x)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), gradients(module.apply), gradients(plain))


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_enlarging_equals_pillows_bicubic_filter(factor):
    x = np.random.default_rng(0).normal(size=(9, 12)).astype(np.float32)
    theirs = Image.fromarray(x).resize((12 * factor, 9 * factor), Image.Resampling.BICUBIC)
    ours = layers.enlarge(jnp.asarray(x)[None, :, :, None], factor)[0, :, :, 0]
    assert ours.shape == (9 * factor, 12 * factor)
    inside = (slice(2 * factor, -2 * factor),) * 2  # Pillow mirrors nothing: it weighs the pixels that there are
    np.testing.assert_allclose(ours[inside], np.asarray(theirs)[inside], atol=1e-5)


def test_enlarging_keeps_a_constant_picture():
    np.testing.assert_allclose(layers.enlarge(jnp.full((1, 5, 6, 3), 0.3), 4), 0.3, atol=1e-6)


def test_dropout_keeps_the_mean_and_its_share():
    x = jnp.ones((100, 7, 31))
    dropped, other = (layers.Dropout(0.3, False).apply({}, x, rngs={"dropout": jax.random.key(i)}) for i in (0, 1))
    assert set(np.unique(dropped)) == {0.0, np.float32(256 / 179)}
    np.testing.assert_allclose((dropped == 0).mean(), 0.3, atol=0.01)
    np.testing.assert_allclose(dropped.mean((0, 2)), 1, atol=0.05)
    assert 0.5 < (dropped == other).mean() < 0.65  # 0.7^2 + 0.3^2 where they are independent
    # Neighbours share a word of randomness and nothing else.
    np.testing.assert_allclose(np.corrcoef(dropped[..., :-1].ravel(), dropped[..., 1:].ravel())[0, 1], 0, atol=0.03)


def test_dropout_at_its_ends():
    x, keys = jnp.ones((3, 5)), {"dropout": jax.random.key(0)}
    np.testing.assert_array_equal(layers.Dropout(0.0, False).apply({}, x), x)
    np.testing.assert_array_equal(layers.Dropout(0.5, True).apply({}, x), x)
    np.testing.assert_array_equal(layers.Dropout(1.0, False).apply({}, x, rngs=keys), 0 * x)
