"""Makes data sets from files already on this machine, without a network.

    python -m data_pipelines.prepare mnist --from FOLDER [--data_dir DIR]
    python -m data_pipelines.prepare fashion_mnist --from FOLDER [--data_dir DIR]
    python -m data_pipelines.prepare digits5k [--data_dir DIR]
    python -m data_pipelines.prepare wiki_faces --from FOLDER [--data_dir DIR]
    python -m data_pipelines.prepare faces --from FOLDER --output FILE.npz [--csv FILE.csv] [--size 64]
        [--keep 0.78] [--smallest 40] [--min_score 1] [--test 0.1]
    python -m data_pipelines.prepare images --from FOLDER --output FILE.npz --size 64
        [--crop center|anime] [--grey] [--test 0.1]

For the first two FOLDER holds the four idx files, gzipped or not. The result is TFDS' own: `tfds.load('mnist')`
reads it. `wiki_faces` takes the unpacked wiki_crop.tar (for research only). `faces` takes the same, or any folder of
faces with a CSV of (file, age), and has all the settings; `images` takes any folder of pictures: these two write a file
for `config.data.path`.
"""

import argparse
import importlib
import os
import sys

import numpy as np

from data_pipelines import (
    DataError,
    _tensorflow,
    ages,
    digits5k,
    face_csv,
    face_photos,
    idx,
    pictures,
    reading,
    wiki_faces,
)


def prepare(name: str, folder: str = "", data_dir: str = "") -> str:
    """Prepares a data set, whole or not at all, unless it is there already.

    Args:
      name: 'mnist' or 'fashion_mnist', from the idx files in `folder`; 'wiki_faces', from the unpacked
        wiki_crop.tar; or 'digits5k'.
      data_dir: TFDS' folder; empty means TFDS' own default.

    Returns: a line that says where the data set is, how many examples it has, and what was dropped now.

    Raises:
      DataError: faulty files; nothing is written then.
    """
    import tensorflow_datasets as tfds

    if name == "digits5k" or name in reading.OWN_SETS:
        importlib.import_module(f"data_pipelines.builders.{name}")
    official = tfds.builder_cls(name)
    builder = official(data_dir=os.path.expanduser(data_dir) or None)
    there = builder.data_path.exists()
    dropped = ""
    if not there:
        if name == "wiki_faces":
            data, tally = wiki_faces.read(os.path.expanduser(folder))
            dropped = f"; dropped: {_told(tally.dropped)}"
        else:
            data = digits5k.read() if name == "digits5k" else idx.read_folder(folder)
        _check(data, builder, folder)
        _tensorflow.import_tensorflow()
        builder = _from_arrays(official, data)(data_dir=builder.data_dir_root)
        builder.download_and_prepare()
    counts = ", ".join(f"{split.num_examples} {key}" for key, split in builder.info.splits.items())
    return f"{name} {'was already' if there else 'is now'} prepared in {builder.data_path}: {counts} examples{dropped}"


def _check(data, builder, folder) -> None:
    shape, classes = builder.info.features["image"].shape, builder.info.features["label"].num_classes
    for split, arrays in data.items():
        found, largest = arrays["image"].shape[1:], max(arrays["label"], default=0)
        if found != shape or largest >= classes:
            raise DataError(
                f"{folder}, {split}: pictures {found} with labels up to {largest} are not {builder.name}, "
                f"which has {shape} and {classes} classes; give the folder of its own files"
            )


def _from_arrays(official, data):
    """The builder `official` in all but where its examples come from: so it can read what this one writes."""

    class FromArrays(official, skip_registration=True):
        name = official.name

        def _split_generators(self, dl_manager):
            return {split: _examples(**arrays) for split, arrays in data.items()}

    return FromArrays


def _examples(**arrays):
    # Keyed by number, as in TFDS' own builder: the keys, hashed, make the stored order.
    for i in range(len(arrays["label"])):
        yield i, {name: array[i] for name, array in arrays.items()}


def _told(dropped):
    return ", ".join(f"{count} {cause}" for cause, count in dropped.most_common()) or "none"


def prepare_images(folder: str, output: str, size: int, **options) -> str:
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


def prepare_faces(folder: str, output: str, listed: str = "", min_score: float = 1.0, **options) -> str:
    """Writes faces with ages as an .npz file that `reading.load` reads, whole or not at all.

    Args:
      folder: the unpacked wiki_crop.tar, or any folder with faces and one CSV, see `face_csv.rows`.
      output: as of `prepare_images`.
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
    return "\n".join([*lines, f"dropped: {_told(tally.dropped)}"])


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
    # x: never over a file that came to be in the meantime.
    with open(output, "xb") as file:
        try:
            np.savez(file, **arrays)
        except BaseException:
            os.unlink(output)
            raise


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


# Settings of `faces`, which have their defaults where they are used.
_FACES = {
    "size": (int, "side of the square pictures, pixels (64)"),
    "keep": (float, "part of the square in the middle to cut out (0.78 of wiki_crop's, 1 of others)"),
    "smallest": (int, "side of the smallest square to take, pixels (40)"),
    "min_score": (float, "lowest score of wiki_crop's face detector (1)"),
    "test": (float, "share of the persons in the test split (0.1)"),
}


def main(arguments=None) -> int:
    given = _parser().parse_args(arguments)
    try:
        if given.name == "images":
            options = {"crop": given.crop, "grey": given.grey, "test": given.test}
            print(prepare_images(given.folder, given.output, given.size, **options))
        elif given.name == "faces":
            options = {name: value for name in _FACES if (value := getattr(given, name)) is not None}
            print(prepare_faces(given.folder, given.output, given.csv, **options))
        else:
            print(prepare(given.name, given.folder, given.data_dir))
    except (DataError, OSError) as error:
        print(f"data_pipelines.prepare: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="data_pipelines.prepare", description=__doc__.split("\n")[0])
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True, help="the data set")
    for name in (*reading.IDX_SETS, *reading.OWN_SETS, "digits5k"):
        one = names.add_parser(name, help=f"{name}, for tfds.load")
        if name != "digits5k":
            files = "the four idx files" if name in reading.IDX_SETS else "the unpacked archive"
            one.add_argument("--from", dest="folder", required=True, help=f"folder with {files}")
        else:
            one.set_defaults(folder="")
        one.add_argument("--data_dir", default="", help="TFDS' folder; its own default if not given")
    one = names.add_parser("images", help="any folder of pictures, as an .npz file")
    one.add_argument("--from", dest="folder", required=True, help="folder of pictures, searched to any depth")
    one.add_argument("--output", required=True, help="the .npz file to write; never over one that is there")
    one.add_argument("--size", type=int, required=True, help="side of the square pictures, pixels")
    one.add_argument("--crop", choices=pictures.CROPS, default="center", help="the middle, or the largest drawn face")
    one.add_argument("--grey", action="store_true", help="one channel instead of three")
    one.add_argument("--test", type=float, default=0.1, help="share of the test split (0.1)")
    one = names.add_parser("faces", help="wiki_crop, or any folder of faces with a CSV of (file, age), as an .npz file")
    one.add_argument("--from", dest="folder", required=True, help="folder with wiki.mat or a CSV, and the pictures")
    one.add_argument("--output", required=True, help="the .npz file to write; never over one that is there")
    one.add_argument("--csv", default="", help="the CSV, if it is not the only one in the folder")
    for name, (kind, text) in _FACES.items():
        one.add_argument(f"--{name}", type=kind, help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
