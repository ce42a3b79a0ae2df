r"""Converts the Inception-V3 weights that FID is defined by from their PyTorch file.

    python -m experiments.inception_weights --from=pt_inception-2015-12-05-6726825d.pth --output=inception.npz

The file is that of the pytorch-fid program. It is a pickle, of which only the arrays are read: nothing in it is run.
"""

from pathlib import Path

from absl import flags

from experiments import torch_weights
from experiments.commands import start

SOURCE = flags.DEFINE_string("from", None, "The PyTorch file of weights.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "The .npz file to write.", required=True)


def main() -> None:
    torch_weights.convert(torch_weights.inception_variables, Path(SOURCE.value), Path(OUTPUT.value))


if __name__ == "__main__":
    start(main)
