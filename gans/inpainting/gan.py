"""Restoring masked pictures: a generator fills the hole, a discriminator tells restored pictures from real ones.

A batch holds `image` [batch, height, width, channels] in [-1, 1], `mask`, 1 in the hole and 0 elsewhere, and `masked`,
the picture with its hole at -1. Restoration is blind: the mask enters a loss and never the generator.
"""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gans import core, draws, features, losses, modules
from gans.core import Gan, Phase
from gans.frozen import digits
from gans.inpainting import networks
from gans.precision import lowered

COEFFICIENTS = MappingProxyType({"adversarial": 0.3, "reconstruction": 1.0})


def make(
    optimizers: Mapping[str, Mapping[str, optax.GradientTransformation]],
    grad: core.GradFn = core.plain,
    *,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    generator: str | nn.Module = "FoldedUNet",
    discriminator: str | nn.Module = "FoldedDiscriminator",
    generator_options: Mapping[str, Any] = MappingProxyType({}),
    discriminator_options: Mapping[str, Any] = MappingProxyType({}),
    adversarial: str = "non_saturating",
    real_label: float = 1.0,
    paste: bool = True,
    unpaired: bool = False,
    average_decay: float | None = 0.999,
    precision: str = "float32",
) -> Gan:
    """A GAN that restores masked pictures.

    Coefficients of the generator's loss (COEFFICIENTS unless `init` gets others), each removed where it is None:
    `adversarial`, and `reconstruction`, see `hole_cross_entropy`.

    Args:
      optimizers: {'adversarial': {'generator': ..., 'discriminator': ...}}.
      grad: how gradients are taken, see `gans.parallel`.
      image_shape: (height, width, channels), sides divisible by 4.
      generator: a module, or the name of one in `gans.inpainting.networks`: masked pictures to restored ones.
      discriminator: likewise: images to (logits, features).
      generator_options, discriminator_options: attributes for a network that is given by name.
      adversarial: the name of a pair in `gans.losses`.
      real_label: what the discriminator should say of real pictures (one-sided label smoothing).
      paste: whether pixels that are known (above -1 in the masked picture) are pasted over the generator's.
      unpaired: draw the discriminator's originals, its masked pictures and the generator's masked pictures
        independently, as the document does; a step then eats three slices of examples.
      average_decay: decay of the generator's moving average, which is what restores pictures; None for none.
      precision: what training computes in, 'float32' or 'bfloat16', see `gans.precision`.

    Raises:
      ValueError: for a name that does not exist, or sides that do not fit.
    """
    if any(side % 4 for side in image_shape[:2]):
        raise ValueError(f"image_shape {tuple(image_shape)}: height and width must be divisible by 4.")
    generator = modules.named(networks, generator, "generator", generator_options)
    discriminator = modules.named(networks, discriminator, "discriminator", discriminator_options)
    trained_generator, trained_discriminator = lowered(generator, precision), lowered(discriminator, precision)
    pair = getattr(losses, adversarial, None)
    if not isinstance(pair, losses.AdversarialLoss):
        raise ValueError(f"gans.losses has no adversarial loss {adversarial!r}.")

    def finish(generated, masked):
        return jnp.where(masked > -1, masked, generated) if paste else generated

    def discriminator_loss(moving, state, batch, key):
        """The generator stands still in inference mode; real and restored pictures make one mixed batch."""
        masked = batch["masked"]
        restored = finish(trained_generator.apply(core.variables(state.players["generator"]), masked), masked)
        mixed = jnp.concatenate([batch["image"], restored])
        player = state.players["discriminator"].replace(params=moving["discriminator"])
        (logits, _), stats = core.apply_training(trained_discriminator, player, mixed, draws.share_key(key, batch))
        real, fake = jnp.split(logits, 2)
        value = pair.discriminator(real, fake, real_label=real_label).mean() / 2
        metrics = {
            "discriminator/accuracy_real": (real > 0).mean(),
            "discriminator/accuracy_fake": (fake < 0).mean(),
        }
        return value, ({"discriminator": stats}, metrics)

    def generator_loss(moving, state, batch, key):
        """The discriminator stands still in training mode: its dropout stays on, as in Keras' combined model."""
        masked = batch["masked"]
        keys = jax.random.split(draws.share_key(key, batch), 3)
        player = state.players["generator"].replace(params=moving["generator"])
        generated, stats = core.apply_training(trained_generator, player, masked, keys[0])
        terms = {}
        if "adversarial" in state.coefficients:
            # Where the loss looks at the restored pictures alone, XLA drops the pass over the real ones.
            judging = functools.partial(core.apply_training, trained_discriminator, state.players["discriminator"])
            (real, _), _ = judging(batch["image"], keys[1])
            (fake, _), _ = judging(finish(generated, masked), keys[2])
            terms["adversarial"] = pair.generator(real, fake).mean()
        if "reconstruction" in state.coefficients:
            terms["reconstruction"] = hole_cross_entropy(generated, batch["image"], masked, batch["mask"]).mean()
        value = sum(state.coefficients[name] * term for name, term in terms.items())
        return value, ({"generator": stats}, {f"generator/{name}": term for name, term in terms.items()})

    def init(key, batch, frozen=None, coefficients=COEFFICIENTS):
        if coefficients.keys() - COEFFICIENTS.keys() or not any(v is not None for v in coefficients.values()):
            raise ValueError(
                f"coefficients {dict(coefficients)}: give a weight to one or both of {sorted(COEFFICIENTS)}."
            )
        players = {}
        for index, (name, module) in enumerate({"generator": generator, "discriminator": discriminator}.items()):
            variables = module.init(jax.random.fold_in(key, index), batch["masked"])
            players[name] = core.new_player(variables, averaged=name == "generator" and average_decay is not None)
        return core.new_state(players, frozen, coefficients)

    def sample(state, inputs, key):
        del key  # restoration draws nothing
        masked = inputs["masked"]
        generated = generator.apply(core.best_variables(state.players["generator"]), masked)
        if "mask" in inputs:
            return {"restored": jnp.where(inputs["mask"] > 0, generated, masked)}
        return {"restored": finish(generated, masked)}

    def inputs(count):
        return {"masked": jax.ShapeDtypeStruct((count, *image_shape), jnp.float32)}

    def evaluate(state, batch, key):
        restored = sample(state, {"masked": batch["masked"]}, key)["restored"]
        pictures = {"clean": batch["image"], "masked": batch["masked"], "restored": restored}
        verdicts = {name: digits.verdicts(state.frozen["digits"], images) for name, images in pictures.items()}
        right = {f"correct_{name}": verdict == batch["label"] for name, verdict in verdicts.items()}
        return right | {f"verdict_{name}": verdict for name, verdict in verdicts.items()}

    def discriminator_features(state, batch):
        return features.of_discriminator(discriminator, state.players["discriminator"], batch["image"])

    moved = optimizers["adversarial"]
    turns = (
        core.turn("discriminator", discriminator_loss, moved, grad),
        core.turn("generator", generator_loss, moved, grad),
    )
    if unpaired:
        turns = (core.part(_independent(turns[0]), 0, 2, of=3), core.part(turns[1], 2, 3, of=3))
    averages = () if average_decay is None else (core.average("generator", average_decay),)
    step = core.train_step(*turns, *averages)
    return Gan(
        init,
        {"adversarial": Phase(core.enter_with(moved), step, 3 if unpaired else 1)},
        sample,
        inputs,
        evaluate,
        discriminator_features,
    )


