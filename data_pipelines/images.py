"""Maps over images, to be handed to `batching`: on arrays of numpy and JAX and on tensors in tf.data's graph alike.

Images are `examples['image']`, [n, height, width, channels]. A random integer in [0, m) is a draw modulo m: a
draw is uniform in [0, 2**31), so no value's probability is off by more than 2**-31 (5e-10).
"""

import numpy as np

from data_pipelines import DataError


def scale(examples, draws):
    """Brings `image` from 0..255 to [-1, 1], float32."""
    # No division: TensorFlow may turn one into a product, with another last bit. -1 and 1 are met exactly.
    return {**examples, "image": (examples["image"] - 127.5) * (1 / 127.5)}


def scale_pair(examples, draws):
    """Brings `image` and `source`, pictures stored in pairs, from 0..255 to [-1, 1], float32."""
    source = scale({"image": examples["source"]}, draws)["image"]
    return {**scale(examples, draws), "source": source}


def mask_square(size: int = 8, low: int = 8, high: int = 11):
    """A map that cuts a square hole into each image; use it after `scale`.

    Args:
      size: side of the hole, pixels.
      low, high: the row and the column of its top-left corner are each uniform over low..high, both included.

    Returns: a map that adds `mask`, float32 [n, height, width, 1], 1 in the hole and 0 outside, and `masked`,
      the image with its hole at -1, and leaves `image` whole.

    Raises:
      DataError: a hole that is empty, or (once pictures arrive) one that can leave the picture.
    """
    if size < 1 or not 0 <= low <= high:
        raise DataError(f"mask_square({size=}, {low=}, {high=}): need size >= 1 and 0 <= low <= high")

    def cut(examples, draws):
        image = examples["image"]
        height, width = image.shape[1:3]
        if high + size > min(height, width):
            raise DataError(
                f"mask_square: a hole of {size} pixels with its corner at {high} leaves pictures of "
                f"{height} x {width}: take high <= {min(height, width) - size}"
            )
        corner = draws % (high - low + 1) + low
        rows = np.arange(height, dtype=np.int32)[None] - corner[:, 0, None]
        columns = np.arange(width, dtype=np.int32)[None] - corner[:, 1, None]
        mask = _both(_in_range(rows, size), _in_range(columns, size))
        return {**examples, "mask": mask, "masked": image * (1 - mask) - mask}

    return cut


def flip_horizontal(examples, draws):
    """Mirrors `image`, and nothing else, left to right with probability 1/2."""
    image = examples["image"]
    flip = _float32(draws[:, 0] % 2)[:, None, None, None]
    return {**examples, "image": image * (1 - flip) + image[:, :, ::-1] * flip}


def shift(pixels: int):
    """A map that moves `image`, and nothing else, by whole pixels; use it after `scale`.

    Args:
      pixels: the offsets in rows and in columns are each uniform over -pixels..pixels. What moves in is -1.

    Raises:
      DataError: pixels < 0.
    """
    if pixels < 0:
        raise DataError(f"shift(pixels={pixels}): need pixels >= 0")

    def move(examples, draws):
        image = examples["image"]
        height, width = image.shape[1:3]
        offset = draws % (2 * pixels + 1) - pixels
        # The row and the column that each pixel comes from.
        rows = np.arange(height, dtype=np.int32)[None] - offset[:, 0, None]
        columns = np.arange(width, dtype=np.int32)[None] - offset[:, 1, None]
        inside = _both(_in_range(rows, height), _in_range(columns, width))
        return {**examples, "image": _gather(image, rows % height, columns % width) * inside + (inside - 1)}

    return move


def _in_range(index, length):
    return (index >= 0) & (index < length)


def _both(rows, columns):
    """float32 [n, height, width, 1]: 1 where rows, bool [n, height], and columns, [n, width], are True."""
    return _float32(rows[:, :, None, None] & columns[:, None, :, None])


# Arrays of numpy and JAX have no operator in common with tensors for these two.
def _float32(x):
    if hasattr(x, "astype"):
        return x.astype(np.float32)
    import tensorflow as tf

    return tf.cast(x, tf.float32)


def _gather(image, rows, columns):
    """image [n, height, width, channels] at rows [n, height] and columns [n, width] of its own."""
    if hasattr(image, "astype"):
        return image[np.arange(len(image))[:, None, None], rows[:, :, None], columns[:, None, :]]
    import tensorflow as tf

    return tf.gather(tf.gather(image, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
