import io
import itertools

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, signal

from data_pipelines import DataError, degrade, images
from data_pipelines.batching import evaluation_batches, train_batches
from data_pipelines.maps import PerPicture

RNG = np.random.default_rng(0)
DRAWS = RNG.integers(0, 2**31, (300, 4), np.int32)
PICTURES = RNG.integers(0, 256, (20, 48, 56, 3), np.uint8)


def smooth(count=4, height=48, width=48):
    """Pictures in [-1, 1] that look a little like photographs."""
    noise = np.random.default_rng(1).standard_normal((count, height, width, 3))
    pictures = ndimage.gaussian_filter(noise, (0, 2, 2, 0))
    return (pictures / abs(pictures).max()).astype(np.float32)


def places(height, width):
    """A picture whose pixels say where they are."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([rows, columns], -1)


def test_crops_reach_every_place_and_are_shared():
    image = np.broadcast_to(places(8, 7), (300, 8, 7, 2))
    out = degrade.random_crop(5, ("image", "source"))({"image": image, "source": image + 100, "label": 3}, DRAWS)
    np.testing.assert_array_equal(out["source"], out["image"] + 100)
    assert out["label"] == 3
    corners = [tuple(corner) for corner in out["image"][:, 0, 0].astype(int)]
    assert set(corners) == set(itertools.product(range(4), range(3)))
    for corner, one in zip(corners, out["image"], strict=True):
        np.testing.assert_array_equal(one, places(5, 5) + corner)


def test_flip_and_turn_takes_all_eight_positions_together():
    image = np.broadcast_to(places(5, 5), (300, 5, 5, 2))
    out = degrade.flip_and_turn(("image", "source"))({"image": image, "source": -image}, DRAWS)
    np.testing.assert_array_equal(out["source"], -out["image"])
    eight = [np.rot90(one, k) for one in (places(5, 5), places(5, 5)[:, ::-1]) for k in range(4)]
    found = [next(i for i, one in enumerate(eight) if np.array_equal(one, x)) for x in out["image"]]
    counts = np.bincount(found, minlength=8)
    # 37 expected; the deviation is under 6.
    assert counts.min() > 15


def test_crops_and_turns_refuse():
    pair = {"image": np.zeros((1, 8, 9, 3)), "source": np.zeros((1, 4, 4, 3))}
    with pytest.raises(DataError, match="pictures of one size together"):
        degrade.random_crop(2, ("image", "source"))(pair, DRAWS[:1])
    with pytest.raises(DataError, match="8 x 9 have no square of 9"):
        degrade.random_crop(9)(pair, DRAWS[:1])
    with pytest.raises(DataError, match="8 x 9 are not square"):
        degrade.flip_and_turn()(pair, DRAWS[:1])
    with pytest.raises(DataError, match="size >= 1"):
        degrade.random_crop(0)


@pytest.mark.parametrize("shape", [(24, 28), (12, 14), (16, 19), (7, 9), (96, 112), (61, 100), (48, 30)])
def test_imresize_is_pillows_bicubic_but_for_the_border(shape):
    pictures = RNG.uniform(-1, 1, (2, 48, 56, 1)).astype(np.float32)
    ours = degrade.imresize(pictures, *shape)
    assert ours.dtype == np.float32
    # Pillow cuts the kernel off at the border, where MATLAB mirrors the picture.
    rows, columns = (int(np.ceil(2 * max(1, a / b) * b / a)) + 1 for a, b in zip((48, 56), shape, strict=True))
    inner = np.s_[rows : shape[0] - rows, columns : shape[1] - columns]
    for one, picture in zip(ours, pictures, strict=True):
        theirs = np.asarray(Image.fromarray(picture[..., 0], "F").resize(shape[::-1], Image.Resampling.BICUBIC))
        assert theirs[inner].size
        np.testing.assert_allclose(one[..., 0][inner], theirs[inner], atol=1e-4)


def test_imresize_has_matlabs_weights():
    # Halving a point: Keys' kernel at 0.25, 0.75, 1.25, 1.75, halved; all of these are exact in binary.
    half = np.array([0.8671875, 0.2265625, -0.0703125, -0.0234375]) / 2
    impulse = np.zeros((1, 16, 1, 1))
    impulse[0, 8] = 1
    np.testing.assert_allclose(
        degrade.imresize(impulse, 8, 1).ravel(), [0, 0, half[3], half[1], half[0], half[2], 0, 0]
    )
    # At the border the mirrored pixels' weights come to the picture's own.
    impulse = np.zeros((1, 16, 1, 1))
    impulse[0, 0] = 1
    np.testing.assert_allclose(degrade.imresize(impulse, 8, 1).ravel()[:2], [half[0] + half[1], half[2] + half[3]])
    # Doubling: the same four on each side.
    up = degrade.imresize(np.eye(1, 9, 4).reshape(1, 9, 1, 1), 18, 1).ravel()
    np.testing.assert_array_equal(up[5:13], 2 * half[[3, 2, 1, 0, 0, 1, 2, 3]])


def test_imresize_keeps_what_it_must():
    constant = np.full((1, 13, 17, 2), 0.3, np.float32)
    for shape in ((5, 7), (26, 40), (13, 17), (1, 1), (100, 3)):
        np.testing.assert_allclose(degrade.imresize(constant, *shape), 0.3, atol=1e-6)
    picture = RNG.uniform(-1, 1, (1, 20, 24, 1))
    for shape in ((10, 6), (45, 50)):
        whole = degrade.imresize(picture, *shape)
        np.testing.assert_allclose(degrade.imresize(picture[:, ::-1, ::-1], *shape), whole[:, ::-1, ::-1], atol=1e-12)
        np.testing.assert_allclose(
            degrade.imresize(picture.swapaxes(1, 2), *shape[::-1]), whole.swapaxes(1, 2), atol=1e-12
        )
    # Keys' kernel keeps straight lines, away from the border.
    ramp = np.arange(40.0).reshape(1, 40, 1, 1)
    np.testing.assert_allclose(degrade.imresize(ramp, 80, 1)[0, 8:-8, 0, 0], np.arange(80)[8:-8] / 2 - 0.25, atol=1e-9)
    np.testing.assert_array_equal(degrade.imresize(picture, 20, 24), picture)


@pytest.mark.parametrize("factor", [2, 4])
def test_downsample_adds_a_stored_low_resolution(factor):
    image = smooth()
    out = degrade.downsample(factor)({"image": image}, DRAWS[:4])
    np.testing.assert_array_equal(out["image"], image)
    assert out["source"].shape == (4, 48 // factor, 48 // factor, 3)
    assert out["source"].dtype == np.float32
    stored = np.rint((out["source"] + 1) * 127.5)
    np.testing.assert_array_equal(images.scale({"image": stored.astype(np.float32)}, None)["image"], out["source"])
    raw = degrade.downsample(factor, rounded=False)({"image": image}, DRAWS[:4])["source"]
    np.testing.assert_allclose(raw, degrade.imresize(image, 48 // factor, 48 // factor))
    assert 0 < abs(raw - out["source"]).max() <= 0.5001 / 127.5


def test_low_resolutions_are_clipped():
    edges = np.sign(smooth())
    assert abs(degrade.imresize(edges, 12, 12)).max() > 1
    for rounded in (True, False):
        source = degrade.downsample(4, rounded=rounded)({"image": edges}, DRAWS[:4])["source"]
        assert abs(source).max() == 1


@pytest.mark.parametrize("shape", [(5, 5), (31, 31), (3, 8)])
def test_convolution_is_scipys(shape):
    picture = RNG.uniform(-1, 1, (45, 37, 3))
    kernel = RNG.uniform(0, 1, shape)
    expected = np.stack([signal.convolve2d(picture[..., c], kernel, "valid") for c in range(3)], -1)
    np.testing.assert_allclose(degrade.convolve(picture, kernel), expected, atol=1e-10)
    single = degrade.convolve(picture.astype(np.float32), kernel)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=1e-4 * abs(expected).max())


@pytest.mark.parametrize("kind", degrade.KINDS)
def test_blurred_pictures_are_the_image_under_the_kernel(kind):
    image = smooth(6)
    out = degrade.blur((kind,), 15, radius=(1, 6), length=(3, 14), sigma=(0.5, 2.5), rounded=False)(
        {"image": image, "label": 3}, DRAWS[:6]
    )
    assert {key: x.shape for key, x in out.items() if key != "label"} == {
        "image": (6, 34, 34, 3),
        "source": (6, 34, 34, 3),
        "kernel": (6, 15, 15),
        "kind": (6,),
    }
    np.testing.assert_array_equal(out["image"], image[:, 7:-7, 7:-7])
    for before, kernel, after in zip(image, out["kernel"], out["source"], strict=True):
        whole = ndimage.convolve(before.astype(float), kernel[:, :, None].astype(float))
        np.testing.assert_allclose(after, whole[7:-7, 7:-7], atol=1e-5)
    assert len({kernel.tobytes() for kernel in out["kernel"]}) == 6
    np.testing.assert_allclose(out["kernel"].sum((1, 2)), 1, atol=1e-5)


def test_kinds_are_drawn_evenly():
    options = {"radius": (2, 2), "sigma": (1, 1), "length": (8, 8)}
    out = degrade.blur(size=9, **options)({"image": np.zeros((300, 9, 9, 1), np.float32)}, DRAWS)

    def like(kind):
        one = degrade.blur((kind,), 9, **options)({"image": np.zeros((1, 9, 9, 1), np.float32)}, DRAWS[:1])["kernel"][0]
        found = [np.array_equal(one, kernel) for kernel in out["kernel"]]
        np.testing.assert_array_equal(found, out["kind"] == degrade.KINDS.index(kind))
        return sum(found)

    # 75 expected; the deviation is 7.5.
    assert 45 < like("defocus") < 105
    assert 45 < like("gaussian") < 105


def test_noise_has_the_strength_drawn():
    grey = np.zeros((200, 24, 24, 3), np.float32)
    out = degrade.blur(("gaussian",), 9, sigma=(1, 1.5), noise=(2, 8), rounded=False)({"image": grey}, DRAWS[:200])
    deviations = out["source"].std((1, 2, 3)) * 127.5
    assert 1.8 < deviations.min() < 2.6
    assert 7.4 < deviations.max() < 8.7
    assert abs(out["source"].mean()) < 0.001
    low = degrade.downsample(2, noise=(5, 5), rounded=False)({"image": grey}, DRAWS[:200])["source"]
    assert low.std() * 127.5 == pytest.approx(5, abs=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows(channels):
    image = smooth()[..., :channels]
    plain = degrade.downsample(2)({"image": image}, DRAWS[:4])["source"]
    out = degrade.downsample(2, jpeg=(40, 40))({"image": image}, DRAWS[:4])["source"]
    for before, after in zip(plain, out, strict=True):
        file = io.BytesIO()
        pixels = np.rint((before + 1) * 127.5).astype(np.uint8)
        Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(file, "JPEG", quality=40)
        expected = np.asarray(Image.open(file)).reshape(before.shape)
        np.testing.assert_array_equal(np.rint((after + 1) * 127.5), expected)
    qualities = degrade.downsample(2, jpeg=(10, 95))({"image": image}, DRAWS[:4])["source"]
    errors = abs(qualities - plain).mean((1, 2, 3))
    assert errors.min() < 0.5 * errors.max()


def maps():
    return [
        images.scale,
        degrade.random_crop(32),
        degrade.flip_and_turn(),
        PerPicture(degrade.blur(size=9, radius=(1, 3), length=(3, 8), sigma=(0.5, 1.5), noise=(0, 4), jpeg=(50, 95))),
        images.flip_horizontal,
    ]


def test_both_loaders_give_the_same_bits_from_any_step():
    arrays = {"image": PICTURES, "label": np.arange(20)}
    from_zero = train_batches(arrays, maps(), 4, seed=3, loader="memory")
    late = train_batches(arrays, maps(), 4, seed=3, loader="memory", start=3)
    graph = train_batches(arrays, maps(), 4, seed=3, loader="tf.data", start=3)
    for one, two, three in itertools.islice(zip(itertools.islice(from_zero, 3, None), late, graph, strict=True), 4):
        assert set(one) == {"image", "source", "kernel", "kind", "label"}
        assert one["source"].shape == one["image"].shape == (1, 4, 24, 24, 3)
        for key in one:
            np.testing.assert_array_equal(one[key], two[key])
            np.testing.assert_array_equal(one[key], three[key])


def test_an_examples_bits_do_not_depend_on_its_batch():
    arrays = {"image": PICTURES}
    low = [images.scale, degrade.random_crop(32), degrade.downsample(4, noise=(0, 4))]
    for chosen in (maps()[:-1], low):
        large = next(evaluation_batches(arrays, chosen, 20, 7))
        small = list(evaluation_batches(arrays, chosen, 5, 7))
        for key in ("image", "source"):
            np.testing.assert_array_equal(np.concatenate([batch[key] for batch in small]), large[key])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: degrade.downsample(0), "factor >= 1"),
        (lambda: degrade.downsample(2, noise=(3, 1)), "low <= high"),
        (lambda: degrade.downsample(2, noise=(-1, 1)), "0 <= low"),
        (lambda: degrade.downsample(2, jpeg=(0, 50)), "1 <= low <= high <= 100"),
        (lambda: degrade.blur(jpeg=(90,)), "qualities"),
        (lambda: degrade.blur(("motion",)), "kinds among defocus, line, trajectory, gaussian"),
        (lambda: degrade.blur(()), "kinds among"),
        (lambda: degrade.blur(size=30), "odd size"),
        (lambda: degrade.blur(size=9), r"radius=\(1, 7\).* <= 4.5 for kernels of 9"),
        (lambda: degrade.blur(["line"], length=[5, 31]), r"length=\(5, 31\).* <= 30"),
        (lambda: degrade.blur(("trajectory",), length=(0, 3)), "0 < low"),
        (lambda: degrade.blur(("gaussian",), sigma=(3, 2)), "low <= high"),
        (lambda: degrade.downsample(5)({"image": smooth()}, DRAWS[:4]), "48 x 48 is no multiple of 5"),
        (lambda: degrade.blur()({"image": smooth()[:, :30]}, DRAWS[:4]), "30 x 48 are smaller than a kernel of 31"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_the_defaults_are_in_range():
    out = degrade.blur()({"image": smooth(8, 40, 44)}, DRAWS[:8])
    assert out["source"].shape == out["image"].shape == (8, 10, 14, 3)
    assert np.isfinite(out["source"]).all()
