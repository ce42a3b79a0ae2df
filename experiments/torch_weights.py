"""Weights that others trained with PyTorch, as variables of the frozen networks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments import torch_files, weights
from experiments.checkpoints import file_digest
from experiments.commands import UsageError
from gans.frozen import inception, mobilenet


def inception_variables(path: Path) -> Any:
    """The variables of `inception.InceptionV3()` from the PyTorch file of the FID weights.

    Raises:
      UsageError: if it cannot be read, or holds another network.
    """
    leaves = torch_files.flax_leaves(torch_files.read(path))
    return weights.fitting(leaves, inception.InceptionV3(), inception.SIZE, path)


def mobilenet_variables(path: Path) -> Any:
    """The variables of `mobilenet.MobileNetV2()` from torchvision's file.

    Raises:
      UsageError: if it cannot be read, or holds another network.
    """
    found = torch_files.flax_leaves(torch_files.read(path))
    leaves = {(collection, "_".join(layers), leaf): array for (collection, *layers, leaf), array in found.items()}
    return weights.fitting(leaves, mobilenet.MobileNetV2(), mobilenet.SIZE, path)


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
