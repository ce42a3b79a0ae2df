"""Reads a whole data set into memory, by its name or from the user's own files."""

import difflib
import importlib
import inspect
import os
import threading

import numpy as np

from data_pipelines import DataError, _tensorflow, digits5k, idx, npz, stacked, synthetic_faces, voxels

# Sets whose idx files `python -m data_pipelines.prepare NAME --from FOLDER` takes.
IDX_SETS = ("mnist", "fashion_mnist")
# Sets that TFDS knows once their module in `builders` is imported, and which are prepared in the same way.
OWN_SETS = ("wiki_faces",)
# What a set may have for each example besides image and label.
_MORE = ("age", "identity")
# Seconds within which the download's address must answer.
_PATIENCE = 4
_ARRAYS = ("train_image", "train_label", "test_image", "test_label")


def load(name: str, *, path: str = "", data_dir: str = "", **options) -> dict[str, dict[str, np.ndarray]]:
    """The images, or volumes, and labels of a data set.

    Args:
      name: 'digits5k', which needs neither network nor TensorFlow; any TFDS set with `image`, `label` and
        the splits train and test, pictures all of one size: 'mnist', 'fashion_mnist', 'cifar10', ...; or
        'synthetic_faces' and 'few_synthetic_faces', drawn on this machine, see `synthetic_faces.read`;
        'wiki_faces', once it is prepared;
        'stacked_mnist' (128,000 and 26,000 pictures of three digits each, labels 0..999, see
        `stacked.stack`) and 'stacked_digits5k' (20,000 and 2,000), where each split stacks its own digits; or
        voxels: 'solids', 'solids64', 'shapenet_voxels', 'mesh_voxels', see `voxels.load`.
      path: if given, the user's own files instead, whatever the name: a folder with four idx files (see
        `idx.read_folder`), or an .npz file with train_image, train_label, test_image and test_label, and for
        faces train_age, test_age, and so on. The stacked sets then stack the digits in these files, and
        'shapenet_voxels' and 'mesh_voxels' read volumes and meshes from any path that is no .npz file.
      data_dir: TFDS' folder; empty means TFDS' own default.
      options: keywords of `voxels.load` for sets of voxels, no others; of an .npz file only its resolution is held
        against them.

    Returns: {'train': {'image': uint8 [n, height, width, channels], 'label': int64 [n]}, 'test': the same}; of voxels
      the images are [n, x, y, z, 1] in {0, 1}, see `volumes`; faces also have 'age', in years, and those of known
      persons 'identity', int64 [n] both.

    Raises:
      DataError: an unknown name or option, faulty files, or a set that is neither prepared nor to be had; without a
        network this is known within ten seconds.
    """
    _check_options(name, options)
    path = os.path.expanduser(path)
    if name in stacked.SETS:
        return _load_stacked(stacked.SETS[name], path, data_dir)
    if name in voxels.SETS and not path.endswith(".npz"):
        data = voxels.load(name, path, **options)
    elif path:
        data = _load_files(path)
    elif name == "digits5k":
        data = digits5k.read()
    elif name in synthetic_faces.SETS:
        data = synthetic_faces.read(name)
    else:
        data = _load_tfds(name, data_dir)
    for split, arrays in data.items():
        where = f"{path or name}, split {split}"
        _check(arrays["image"], arrays["label"], where)
        for more in _MORE:
            if more in arrays and (arrays[more].shape != arrays["label"].shape or arrays[more].dtype != np.int64):
                found = f"{arrays[more].dtype} {list(arrays[more].shape)}"
                raise DataError(f"{where}: {more} is {found}, not integers [{len(arrays['label'])}]")
        side = arrays["image"].shape[1]
        if options.get("resolution") not in (None, side):
            raise DataError(f"{path}: its volumes have {side} voxels a side, not {options['resolution']}")
    return data


def _check_options(name, options) -> None:
    if options and name not in voxels.SETS:
        raise DataError(f"{name} takes no {next(iter(options))!r}: only sets of voxels do ({', '.join(voxels.SETS)})")
    known = [key for key in inspect.signature(voxels.load).parameters if key not in ("name", "path")]
    if strange := [key for key in options if key not in known]:
        raise DataError(f"{name} has no option {strange[0]!r}; there are {', '.join(known)}")


def _load_stacked(sizes, path, data_dir):
    digits = load(sizes.base, path=path, data_dir=data_dir)
    counts = {"train": sizes.train, "test": sizes.test}
    try:
        return {
            split: stacked.stack(digits[split]["image"], digits[split]["label"], count, stacked.KEYS[split])
            for split, count in counts.items()
        }
    except DataError as error:
        raise DataError(f"{path or sizes.base}: {error}") from error


