"""Makes data sets from files already on this machine, without a network.

    python -m data_pipelines.prepare mnist --from FOLDER [--data_dir DIR]
    python -m data_pipelines.prepare fashion_mnist --from FOLDER [--data_dir DIR]
    python -m data_pipelines.prepare digits5k [--data_dir DIR]
    python -m data_pipelines.prepare photo_folder|blur_pairs|certh_blur --from FOLDER [--data_dir DIR]
    python -m data_pipelines.prepare wiki_faces --from FOLDER [--data_dir DIR]
    python -m data_pipelines.prepare faces --from FOLDER --output FILE.npz [--csv FILE.csv] [--size 64]
        [--keep 0.78] [--smallest 40] [--min_score 1] [--test 0.1]
    python -m data_pipelines.prepare images --from FOLDER --output FILE.npz --size 64
        [--crop center|anime] [--grey] [--test 0.1]
    python -m data_pipelines.prepare voxels --from FOLDER_OR_SH3F ... --output FILE.npz --resolution 32
        [--category chair ...] [--filled] [--up y|z] [--test 0.1]

For the first two FOLDER holds the four idx files, gzipped or not. The result is TFDS' own: `tfds.load('mnist')`
reads it. So it is for the photographs, each in its own size, once data_pipelines.builders.NAME is imported, and for
`wiki_faces`, the unpacked wiki_crop.tar (for research only). The others write a file for `config.data.path`: `faces`
takes the same, or any folder of faces with a CSV of (file, age), and has all the settings; `images` any folder of
pictures; `voxels` folders of meshes, catalogues of Sweet Home 3D and the folder of 3D ShapeNets (which has a test split
of its own).
"""

import argparse
import importlib
import os
import sys

from data_pipelines import DataError, _tensorflow, digits5k, idx, meshes, npz_files, pictures, reading, wiki_faces

# Sets of photographs, each of its own size, that have builders here.
PHOTO_SETS = ("photo_folder", "blur_pairs", "certh_blur")


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
            dropped = f"; dropped: {npz_files.told(tally.dropped)}"
        else:
            data = digits5k.read() if name == "digits5k" else idx.read_folder(folder)
        _check(data, builder, folder)
        _tensorflow.import_tensorflow()
        builder = _from_arrays(official, data)(data_dir=builder.data_dir_root)
        builder.download_and_prepare()
    return _done(builder, there) + dropped


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


def prepare_photos(name: str, folder: str, data_dir: str = "") -> str:
    """Prepares 'photo_folder', 'blur_pairs' or 'certh_blur' from `folder`, unless it is there already.

    Args:
      data_dir: as of `prepare`.

    Returns: lines that name each picture left out and why, and a last one as of `prepare`.

    Raises:
      DataError: as `photos.scenes`; nothing is written then.
    """
    import tensorflow_datasets as tfds

    importlib.import_module(f"data_pipelines.builders.{name}")
    builder = tfds.builder(name, data_dir=os.path.expanduser(data_dir) or None)
    folder, there = os.path.expanduser(folder), builder.data_path.exists()
    if not there:
        if not os.path.isdir(folder):
            raise DataError(f"{folder}: is no folder; give another --from")
        _tensorflow.import_tensorflow()
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder))
    return "\n".join([*builder.report, _done(builder, there)])


def _done(builder, there):
    counts = ", ".join(f"{split.num_examples} {key}" for key, split in builder.info.splits.items())
    return f"{builder.name} {'was already' if there else 'is now'} prepared in {builder.data_path}: {counts} examples"


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
    if hasattr(sys.stdout, "reconfigure"):
        # Names of files may be no text in the terminal's encoding.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if given.name == "images":
            options = {"crop": given.crop, "grey": given.grey, "test": given.test}
            print(npz_files.write_images(given.folder, given.output, given.size, **options))
        elif given.name in PHOTO_SETS:
            print(prepare_photos(given.name, given.folder, given.data_dir))
        elif given.name == "voxels":
            options = {"filled": given.filled, "up": given.up, "test": given.test, "classes": tuple(given.category)}
            print(npz_files.write_voxels(given.sources, given.output, given.resolution, **options))
        elif given.name == "faces":
            options = {name: value for name in _FACES if (value := getattr(given, name)) is not None}
            print(npz_files.write_faces(given.folder, given.output, given.csv, **options))
        else:
            print(prepare(given.name, given.folder, given.data_dir))
    except (DataError, OSError) as error:
        print(f"data_pipelines.prepare: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="data_pipelines.prepare", description=__doc__.split("\n")[0])
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True, help="the data set")
    for name in (*reading.IDX_SETS, *reading.OWN_SETS, "digits5k", *PHOTO_SETS):
        one = names.add_parser(name, help=f"{name}, for tfds.load")
        if name != "digits5k":
            files = dict.fromkeys(reading.IDX_SETS, "the four idx files") | {"wiki_faces": "the unpacked archive"}
            one.add_argument(
                "--from", dest="folder", required=True, help=f"folder with {files.get(name, 'the photographs')}"
            )
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
    one = names.add_parser("voxels", help="meshes or 3D ShapeNets, as an .npz file")
    one.add_argument("--from", dest="sources", nargs="+", required=True, help="folders and .sh3f archives")
    one.add_argument("--output", required=True, help="the .npz file to write; never over one that is there")
    one.add_argument("--resolution", type=int, required=True, help="side of the grid, voxels")
    one.add_argument("--category", nargs="+", default=(), help="what to take, and its labels; all if not given")
    one.add_argument("--filled", action="store_true", help="what the surface encloses is solid too")
    one.add_argument("--up", choices=meshes.UP, default="y", help="axis that points up in files outside of archives")
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
