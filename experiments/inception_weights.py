r"""Converts the Inception-V3 weights that FID is defined by from their PyTorch file.

    python -m experiments.inception_weights --from=pt_inception-2015-12-05-6726825d.pth --output=inception.npz

The file is that of the pytorch-fid program. It is a pickle, of which only the arrays are read: nothing in it is run.
"""

from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
from absl import flags

from experiments import torch_files, weights
from experiments.checkpoints import file_digest
from experiments.commands import UsageError, start
from gans.frozen import inception

SOURCE = flags.DEFINE_string("from", None, "The PyTorch file of weights.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "The .npz file to write.", required=True)


def variables_from(path: Path) -> Any:
    """The variables of `inception.InceptionV3()` from a PyTorch file.

    Raises:
      UsageError: if it cannot be read, or holds another network.
    """
    found = torch_files.flax_leaves(torch_files.read(path))
    images = jax.ShapeDtypeStruct((1, inception.SIZE, inception.SIZE, 3), jnp.float32)
    expected = flax.traverse_util.flatten_dict(jax.eval_shape(inception.InceptionV3().init, jax.random.key(0), images))
    for leaf in sorted(expected.keys() | found.keys()):
        wanted, held = (leaves[leaf].shape if leaf in leaves else None for leaves in (expected, found))
        if wanted != held:
            raise UsageError(
                f"{path} does not hold the Inception-V3 of FID: "
                f"{'/'.join(leaf)} is {held or 'missing'}, expected {wanted or 'nothing'}."
            )
    return flax.traverse_util.unflatten_dict(found)


def main() -> None:
    output = Path(OUTPUT.value)
    if output.suffix != ".npz":
        raise UsageError(f"--output={output} must end in .npz.")
    variables = variables_from(Path(SOURCE.value))
    try:
        weights.save(output, variables)
    except OSError as error:
        raise UsageError(f"--output={output} cannot be written: {error}.") from error
    print(f"{output}: sha256 {file_digest(output)}")


if __name__ == "__main__":
    start(main)
