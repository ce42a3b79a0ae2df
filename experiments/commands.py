"""What the commands share: flags that are read strictly, and mistakes told in one message with exit status 2."""

import contextlib
import errno
import functools
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
from absl import app, flags, logging
from flax.errors import FlaxError
from ml_collections import ConfigDict, config_flags

from data_pipelines import DataError
from data_pipelines.files import whole as whole_file
from experiments import heap

COMPILATION_CACHE = flags.DEFINE_bool("compilation_cache", True, "Keep compiled programs in the user's cache folder.")


# What the system refuses and a person can mend, with the exit status.
_OUTSIDE = {errno.EACCES: 2, errno.EPERM: 2, errno.EROFS: 2, errno.ENOSPC: 1, errno.EDQUOT: 1, errno.EFBIG: 1}


# XLA gives matrix products, sums and convolutions to the library YNNPACK; of convolutions its own program is faster.
_YNNPACK = "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE"


class UsageError(Exception):
    """A mistake of the user: the message says what is wrong, where, and what to do."""


class Failure(Exception):
    """What ended a command that was asked for rightly, told in one message, with exit status 1."""


def cache_folder() -> Path:
    """The user's cache folder of this project: $XDG_CACHE_HOME/gans, by default ~/.cache/gans."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gans"


def compiled_folder() -> Path:
    """The cache folder's part for programs that XLA compiles in a process with as many cores as this one may use.

    XLA cuts a program for the CPU into tasks for the cores that it sees, and its cache does not tell them apart: what a
    run pinned to one core had compiled took 1.05 times as long on both of two.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cache_folder() / "compiled" / f"{cores}-cores"


def default_workdir(config: str) -> Path:
    """The folder of a run that was given none: runs/dcgan-mnist-hinge for .../dcgan.py:mnist,hinge."""
    file, _, presets = config.partition(":")
    return Path("runs", "-".join([Path(file).stem, *filter(None, presets.split(","))]))


def check_output(path: Path) -> None:
    """Makes sure, before any work is done, that a file can be written there; it writes nothing.

    Raises:
      UsageError: if it cannot.
    """
    if path.is_dir():
        raise UsageError(f"--output={path} is a folder; give the name of a file.")
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"--output={path} cannot be written: {existing} is no folder that you may write into.")


def write_text(path: Path, text: str) -> None:
    """Writes a text whole or not at all."""
    with whole_file(path) as file:
        file.write(text.encode())


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write files into, which stand in `path` once all of them are written; others in there stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        yield part
        if not path.exists():
            part.rename(path)
            return
        for file in sorted(part.iterdir()):
            file.replace(path / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


# What a value that does not fit leads to, somewhere in a network or a map.
_MISFITS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, AssertionError, MemoryError, FlaxError)


@contextlib.contextmanager
def fitting(what: str) -> Iterator[None]:
    """Turns what values that do not fit lead to into a UsageError that begins with `what`, and ends with the place."""
    try:
        yield
    except DataError:
        raise
    except _MISFITS as error:
        own = [one for one in traceback.extract_tb(error.__traceback__) if "site-packages" not in one.filename]
        said = (str(error).strip() or "no reason given").splitlines()[0]
        place = f"{Path(own[-1].filename).name}, line {own[-1].lineno}"
        raise UsageError(f"{what}: {type(error).__name__}: {said} ({place}).") from error


def define_config() -> flags.FlagHolder:
    """Defines --config=FILE[:PRESET,...] and, through it, --config.FIELD=VALUE; None as a value empties a field."""
    config = config_flags.DEFINE_config_file("config", None, "Config file, with presets behind a colon.")
    flags.mark_flag_as_required("config")
    return config


def define_best() -> flags.FlagHolder:
    """Defines --best."""
    return flags.DEFINE_bool("best", False, "Take the checkpoint with the best score by config.best, not the newest.")


