"""The game between a generator of pictures from latents and a discriminator: what vanilla, DCGAN and their kin share.

A batch holds `image` [batch, height, width, channels] in [-1, 1] and, for a GAN on class labels, `label` int32 [batch].
`image` may also be volumes [batch, x, y, z, channels] in [0, 1]: what is said of pictures here then goes for them.
A generator is called as module(latents, train, label=...), a discriminator as module(images, train, label=...) and
returns (logits, features); unconditional ones get no label.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gans import core, draws, features, losses, modules, stabilizers
from gans.core import Gan, Phase
from gans.frozen.compare import compare
from gans.precision import lowered

COEFFICIENTS = MappingProxyType(
    {"adversarial": 1.0, "feature_matching": None, "gradient_penalty": None, "r1": None, "r2": None}
)


def make(
    networks: ModuleType,
    optimizers: Mapping[str, Mapping[str, optax.GradientTransformation]],
    grad: core.GradFn = core.plain,
    *,
    image_shape: tuple[int, ...] = (28, 28, 1),
    latent_size: int = 100,
    latent_deviation: float = 1.0,
    classes: int = 0,
    generator: str | nn.Module = "Generator",
    discriminator: str | nn.Module = "Discriminator",
    generator_options: Mapping[str, Any] = MappingProxyType({}),
    discriminator_options: Mapping[str, Any] = MappingProxyType({}),
    adversarial: str = "non_saturating",
    real_label: stabilizers.Label = 1.0,
    fake_label: stabilizers.Label = 0.0,
    passes: str = "separate",
    discriminator_turns: int = 1,
    adaptive_accuracy: float | None = None,
    inference_fakes: bool = False,
    batch_statistics: bool = False,
    random_labels: bool = False,
    augmentation: Sequence[str] = (),
    average_decay: float | None = None,
    precision: str = "float32",
) -> Gan:
    """A GAN that makes pictures from latents z ~ N(0, 1), for each class where there are classes.

    Coefficients of the losses, each removed where it is None: the generator's `adversarial` and `feature_matching`
    (features of the discriminator), the discriminator's penalties `gradient_penalty` (WGAN-GP), `r1` and `r2` (gamma,
    which counts half).

    Args:
      networks: the family's module of networks.
      optimizers: {'adversarial': {'generator': ..., 'discriminator': ...}}.
      grad: how gradients are taken, see `gans.parallel`.
      image_shape: (height, width, channels), or (x, y, z, channels).
      latent_size: length of z.
      latent_deviation: the generator is given this times z; a latent in a batch or in inputs is z.
      classes: number of classes of a GAN on class labels; 0 for a GAN without.
      generator, discriminator: modules, or names of classes in `networks`.
      generator_options, discriminator_options: attributes for a network that is given by name.
      adversarial: the name of a pair in `gans.losses`.
      real_label, fake_label: what the discriminator should say; (low, high) draws one for each example.
      passes: how the discriminator sees real and generated pictures in its turn: 'separate' (two passes, each with
        batch statistics of its own), 'mixed' (one batch of both; the mean is over all of it) or 'turns' (two optimizer
        steps, real pictures first).
      discriminator_turns: its turns in one train step, each on fresh examples.
      adaptive_accuracy: the discriminator moves only while its accuracy, the mean of both sides, is at most this: Wu et
        al. 2016, arXiv 1610.07584, section 3.1 (0.8 on the last batch). Here it is that of the turn's own batch, before
        the move. None: it always moves.
      inference_fakes: the discriminator's fakes come from the generator in inference mode, as in the documents, and not
        in training mode.
      batch_statistics: samples too are made in training mode: batch norm takes the statistics of the batch of samples,
        so that one depends on the others.
      random_labels: the generator's turn draws labels evenly, instead of taking those of the batch.
      augmentation: see `stabilizers.augment`.
      average_decay: decay of the generator's moving average, which is what makes samples; None for none.
      precision: what training computes in, 'float32' or 'bfloat16', see `gans.precision`.

    Raises:
      ValueError: for names and settings that do not exist or do not fit together.
    """
    options = {"classes": classes}
    generator = modules.named(
        networks, generator, "generator", {**options, "image_shape": image_shape, **generator_options}
    )
    discriminator = modules.named(networks, discriminator, "discriminator", {**options, **discriminator_options})
    trained_generator, trained_discriminator = lowered(generator, precision), lowered(discriminator, precision)
    pair = getattr(losses, adversarial, None)
    _check(pair, adversarial, real_label, fake_label, passes, augmentation)
    if augmentation and len(image_shape) != 3:
        raise ValueError(f"augmentation={tuple(augmentation)} is for pictures: leave it empty for volumes.")
    if adaptive_accuracy is not None and passes == "turns":
        raise ValueError("adaptive_accuracy needs both sides in one turn: passes='separate' or 'mixed'.")
    if random_labels and not classes:
        raise ValueError("random_labels needs classes.")

    def condition(batch):
        return {"label": batch["label"]} if classes else {}

    def draw_latents(key, batch):
        return latent_deviation * draws.draw_latents(key, batch, latent_size)

    def generate(player, batch, key):
        keys = jax.random.split(key)
        latents = draw_latents(keys[0], batch)
        dropout = draws.share_key(keys[1], batch)
        return core.apply_training(trained_generator, player, latents, dropout, **condition(batch))

    def judge(player, images, batch, key, module=trained_discriminator):
        """Logits, features and new stats of the discriminator in training mode, on augmented pictures."""
        keys = jax.random.split(key)
        seen = stabilizers.augment(keys[0], batch, images, augmentation)
        dropout = draws.share_key(keys[1], batch)
        (logits, features), stats = core.apply_training(module, player, seen, dropout, **condition(batch))
        return logits, features, stats

    def judge_both(player, fakes, batch, key):
        keys = jax.random.split(key)
        if passes == "mixed":
            twice = {name: jnp.concatenate([leaf, leaf]) for name, leaf in draws.with_positions(batch).items()}
            logits, _, stats = judge(player, jnp.concatenate([batch["image"], fakes]), twice, key)
            return *jnp.split(logits, 2), stats
        real, _, stats = judge(player, batch["image"], batch, keys[0])
        fake, _, stats = judge(player.replace(stats=stats), fakes, batch, keys[1])
        return real, fake, stats

    def fakes_for_discriminator(state, batch, key):
        if not inference_fakes:
            return generate(state.players["generator"], batch, key)[0]
        latents = draw_latents(key, batch)
        return trained_generator.apply(core.variables(state.players["generator"]), latents, **condition(batch))

    def labels(batch, key):
        if not pair.labelled:
            return {}
        keys = jax.random.split(key)
        return {
            "real_label": stabilizers.draw_labels(keys[0], batch, real_label),
            "fake_label": stabilizers.draw_labels(keys[1], batch, fake_label),
        }

    def discriminator_loss(moving, state, batch, key):
        """The generator stands still, in training mode unless `inference_fakes`; its new statistics are dropped."""
        keys = jax.random.split(key, 4)
        player = state.players["discriminator"].replace(params=moving["discriminator"])
        fakes = fakes_for_discriminator(state, batch, keys[0])
        real, fake, stats = judge_both(player, fakes, batch, keys[1])
        value = pair.discriminator(real, fake, **labels(batch, keys[2])).mean() / (2 if passes == "mixed" else 1)
        found = penalties(player, fakes, state.coefficients, batch, keys[3])
        value += sum(state.coefficients[name] * penalty for name, penalty in found.items())
        metrics = {f"discriminator/{name}": penalty for name, penalty in found.items()}
        return value, ({"discriminator": stats}, metrics | losses.accuracies(pair, real, fake))

    def penalties(player, fakes, coefficients, batch, key):
        """Each on the pictures as the discriminator sees them, with one augmentation and dropout for both sides."""
        keys = jax.random.split(key)
        mix = draws.draw(keys[1], batch, jax.random.uniform)

        def logits_of(images):
            return judge(player, images, batch, keys[0], discriminator)[0]

        return losses.penalties(logits_of, batch["image"], fakes, mix, coefficients)

    def one_side(side):
        """The discriminator's loss on real pictures alone, or on generated ones alone."""

        def loss(moving, state, batch, key):
            keys = jax.random.split(key, 3)
            player = state.players["discriminator"].replace(params=moving["discriminator"])
            images = batch["image"] if side == "real" else fakes_for_discriminator(state, batch, keys[0])
            logits, _, stats = judge(player, images, batch, keys[1])
            sides = (logits, None) if side == "real" else (None, logits)
            value = pair.discriminator(*sides, **labels(batch, keys[2])).mean()
            return value, ({"discriminator": stats}, losses.accuracies(pair, *sides))

        return loss

    def generator_loss(moving, state, batch, key):
        """The discriminator stands still in training mode: its dropout stays on, its new statistics are dropped."""
        keys = jax.random.split(key, 4)
        if random_labels:
            batch = {**batch, "label": draws.draw(keys[3], batch, lambda k: jax.random.randint(k, (), 0, classes))}
        player = state.players["generator"].replace(params=moving["generator"])
        fakes, stats = generate(player, batch, keys[0])
        standing = state.players["discriminator"]
        # Where the loss looks at the fakes alone, XLA drops the pass over the real pictures.
        real, real_features, _ = judge(standing, batch["image"], batch, keys[1])
        fake, fake_features, _ = judge(standing, fakes, batch, keys[2])
        terms = {}
        if "adversarial" in state.coefficients:
            terms["adversarial"] = pair.generator(real, fake).mean()
        if "feature_matching" in state.coefficients:
            terms["feature_matching"] = stabilizers.feature_matching(real_features, fake_features)
        value = sum(state.coefficients[name] * term for name, term in terms.items())
        metrics = {f"generator/{name}": term for name, term in terms.items()}
        # How much the fakes of a batch differ among themselves, beside real pictures: 0 is a collapse.
        metrics["generator/diversity"] = _spread(fakes) / (_spread(batch["image"]) + 1e-6)
        return value, ({"generator": stats}, metrics)

    def init(key, batch, frozen=None, coefficients=COEFFICIENTS):
        given = {name for name, weight in coefficients.items() if weight is not None}
        if given - COEFFICIENTS.keys() or not given & {"adversarial", "feature_matching"}:
            raise ValueError(
                f"coefficients {dict(coefficients)}: only {sorted(COEFFICIENTS)} exist, and the generator needs "
                "adversarial or feature_matching."
            )
        if passes == "turns" and given & set(losses.PENALTIES):
            raise ValueError("The penalties need passes='separate' or 'mixed'.")
        keys = jax.random.split(key)
        latents = draw_latents(key, batch)
        images, moving = generator.init_with_output(keys[0], latents, **condition(batch))
        judging = discriminator.init(keys[1], images, **condition(batch))
        players = {
            "generator": core.new_player(moving, averaged=average_decay is not None),
            "discriminator": core.new_player(judging),
        }
        return core.new_state(players, frozen, coefficients)

    def sample(state, inputs, key):
        latents, best = draw_latents(key, inputs), core.best_variables(state.players["generator"])
        if batch_statistics:
            made, _ = generator.apply(best, latents, True, mutable=["batch_stats"], **condition(inputs))
        else:
            made = generator.apply(best, latents, **condition(inputs))
        return {"generated": made}

    def inputs(count):
        conditions = {"label": jax.ShapeDtypeStruct((count,), jnp.int32)} if classes else {}
        return {"latent": jax.ShapeDtypeStruct((count, latent_size), jnp.float32)} | conditions

    def evaluate(state, batch, key):
        """What the frozen networks see in real pictures and in as many generated ones, under the real ones' labels."""
        generated = sample(state, batch, key)["generated"]
        return compare(state.frozen, batch["image"], generated, batch["label"] if classes else None)

    def discriminator_features(state, batch):
        """No example's own label gets in, which dense discriminators show in their features: -1 is no class."""
        label = {"label": jnp.full(batch["image"].shape[:1], -1)} if classes else {}
        return features.of_discriminator(discriminator, state.players["discriminator"], batch["image"], **label)

    def not_too_good(state, metrics):
        del state
        accuracy = (metrics["discriminator/accuracy_real"] + metrics["discriminator/accuracy_fake"]) / 2
        return accuracy <= adaptive_accuracy

    when = None if adaptive_accuracy is None else not_too_good
    moved = optimizers["adversarial"]
    sides = ("real", "fake") if passes == "turns" else ("",)
    on = [
        core.turn("discriminator", one_side(side) if side else discriminator_loss, moved, grad, when, label=side)
        for side in sides
    ]
    turns = (core.in_turn(*on), core.turn("generator", generator_loss, moved, grad))
    if (times := discriminator_turns) > 1:
        of = times + 1
        turns = (core.part(core.repeat(turns[0], times), 0, times, of), core.part(turns[1], times, of, of))
    averages = () if average_decay is None else (core.average("generator", average_decay),)
    phase = Phase(core.enter_with(moved), core.train_step(*turns, *averages), 1 if times == 1 else times + 1)
    return Gan(init, {"adversarial": phase}, sample, inputs, evaluate, discriminator_features)


def _spread(images):
    return images.std(0).mean()


def _check(pair, adversarial, real_label, fake_label, passes, augmentation):
    if not isinstance(pair, losses.AdversarialLoss):
        raise ValueError(f"gans.losses has no adversarial loss {adversarial!r}.")
    ranges = [stabilizers.label_range(label) for label in (real_label, fake_label)]
    if not pair.labelled and ranges != [(1, 1), (0, 0)]:
        raise ValueError(f"The loss {adversarial} has no labels to smooth: leave real_label at 1 and fake_label at 0.")
    if passes not in ("separate", "mixed", "turns"):
        raise ValueError(f"passes={passes!r}: choose separate, mixed or turns.")
    if passes == "turns" and not pair.labelled:
        raise ValueError(f"The loss {adversarial} compares real and generated pictures: passes='turns' cannot be.")
    if strange := set(augmentation) - set(stabilizers.AUGMENTATIONS):
        known = ", ".join(stabilizers.AUGMENTATIONS)
        raise ValueError(f"There is no augmentation {sorted(strange)[0]!r}; choose from {known}.")
