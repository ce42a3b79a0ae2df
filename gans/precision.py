"""Training passes in bfloat16, which GPUs and TPUs multiply several times as fast as float32.

What a network is given, its parameters too, is cast on the way in, and what comes out is float32 again: parameters,
gradients, statistics, optimizer states and losses stay float32 (Micikevicius et al. 2018, arXiv 1710.03740, without its
loss scaling, since bfloat16 has float32's range). Penalties on gradients, and samples, are computed in float32.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

PRECISIONS = ("float32", "bfloat16")


class Lowered(NamedTuple):
    """A Flax network that computes in another type; `apply` takes and returns what that of the network does."""

    module: nn.Module
    dtype: jnp.dtype

    def apply(self, variables, *inputs, **settings) -> Any:
        variables = {**variables, "params": cast(variables["params"], self.dtype)}
        return cast(self.module.apply(variables, *cast(inputs, self.dtype), **settings), jnp.float32)


def lowered(module: nn.Module, precision: str) -> nn.Module | Lowered:
    """The network as it computes in training.

    Raises:
      ValueError: for a precision that is not in PRECISIONS.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: choose {' or '.join(PRECISIONS)}.")
    return module if precision == "float32" else Lowered(module, jnp.dtype(precision))


def cast(tree: Any, dtype: jnp.dtype) -> Any:
    """The tree with its arrays of floating-point numbers in that type, and everything else as it is."""

    def one(leaf):
        return leaf.astype(dtype) if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(one, tree)
