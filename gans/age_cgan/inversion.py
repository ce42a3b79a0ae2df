"""The latent of a face found by optimisation, where the encoder's is only where it starts."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gans.age_cgan.gan import identity_distance, pixel_distance


def optimised_latents(
    generate: Callable[[jax.Array], jax.Array],
    recogniser: Any | None,
    faces: jax.Array,
    latents: jax.Array,
    steps: int = 100,
) -> jax.Array:
    """Latents whose faces are nearest to the given ones, by L-BFGS. Antipov et al. 2017, section 2.2.

    Args:
      generate: latents [batch, size] to faces [batch, height, width, 3] in [-1, 1], under fixed labels.
      recogniser: variables of `gans.frozen.face.descriptor`: nearest in identity, the paper's z*_IP; None: in pixels,
        its z*_pixel.
      faces: [batch, height, width, 3] in [-1, 1].
      latents: [batch, size], where to start.
      steps: of the optimiser, each with a line search.

    Returns: [batch, size]. The distance is nowhere greater than that of the start.
    """

    def distances(found):
        made = generate(found)
        return pixel_distance(made, faces) if recogniser is None else identity_distance(recogniser, made, faces)

    def total(found):
        return distances(found).sum()

    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(total)

    def step(_, carried):
        found, state = carried
        value, grad = value_and_grad(found, state=state)
        updates, state = solver.update(grad, state, found, value=value, grad=grad, value_fn=total)
        return optax.apply_updates(found, updates), state

    found, _ = jax.lax.fori_loop(0, steps, step, (latents, solver.init(latents)))
    # The sum falls, which one face may pay for.
    return jnp.where((distances(found) <= distances(latents))[:, None], found, latents)