def hole_cross_entropy(
    generated: jax.Array, images: jax.Array, masked: jax.Array, mask: jax.Array, outside: float = 0.1
) -> jax.Array:
    """Cross-entropy of the hole's pixels, and with a smaller weight of the other unknown ones, [batch].

    The generator is not told where the hole is, so it must also learn to leave the background dark: pixels outside the
    hole that look as if they were in it (-1 in the masked picture) count with the weight `outside`.

    Args:
      generated: [batch, height, width, channels] in [-1, 1], read as 2p - 1 with p the probability of full brightness.
      images: the true pictures, same shape, in [-1, 1].
      masked: the pictures shown to the generator, same shape.
      mask: 1 in the hole, 0 elsewhere, same shape.
      outside: weight of an unknown pixel outside the hole.
    """
    bound = 1 - 1e-6
    generated = jnp.clip(generated, -bound, bound)
    target = (1 + images) / 2
    entropy = -(target * jnp.log((1 + generated) / 2) + (1 - target) * jnp.log((1 - generated) / 2))
    weight = mask + outside * (1 - mask) * (masked <= -1)
    return (entropy * weight).sum((1, 2, 3)) / jnp.maximum(mask.sum((1, 2, 3)), 1)


def _independent(step: core.Step) -> core.Step:
    """The step on half as many examples: the first half's originals beside the second half's masked pictures."""

    def on_halves(state, batch, key):
        halves = core.cut(batch, 2)
        second = {name: leaf[1] for name, leaf in halves.items()}
        return step(state, {**second, "image": halves["image"][0]}, key)

    return on_halves
