"""The peers by name; their packages are imported when they are asked for."""

import importlib
from collections.abc import Mapping
from typing import Any

from experiments.benchmarks.peers import ours
from experiments.benchmarks.peers.layers import Weights
from experiments.benchmarks.peers.row import Row
from experiments.commands import UsageError

# The module of a peer, its class there, and what this is called with.
PEERS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "torch": ("torch_side", "Side", {}),
    "torch_compile": ("torch_side", "Side", {"compiled": True}),
    "keras": ("keras_side", "Side", {}),
    "tensorflow": ("keras_side", "FusedSide", {}),
}


def load(peer: str):
    """Imports what a peer needs: (row, batches, weights, optimizer) -> its side.

    Raises:
      UsageError: if its packages are missing.
    """
    module, name, options = PEERS[peer]
    try:
        kind = getattr(importlib.import_module(f"experiments.benchmarks.peers.{module}"), name)
    except ImportError as error:
        raise UsageError(f"The peer {peer} needs {error.name}: pip install -e '.[bench]'.") from error

    def side(row: Row, batches: ours.Batches, weights: dict[str, Weights], optimizer: str = "adam"):
        return kind(row, batches, weights, optimizer, **options)

    return side
