"""States with a number of its own in every place, at no cost: initialisers take seconds to compile."""

import jax
import numpy as np


def filled(abstract, seed=0):
    """Arrays for ShapeDtypeStructs: N(0, 0.2), variances from 0.5 to 1.5."""
    random = np.random.default_rng(seed)

    def fill(path, leaf):
        if "var" in jax.tree_util.keystr(path):
            return random.uniform(0.5, 1.5, leaf.shape).astype(leaf.dtype)
        return np.asarray(0.2 * random.standard_normal(leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(fill, abstract)