def fail(message: object, status: int = 2) -> None:
    """Prints one message and exits."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)


def explained(error: BaseException) -> tuple[str, int] | None:
    """What to tell of an error that a person can mend, and the exit status; None for a fault of the program."""
    if isinstance(error, Failure):
        return str(error), 1
    if isinstance(error, UsageError | DataError):
        return str(error), 2
    if isinstance(error, MemoryError):
        return f"There is not enough memory: {str(error) or 'what was asked for does not fit'}.", 1
    if isinstance(error, OSError) and error.errno in _OUTSIDE:
        return f"{error.strerror}: {error.filename or 'what is written'}.", _OUTSIDE[error.errno]
    return None


def choose_cpu_convolutions() -> None:
    """Sets XLA's faster convolutions on the CPU, unless the user's XLA_FLAGS say which; before JAX is first used."""
    flags_of_user = os.environ.get("XLA_FLAGS", "")
    if "ynn_fusion_type" not in flags_of_user:
        os.environ["XLA_FLAGS"] = f"{flags_of_user} {_YNNPACK}".strip()


def start(main: Callable[..., int | None], positional: bool = False) -> None:
    """Parses the flags, runs `main`, and turns mistakes of the user into one message and exit status 2.

    Args:
      main: the command.
      positional: whether it takes the list of arguments that are no flags; else there may be none.
    """

    choose_cpu_convolutions()
    heap.settle()

    def guarded(argv):
        logging.set_verbosity(logging.ERROR)  # Orbax warns of its own options
        _print_any_name()
        if COMPILATION_CACHE.value:
            jax.config.update("jax_compilation_cache_dir", str(compiled_folder()))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        try:
            sys.exit(main(argv[1:]) if positional else main())
        except (UsageError, Failure, DataError, MemoryError, OSError) as error:
            if (told := explained(error)) is None:
                raise
            fail(*told)

    app.run(guarded, flags_parser=functools.partial(_parse, positional=positional))


def _print_any_name() -> None:
    """Lets what is printed hold names of files that are no text in the terminal's encoding."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's streams have none
            stream.reconfigure(errors="backslashreplace")


def _parse(argv: Sequence[str], positional: bool = False) -> list[str]:
    # config_flags cannot read None for a number, and it looks at sys.argv itself: such overrides are kept aside.
    emptied = [argument for argument in argv if argument.startswith("--config.") and argument.endswith("=None")]
    sys.argv[:] = [argument for argument in argv if argument not in emptied]
    # A config file runs while the flags are parsed, so whatever it rejects arrives here too.
    try:
        rest = flags.FLAGS(sys.argv)
        if "config" in flags.FLAGS and flags.FLAGS.config is not None:
            fields_of(flags.FLAGS.config)  # a file that could not be read shows itself at the first look
        for argument in emptied:
            set_field(flags.FLAGS.config, argument.removeprefix("--config.").removesuffix("=None"), None)
    except AttributeError as error:
        fail(_unknown_field(error))
    except SyntaxError as error:
        fail(f"{error.filename}, line {error.lineno}: {error.msg}; --config takes a Python file with get_config().")
    except (flags.Error, UsageError, ValueError, TypeError, KeyError, OSError) as error:
        fail(str(error.args[0]).strip().splitlines()[-1])
    if len(rest) > 1 and not positional:
        fail(f"Unexpected argument {rest[1]!r}; options look like --name=value.")
    return rest


def set_field(config: ConfigDict, path: str, value: object) -> None:
    """Sets a field by its dotted path.

    Raises:
      AttributeError: if the config has no such field.
      TypeError: if the value is of another type than the field.
    """
    *folders, name = path.split(".")
    for folder in folders:
        config = getattr(config, folder)
    if not isinstance(config, ConfigDict) or name not in config:
        raise AttributeError(name)
    config[name] = value


def _unknown_field(error: AttributeError) -> str:
    name = next(iter(re.findall(r"\w+", str(error))), "")
    close = re.search(r'Did you mean .*?"(\w+)', str(error))
    return f"The config has no field {name!r}" + (f"; did you mean {close[1]!r}?" if close else ".")


def fields_of(config: ConfigDict, prefix: str = "") -> dict[str, object]:
    """The config's values by dotted path."""
    fields = {}
    for name, value in config.items():
        inner = fields_of(value, f"{prefix}{name}.") if isinstance(value, ConfigDict | dict) else {}
        fields |= inner or {prefix + name: value}
    return fields
