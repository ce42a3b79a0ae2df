"""Many runs from one config: which fields differ is a grid, a list, or what a function yields.

    overrides = sweep.grid({"seed": (0, 1, 2), "coefficients.adversarial": (0.1, 0.3)})
    for config in sweep.expand(dcgan.get_config("digits5k"), overrides):
        ...

`python -m experiments.sweep` trains them.
"""

import copy
import importlib.util
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiments.commands import UsageError, fields_of, set_field

Overrides = Mapping[str, Any]  # {dotted path of a field: value}


def grid(values: Mapping[str, Sequence]) -> list[Overrides]:
    """Every combination of the fields' values, the last field's varying fastest."""
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def expand(config: ConfigDict, overrides: Iterable[Overrides]) -> Iterator[ConfigDict]:
    """A copy of the config for each member of a sweep, with the member's values in their fields.

    Raises:
      UsageError: for a field that the config does not have, or a value of another type.
    """
    for member in overrides:
        changed = copy.deepcopy(config)
        for path, value in member.items():
            _set(changed, path, value)
        yield changed


def _set(config, path, value):
    try:
        set_field(config, path, value)
    except AttributeError as error:
        raise UsageError(f"The sweep changes {path!r}, but the config has no such field.") from error
    except TypeError as error:
        raise UsageError(f"The sweep sets {path} to {value!r}: {error}") from error


def names(overrides: Sequence[Overrides]) -> list[str]:
    """A name for each member, fit for a folder: its values behind their fields, as short as can be told apart.

    Raises:
      UsageError: if there is no member, or if two are the same.
    """
    if not overrides or not all(overrides):
        raise UsageError("The sweep has no members, or one that changes nothing.")
    short = _short_names(dict.fromkeys(path for member in overrides for path in member))
    found = [
        "-".join(re.sub(r"[^\w.+=]+", "_", f"{short[path]}={value}") for path, value in member.items())
        for member in overrides
    ]
    if len(set(found)) < len(found):
        twice = next(name for index, name in enumerate(found) if name in found[:index])
        raise UsageError(f"Two members of the sweep are {twice}.")
    return found


def _short_names(paths):
    """{path: as few of its last parts as tell it from the others, or all of them}."""
    endings = {path: [path.split(".")[-length:] for length in range(1, path.count(".") + 2)] for path in paths}
    return {
        path: ".".join(next((own for own in ways if sum(own in others for others in endings.values()) == 1), ways[-1]))
        for path, ways in endings.items()
    }


def read_file(path: Path) -> list[Overrides]:
    """The members that a Python file's function `get_sweep()` returns or yields.

    Raises:
      UsageError: if the file or its function does not exist, or yields something else than {field: value}.
    """
    if not path.is_file():
        raise UsageError(f"There is no file {path}.")
    spec = importlib.util.spec_from_file_location("sweep_members", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_sweep"):
        raise UsageError(f"{path} has no function get_sweep().")
    members = list(module.get_sweep())
    if strange := [member for member in members if not isinstance(member, Mapping)]:
        raise UsageError(f"get_sweep() in {path} yields {strange[0]!r}, which is no {{field: value}}.")
    return members


def rows(members: Mapping[str, Overrides]) -> dict[str, str]:
    """{a member's name: a name that it shares with those that differ from it in their seed alone}."""
    rests = {name: {path: value for path, value in own.items() if path != "seed"} for name, own in members.items()}
    different = list({repr(rest): rest for rest in rests.values() if rest}.values())
    titles = dict(zip(map(repr, different), names(different) if different else [], strict=True))
    return {name: titles.get(repr(rest), "all") for name, rest in rests.items()}


def shared_needs(config: ConfigDict) -> str:
    """Equal for members that read the same data and are judged by the same networks."""
    fields = fields_of(config)
    return repr({path: fields[path] for path in sorted(fields) if path.split(".")[0] in ("data", "judge", "faces")})
