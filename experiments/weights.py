"""Frozen networks: the judge that a run trains once, and where its weights are kept."""

import functools
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.errors import FlaxError
from ml_collections import ConfigDict

from data_pipelines import DataError, batching, images, npz
from experiments.checkpoints import file_digest
from experiments.commands import UsageError, cache_folder, whole_file
from experiments.logs import progress_bar
from gans.frozen import digits
from gans.frozen.compare import NETWORKS

LARGEST = 2**30  # bytes of a network's weights; the largest that is read here has 10**8
RECIPE_VERSION = 1  # raised whenever the code below would train other weights from the same recipe


def save(path: Path, variables: Any) -> None:
    """Writes variables as an .npz file with one array a leaf, whole or not at all."""
    with whole_file(path) as file:
        np.savez(file, **flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/"))


def read(path: Path) -> Any:
    """Variables as `save` wrote them.

    Raises:
      DataError: if it is damaged, holds objects, or is larger than `LARGEST`.
    """
    try:
        return flax.traverse_util.unflatten_dict(npz.read(path, LARGEST), sep="/")
    except (TypeError, AttributeError) as error:  # one name is another's beginning
        raise DataError(f"{path}: holds no variables of a network ({error}); write it again") from error


def read_kept(path: Path) -> Any:
    """Variables in the user's cache folder, as `save` wrote them.

    Raises:
      UsageError: if the file is damaged.
    """
    try:
        return read(path)
    except DataError as error:
        raise UsageError(f"{error}; or remove it, and it is made anew.") from error


def fitting(leaves: Mapping[tuple[str, ...], np.ndarray], module: nn.Module, size: int, source: Path) -> Any:
    """Variables of a network from {(collection, layer, ..., leaf): array}, if they are all there and nothing else is.

    Args:
      module: the network, which takes images [batch, size, size, 3].
      source: where the arrays come from, for the message.

    Raises:
      UsageError: names the first leaf that is missing, not the network's, or of another shape.
    """
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    expected = flax.traverse_util.flatten_dict(jax.eval_shape(module.init, jax.random.key(0), images))
    for leaf in sorted(expected.keys() | leaves.keys()):
        wanted = expected[leaf].shape if leaf in expected else "nothing"
        held = leaves[leaf].shape if leaf in leaves else "missing"
        if wanted != held:
            raise UsageError(
                f"{source} does not hold the weights of {type(module).__name__}: "
                f"{'/'.join(leaf)} is {held}, expected {wanted}."
            )
    return flax.traverse_util.unflatten_dict(leaves)


def load_frozen(record: Mapping[str, Mapping[str, str]]) -> dict[str, Any] | None:
    """The frozen networks of a record {name: {'path', 'sha256'}}; None if a file is gone.

    Raises:
      UsageError: if a file is not the one of the record any more.
    """
    if not all(os.path.isfile(entry["path"]) for entry in record.values()):
        return None
    for name, entry in record.items():
        if file_digest(entry["path"]) != entry["sha256"]:
            raise UsageError(f"{entry['path']} has changed since this run recorded it as its {name}; remove the file.")
    return {name: read(Path(entry["path"])) for name, entry in record.items()}


def read_features(files: Mapping[str, Path]) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """The networks {name: variables} whose weights the user brings, and the record {name: {'path', 'sha256'}}.

    Args:
      files: {name in `gans.frozen.compare.NETWORKS`: .npz file, as the commands experiments.*_weights write them}.

    Raises:
      UsageError: if a file is missing, damaged, or holds another network.
    """
    found = {}
    for name, path in files.items():
        try:
            found[name] = read(path)
            apply = functools.partial(NETWORKS[name], found[name])
            jax.eval_shape(apply, jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, FlaxError) as error:
            raise UsageError(
                f"config.features.{name}={path} does not hold the weights of {name} "
                f"({str(error).splitlines()[0]}); make it by experiments.{name}_weights."
            ) from error
    return found, {name: {"path": str(path.absolute()), "sha256": file_digest(path)} for name, path in files.items()}


def judge(recipe: ConfigDict, train: Mapping[str, np.ndarray]) -> tuple[Any, dict[str, str]]:
    """The classifier that judges digits, trained on clean pictures once and kept in the user's cache.

    Args:
      recipe: config.judge.
      train: the training split, `image` uint8 [count, height, width, 1] and `label`.

    Returns:
      (variables, {'path', 'sha256'} of their file). The file's name is a hash of data and recipe.
    """
    identity = hashlib.sha256(json.dumps([RECIPE_VERSION, recipe.to_dict()], sort_keys=True).encode())
    for name in ("image", "label"):
        identity.update(np.ascontiguousarray(train[name]).tobytes())
    path = cache_folder() / "judges" / f"{identity.hexdigest()[:32]}.npz"
    if not path.is_file():
        variables = _train_judge(recipe, train)
        try:
            save(path, variables)
        except OSError as error:
            raise UsageError(
                f"The judge cannot be kept ({error}); let XDG_CACHE_HOME name a writable folder."
            ) from error
    return read_kept(path), {"path": str(path), "sha256": file_digest(path)}


def _train_judge(recipe, train):
    held_out = int(len(train["label"]) * recipe.validation)
    order = batching.order(len(train["label"]), 0, len(train["label"]), recipe.seed)
    fit, validation = (
        {name: train[name][rows] for name in ("image", "label")} for rows in np.split(order, [len(order) - held_out])
    )
    model = digits.DigitClassifier(classes=int(train["label"].max()) + 1)
    steps = recipe.epochs * len(fit["label"]) // recipe.batch_size
    rate = optax.cosine_decay_schedule(recipe.learning_rate, steps) if recipe.cosine else recipe.learning_rate
    optimizer = optax.adam(rate, eps=1e-7)
    key = jax.random.key(recipe.seed)
    params = jax.jit(model.init)(key, jnp.zeros((1, *train["image"].shape[1:])))["params"]

    def loss(params, batch, key):
        logits, _ = model.apply({"params": params}, batch["image"], True, rngs={"dropout": key})
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()

    def step(params, opt_state, batch, key):
        updates, opt_state = optimizer.update(jax.grad(loss)(params, batch, key), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    step = jax.jit(step, donate_argnums=(0, 1))
    opt_state = optimizer.init(params)
    maps = [images.scale, images.shift(recipe.shift)] if recipe.shift else [images.scale]
    batches = batching.train_batches(fit, maps, recipe.batch_size, recipe.seed, loader="memory")
    for index in progress_bar(range(steps), desc="training the judge"):
        batch = jax.tree.map(lambda leaf: leaf[0], next(batches))
        params, opt_state = step(params, opt_state, batch, jax.random.fold_in(key, index))
    batches.close()
    variables = {"params": params}
    if held_out:
        print(f"The judge is right on {100 * _accuracy(variables, validation):.2f}% of {held_out} held-out pictures.")
    return variables


def _accuracy(variables, examples):
    verdicts = jax.jit(digits.verdicts)
    right = 0
    for batch in batching.evaluation_batches(examples, [images.scale], 500, seed=0):
        right += int(((verdicts(variables, batch["image"]) == batch["label"]) & batch["valid"]).sum())
    return right / len(examples["label"])
