"""The judge of drawn people: trained on their known ages and identities once, and kept in the user's cache."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from data_pipelines import images
from experiments import weights
from experiments.checkpoints import file_digest
from experiments.commands import UsageError, cache_folder
from experiments.logs import progress_bar
from gans.frozen import people

RECIPE_VERSION = 2  # raised whenever the code below would train other weights from the same recipe
TEMPERATURE = 0.1  # of the softmax over the faces of a batch, whose logits are cosines


def trained(recipe: ConfigDict, train: Mapping[str, np.ndarray]) -> tuple[Any, dict[str, str]]:
    """The judge's variables for `people.apply`, and {'path', 'sha256'} of their file.

    Args:
      recipe: config.faces.judge.
      train: `image` uint8 [n, 64, 64, 3], `label` age groups and `identity` int64 [n].

    Raises:
      UsageError: for people whose identity is not known or who have one photograph each, or if the judge cannot be
        kept.
    """
    if "identity" not in train:
        raise UsageError(
            "A judge of people needs to know who they are, which this data set does not say: set "
            "config.faces.judge=None and give config.faces.weights."
        )
    if len(np.unique(train["identity"])) == len(train["identity"]):
        raise UsageError(
            "A judge of people learns from two photographs of one person, and no person of this data set has two: set "
            "config.faces.judge=None and give config.faces.weights."
        )
    identity = hashlib.sha256(json.dumps([RECIPE_VERSION, recipe.to_dict()], sort_keys=True).encode())
    for name in ("image", "label", "identity"):
        identity.update(np.ascontiguousarray(train[name]).tobytes())
    path = cache_folder() / "judges" / f"people-{identity.hexdigest()[:32]}.npz"
    if not path.is_file():
        try:
            weights.save(path, _train(recipe, train))
        except OSError as error:
            raise UsageError(
                f"The judge cannot be kept ({error}); let XDG_CACHE_HOME name a writable folder."
            ) from error
    return weights.read_kept(path), {"path": str(path), "sha256": file_digest(path)}


def _train(recipe, train):
    """Age groups by cross-entropy, persons by finding each face's other one: Chen et al. 2020, arXiv 2002.05709, eq. 1.

    A batch has two photographs of each of its persons. (A softmax over all persons, thousands of centres to learn, had
    not begun to tell them apart in the same number of steps.)
    """
    model, key = people.PeopleJudge(), jax.random.key(recipe.seed)
    optimizer = optax.adam(optax.cosine_decay_schedule(recipe.learning_rate, recipe.steps))

    def loss(params, batch):
        groups, descriptors = model.apply({"params": params}, images.scale(batch, None)["image"])
        of_age = optax.softmax_cross_entropy_with_integer_labels(groups, batch["label"])
        count = len(descriptors)
        alike = jnp.where(jnp.eye(count) > 0, -jnp.inf, descriptors @ descriptors.T / TEMPERATURE)
        who = optax.softmax_cross_entropy_with_integer_labels(alike, jnp.roll(jnp.arange(count), count // 2))
        return (of_age + who).mean()

    def step(params, opt_state, batch):
        updates, opt_state = optimizer.update(jax.grad(loss)(params, batch), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    step = jax.jit(step, donate_argnums=(0, 1))
    params = jax.jit(model.init)(key, jnp.zeros((1, *train["image"].shape[1:])))["params"]
    opt_state = optimizer.init(params)
    batches = pairs(train["identity"], recipe.batch_size, np.random.default_rng(recipe.seed))
    for _ in progress_bar(range(recipe.steps), desc="training the judge of people"):
        rows = next(batches)
        params, opt_state = step(params, opt_state, {name: train[name][rows] for name in ("image", "label")})
    return {"params": params}


def pairs(identity: np.ndarray, count: int, draw: np.random.Generator) -> Iterator[np.ndarray]:
    """Endlessly rows of a batch, at most `count`: one photograph of each of some persons, then another one of each.

    Args:
      identity: int [n]; persons with one photograph alone are never drawn.
      count: rows of a batch.
      draw: what chooses.
    """
    _, person, photographs = np.unique(identity, return_inverse=True, return_counts=True)
    order, first = np.argsort(person, kind="stable"), np.cumsum(photographs) - photographs
    several = np.flatnonzero(photographs > 1)
    while True:
        chosen = draw.permutation(several)[: count // 2]
        one = draw.integers(photographs[chosen])
        other = (one + draw.integers(1, photographs[chosen])) % photographs[chosen]
        yield order[np.concatenate([first[chosen] + one, first[chosen] + other])]
