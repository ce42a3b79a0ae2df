"""Latents that a person asks for: drawn, truncated, read from a file, or on the way between two others."""

import re
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import DataError, files, npz
from experiments.commands import UsageError
from gans import draws


def drawn(seed: int, count: int, size: int, truncation: float | None = None) -> jax.Array:
    """Latents float32 [count, size], the first ones the same for any count.

    Args:
      seed: what they are drawn from.
      count: how many.
      size: their length.
      truncation: no component lies farther from 0 than this, which trades variety for fidelity (Brock et al. 2019,
        arXiv 1809.11096, section 3.1); None for the whole normal distribution.
    """
    key, batch = jax.random.key(seed), {"position": jnp.arange(count)}
    if truncation is None:
        return draws.draw_latents(key, batch, size)
    return draws.draw(key, batch, lambda k: jax.random.truncated_normal(k, -truncation, truncation, (size,)))


def read(given: str | Path, size: int) -> jax.Array:
    """The latents float32 [count, size] of an .npy file, or of the array `latent` of an .npz file.

    Args:
      given: the file, or FILE:3,7 for its latents of these numbers, counted from 0.
      size: their length.

    Raises:
      UsageError: if the file cannot be read or holds something else; pickles are not read.
    """
    file, numbers = re.fullmatch(r"(.*?)(?::(\d+(?:,\d+)*))?", str(given)).groups()
    path = Path(file)
    try:
        files.plain(path)
        latents = npz.read(path)["latent"] if zipfile.is_zipfile(path) else npz.read_array(path)
    except (OSError, DataError, KeyError) as error:
        raise UsageError(
            f"{path} holds no latents: {error}; give an .npy, or an .npz with an array 'latent'."
        ) from error
    fits = latents.ndim == 2 and latents.shape[1] == size and len(latents)
    if not fits or not np.issubdtype(latents.dtype, np.floating) or not np.isfinite(latents).all():
        raise UsageError(
            f"{path}: latents are finite numbers of shape [count, {size}] for this run, not {latents.dtype} "
            f"{list(latents.shape)}."
        )
    rows = [int(number) for number in numbers.split(",")] if numbers else range(len(latents))
    if max(rows) >= len(latents):
        raise UsageError(f"{given}: there is no latent {max(rows)}; {path} has 0 to {len(latents) - 1}.")
    return jnp.asarray(latents[np.array(rows)], jnp.float32)


def way(start: jax.Array, end: jax.Array, frames: int) -> jax.Array:
    """Latents [frames, count, size] from each start to its end and back, slowest at both, to be shown in a loop.

    Between the two it goes along the great circle, where latents of normal length lie: White 2016, arXiv 1609.04468.

    Args:
      start, end: [count, size].
      frames: pictures of one round.
    """
    share = (1 - jnp.cos(2 * jnp.pi * jnp.arange(frames) / frames)) / 2
    return jax.vmap(_great_circle, (None, None, 0))(start, end, share)


def _great_circle(start, end, share):
    def unit(vectors):
        return vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)

    angle = jnp.arccos(jnp.clip((unit(start) * unit(end)).sum(-1, keepdims=True), -1, 1))
    # Where both point the same way, or in opposite ones, there is no one circle: the straight line is as good.
    straight = jnp.sin(angle) < 1e-4
    sine = jnp.where(straight, 1.0, jnp.sin(angle))
    first = jnp.where(straight, 1 - share, jnp.sin((1 - share) * angle) / sine)
    return first * start + jnp.where(straight, share, jnp.sin(share * angle) / sine) * end
