"""Maps over photographs, to be handed to `batching`: crops and turns, and what makes them worse.

Pictures are float32 [n, height, width, channels]; the maps that add a degraded `source` want `image` in [-1, 1], as
`images.scale` brings it. Every example is worked on alone, so its bits depend on nothing but itself and its draws.
"""

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import fft

from data_pipelines import DataError, kernels
from data_pipelines.maps import OnNumpy, generators

KINDS = ("defocus", "line", "trajectory", "gaussian")
Range = tuple[float, float]


def random_crop(size: int, keys: Sequence[str] = ("image",)) -> OnNumpy:
    """A map that cuts one square, uniform over all its places, out of the pictures `keys` of each example.

    Args:
      size: its side, pixels.
      keys: pictures of one size, cut at the same place.

    Raises:
      DataError: size < 1, or (once pictures arrive) pictures smaller than it.
    """
    if size < 1:
        raise DataError(f"random_crop({size=}): need size >= 1")

    def crop(examples, draws):
        height, width = _common_size(examples, keys, "random_crop")
        if size > min(height, width):
            raise DataError(f"random_crop: pictures of {height} x {width} have no square of {size}; take larger cells")
        top, left = draws[:, 0] % (height - size + 1), draws[:, 1] % (width - size + 1)

        def cut(pictures):
            squares = [x[i : i + size, j : j + size] for x, i, j in zip(pictures, top, left, strict=True)]
            return np.stack(squares)

        return {**examples, **{key: cut(examples[key]) for key in keys}}

    return OnNumpy(crop)


def flip_and_turn(keys: Sequence[str] = ("image",)) -> OnNumpy:
    """A map that brings the square pictures `keys` of each example into one of the square's eight positions.

    Each of the four quarter turns, mirrored or not, has the same probability.
    """

    def turn(examples, draws):
        height, width = _common_size(examples, keys, "flip_and_turn")
        if height != width:
            raise DataError(f"flip_and_turn: pictures of {height} x {width} are not square; crop them first")

        def turned(pictures):
            quarters = [np.rot90(x, k) for x, k in zip(pictures, draws[:, 0] % 4, strict=True)]
            return np.stack([x[:, ::-1] if m else x for x, m in zip(quarters, draws[:, 1] % 2, strict=True)])

        return {**examples, **{key: turned(examples[key]) for key in keys}}

    return OnNumpy(turn)


def _common_size(examples, keys, name) -> tuple[int, int]:
    sizes = {key: examples[key].shape[1:3] for key in keys}
    if len(set(sizes.values())) != 1:
        raise DataError(f"{name}: takes pictures of one size together, not {sizes}")
    return next(iter(sizes.values()))


