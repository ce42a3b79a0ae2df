"""What frozen networks see in real and in generated pictures: the rows from which scores of whole sets are made."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from gans.frozen import digits, inception, mobilenet

# Each returns (logits, features) of images [batch, height, width, channels] in [-1, 1].
NETWORKS: Mapping[str, Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]] = MappingProxyType(
    {"digits": digits.apply, "inception": inception.apply, "mobilenet": mobilenet.apply}
)


def compare(
    frozen: Mapping[str, Any], real: jax.Array, generated: jax.Array, label: jax.Array | None = None
) -> dict[str, jax.Array]:
    """What each of the networks sees in pictures [batch, height, width, channels] in [-1, 1], one row an example.

    Args:
      frozen: {name: variables} of some of `NETWORKS`; inception and mobilenet see grey pictures as grey RGB.
      real, generated: pictures.
      label: int32 [batch], what the generated pictures were asked for, if they were.

    Returns:
      `real_features_<name>`, `generated_features_<name>` [batch, d] and `real_probabilities_<name>`,
      `generated_probabilities_<name>` [batch, classes]. From the judge of digits also `real_verdict` and
      `generated_verdict` int32 [batch], and `generated_right` bool [batch] where there is a label. Where each channel
      is a digit of its own (Stacked-MNIST), a verdict is the channels' classes as decimal digits, the first channel's
      in front, and features and probabilities of `digits` are left out.
    """
    found = {}
    for side, images in (("real", real), ("generated", generated)):
        for name, variables in frozen.items():
            if name == "digits" and _takes(variables) < images.shape[-1]:
                channels = [digits.verdicts(variables, images[..., c : c + 1]) for c in range(images.shape[-1])]
                found[f"{side}_verdict"] = sum(10**power * v for power, v in enumerate(reversed(channels)))
                continue
            grey = images.shape[-1] == 1 and name != "digits"
            seen = jnp.repeat(images, 3, axis=-1) if grey else images
            logits, found[f"{side}_features_{name}"] = NETWORKS[name](variables, seen)
            found[f"{side}_probabilities_{name}"] = jax.nn.softmax(logits)
            if name == "digits":
                found[f"{side}_verdict"] = logits.argmax(-1).astype(jnp.int32)
    if label is not None and "generated_verdict" in found:
        found["generated_right"] = found["generated_verdict"] == label
    return found


def _takes(judge):
    """The number of channels that a judge's first convolution takes."""
    return judge["params"]["Conv_0"]["kernel"].shape[2]
