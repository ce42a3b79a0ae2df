"""Judges of aged faces: who it is and how old, seen by networks that no loss looks through."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gans.frozen import face
from gans.layers import HalvingConv


class PeopleJudge(nn.Module):
    """Faces [batch, side, side, 3] in [-1, 1] to logits of age groups [batch, groups] and descriptors of length 1.

    Descriptors [batch, size] of one person are near each other at any age.

    Attributes:
      groups: number of age groups.
      size: length of a descriptor.
      channels: of its convolutions, each of which halves the sides.
    """

    groups: int = 6
    size: int = 64
    channels: tuple[int, ...] = (32, 64, 128, 256)

    @nn.compact
    def __call__(self, images):
        x = images
        for filters in self.channels:
            x = nn.relu(HalvingConv(filters, 5, kernel_init=nn.initializers.he_normal())(x))
        x = nn.relu(nn.Dense(256, kernel_init=nn.initializers.he_normal())(x.reshape(x.shape[0], -1)))
        descriptor = nn.Dense(self.size)(x)
        length = jnp.sqrt(jnp.square(descriptor).sum(-1, keepdims=True) + 1e-12)
        return nn.Dense(self.groups)(x), descriptor / length


def apply(variables: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(logits, descriptors) of a judge with the default settings, see `PeopleJudge`."""
    return PeopleJudge().apply(variables, images)


def compare(
    frozen: Mapping[str, Any], photos: jax.Array, restored: jax.Array, aged: jax.Array, drawn: jax.Array
) -> dict[str, jax.Array]:
    """What the judges see in photographs and in what was made of them, one row an example.

    Args:
      frozen: variables of `people` (see `apply`), or of `face` (see `gans.frozen.face`), which judges where there is
        no other: a loss may have looked through it.
      photos, restored: [batch, height, width, 3] in [-1, 1].
      aged: [batch, groups, height, width, 3], each person in each age group.
      drawn: [batch, height, width, 3], faces from latents under the photographs' labels.

    Returns:
      Descriptors `<judge>_photo`, `<judge>_restored`, `<judge>_drawn` [batch, size] and `<judge>_aged` [batch, groups,
      size]; from `people` also groups, `group_photo`, ..., int32, and from `face` ages in years, `age_photo`, ....
    """
    found = {}
    pictures = {"photo": photos, "restored": restored, "drawn": drawn, "aged": aged.reshape(-1, *aged.shape[2:])}
    for name, images in pictures.items():
        seen = {}
        if "people" in frozen:
            logits, seen[f"people_{name}"] = apply(frozen["people"], images)
            seen[f"group_{name}"] = logits.argmax(-1).astype(jnp.int32)
        else:
            seen[f"face_{name}"] = face.descriptor(frozen["face"]["recogniser"], images)
            seen[f"age_{name}"] = face.age_gender(frozen["face"]["age_gender"], images)[0]
        found |= seen
    return {
        name: values.reshape(*aged.shape[:2], *values.shape[1:]) if name.endswith("_aged") else values
        for name, values in found.items()
    }
