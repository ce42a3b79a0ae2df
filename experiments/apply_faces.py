"""Ages faces in a person's own pictures; `experiments.apply` calls it for runs that were trained to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from PIL import Image
from tqdm import tqdm

from data_pipelines import ages, pictures
from experiments import figures, photo_files
from experiments.commands import UsageError
from gans import modules
from gans.age_cgan import inversion, networks
from gans.core import Gan, State, best_variables

Network = Callable[[np.ndarray], np.ndarray]


def asked(age: str | None) -> list[int]:
    """The age groups that --age names.

    Raises:
      UsageError: for a name that is none.
    """
    if age == "all":
        return list(range(len(ages.GROUPS)))
    if age not in ages.GROUPS:
        given = "is missing" if age is None else f"{age!r} is no age group"
        raise UsageError(f"--age {given}; choose from {', '.join(ages.GROUPS)}, or all.")
    return [ages.GROUPS.index(age)]


def network(config: ConfigDict, gan: Gan, state: State, groups: Sequence[int], optimize: bool) -> Network:
    """A face [side, side, 3] in [-1, 1] to the same person in each group, [groups, side, side, 3].

    Args:
      config: of the run.
      gan, state: as `runs.load` returns them.
      groups: numbers of age groups.
      optimize: whether the encoder's latent is improved first, by what the run was refined by, under the label whose
        reconstruction is nearest in pixels: nobody says how old the person is.

    Raises:
      UsageError: if the recogniser by which a latent is to be improved lies no longer where the run found it.
    """
    encoder = modules.named(
        networks,
        config.model.encoder,
        "encoder",
        {"latent_size": config.model.latent_size, **config.model.encoder_options},
    )
    recogniser = None
    if optimize and config.coefficients.identity is not None:
        if state.frozen is None:
            raise UsageError("--optimize needs the recogniser's weights, which lie no longer where the run found them.")
        recogniser = state.frozen["face"]["recogniser"]

    def made(latents, label):
        inputs = {"latent": latents, "label": jnp.asarray(label, jnp.int32)}
        return gan.sample(state, inputs, jax.random.key(0))["generated"]

    def improved(face, latents):
        every = jnp.arange(config.model.classes)
        rebuilt = made(jnp.repeat(latents, config.model.classes, 0), every)
        own = jnp.square(rebuilt - face).mean((1, 2, 3)).argmin()[None]
        return inversion.optimised_latents(lambda found: made(found, own), recogniser, face, latents)

    @jax.jit
    def aged(face):
        latents = encoder.apply(best_variables(state.players["encoder"]), face[None])
        if optimize:
            latents = improved(face[None], latents)
        return made(jnp.repeat(latents, len(groups), 0), groups)

    return lambda face: np.asarray(aged(face))


def run(files: Mapping[Path, Path], side: int, aged: Network) -> dict[Path, str]:
    """Ages the faces in files; returns those that could not be, {path: why}.

    Of each picture the largest square in its middle is the face. One face alone is written as it is; several groups
    stand in a line, after the face as the networks saw it.
    """
    faults = {}
    for source, target in tqdm(files.items(), desc="ageing", disable=len(files) == 1):
        try:
            face = _face(source, side)
        except UsageError as error:
            faults[source] = str(error)
            continue
        faces = aged(face)
        picture = figures.to_uint8(faces[0]) if len(faces) == 1 else figures.strips(face[None], faces[None])
        photo_files.write(target, Image.fromarray(picture))
    return faults


def _face(path, side):
    # A damaged file shows itself in many ways.
    try:
        picture = pictures.read(str(path))
    except Exception as error:
        raise UsageError(f"{path} cannot be read as a picture: {error}.") from error
    return pictures.resize(picture, pictures.center_square(picture), side).astype(np.float32) / 127.5 - 1
