"""Restoring photographs: a generator turns poor pictures into good ones, a discriminator tells them from real ones.

What super-resolution and deblurring share. A batch holds `image` [batch, height, width, 3] in [-1, 1], the picture as
it should be, and `source` [batch, height / scale, width / scale, 3], the poor one. A generator is called as
module(source, train) and works on pictures of any size; a discriminator as module(images, train) and returns
(logits, features), where logits may be a map of verdicts.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gans import core, draws, losses, modules
from gans.core import Gan, Phase
from gans.frozen import vgg
from gans.layers import enlarge
from gans.precision import cast, lowered
from gans.scores import images as image_scores

COEFFICIENTS = MappingProxyType(
    {"pixel": 1.0, "content": None, "adversarial": None, "gradient_penalty": None, "r1": None, "r2": None}
)
TERMS = ("pixel", "content", "adversarial")


def make(
    networks: ModuleType,
    optimizers: Mapping[str, Mapping[str, optax.GradientTransformation]],
    grad: core.GradFn = core.plain,
    *,
    image_shape: tuple[int, int, int] = (96, 96, 3),
    scale: int = 1,
    generator: str | nn.Module = "Generator",
    discriminator: str | nn.Module = "Discriminator",
    generator_options: Mapping[str, Any] = MappingProxyType({}),
    discriminator_options: Mapping[str, Any] = MappingProxyType({}),
    adversarial: str = "non_saturating",
    pixel: str = "l2",
    content_layers: Sequence[str] = ("block3_conv3",),
    passes: str = "separate",
    discriminator_turns: int = 1,
    fresh: bool = False,
    inference_fakes: bool = False,
    average_decay: float | None = None,
    precision: str = "float32",
) -> Gan:
    """A GAN that restores photographs, in two phases: `pretrain` (the pixel loss alone) and `adversarial`.

    Coefficients of the adversarial phase, each removed where it is None: the generator's `pixel`, `content` (features
    of the frozen network `state.frozen['content']`, see `content_loss`) and `adversarial`, the discriminator's
    penalties `gradient_penalty` (WGAN-GP), `r1` and `r2` (gamma, which counts half).

    Args:
      networks: the family's module of networks.
      optimizers: {'pretrain': {'generator': ...}, 'adversarial': {'generator': ..., 'discriminator': ...}}.
      grad: how gradients are taken, see `gans.parallel`.
      image_shape: (height, width, 3) of the restored pictures that it is trained on; sides divisible by `scale`.
      scale: how many times larger than the source the restored picture is.
      generator, discriminator: modules, or names of classes in `networks`.
      generator_options, discriminator_options: attributes for a network that is given by name.
      adversarial: the name of a pair in `gans.losses`.
      pixel: 'l1' or 'l2', the pixel loss of both phases.
      content_layers: layers of the frozen network whose features are compared.
      passes: how the discriminator sees real and restored pictures: 'separate' (two passes in one turn, each with batch
        statistics of its own) or 'turns' (two optimizer steps, real pictures first).
      discriminator_turns: its turns in one train step; more than one are each on fresh examples.
      fresh: whether the generator's turn has examples of its own.
      inference_fakes: the discriminator's fakes come from the generator in inference mode, and not in training mode.
      average_decay: decay of the generator's moving average, which is what restores pictures; None for none.
      precision: what training computes in, 'float32' or 'bfloat16', see `gans.precision`.

    Raises:
      ValueError: for names and settings that do not exist or do not fit together.
    """
    pair = getattr(losses, adversarial, None)
    _check(image_shape, scale, pair, adversarial, pixel, passes)
    generator = modules.named(networks, generator, "generator", generator_options)
    discriminator = modules.named(networks, discriminator, "discriminator", discriminator_options)
    trained_generator, trained_discriminator = lowered(generator, precision), lowered(discriminator, precision)
    pixel_loss = {"l1": losses.pixel_l1, "l2": losses.pixel_l2}[pixel]

    def restore(player, batch, key):
        """Restored pictures and new statistics of the generator in training mode."""
        return core.apply_training(trained_generator, player, batch["source"], draws.share_key(key, batch))

    def judge(player, images, batch, key, module=trained_discriminator):
        """Logits and new statistics of the discriminator in training mode."""
        (logits, _), stats = core.apply_training(module, player, images, draws.share_key(key, batch))
        return logits, stats

    def pretrain_loss(moving, state, batch, key):
        restored, stats = restore(state.players["generator"].replace(params=moving["generator"]), batch, key)
        return pixel_loss(restored, batch["image"]).mean(), ({"generator": stats}, {})

    def discriminator_loss(sides):
        """The loss on the sides 'real' and 'fake', or on one of them; the generator stands still."""

        def loss(moving, state, batch, key):
            keys = jax.random.split(key, 5)
            standing = state.players["generator"]
            if inference_fakes:
                fakes = trained_generator.apply(core.variables(standing), batch["source"])
            else:
                fakes, _ = restore(standing, batch, keys[0])
            player = state.players["discriminator"].replace(params=moving["discriminator"])
            images = {"real": batch["image"], "fake": fakes}
            logits, stats = {}, player.stats
            for side, one_key in zip(sides, keys[1:], strict=False):
                logits[side], stats = judge(player.replace(stats=stats), images[side], batch, one_key)
            real, fake = logits.get("real"), logits.get("fake")
            value = pair.discriminator(real, fake).mean()
            mix = draws.draw(keys[3], batch, jax.random.uniform)
            found = losses.penalties(
                lambda x: judge(player, x, batch, keys[4], discriminator)[0],
                batch["image"],
                fakes,
                mix,
                state.coefficients,
            )
            value += sum(state.coefficients[name] * penalty for name, penalty in found.items())
            metrics = {f"discriminator/{name}": penalty for name, penalty in found.items()}
            return value, ({"discriminator": stats}, metrics | losses.accuracies(pair, real, fake))

        return loss

    def generator_loss(moving, state, batch, key):
        """The discriminator stands still in training mode; its new statistics are dropped."""
        keys = jax.random.split(key, 3)
        restored, stats = restore(state.players["generator"].replace(params=moving["generator"]), batch, keys[0])
        terms = {}
        if "pixel" in state.coefficients:
            terms["pixel"] = pixel_loss(restored, batch["image"]).mean()
        if "content" in state.coefficients:
            compared = cast((restored, batch["image"]), jnp.dtype(precision))
            terms["content"] = content_loss(state.frozen["content"], *compared, content_layers).mean()
        if "adversarial" in state.coefficients:
            standing = state.players["discriminator"]
            # Where the loss looks at the restored pictures alone, XLA drops the pass over the real ones.
            real, _ = judge(standing, batch["image"], batch, keys[1])
            fake, _ = judge(standing, restored, batch, keys[2])
            terms["adversarial"] = pair.generator(real, fake).mean()
        value = sum(state.coefficients[name] * term for name, term in terms.items())
        return value, ({"generator": stats}, {f"generator/{name}": term for name, term in terms.items()})

    def init(key, batch, frozen=None, coefficients=COEFFICIENTS):
        given = {name for name, weight in coefficients.items() if weight is not None}
        if given - COEFFICIENTS.keys() or not given & set(TERMS):
            raise ValueError(
                f"coefficients {dict(coefficients)}: only {sorted(COEFFICIENTS)} exist, and the generator needs one "
                f"of {', '.join(TERMS)}."
            )
        if passes == "turns" and given & set(losses.PENALTIES):
            raise ValueError("The penalties need passes='separate'.")
        keys = jax.random.split(key)
        restored, moving = generator.init_with_output(keys[0], batch["source"])
        players = {
            "generator": core.new_player(moving, averaged=average_decay is not None),
            "discriminator": core.new_player(discriminator.init(keys[1], restored)),
        }
        return core.new_state(players, frozen, coefficients)

    def sample(state, inputs, key):
        """Works on sources of any size, not only on those of `inputs`."""
        del key  # restoration draws nothing
        restored = generator.apply(core.best_variables(state.players["generator"]), inputs["source"])
        return {"restored": jnp.clip(restored, -1, 1)}

    def inputs(count):
        height, width, channels = image_shape
        return {"source": jax.ShapeDtypeStruct((count, height // scale, width // scale, channels), jnp.float32)}

    def evaluate(state, batch, key):
        """How near the restored pictures, and the sources plainly enlarged, come to the true ones, see `fidelity`."""
        restored = sample(state, batch, key)["restored"]
        perceptual = (state.frozen or {}).get("lpips")
        plain = fidelity(enlarge(batch["source"], scale), batch["image"], scale, perceptual)
        name = "bicubic" if scale > 1 else "source"
        found = fidelity(restored, batch["image"], scale, perceptual)
        return found | {f"{score}_{name}": values for score, values in plain.items()}

    first, second = optimizers["pretrain"], optimizers["adversarial"]
    sides = (("real",), ("fake",)) if passes == "turns" else (("real", "fake"),)
    labels = sides if passes == "turns" else (("",),)
    on = [
        core.turn("discriminator", discriminator_loss(side), second, grad, label=label[0])
        for side, label in zip(sides, labels, strict=True)
    ]
    turns, slices = (core.in_turn(*on), core.turn("generator", generator_loss, second, grad)), 1
    if fresh or discriminator_turns > 1:
        slices = discriminator_turns + 1
        critic = core.repeat(turns[0], discriminator_turns)
        turns = (core.part(critic, 0, discriminator_turns, slices), core.part(turns[1], slices - 1, slices, slices))
    averages = () if average_decay is None else (core.average("generator", average_decay),)
    pretrain = core.train_step(core.turn("generator", pretrain_loss, first, grad), *averages)
    phases = {
        "pretrain": Phase(core.enter_with(first), pretrain),
        "adversarial": Phase(core.enter_with(second), core.train_step(*turns, *averages), slices),
    }
    return Gan(init, phases, sample, inputs, evaluate)


def content_loss(variables: Any, images: jax.Array, targets: jax.Array, layers: Sequence[str]) -> jax.Array:
    """Mean squared difference of the features of a frozen network, averaged over its layers, [batch].

    Johnson et al. 2016, arXiv 1603.08155, equation 2; Ledig et al. 2017, arXiv 1609.04802, equation 5.

    Args:
      variables: of a network of `gans.frozen.vgg`.
      images, targets: [batch, height, width, 3] in [-1, 1].
      layers: names as in `vgg.features`.
    """
    made, true = (cast(vgg.features(variables, x, layers), jnp.float32) for x in (images, targets))
    return sum(losses.pixel_l2(made[layer], true[layer]) for layer in layers) / len(layers)


def fidelity(images: jax.Array, targets: jax.Array, scale: int, perceptual: Any = None) -> dict[str, jax.Array]:
    """How near pictures come to the true ones, {name: [batch]}.

    As the literature reports it: of enlarged pictures (`scale` above 1) the luma without a border of `scale` pixels,
    `psnr_luma_crop4`; of others all channels, `psnr_rgb`; PSNR in dB. `lpips_vgg` on whole pictures where the
    variables of its network are given.

    Args:
      images, targets: [batch, height, width, 3] in [-1, 1].
      scale: of the super-resolution; 1 for none.
      perceptual: the variables of VGG-16, and in `heads` those of LPIPS, see `image_scores.lpips`; or None.
    """
    if scale > 1:
        name = f"luma_crop{scale}"
        pair = [image_scores.crop_border(image_scores.luma(x), scale) for x in (images, targets)]
    else:
        name, pair = "rgb", (images, targets)
    found = {f"psnr_{name}": image_scores.psnr(*pair), f"ssim_{name}": image_scores.ssim(*pair)}
    if perceptual:
        found["lpips_vgg"] = image_scores.lpips(perceptual, perceptual["heads"], images, targets)
    return found


def _check(image_shape, scale, pair, adversarial, pixel, passes):
    if scale < 1 or any(side % scale for side in image_shape[:2]):
        raise ValueError(f"image_shape {tuple(image_shape)}: height and width must be multiples of {scale=}.")
    if not isinstance(pair, losses.AdversarialLoss):
        raise ValueError(f"gans.losses has no adversarial loss {adversarial!r}.")
    if pixel not in ("l1", "l2"):
        raise ValueError(f"pixel={pixel!r}: choose l1 or l2.")
    if passes not in ("separate", "turns"):
        raise ValueError(f"passes={passes!r}: choose separate or turns.")
    if passes == "turns" and not pair.labelled:
        raise ValueError(f"The loss {adversarial} compares real and restored pictures: passes='turns' cannot be.")
