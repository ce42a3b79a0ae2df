"""Pictures of a run: rows of samples, and the curves of its losses."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from experiments.commands import whole_file


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Images in [-1, 1] as uint8."""
    return np.clip(np.round((np.asarray(images) + 1) * 127.5), 0, 255).astype(np.uint8)


def grid(images: np.ndarray) -> np.ndarray:
    """Pictures uint8 [count, height, width, channels] side by side, near square: uint8 [height, width, 3]."""
    count, height, width, channels = images.shape
    columns = int(np.ceil(np.sqrt(count)))
    lines = -(-count // columns)
    filled = np.zeros((lines * columns, height, width, channels), np.uint8)
    filled[:count] = images
    whole = filled.reshape(lines, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    whole = whole.reshape(lines * height, columns * width, channels)
    return np.broadcast_to(whole, (*whole.shape[:2], 3))


def pairs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A grid of pairs: each picture uint8 [count, height, width, channels] of the left with its one of the right."""
    framed = [
        np.pad(side, ((0, 0), (2, 2), margin, (0, 0)), constant_values=255)
        for side, margin in ((left, (2, 1)), (right, (1, 2)))
    ]
    return grid(np.concatenate(framed, axis=2))


def strips(faces: np.ndarray, aged: np.ndarray) -> np.ndarray:
    """Each face and, beside it, the same person in each age group, one line a face: uint8 [height, width, 3].

    Args:
      faces: [count, height, width, 3] in [-1, 1].
      aged: [count, groups, height, width, 3] in [-1, 1].
    """
    given = np.pad(to_uint8(faces), ((0, 0), (0, 0), (0, 4), (0, 0)), constant_values=255)
    columns = [given, *(to_uint8(aged[:, group]) for group in range(aged.shape[1]))]
    return np.concatenate(list(np.concatenate(columns, axis=2)))


def triples(sources: np.ndarray, restored: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Source, restored picture and original side by side, one line an example: uint8 [height, width, 3].

    Args:
      sources: [count, height / scale, width / scale, 3] in [-1, 1], shown with pixels `scale` times as large.
      restored, originals: [count, height, width, 3] in [-1, 1].
    """
    scale = originals.shape[1] // sources.shape[1]
    enlarged = np.repeat(np.repeat(sources, scale, axis=1), scale, axis=2)
    columns = [to_uint8(pictures) for pictures in (enlarged, restored, originals)]
    return np.concatenate(list(np.concatenate(columns, axis=2)))


def sheet(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Labelled rows of pictures at their own size: uint8 [height, width, 3].

    Args:
      rows: {label: [count, height, width, 3] in [-1, 1]}, all of one shape.
    """
    font, parts = ImageFont.load_default(18), []
    for label, images in rows.items():
        line = np.concatenate(list(to_uint8(images)), axis=1)
        head = Image.new("RGB", (line.shape[1], 26), "white")
        ImageDraw.Draw(head).text((4, 2), label, "black", font)
        parts += [np.asarray(head), line]
    return np.concatenate(parts)


def rows(
    pictures: Mapping[str, np.ndarray], captions: Mapping[str, Sequence], wrong: Mapping[str, Sequence]
) -> np.ndarray:
    """One row of pictures a name, with captions under them.

    Args:
      pictures: {row's name: [count, height, width, channels] in [-1, 1]}.
      captions: {row's name: one caption a picture}, for some of the rows.
      wrong: {row's name: one bool a picture}: captions to be drawn in red.

    Returns:
      uint8 [height, width, 3].
    """
    side = next(iter(pictures.values())).shape[1]
    scale, font, gap = max(1, 72 // side), ImageFont.load_default(13), 8
    cell, margin = side * scale, 10 + int(max(font.getlength(name) for name in pictures))
    height = cell + 26 if captions else cell + gap
    count = len(next(iter(pictures.values())))
    canvas = Image.new("RGB", (margin + count * (cell + gap), gap + len(pictures) * height), "white")
    draw = ImageDraw.Draw(canvas)
    for line, (name, images) in enumerate(pictures.items()):
        top = gap + line * height
        draw.text((margin - 6, top + cell // 2), name, "black", font, anchor="rm")
        for index, image in enumerate(to_uint8(images)):
            left = margin + index * (cell + gap)
            picture = Image.fromarray(image.squeeze())
            canvas.paste(picture.resize((cell, cell), Image.Resampling.NEAREST), (left, top))
            if name in captions:
                color = "#d62728" if wrong[name][index] else "black"
                draw.text((left + cell // 2, top + cell + 4), str(captions[name][index]), color, font, anchor="mt")
    return np.asarray(canvas)


def loss_curves(records: Sequence[Mapping[str, float]]) -> np.ndarray:
    """The losses of metrics.jsonl's records over the steps, one panel a player: uint8 [height, width, 3]."""
    names = [name for name in (records[-1] if records else {}) if name.endswith("/loss")]
    figure, axes = plt.subplots(1, max(len(names), 1), figsize=(5 * max(len(names), 1), 3.2), squeeze=False)
    for axis, name in zip(axes[0], names, strict=False):
        points = [(record["step"], record[name]) for record in records if name in record]
        axis.plot(*zip(*points, strict=True), linewidth=0.8)
        axis.set(title=name, xlabel="step")
        axis.grid(alpha=0.3)
    return _drawn(figure)


def _drawn(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    plt.close(figure)
    return np.asarray(Image.open(buffer).convert("RGB"))


def write(path: Path, picture: np.ndarray) -> None:
    """Writes a PNG whole or not at all."""
    with whole_file(path) as file:
        Image.fromarray(picture).save(file, format="png")


def write_gif(path: Path, pictures: Sequence[np.ndarray]) -> None:
    """Writes uint8 [height, width, 3] pictures as an animation that runs round and round, whole or not at all."""
    first, *rest = map(Image.fromarray, pictures)
    with whole_file(path) as file:
        first.save(file, format="gif", save_all=True, append_images=rest, duration=80, loop=0)


def write_set(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an .npz of arrays, whole or not at all."""
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)
