"""The face networks' weights, found where the user has them: face-api's own files, or our .npz made of them."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from experiments import tfjs_weights, weights
from experiments.checkpoints import file_digest
from experiments.commands import UsageError, cache_folder
from gans.frozen import face

# {our name: (its manifest, the network, the side of its input)}.
NETWORKS: Mapping[str, tuple[str, nn.Module, int]] = {
    "recogniser": ("face_recognition_model-weights_manifest.json", face.FaceRecogniser(), face.SIZE),
    "age_gender": ("age_gender_model-weights_manifest.json", face.AgeGenderNet(), face.AGE_SIZE),
}
_SCALED = {"filters": "kernel", "weights": "scale", "biases": "shift"}
_LEAVES = {
    "filters": ("kernel",),
    "weights": ("kernel",),
    "depthwise_filter": ("depthwise", "kernel"),
    "pointwise_filter": ("pointwise", "kernel"),
}


def find(source: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The face networks' variables, and the record {'path', 'sha256'} of the file that holds them.

    Args:
      source: the folder with the weights of face-api, converted once and kept in the user's cache; a file
        that experiments.face_weights has written; or 'random' for arbitrary weights, which recognise nobody: for tests.

    Returns:
      ({'recogniser': variables for `face.descriptor`, 'age_gender': for `face.age_gender`}, the record).

    Raises:
      UsageError: if the weights are not there, damaged, or another network's.
    """
    path = Path(source).expanduser()
    if source == "random":
        path = _cached("random", _random)
    elif source and path.is_dir():
        path = _cached(_digest(path), lambda: convert(path))
    elif not path.is_file() or path.suffix != ".npz":
        raise UsageError(
            f"No weights of the face networks at {source!r}: give the folder `model` of the npm package "
            "@vladmandic/face-api (`npm pack @vladmandic/face-api`), or an .npz made by experiments.face_weights."
        )
    return _read(path), {"path": str(path.absolute()), "sha256": file_digest(path)}


def convert(folder: Path) -> dict[str, Any]:
    """The networks' variables from the folder of face-api's weights, as `find` returns them.

    Raises:
      UsageError: if a manifest cannot be read or holds another network.
    """
    found = {}
    for name, (manifest, module, size) in NETWORKS.items():
        leaves = dict(_leaf(*tensor) for tensor in tfjs_weights.read(folder / manifest).items())
        found[name] = weights.fitting(leaves, module, size, folder / manifest)
    return found


def _leaf(name, array):
    """face-api's name of a tensor and its values as ours: ((collection, layer, ..., leaf), array)."""
    *layers, last = name.split("/")
    if not layers:  # the recogniser's last layer has a name and no parts
        return ("params", last, "kernel"), array
    if layers[-1] in ("conv", "scale"):  # the recogniser's convolutions, and what follows each
        return ("params", *layers[:-1], _SCALED.get(last, last)), array
    if "_flow" in layers[0] or layers[0] == "fc":
        layers[:2] = ["_".join(layers[:2])]
    leaf = _LEAVES.get(last, (last,))
    if "separable_conv" in layers[-1] and last == "bias":
        leaf = ("pointwise", "bias")
    if last == "depthwise_filter" and array.ndim == 4:
        array = array.transpose(0, 1, 3, 2)
    return ("params", *layers, *leaf), array


def _random():
    """He-normal kernels, scales of 1, else 0; from numpy, as compiling the initialisers takes half a minute."""
    generator = np.random.default_rng(0)

    def fill(path, leaf):
        if path[-1].key == "kernel":
            return generator.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape).astype(np.float32)
        return np.full(leaf.shape, path[-1].key == "scale", np.float32)

    images = {name: jnp.zeros((1, size, size, 3)) for name, (_, _, size) in NETWORKS.items()}
    shapes = {n: jax.eval_shape(module.init, jax.random.key(0), images[n]) for n, (_, module, _) in NETWORKS.items()}
    return jax.tree_util.tree_map_with_path(fill, shapes)


def _digest(folder: Path) -> str:
    """One name for the bytes of both networks."""
    found = hashlib.sha256()
    for stem in ("face_recognition_model", "age_gender_model"):
        for path in sorted(folder.glob(f"{stem}*")):
            found.update(f"{path.name} {file_digest(path)}\n".encode())
    return found.hexdigest()[:32]


def _cached(name, make) -> Path:
    path = cache_folder() / "face" / f"{name}.npz"
    if not path.is_file():
        try:
            weights.save(path, make())
        except OSError as error:
            raise UsageError(
                f"The face networks' weights cannot be kept ({error}); let XDG_CACHE_HOME name a writable folder."
            ) from error
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        found = weights.read(path)
        flat = {name: flax.traverse_util.flatten_dict(found[name]) for name in NETWORKS}
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} holds no face networks ({error}); make it by experiments.face_weights.") from error
    return {name: weights.fitting(flat[name], module, size, path) for name, (_, module, size) in NETWORKS.items()}