def downsample(factor: int, *, noise: Range = (0, 0), jpeg: Sequence[int] = (), rounded: bool = True) -> OnNumpy:
    """A map that adds `source`, the image made smaller as the super-resolution literature makes it.

    Args:
      factor: `image`'s height and width must be multiples of it.
      noise, jpeg, rounded: as of `blur`.

    Returns: a map that adds `source`, float32 [n, height / factor, width / factor, channels] in [-1, 1], by
      `imresize`.

    Raises:
      DataError: values out of range, or (once pictures arrive) sizes that do not divide.
    """
    if factor < 1:
        raise DataError(f"downsample({factor=}): need factor >= 1")
    _check_storage("downsample", noise, jpeg)

    def add(examples, draws):
        image = examples["image"]
        height, width = image.shape[1:3]
        if height % factor or width % factor:
            raise DataError(f"downsample: {height} x {width} is no multiple of {factor}; crop to one")
        small = imresize(image, height // factor, width // factor)
        return {**examples, "source": _stored(small, generators(draws), noise, jpeg, rounded)}

    return OnNumpy(add)


def blur(
    kinds: Sequence[str] = KINDS,
    size: int = 31,
    *,
    radius: Range = (1, 7),
    length: Range = (5, 30),
    sigma: Range = (0.5, 4),
    noise: Range = (0, 0),
    jpeg: Sequence[int] = (),
    rounded: bool = True,
) -> OnNumpy:
    """A map that adds `source`, the image blurred, and cuts from `image` the border that cannot be blurred.

    The kind of blur is drawn evenly from `kinds`, all numbers evenly from their ranges, anew for each example.

    Args:
      kinds: out of 'defocus' (`kernels.disc`), 'line', 'trajectory' and 'gaussian'.
      size: side of the kernels, odd.
      radius: of the disc, pixels, at most size / 2.
      length: of the line at any angle and of the random path, pixels, at most size - 1.
      sigma: of the Gaussian, pixels, at most size / 6.
      noise: standard deviation of the sensor's normal noise, which is added next, in steps of 8 bits (1 / 127.5).
      jpeg: if given, lowest and highest quality at which the result is then stored as JPEG, 1 to 100.
      rounded: whether the result is at last rounded to 8 bits, as a stored picture is. It is always clipped.

    Returns: a map that takes `image`, [n, height, width, channels], and gives `image` without size // 2 pixels on
      each side, `source` of its new size, in [-1, 1], `kernel`, float32 [n, size, size], and `kind`, int32 [n], its
      place in `kinds`.

    Raises:
      DataError: values out of range, or (once pictures arrive) pictures smaller than the kernel.
    """
    if not kinds or not set(kinds) <= set(KINDS) or size < 3 or size % 2 == 0:
        raise DataError(f"blur({kinds=}, {size=}): need kinds among {', '.join(KINDS)}, and an odd size >= 3")
    ranges = {"defocus": ("radius", radius, size / 2), "gaussian": ("sigma", sigma, size / 6)}
    for kind in kinds:
        name, (low, high), most = ranges.get(kind, ("length", length, size - 1))
        if not 0 < low <= high <= most:
            raise DataError(f"blur({name}={(low, high)}): need 0 < low <= high <= {most:g} for kernels of {size}")
    _check_storage("blur", noise, jpeg)

    def draw_kernel(kind, generator):
        if kind == "defocus":
            return kernels.disc(generator.uniform(*radius), size)
        if kind == "gaussian":
            return kernels.gaussian(generator.uniform(*sigma), size)
        if kind == "line":
            return kernels.line(generator.uniform(*length), generator.uniform(0, math.pi), size)
        return kernels.trajectory(generator, generator.uniform(*length), size, generator.uniform(0.003, 0.01))

    def add(examples, draws):
        image, half, own = examples["image"], size // 2, generators(draws)
        height, width = image.shape[1:3]
        if min(height, width) < size:
            raise DataError(f"blur: pictures of {height} x {width} are smaller than a kernel of {size}")
        kind = np.array([generator.integers(len(kinds)) for generator in own], np.int32)
        kernel = np.stack([draw_kernel(kinds[k], generator) for k, generator in zip(kind, own, strict=True)])
        blurred = np.stack([convolve(x, k) for x, k in zip(image, kernel, strict=True)])
        source = _stored(blurred, own, noise, jpeg, rounded)
        return {**examples, "image": image[:, half:-half, half:-half], "source": source, "kernel": kernel, "kind": kind}

    return OnNumpy(add)


def convolve(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The convolution where the kernel lies wholly within the picture, by fast Fourier transforms.

    Args:
      picture: float [height, width, channels].
      kernel: float [rows, columns], none of them more than the picture's.

    Returns: [height - rows + 1, width - columns + 1, channels] of the picture's type.
    """
    height, width = picture.shape[:2]
    # Long enough for the part asked for: what wraps around falls on the first rows and columns, which are cut off.
    shape = fft.next_fast_len(height, real=True), fft.next_fast_len(width, real=True)
    spectrum = fft.rfft2(np.moveaxis(picture, -1, 0), shape) * fft.rfft2(kernel.astype(picture.dtype), shape)
    whole = fft.irfft2(spectrum, shape)[:, kernel.shape[0] - 1 : height, kernel.shape[1] - 1 : width]
    return np.moveaxis(whole, 0, -1)


def imresize(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """MATLAB's imresize(pictures, [height width], 'bicubic'), which the literature's low resolutions are made with.

    Keys 1981 with a = -0.5; where the picture shrinks the kernel is widened by as much, so that nothing aliases;
    beyond the border the picture is mirrored.

    Args:
      pictures: float [n, height before, width before, channels].

    Returns: [n, height, width, channels] of the same type; values may leave the range of `pictures`.
    """
    rows = _resize_rows(pictures, height)
    return _resize_rows(rows.swapaxes(1, 2), width).swapaxes(1, 2)


def _resize_rows(x, height):
    before = x.shape[1]
    if height == before:
        return x
    index, weight = _taps(before, height, x.dtype)
    out = np.zeros((x.shape[0], height, *x.shape[2:]), x.dtype)
    # No matrix product: what a BLAS library adds first depends on the machine.
    for i, w in zip(index.T, weight.T, strict=True):
        out += x[:, i] * w[:, None, None]
    return out


def _taps(before, after, dtype):
    """For each pixel after, those before that it is made of and their weights: [after, taps] both."""
    scale = after / before
    stretch = max(1 / scale, 1)
    center = (np.arange(after) + 0.5) / scale - 0.5
    count = math.ceil(4 * stretch) + 2
    index = np.floor(center - 2 * stretch).astype(int)[:, None] + np.arange(count)
    weight = _cubic((center[:, None] - index) / stretch)
    weight /= weight.sum(1, keepdims=True)
    used = weight.any(0)
    # Mirrored as often as it takes: 0 1 2 2 1 0 0 1 2 ...
    index = index[:, used] % (2 * before)
    return np.minimum(index, 2 * before - 1 - index), weight[:, used].astype(dtype)


def _cubic(x):
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x**2 + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def _check_storage(name, noise, jpeg):
    if len(noise) != 2 or not 0 <= noise[0] <= noise[1]:
        raise DataError(f"{name}({noise=}): need (low, high) with 0 <= low <= high, in steps of 8 bits")
    if len(jpeg) and (len(jpeg) != 2 or not 1 <= jpeg[0] <= jpeg[1] <= 100):
        raise DataError(f"{name}({jpeg=}): need () or (low, high) with 1 <= low <= high <= 100, qualities")


def _stored(pictures, own, noise, jpeg, rounded):
    """The pictures as a camera would store them, each with random numbers of its own generator."""
    out = np.empty(pictures.shape, np.float32)
    for i, (picture, generator) in enumerate(zip(pictures, own, strict=True)):
        if noise[1]:
            grain = generator.standard_normal(picture.shape, np.float32)
            picture = picture + np.float32(generator.uniform(*noise) / 127.5) * grain
        if len(jpeg):
            picture = _from_8_bits(_jpeg(_to_8_bits(picture), int(generator.integers(jpeg[0], jpeg[1] + 1))))
        elif rounded:
            picture = _from_8_bits(_to_8_bits(picture))
        out[i] = np.clip(picture, -1, 1)
    return out


def _to_8_bits(picture):
    return np.rint(np.clip(picture, -1, 1) * 127.5 + 127.5).astype(np.uint8)


def _from_8_bits(picture):
    # As images.scale, bit for bit.
    return (picture.astype(np.float32) - 127.5) * (1 / 127.5)


def _jpeg(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(picture.shape)
