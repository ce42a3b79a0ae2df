"""Writes folders as wiki_crop.tar unpacks to: `wiki.mat` in its exact layout, and the pictures."""

import datetime

import numpy as np
import scipy.io
from PIL import Image


def row(path, birth=(1970, 3, 1), year=2000, name="Anna", score=3.5, second=np.nan):
    """One photograph; `birth` as (year, month, day), or as the number that wiki.mat has."""
    number = datetime.date(*birth).toordinal() + 366 if isinstance(birth, tuple) else birth
    return {
        "dob": number, "photo_taken": year, "full_path": path, "gender": 1.0, "name": name,
        "face_location": np.array([[111.3, 111.3, 252.7, 252.7]]), "face_score": score, "second_face_score": second,
    }  # fmt: skip


def _cells(values):
    cells = np.empty((1, len(values)), object)
    for i, value in enumerate(values):
        cells[0, i] = value
    return cells


def write_mat(path, rows, *, compressed=True, **changes):
    """A struct of 1x1 called `wiki`, each field a row: of numbers, or of cells that hold strings or boxes."""
    fields = {key: [one[key] for one in rows] for key in rows[0]}
    struct = {
        "dob": np.array([fields["dob"]], np.int32),
        "photo_taken": np.array([fields["photo_taken"]], np.uint16),
        "full_path": _cells(fields["full_path"]),
        "gender": np.array([fields["gender"]]),
        "name": _cells([name or np.zeros((0, 0), "U1") for name in fields["name"]]),
        "face_location": _cells(fields["face_location"]),
        "face_score": np.array([fields["face_score"]]),
        "second_face_score": np.array([fields["second_face_score"]]),
    }
    struct |= changes
    scipy.io.savemat(path, {"wiki": {k: v for k, v in struct.items() if v is not None}}, do_compression=compressed)


def write_picture(path, size=(120, 120), colour=(200, 120, 80), mode="RGB"):
    """A picture with the colour in its middle and noise around; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    height, width = (side // 6 for side in (size[1], size[0]))
    noise[height:-height, width:-width] = colour
    Image.fromarray(noise).convert(mode).save(path)
    return path
