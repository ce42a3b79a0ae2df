import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gans.frozen import vgg
from gans.scores import images
from tests.gans.filled import filled

GENERATOR = np.random.default_rng(0)
A = GENERATOR.uniform(-1, 1, (3, 24, 30, 3)).astype(np.float32)
NOISE = GENERATOR.standard_normal(A.shape) * np.array([0.01, 0.1, 0.5]).reshape(3, 1, 1, 1)
B = (A + NOISE).clip(-1, 1).astype(np.float32)
lpips = jax.jit(images.lpips)


@pytest.fixture(scope="module")
def trunk():
    return filled(jax.eval_shape(lambda: vgg.random_variables(jax.random.key(0), 16))) | {
        "preprocessing": vgg.preprocessing("torch")
    }


@pytest.fixture(scope="module")
def heads():
    filters = (64, 128, 256, 512, 512)
    random = np.random.default_rng(1)
    return {
        layer: random.uniform(0, 1, count).astype(np.float32)
        for layer, count in zip(images.LPIPS_LAYERS, filters, strict=True)
    }


def test_psnr_of_a_constant_difference():
    difference = jnp.array([2, 0.2, 2 / 255]).reshape(3, 1, 1, 1)
    found = images.psnr(jnp.full((3, 4, 5, 1), -1.0), -1 + jnp.broadcast_to(difference, (3, 4, 5, 1)))
    np.testing.assert_allclose(found, [0, 20, 20 * np.log10(255)], rtol=1e-4, atol=1e-4)
    assert np.isposinf(images.psnr(A, A)).all()


def test_psnr_is_that_of_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    expected = [metrics.peak_signal_noise_ratio(a, b, data_range=2) for a, b in zip(A, B, strict=True)]
    np.testing.assert_allclose(images.psnr(A, B), expected, rtol=1e-5)


def test_ssim_is_that_of_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    expected = [
        metrics.structural_similarity(
            a, b, data_range=2, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for a, b in zip(A + 1, B + 1, strict=True)  # its constants are for pixels from 0 on
    ]
    np.testing.assert_allclose(jax.jit(images.ssim)(A, B), expected, atol=1e-5)
    np.testing.assert_allclose(images.ssim(A, A), 1, rtol=1e-5)


def test_ssim_of_flat_pictures():
    # Without variance only the means are compared: (2 x y + c) / (x^2 + y^2 + c), x and y in [0, 1].
    flat = jnp.ones((1, 11, 11, 1))
    expected = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    np.testing.assert_allclose(images.ssim(-0.5 * flat, 0.5 * flat), [expected], rtol=1e-5)


def test_pictures_that_do_not_compare():
    for score in (images.psnr, images.ssim):
        with pytest.raises(ValueError, match="pictures must be"):
            score(A, B[:, :, :-1])
        with pytest.raises(ValueError, match="must be floats"):
            score(A.astype(np.uint8), B.astype(np.uint8))
    with pytest.raises(ValueError, match="11x11 or more"):
        images.ssim(A[:, :10], B[:, :10])


def test_luma_of_the_standards_colours():
    colours = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    y = 127.5 * (images.luma(2 * colours.reshape(1, 1, 5, 3) - 1) + 1)
    assert y.shape == (1, 1, 5, 1)
    np.testing.assert_allclose(y[0, 0, :, 0], [16, 235, 81.481, 144.553, 40.966], rtol=1e-5)


def test_luma_is_that_of_scikit_image():
    color = pytest.importorskip("skimage.color")
    expected = color.rgb2ycbcr((A + 1) / 2)[..., :1]
    np.testing.assert_allclose(127.5 * (images.luma(A) + 1), expected, rtol=1e-4)


def test_the_literatures_psnr_takes_255_as_the_peak():
    a, b = (np.asarray(images.crop_border(images.luma(pictures), 4)) for pictures in (A, B))
    assert a.shape == (3, 16, 22, 1)
    squared = np.square(127.5 * (a.astype(np.float64) - b)).mean((1, 2, 3))
    np.testing.assert_allclose(images.psnr(a, b), 10 * np.log10(255**2 / squared), rtol=1e-4)


def test_borders():
    np.testing.assert_array_equal(images.crop_border(A, 4), A[:, 4:-4, 4:-4])
    np.testing.assert_array_equal(images.crop_border(A, 0), A)
    for pixels in (12, -1):
        with pytest.raises(ValueError, match=f"border of {pixels} pixels cannot be cut off pictures of 24x30"):
            images.crop_border(A, pixels)


def test_lpips_is_that_of_lpips_jax(trunk, heads):
    module = pytest.importorskip("lpips_jax").LPIPS(net_type="vgg16")
    convolutions = [name for name in vgg.layer_names(16) if "conv" in name]
    params = {"VGG16_0": {f"Conv_{i}": trunk["params"][name] for i, name in enumerate(convolutions)}}
    for i, layer in enumerate(images.LPIPS_LAYERS):
        params[f"NetLinLayer_{i}"] = {"Conv_0": {"kernel": heads[layer].reshape(1, 1, -1, 1)}}
    with jax.numpy_rank_promotion("allow"):
        expected = jax.jit(module.apply)({"params": params}, A, B).reshape(3)
    np.testing.assert_allclose(lpips(trunk, heads, A, B), expected, rtol=1e-5)


def test_lpips_is_a_symmetric_distance(trunk, heads):
    there = lpips(trunk, heads, A, B)
    np.testing.assert_allclose(lpips(trunk, heads, B, A), there, rtol=1e-5)
    np.testing.assert_array_equal(lpips(trunk, heads, A, A), 0)
    assert (np.diff(there) > 0).all()  # the noise grows


def test_lpips_has_a_slope_where_all_channels_are_dead(trunk, heads):
    last = trunk["params"]["block5_conv3"]
    dead = trunk["params"] | {"block5_conv3": last | {"bias": np.full_like(last["bias"], -1e6)}}
    a, b = jnp.asarray(A[:1, :16, :16]), jnp.asarray(B[:1, :16, :16])
    slope = jax.jit(jax.grad(lambda a, *trunk: images.lpips(*trunk, heads, a, b).sum()))(a, trunk | {"params": dead})
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 0
    with pytest.raises(ValueError, match="must have one shape"):
        images.lpips(trunk, heads, a, b[:, :-1])
