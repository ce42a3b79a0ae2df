"""Weights that others trained with PyTorch, as variables of the frozen networks."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from experiments import torch_files, weights
from experiments.checkpoints import file_digest
from experiments.commands import UsageError
from gans.frozen import inception, mobilenet


def _variables(leaves: Mapping[tuple[str, ...], np.ndarray], module: nn.Module, size: int, source: Path) -> Any:
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


def inception_variables(path: Path) -> Any:
    """The variables of `inception.InceptionV3()` from the PyTorch file of the FID weights.

    Raises:
      UsageError: if it cannot be read, or holds another network.
    """
    leaves = torch_files.flax_leaves(torch_files.read(path))
    return _variables(leaves, inception.InceptionV3(), inception.SIZE, path)


def mobilenet_variables(path: Path) -> Any:
    """The variables of `mobilenet.MobileNetV2()` from torchvision's file.

    Raises:
      UsageError: if it cannot be read, or holds another network.
    """
    found = torch_files.flax_leaves(torch_files.read(path))
    leaves = {(collection, "_".join(layers), leaf): array for (collection, *layers, leaf), array in found.items()}
    return _variables(leaves, mobilenet.MobileNetV2(), mobilenet.SIZE, path)


def convert(variables_from: Callable[[Path], Any], source: Path, output: Path) -> None:
    """Writes what `variables_from` makes of a PyTorch file to an .npz file, and tells its digest.

    Raises:
      UsageError: as `variables_from`, or if the output cannot be written.
    """
    if output.suffix != ".npz":
        raise UsageError(f"--output={output} must end in .npz.")
    variables = variables_from(source)
    try:
        weights.save(output, variables)
    except OSError as error:
        raise UsageError(f"--output={output} cannot be written: {error}.") from error
    print(f"{output}: sha256 {file_digest(output)}")
