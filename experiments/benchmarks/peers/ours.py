"""Our own train steps for the benchmark's rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax

from experiments.benchmarks.peers.layers import Weights
from experiments.benchmarks.peers.row import Row, frozen
from gans.core import Gan

PLAYERS = ("generator", "discriminator")
Batches = list[dict[str, np.ndarray]]


def build(row: Row, optimizer: str) -> Gan:
    """Our GAN of a row; `optimizer` is adam or sgd."""
    tx = optax.sgd(row.rate) if optimizer == "sgd" else optax.adam(2e-4, b1=0.5, eps=1e-7)
    return row.make({"adversarial": {"generator": tx, "discriminator": tx}}, precision=row.precision)


class Side:
    """Train steps on batches that lie on the device, by turns, from weights of our own."""

    def __init__(self, row: Row, batches: Batches, optimizer: str = "adam"):
        gan = build(row, optimizer)
        phase = gan.phases["adversarial"]
        self._paths: dict[str, list[tuple[str, ...]]] = {}
        # Donated states take their buffers along; frozen ones must stay.
        self._frozen = frozen(row)
        self._key = jax.random.key(0)

        def init(key, batch):
            state = gan.init(key, batch, None, row.coefficients)
            # Before jit sorts them: in the order in which the layers are called.
            self._paths = {name: layer_paths(player.params) for name, player in state.players.items()}
            return phase.enter(state)

        def step(state, frozen, batch, key):
            state, metrics = phase.step(state.replace(frozen=frozen), batch, key)
            return state.replace(frozen=None), metrics

        self._batches = [jax.device_put(batch) for batch in batches]
        self._state = jax.jit(init)(self._key, self._batches[0])
        self._step = jax.jit(step, donate_argnums=0)
        self._taken = 0

    def __call__(self) -> dict[str, jax.Array]:
        """One step, to its end: the metrics."""
        batch = self._batches[self._taken % len(self._batches)]
        self._state, metrics = self._step(self._state, self._frozen, batch, self._key)
        self._taken += 1
        return jax.block_until_ready((self._state, metrics))[1]

    def device_memory(self) -> float | None:
        """Megabytes of the accelerator at most; None without one."""
        known = jax.local_devices()[0].memory_stats()
        return known["peak_bytes_in_use"] / 1e6 if known else None

    def weights(self) -> dict[str, Weights]:
        """Of generator and discriminator, and of the frozen network's used layers as `content` where there is one."""
        found = {
            name: weights_at((player.params, player.stats.get("batch_stats", {})), self._paths[name])
            for name, player in self._state.players.items()
        }
        if self._frozen:
            layers = self._frozen["content"]["params"].values()
            found["content"] = [{name: np.array(leaf) for name, leaf in layer.items()} for layer in layers]
        return {name: found[name] for name in (*PLAYERS, "content") if name in found}


def layer_paths(params: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The places of dicts of arrays, in their order: that in which layers are called, while no jit has sorted them."""
    if not any(isinstance(value, Mapping) for value in params.values()):
        return [()]
    return [(name, *path) for name, inner in params.items() for path in layer_paths(inner)]


def weights_at(trees: Sequence[Mapping[str, Any]], paths: Sequence[tuple[str, ...]]) -> Weights:
    """The arrays in those places of the trees, of parameters and statistics say."""

    def at(tree, path):
        for name in path:
            tree = tree.get(name, {})
        return tree

    return [{name: np.array(leaf) for tree in trees for name, leaf in at(tree, path).items()} for path in paths]
