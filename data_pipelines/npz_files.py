"""Writes what is found in folders as .npz files that `reading.load` reads, each whole or not at all."""

import os
from collections import Counter

import numpy as np

from data_pipelines import DataError, ages, face_csv, face_photos, pictures, voxels, wiki_faces


def write_images(folder: str, output: str, size: int, **options) -> str:
    """Writes the pictures of a folder as an .npz file that `reading.load` reads, whole or not at all.

    Args:
      folder, size, options: as of `pictures.read_folder`.
      output: the file to write, ending in .npz; one that is there already is refused.

    Returns: lines that name each picture left out and why, and a last one with all counts.

    Raises:
      DataError: as `pictures.read_folder`; an output that cannot be.
    """
    folder, output = os.path.expanduser(folder), _free(output)
    arrays, tally = pictures.read_folder(folder, size, **options)
    _write(output, arrays)
    return "\n".join(_report(output, arrays, tally))


def write_voxels(sources: list[str], output: str, resolution: int, **options) -> str:
    """Writes meshes or 3D ShapeNets as an .npz file that `reading.load` reads, whole or not at all.

    Args:
      sources, resolution, options: as of `voxels.prepare`.
      output: the file to write, ending in .npz; one that is there already is refused.

    Returns: lines that say what is in the file, and name what was left out and why.

    Raises:
      DataError: as `voxels.prepare`; an output that cannot be.
    """
    output = _free(output)
    arrays, lines = voxels.prepare(sources, resolution, **options)
    _write(output, arrays)
    return f"{output}: " + "\n".join(lines)


def write_faces(folder: str, output: str, listed: str = "", min_score: float = 1.0, **options) -> str:
    """Writes faces with ages as an .npz file that `reading.load` reads, whole or not at all.

    Args:
      folder: the unpacked wiki_crop.tar, or any folder with faces and one CSV, see `face_csv.rows`.
      output: as of `write_images`.
      listed: the CSV, if it is not the only one in `folder`; the files in it lie in `folder` wherever the CSV is.
      min_score: as of `wiki_faces.read`.
      options: as of `wiki_faces.read` and `face_photos.collect`.

    Returns: lines that name each picture that cannot be read and why, and last ones with all counts.

    Raises:
      DataError: as `wiki_faces.read`, `face_csv.rows` and `face_photos.collect`; an output that cannot be.
    """
    folder, output = os.path.expanduser(folder), _free(output)
    if not listed and os.path.exists(os.path.join(folder, wiki_faces.MAT)):
        splits, tally = wiki_faces.read(folder, min_score, **options)
    else:
        rows = face_csv.rows(os.path.expanduser(listed) or _only_csv(folder))
        splits, tally = face_photos.collect(folder, rows, **options)
    _write(output, {f"{split}_{name}": array for split, arrays in splits.items() for name, array in arrays.items()})
    lines = [f"not read: {path}: {why}" for path, why in sorted(tally.unreadable.items())]
    for split, arrays in splits.items():
        counts = zip(ages.GROUPS, np.bincount(arrays["label"], minlength=len(ages.GROUPS)), strict=True)
        persons, of_ages = len(np.unique(arrays["identity"])), ", ".join(f"{age}: {count}" for age, count in counts)
        lines.append(f"{output}, {split}: {len(arrays['label'])} faces of {persons} persons; {of_ages}")
    return "\n".join([*lines, f"dropped: {told(tally.dropped)}"])


def told(dropped: Counter[str]) -> str:
    """How much was dropped and why, the commonest cause first."""
    return ", ".join(f"{count} {cause}" for cause, count in dropped.most_common()) or "none"


def _only_csv(folder):
    try:
        found = sorted(name for name in os.listdir(folder) if name.lower().endswith(".csv"))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read as a folder ({error.strerror}); give another --from") from error
    if len(found) != 1:
        raise DataError(f"{folder}: has no {wiki_faces.MAT} and {len(found)} CSV files; name one with --csv")
    return os.path.join(folder, found[0])


def _free(output) -> str:
    """The path of the file to write, once it is known that it can be: work may take hours."""
    output = os.path.expanduser(output)
    parent = os.path.dirname(output) or "."
    if not output.endswith(".npz"):
        raise DataError(f"{output}: must end in .npz, or reading will not know it; give another --output")
    if os.path.lexists(output):
        raise DataError(f"{output}: is there already; move it away or give another --output")
    if not os.path.isdir(parent) or not os.access(parent, os.W_OK):
        raise DataError(f"{parent}: is no folder that can be written to; give another --output")
    return output


def _write(output, arrays) -> None:
    part = f"{output}.{os.getpid()}.part"
    try:
        with open(part, "xb") as file:
            np.savez(file, **arrays)
        _name(part, output)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def _name(part, output) -> None:
    """Gives a whole file its name, never over a file that came to be in the meantime."""
    try:
        os.link(part, output)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.replace(part, _free(output))


def _report(output, arrays, tally):
    yield from (f"not read: {path}: {why}" for path, why in tally.unreadable.items())
    yield from (f"no face: {path}" for path in tally.faceless)
    train, test = arrays["train_image"], arrays["test_image"]
    shape, classes = " x ".join(map(str, train.shape[1:])), len(arrays.get("classes", ()))
    yield (
        f"{output}: {len(train)} train, {len(test)} test pictures of {shape}, {classes or 'no'} classes; "
        f"{tally.enlarged} of them enlarged; left out: {len(tally.unreadable)} not read, {len(tally.faceless)} "
        "without a face"
    )
