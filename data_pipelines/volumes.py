"""Maps over volumes, to be handed to `batching`: on arrays of numpy and JAX and tensors in tf.data's graph alike.

Volumes are `examples['image']`, [n, x, y, z, 1] in {0, 1}: solid is 1. The axes are right-handed: x points to the
right, y up, z towards whoever looks at the front. Everything here that makes, shows or writes volumes keeps to them.
A random integer in [0, m) is a draw modulo m, as in `images`.
"""

import numpy as np

from data_pipelines import DataError

_STEPS = 1000  # of a factor in `jitter`


def scale(examples, draws):
    """Brings `image` from uint8 to float32; 0 and 1 stay what they are."""
    return {**examples, "image": _float32(examples["image"])}


def mirror(examples, draws):
    """Mirrors `image` left to right (x) with probability 1/2."""
    image = examples["image"]
    return {**examples, "image": _choose([image, image[:, ::-1]], draws[:, 0] % 2)}


def quarter_turns(examples, draws):
    """Turns `image` around the vertical axis by 0, 90, 180 or 270 degrees, with equal probability.

    By 90 degrees what faces the viewer (z) comes to face right (x).
    """
    image = examples["image"]
    half, across = image[:, ::-1, :, ::-1], _transpose(image, (0, 3, 2, 1, 4))
    turns = [image, across[:, :, :, ::-1], half, across[:, ::-1]]
    return {**examples, "image": _choose(turns, draws[:, 0] % 4)}


def jitter(scale: float = 0.1, shift: int = 1):
    """A map that changes the proportions and the place of `image` a little.

    Args:
      scale: along each axis the volume shrinks around its centre by a factor of its own, uniform in [1 - scale, 1] in
        steps of a thousandth. Where two voxels become one it is solid if either was, so that nothing thin is lost.
      shift: then it moves along each axis by whole voxels, uniform over -shift..shift. What leaves the grid is lost.

    Raises:
      DataError: scale outside of [0, 0.5], or shift < 0.
    """
    if not 0 <= scale <= 0.5 or shift < 0:
        raise DataError(f"jitter({scale=}, {shift=}): need 0 <= scale <= 0.5 and shift >= 0")
    steps = round(scale * _STEPS)

    def moved(image, draws):
        for axis in (1, 2, 3):
            # Two independent numbers of one draw: 31 bits hold a thousand steps and the shifts with room to spare.
            factor = _STEPS - draws[:, axis] % (steps + 1)
            offset = draws[:, axis] // (steps + 1) % (2 * shift + 1) - shift
            image = _shrink(image, axis, factor[:, None], offset[:, None])
        return image

    def move(examples, draws):
        image = examples["image"]
        if isinstance(image, np.ndarray):
            # One by one they stay in the processor's cache: more than twice as fast.
            rows = [slice(row, row + 1) for row in range(len(image))]
            return {**examples, "image": np.concatenate([moved(image[row], draws[row]) for row in rows])}
        return {**examples, "image": moved(image, draws)}

    return move


def _shrink(image, axis, factor, offset):
    """Shrinks each volume along an axis by factor / _STEPS, int [n, 1], then moves it by offset voxels, int [n, 1].

    In doubled coordinates around the centre, voxel i's is 2 i + 1 - size; it goes to where factor / _STEPS takes it.
    The voxels that go to one target are between two ceilings, and there are one or two; all in integers, so that
    numpy and TensorFlow agree.
    """
    size = image.shape[axis]
    edges = 2 * (np.arange(size + 1, dtype=np.int32)[None] - offset) - size
    # The first voxel at or beyond each target's lower edge: the ceiling of (edges * steps / factor + size - 1) / 2.
    first = -((-edges * _STEPS - (size - 1) * factor) // (2 * factor))
    low, high = first[:, :-1], first[:, 1:] - 1
    a, b = (_take(image, axis, rows % size) * _along(_inside(rows, size), axis) for rows in (low, high))
    return a + b - a * b


def _inside(rows, size):
    return (rows >= 0) & (rows < size)


def _choose(options, number):
    """options[number[i]] for each example i."""
    if isinstance(number, np.ndarray):
        return np.stack([options[choice][row] for row, choice in enumerate(number)])
    return sum(option * _along(number[:, None] == i, 1) for i, option in enumerate(options))


def _along(condition, axis):
    """float32 of a bool [n, size], with its second axis where `axis` of a volume is."""
    index = [slice(None), None, None, None, None]
    index[axis] = slice(None)
    return _float32(condition[tuple(index)])


# Arrays of numpy and JAX have no operator in common with tensors for these three.
def _float32(x):
    if hasattr(x, "astype"):
        return x.astype(np.float32, copy=False)
    import tensorflow as tf

    return tf.cast(x, tf.float32)


def _transpose(x, axes):
    if hasattr(x, "astype"):
        return x.transpose(axes)
    import tensorflow as tf

    return tf.transpose(x, axes)


def _take(image, axis, rows):
    """image [n, ...] at rows [n, size] of its own along an axis."""
    if isinstance(image, np.ndarray):  # one by one, see `jitter`
        return np.stack([volume.take(own, axis - 1) for volume, own in zip(image, rows, strict=True)])
    if hasattr(image, "astype"):
        return image.swapaxes(1, axis)[np.arange(len(image))[:, None], rows].swapaxes(1, axis)
    import tensorflow as tf

    return tf.gather(image, rows, axis=axis, batch_dims=1)
