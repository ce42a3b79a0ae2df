"""Networks by name, as configs give them."""

from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import flax.linen as nn


def named(
    networks: ModuleType, module: str | nn.Module, player: str, options: Mapping[str, Any] = MappingProxyType({})
) -> nn.Module:
    """A player's network: the module itself, or an instance of the class of that name, called as the player is.

    Args:
      networks: a family's module of networks.
      module: a Flax module, which is returned as it is, or the name of a class in `networks`.
      player: the player's name.
      options: attributes for a network that is given by name.

    Raises:
      ValueError: for a class or an attribute that does not exist.
    """
    if isinstance(module, nn.Module):
        return module
    found = getattr(networks, module, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(f"{networks.__name__} has no network {module!r} for the {player}.")
    attributes = set(found.__dataclass_fields__) - {"parent", "name"}
    if strange := sorted(set(options) - attributes):
        raise ValueError(f"{module} has no {strange[0]!r} to be set; it has {', '.join(sorted(attributes))}.")
    return found(name=player, **options)
