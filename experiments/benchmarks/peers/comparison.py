"""Whether two sides of the benchmark do the same."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.benchmarks.peers import ours, sides
from experiments.benchmarks.peers.layers import Weights, parameters
from experiments.benchmarks.peers.row import Row, example_batch
from experiments.commands import Failure


def check(row: Row, peer: str) -> str:
    """How near a peer's loss and weights are to ours after two steps without dropout, in words.

    Raises:
      Failure: if they are not the same.
    """
    batches, row = [example_batch(row, 0)], row.plain()
    our = ours.Side(row, batches, "sgd")
    before = our.weights()
    their = sides.load(peer)(row, batches, before, "sgd")
    steps = []
    for _ in range(2):  # where the last kernel is 0 at first, the others move in the second step only
        our_loss, their_loss = (float(side()["generator/loss"]) for side in (our, their))
        steps.append((our.weights(), their.weights()))
    off = abs(their_loss - our_loss) / max(abs(our_loss), 0.1)
    worst = max(
        difference(before[name], [(after[name], theirs[name]) for after, theirs in steps]) for name in ours.PLAYERS
    )
    counts = " and ".join(f"{parameters(before[name]):,}" for name in ours.PLAYERS)
    said = f"{counts} parameters, loss {our_loss:.6f}; {peer}: loss off by {off:.0e}, gradients by {worst:.0e}"
    if off > 1e-3 or worst > 0.05:
        raise Failure(f"{peer} does not compute what we do: {said}.")
    return said


def difference(before: Weights, steps: Sequence[tuple[Weights, Weights]]) -> float:
    """The largest distance of two layers' kernels, in lengths of the way that ours has moved.

    Each kernel in the first step that moves ours, beyond what is lost where small moves are added to large weights:
    rounding grows from step to step. A few percent are rounding in networks with many batch norms, whose kernels
    inputs changed in their last bit move as much. Infinite where a kernel of ours never moves.
    """
    found = []
    for index, old in enumerate(before):
        if "kernel" in old:
            lost = 1e-7 * np.linalg.norm(old["kernel"])
            kernels = [(own[index]["kernel"], theirs[index]["kernel"]) for own, theirs in steps]
            moved = [np.linalg.norm(our - old["kernel"]) for our, _ in kernels]
            apart = [np.linalg.norm(their - our) for our, their in kernels]
            ratios = [max(far - lost, 0) / way for far, way in zip(apart, moved, strict=True) if way > lost]
            found.append(ratios[0] if ratios else np.inf)
    return float(max(found))


def have_moved(before: Mapping[str, Weights], after: Mapping[str, Weights]) -> bool:
    """Whether each layer of both players has other weights."""
    return all(
        not np.array_equal(leaf, new[name])
        for player in ours.PLAYERS
        for old, new in zip(before[player], after[player], strict=True)
        for name, leaf in old.items()
        if name in ("kernel", "scale")
    )
