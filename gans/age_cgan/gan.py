"""Ageing faces in three phases: a GAN on age groups, its inverse, and both refined on real faces.

A batch holds `image` [batch, 64, 64, 3] in [-1, 1] and `label` int32 [batch], the age group. To age a face is to encode
it and to generate from its latent under another label: Antipov et al. 2017, arXiv 1702.01983.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gans import core, draws, latent_game, losses, modules, stabilizers
from gans.age_cgan import networks
from gans.core import Gan, Phase
from gans.frozen import face, people
from gans.precision import lowered

REFINE = ("identity", "pixel", "ageing", "latent")
COEFFICIENTS = MappingProxyType({**latent_game.COEFFICIENTS, "identity": 1.0, **dict.fromkeys(REFINE[1:])})


def make(
    optimizers: Mapping[str, Mapping[str, optax.GradientTransformation]],
    grad: core.GradFn = core.plain,
    *,
    image_shape: tuple[int, int, int] = (64, 64, 3),
    latent_size: int = 100,
    classes: int = 6,
    generator: str | nn.Module = "Generator",
    discriminator: str | nn.Module = "Discriminator",
    encoder: str | nn.Module = "Encoder",
    generator_options: Mapping[str, Any] = MappingProxyType({}),
    discriminator_options: Mapping[str, Any] = MappingProxyType({}),
    encoder_options: Mapping[str, Any] = MappingProxyType({}),
    adversarial: str = "non_saturating",
    real_label: stabilizers.Label = 1.0,
    fake_label: stabilizers.Label = 0.0,
    passes: str = "separate",
    discriminator_turns: int = 1,
    inference_fakes: bool = False,
    inference_refine: bool = False,
    random_labels: bool = True,
    augmentation: Sequence[str] = (),
    average_decay: float | None = None,
    precision: str = "float32",
) -> Gan:
    """An Age-cGAN, in the phases `adversarial` (G and D), `encode` (E learns G's inverse) and `refine` (E and G).

    Coefficients: those of `gans.latent_game` for the first phase. In the last one, each removed where it is None:
    `identity` and `pixel`, how far a face is from its reconstruction under its own label, see `identity_distance` and
    `pixel_distance`; `ageing`, the adversarial loss of the face under a label drawn evenly, which keeps the meaning of
    labels while G moves, and whose discriminator learns on where the phase has an optimizer for it; and `latent`, how
    far from the photograph's latent E finds that of the aged face, by which E alone learns: a latent that tells an age
    cannot be found again in a face of another, so the label keeps its say.

    Args:
      optimizers: {'adversarial': {'generator', 'discriminator'}, 'encode': {'encoder'}, 'refine': {'encoder',
        'generator', perhaps 'discriminator'}}.
      grad: how gradients are taken, see `gans.parallel`.
      encoder: a module, or the name of one in `gans.age_cgan.networks`.
      encoder_options: attributes for one that is given by name.
      inference_refine: encoder and generator refine in inference mode: batch norm keeps its running statistics, whose
        estimates from small batches would be noise in every reconstruction.
      average_decay: decay of the moving averages of generator and encoder; None for none.
      Others: as for `gans.latent_game.make`, `classes` being the age groups.

    Raises:
      ValueError: for names and settings that do not exist or do not fit together.
    """
    shape = {"classes": classes, "image_shape": image_shape}
    generator = modules.named(networks, generator, "generator", {**shape, **generator_options})
    discriminator = modules.named(
        networks, discriminator, "discriminator", {"classes": classes, **discriminator_options}
    )
    encoder = modules.named(networks, encoder, "encoder", {"latent_size": latent_size, **encoder_options})
    game = latent_game.make(
        networks,
        optimizers,
        grad,
        image_shape=image_shape,
        latent_size=latent_size,
        classes=classes,
        generator=generator,
        discriminator=discriminator,
        adversarial=adversarial,
        real_label=real_label,
        fake_label=fake_label,
        passes=passes,
        discriminator_turns=discriminator_turns,
        inference_fakes=inference_fakes,
        random_labels=random_labels,
        augmentation=augmentation,
        average_decay=average_decay,
        precision=precision,
    )
    trained_generator, trained_discriminator, trained_encoder = (
        lowered(module, precision) for module in (generator, discriminator, encoder)
    )
    pair = getattr(losses, adversarial)

    def encode_loss(moving, state, batch, key):
        """The generator stands still in inference mode; latents and labels are drawn anew for each step."""
        keys = jax.random.split(key, 3)
        latents = draws.draw_latents(keys[0], batch, latent_size)
        label = _drawn_labels(keys[1], batch, classes)
        faces = trained_generator.apply(core.variables(state.players["generator"]), latents, label=label)
        player = state.players["encoder"].replace(params=moving["encoder"])
        found, stats = core.apply_training(trained_encoder, player, faces, draws.share_key(keys[2], batch))
        return _length(found - latents).mean(), ({"encoder": stats}, {})

    def refine_loss(moving, state, batch, key):
        keys = jax.random.split(key, 4)
        players = {name: state.players[name].replace(params=params) for name, params in moving.items()}
        latents, encoders = encoded(players, batch["image"], batch, keys[0])
        made, generators = generated(players, latents, batch["label"], batch, keys[0])
        label = _drawn_labels(keys[1], batch, classes)
        aged, _ = generated(players, latents, label, batch, keys[0])
        terms = {}
        if "identity" in state.coefficients:
            terms["identity"] = identity_distance(state.frozen["face"]["recogniser"], made, batch["image"]).mean()
        if "pixel" in state.coefficients:
            terms["pixel"] = pixel_distance(made, batch["image"]).mean()
        if "ageing" in state.coefficients:
            terms["ageing"] = pair.generator(
                judged(state.players["discriminator"], batch["image"], batch["label"], batch, keys[2])[0],
                judged(state.players["discriminator"], aged, label, batch, keys[3])[0],
            ).mean()
        if "latent" in state.coefficients:
            found, _ = encoded(players, jax.lax.stop_gradient(aged), batch, keys[0])
            terms["latent"] = _length(found - jax.lax.stop_gradient(latents)).mean()
        value = sum(state.coefficients[name] * term for name, term in terms.items())
        stats = {"encoder": encoders, "generator": generators}
        return value, (stats, {f"refine/{name}": term for name, term in terms.items()})

    def encoded(players, faces, batch, key):
        return refined(trained_encoder, players["encoder"], faces, batch, key)

    def generated(players, latents, label, batch, key):
        return refined(trained_generator, players["generator"], latents, batch, key, label=label)

    def refined(module, player, inputs, batch, key, **conditions):
        """Outputs and new statistics, in the mode of the refine phase."""
        if inference_refine:
            return module.apply(core.variables(player), inputs, **conditions), player.stats
        return core.apply_training(module, player, inputs, draws.share_key(key, batch), **conditions)

    def judged(player, faces, label, batch, key):
        """Logits and new statistics of the discriminator in training mode."""
        dropout = draws.share_key(key, batch)
        (logits, _), stats = core.apply_training(trained_discriminator, player, faces, dropout, label=label)
        return logits, stats

    def ageing_loss(moving, state, batch, key):
        """The discriminator's in the refine phase: faces against the same ones under labels drawn evenly."""
        keys = jax.random.split(key, 4)
        latents, _ = encoded(state.players, batch["image"], batch, keys[1])
        label = _drawn_labels(keys[0], batch, classes)
        aged, _ = generated(state.players, latents, label, batch, keys[1])
        player = state.players["discriminator"].replace(params=moving["discriminator"])
        real, stats = judged(player, batch["image"], batch["label"], batch, keys[2])
        fake, stats = judged(player.replace(stats=stats), aged, label, batch, keys[3])
        value = pair.discriminator(real, fake).mean()
        return value, ({"discriminator": stats}, losses.accuracies(pair, real, fake))

    def init(key, batch, frozen=None, coefficients=COEFFICIENTS):
        given = {name for name, weight in coefficients.items() if weight is not None}
        if not given & set(REFINE[:2]):
            raise ValueError(f"coefficients {dict(coefficients)}: the refine phase needs identity or pixel.")
        own = {name: weight for name, weight in coefficients.items() if name not in REFINE}
        keys = jax.random.split(key)
        state = game.init(keys[0], batch, frozen, own)
        faces = jnp.zeros((1, *image_shape))
        player = core.new_player(encoder.init(keys[1], faces), averaged=average_decay is not None)
        return core.new_state({**state.players, "encoder": player}, frozen, coefficients)

    def sample(state, inputs, key):
        """Faces under `label`: of `latent`, of the people in `image`, or of latents drawn by position."""
        if "image" in inputs:
            best = core.best_variables(state.players["encoder"])
            inputs = {**inputs, "latent": encoder.apply(best, inputs["image"])}
        return game.sample(state, inputs, key)

    def evaluate(state, batch, key):
        """What the frozen networks see in faces, in their reconstructions, and in the same faces in each age group."""
        groups = [
            sample(state, {**batch, "label": jnp.full_like(batch["label"], group)}, key) for group in range(classes)
        ]
        aged = jnp.stack([made["generated"] for made in groups], 1)
        own = jnp.take_along_axis(aged, batch["label"].reshape(-1, 1, 1, 1, 1), 1)[:, 0]
        drawn = game.sample(state, {name: batch[name] for name in ("label", "position") if name in batch}, key)
        return people.compare(state.frozen, batch["image"], own, aged, drawn["generated"])

    moves = optimizers["refine"]
    turns = [core.turn(("encoder", "generator"), refine_loss, moves, grad)]
    if "discriminator" in moves:
        turns.insert(0, core.turn("discriminator", ageing_loss, moves, grad))
    averages = () if average_decay is None else (core.average(("encoder", "generator"), average_decay),)
    encode = core.train_step(core.turn("encoder", encode_loss, optimizers["encode"], grad), *averages)
    phases = {
        "adversarial": game.phases["adversarial"],
        "encode": Phase(core.enter_with(optimizers["encode"]), encode),
        "refine": Phase(core.enter_with(moves), core.train_step(*turns, *averages)),
    }
    return Gan(init, phases, sample, game.inputs, evaluate, game.features)


def identity_distance(variables: Any, faces: jax.Array, others: jax.Array) -> jax.Array:
    """Euclidean distance of the recogniser's descriptors, [batch]. Antipov et al. 2017, equation 2.

    Args:
      variables: of `gans.frozen.face.descriptor`.
      faces, others: [batch, height, width, 3] in [-1, 1].
    """
    return _length(face.descriptor(variables, faces) - face.descriptor(variables, others))


def pixel_distance(faces: jax.Array, others: jax.Array) -> jax.Array:
    """Root of the mean squared difference, [batch]: the Euclidean distance over the root of how many numbers there are.

    Antipov et al. 2017, section 2.2, "pixelwise".
    """
    return jnp.sqrt(losses.pixel_l2(faces, others) + 1e-12)


def _length(x):
    # The root's slope is infinite at 0.
    return jnp.sqrt(jnp.square(x).sum(-1) + 1e-12)


def _drawn_labels(key, batch, classes):
    return draws.draw(key, batch, lambda k: jax.random.randint(k, (), 0, classes))
