"""The judge of drawn people: trained on their known ages and identities once, and kept in the user's cache."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from data_pipelines import batching, images
from experiments import weights
from experiments.checkpoints import file_digest
from experiments.commands import UsageError, cache_folder
from experiments.logs import progress_bar
from gans.frozen import people

RECIPE_VERSION = 1  # raised whenever the code below would train other weights from the same recipe
SHARPNESS = 16.0  # of the softmax over persons, whose logits are cosines


def trained(recipe: ConfigDict, train: Mapping[str, np.ndarray]) -> tuple[Any, dict[str, str]]:
    """The judge's variables for `people.apply`, and {'path', 'sha256'} of their file.

    Args:
      recipe: config.faces.judge.
      train: `image` uint8 [n, 64, 64, 3], `label` age groups and `identity` int64 [n].

    Raises:
      UsageError: for people whose identity is not known, or if the judge cannot be kept.
    """
    if "identity" not in train:
        raise UsageError(
            "A judge of people needs to know who they are, which this data set does not say: set "
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
    """Age groups by cross-entropy, persons by the cosine softmax of Wang et al. 2017, arXiv 1704.06369."""
    persons, identity = np.unique(train["identity"], return_inverse=True)
    examples = {"image": train["image"], "label": train["label"], "person": identity}
    model, key = people.PeopleJudge(), jax.random.key(recipe.seed)
    optimizer = optax.adam(optax.cosine_decay_schedule(recipe.learning_rate, recipe.steps))

    def init():
        params = model.init(key, jnp.zeros((1, *train["image"].shape[1:])))["params"]
        return {"judge": params, "persons": jax.random.normal(key, (len(persons), model.size))}

    def loss(params, batch):
        groups, descriptors = model.apply({"params": params["judge"]}, batch["image"])
        centres = params["persons"] / jnp.linalg.norm(params["persons"], axis=-1, keepdims=True)
        of_age = optax.softmax_cross_entropy_with_integer_labels(groups, batch["label"])
        who = optax.softmax_cross_entropy_with_integer_labels(SHARPNESS * descriptors @ centres.T, batch["person"])
        return (of_age + who).mean()

    def step(params, opt_state, batch):
        updates, opt_state = optimizer.update(jax.grad(loss)(params, batch), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    step, params = jax.jit(step, donate_argnums=(0, 1)), jax.jit(init)()
    opt_state = optimizer.init(params)
    batches = batching.train_batches(examples, [images.scale], recipe.batch_size, recipe.seed, loader="memory")
    for _ in progress_bar(range(recipe.steps), desc="training the judge of people"):
        params, opt_state = step(params, opt_state, jax.tree.map(lambda leaf: leaf[0], next(batches)))
    batches.close()
    return {"params": params["judge"]}
