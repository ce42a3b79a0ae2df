r"""Converts torchvision's MobileNetV2 weights from their PyTorch file.

    python -m experiments.mobilenet_weights --from=mobilenet_v2-b0353104.pth --output=mobilenet.npz

The file is a pickle, of which only the arrays are read: nothing in it is run.
"""

from pathlib import Path

from absl import flags

from experiments import torch_weights
from experiments.commands import start

SOURCE = flags.DEFINE_string("from", None, "The PyTorch file of weights.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "The .npz file to write.", required=True)


def main() -> None:
    torch_weights.convert(torch_weights.mobilenet_variables, Path(SOURCE.value), Path(OUTPUT.value))


if __name__ == "__main__":
    start(main)
