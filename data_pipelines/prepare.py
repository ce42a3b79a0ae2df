"""Makes TFDS data sets from files already on this machine, without a network.

    python -m data_pipelines.prepare mnist --from FOLDER [--data_dir DIR]
    python -m data_pipelines.prepare fashion_mnist --from FOLDER [--data_dir DIR]
    python -m data_pipelines.prepare digits5k [--data_dir DIR]

FOLDER holds the four idx files, gzipped or not. The result is TFDS' own: `tfds.load('mnist')` reads it.
"""

import argparse
import importlib
import os
import sys

from data_pipelines import DataError, _tensorflow, digits5k, idx, reading


def prepare(name: str, folder: str = "", data_dir: str = "") -> str:
    """Prepares a data set, whole or not at all, unless it is there already.

    Args:
      name: 'mnist' or 'fashion_mnist', from the idx files in `folder`, or 'digits5k'.
      data_dir: TFDS' folder; empty means TFDS' own default.

    Returns: a line that says where the data set is and how many examples it has.

    Raises:
      DataError: faulty files; nothing is written then.
    """
    import tensorflow_datasets as tfds

    if name == "digits5k":
        importlib.import_module("data_pipelines.builders.digits5k")
    official = tfds.builder_cls(name)
    builder = official(data_dir=os.path.expanduser(data_dir) or None)
    there = builder.data_path.exists()
    if not there:
        data = digits5k.read() if name == "digits5k" else idx.read_folder(folder)
        _check(data, builder, folder)
        _tensorflow.import_tensorflow()
        builder = _from_arrays(official, data)(data_dir=builder.data_dir_root)
        builder.download_and_prepare()
    counts = ", ".join(f"{split.num_examples} {key}" for key, split in builder.info.splits.items())
    return f"{name} {'was already' if there else 'is now'} prepared in {builder.data_path}: {counts} examples"


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


def _examples(image, label):
    # Keyed by number, as in TFDS' own builder: the keys, hashed, make the stored order.
    for i in range(len(label)):
        yield i, {"image": image[i], "label": label[i]}


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="data_pipelines.prepare", description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=[*reading.IDX_SETS, "digits5k"], help="the data set")
    parser.add_argument("--from", dest="folder", default="", help="folder with the four idx files")
    parser.add_argument("--data_dir", default="", help="TFDS' folder; its own default if not given")
    given = parser.parse_args(arguments)
    if (given.name == "digits5k") == bool(given.folder):
        parser.error("mnist and fashion_mnist need --from FOLDER, and digits5k takes none")
    try:
        print(prepare(given.name, given.folder, given.data_dir))
    except (DataError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
