"""Pickles of arrays and tensors, read without executing what a pickle may hold, and without the harm that data can do.

Python's own unpickler in C takes memory as a pickle's numbers say, and compares keys of any depth, which may take for
ever. This one knows only the instructions that arrays need, and only strings and numbers as keys.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_pipelines import files

# What stays of the instructions: numbers, strings, bytes, tuples, lists, dictionaries, and what names admit.
_KNOWN = (
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
)


class Unpickler(pickle._Unpickler):  # the one in Python, whose instructions can be chosen
    """Reads one pickle from a stream in memory, with only the names of `admitted`, {(module, name): what stands in}.

    Raises: pickle.UnpicklingError for another name, instruction or key, and whatever a damaged pickle leads to.
    """

    dispatch = {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _KNOWN}

    def __init__(self, stream: io.BytesIO, admitted: Mapping[tuple[str, str], Any]):
        super().__init__(stream)
        self.admitted = admitted

    def load(self) -> Any:
        try:
            return super().load()
        except KeyError as error:
            raise pickle.UnpicklingError(f"it has the instruction or reference {error}, which is not known") from error

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.admitted:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which arrays do not need")
        return self.admitted[module, name]

    def _load_setitem(self):
        _check_keys(self.stack[-2:-1])
        pickle._Unpickler.load_setitem(self)

    def _load_setitems(self):
        _check_keys(self.stack[::2])
        pickle._Unpickler.load_setitems(self)

    dispatch |= {pickle.SETITEM[0]: _load_setitem, pickle.SETITEMS[0]: _load_setitems}


def _check_keys(keys):
    if strange := [key for key in keys if not isinstance(key, str | int)]:
        raise pickle.UnpicklingError(f"it has a {type(strange[0]).__name__} as a key, not a name")


def content(path: Path, most: int) -> io.BytesIO:
    """A file of at most `most` bytes, in memory.

    Raises:
      OSError: no such file, or one that cannot be read.
      ValueError: no file, or a larger one.
    """
    files.plain(path)
    if (size := path.stat().st_size) > most:
        raise ValueError(f"it has {size:,} bytes, more than {most:,}")
    return io.BytesIO(path.read_bytes())