def _check(image, label, where) -> None:
    if image.dtype != np.uint8 or image.ndim not in (4, 5) or 0 in image.shape:
        shape = list(image.shape)
        raise DataError(
            f"{where}: images are {image.dtype} {shape}, not uint8 [n, height, width, channels] or [n, x, y, z, 1]"
        )
    if image.ndim == 5 and (image.shape[4] != 1 or len(set(image.shape[1:4])) > 1 or image.max() > 1):
        found = f"{list(image.shape)} with values up to {image.max()}"
        raise DataError(f"{where}: volumes are {found}, not [n, r, r, r, 1] of 0 and 1")
    if label.dtype != np.int64 or label.shape != image.shape[:1]:
        shape = list(label.shape)
        raise DataError(f"{where}: labels are {label.dtype} {shape}, not integers [{len(image)}], one an image")


def _load_files(path):
    if os.path.isdir(path):
        return idx.read_folder(path)
    if not os.path.isfile(path) or not path.endswith(".npz"):
        raise DataError(f"{path}: is neither a folder of idx files nor an .npz file; set config.data.path to one")
    arrays = npz.read(path)
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise DataError(f"{path}: lacks {', '.join(missing)}; it has {', '.join(arrays) or 'nothing'}")
    for name, array in arrays.items():
        if not name.endswith("image") and np.can_cast(array.dtype, np.int64):
            arrays[name] = array.astype(np.int64)
    names = ["image", "label", *(k for k in _MORE if f"train_{k}" in arrays and f"test_{k}" in arrays)]
    return {s: {k: arrays[f"{s}_{k}"] for k in names} for s in ("train", "test")}


def _load_tfds(name, data_dir):
    import tensorflow_datasets as tfds

    if name in OWN_SETS:
        importlib.import_module(f"data_pipelines.builders.{name}")
    # Asked first, as tfds.builder looks for unknown names on the network.
    known = tfds.list_builders(with_community_datasets=False)
    if name.split("/")[0] not in known:
        close = (
            ", ".join(
                difflib.get_close_matches(name, ["digits5k", *synthetic_faces.SETS, *OWN_SETS, *stacked.SETS, *known])
            )
            or "none"
        )
        raise DataError(f"no data set is called {name!r}; close names: {close}; or set config.data.path")
    try:
        builder = tfds.builder(name, data_dir=os.path.expanduser(data_dir) or None)
    except Exception as error:
        raise DataError(f"{name}: TFDS has no such variant ({error})") from error
    if not builder.data_path.exists():
        _download(builder)
    return {split: _read_split(builder, split) for split in ("train", "test")}


def _read_split(builder, split):
    features = builder.info.features
    if split not in builder.info.splits or not {"image", "label"} <= set(features):
        raise DataError(
            f"{builder.name}: has the splits {list(builder.info.splits)} of {list(features)}, not train and "
            "test of image and label: write those to an .npz file and set config.data.path"
        )
    if None in features["image"].shape:
        raise DataError(
            f"{builder.name}: its pictures, {features['image'].shape}, have many sizes: bring them to one in "
            "an .npz file and set config.data.path"
        )
    _tensorflow.import_tensorflow()
    try:
        examples = builder.as_dataset(split=split, batch_size=-1)
    # A damaged or foreign file shows itself in many ways.
    except Exception as error:
        raise DataError(
            f"{builder.data_path}: cannot be read ({error}); delete the folder and prepare it again"
        ) from error
    return {key: examples[key].numpy() for key in ("image", "label", *_MORE) if key in examples}


def _download(builder) -> None:
    """Has TFDS download and prepare the set, if the network is there."""
    url = next(iter(builder.url_infos or {}), "").replace("gs://", "https://storage.googleapis.com/")
    fault = "its files must be fetched by hand" if builder.name in OWN_SETS else url and unreachable(url)
    if not fault:
        _tensorflow.import_tensorflow()
        try:
            builder.download_and_prepare()
            return
        # Whatever the set's own code raises: no network after all, a file to be fetched by hand, a full disk.
        except Exception as error:
            fault = f"TFDS cannot prepare it ({error})"
    if builder.name in OWN_SETS:
        advice = f"python -m data_pipelines.prepare {builder.name} --from FOLDER, with its own files in FOLDER"
    elif builder.name in IDX_SETS:
        advice = (
            f"python -m data_pipelines.prepare {builder.name} --from FOLDER, with the four idx files in "
            "FOLDER, or set config.data.path=FOLDER"
        )
    else:
        advice = f"copy a prepared {builder.data_path} from another machine, or set config.data.path"
    raise DataError(f"{builder.name} is not prepared in {builder.data_path}, and {fault}. What helps: {advice}")


def unreachable(url: str) -> str:
    """Why `url` does not answer within four seconds, as a clause; empty if it does."""
    import requests

    fault = [f"{url} did not answer within {_PATIENCE} s"]

    def probe():
        try:
            # As TFDS itself will do, through the user's proxies; only the head of the answer is awaited.
            with requests.get(url, stream=True, timeout=_PATIENCE) as answer:
                fault[0] = "" if answer.ok else f"{url} answers {answer.status_code} {answer.reason}"
        # In a thread of its own nobody else would see it.
        except Exception as error:
            fault[0] = f"{url} cannot be reached ({type(error).__name__})"

    # In a thread, as looking up a name has no time limit of its own.
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return fault[0]
