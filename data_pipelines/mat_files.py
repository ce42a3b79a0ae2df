"""MATLAB's files of version 5 to 7, looked through before scipy reads them, which takes memory as their headers say.

"MAT-File Format", The MathWorks: 128 bytes, then elements, each a type, a length and its content; matrices hold
further elements: flags, dimensions, name, then values, or for cells and structs further matrices.
"""

import zlib

# Types of elements, and classes of matrices.
_COMPRESSED, _MATRIX = 15, 14
_CELL, _STRUCT = 1, 2
_CHARACTERS, _NUMBERS = 4, range(6, 16)
_HEADER, _DEEPEST = 128, 8


def check(content: bytes, most: int) -> None:
    """Makes sure that a file unpacks to at most `most` bytes, and that no matrix says that it is larger than it is.

    Raises:
      ValueError: else; also for sparse matrices, objects and functions, and for files of another version.
    """
    order = {b"\x00\x01IM": "little", b"\x01\x00MI": "big"}.get(content[124:128])
    if order is None:
        raise ValueError("is no .mat file of version 5 to 7 (save it with -v6 or -v7, not -v7.3)")
    left = most
    for kind, start, end in _elements(content, _HEADER, len(content), order, padded=False):
        element = memoryview(content)[start:end]
        if kind == _COMPRESSED:
            inflater = zlib.decompressobj()
            element = memoryview(inflater.decompress(element, left))
            if inflater.unconsumed_tail or not inflater.eof:
                raise ValueError(f"a variable has more than {most:,} bytes, or is truncated")
            ((kind, start, end),) = _elements(element, 0, len(element), order)
            element = element[start:end]
        left -= len(element)
        if left <= 0:
            raise ValueError(f"has more than {most:,} bytes")
        if kind == _MATRIX:
            _check_matrix(element, order, _DEEPEST)


def _elements(content, at, stop, order, padded=True):
    """(type, start, end) of each element; those in a matrix begin at multiples of 8."""
    while at < stop:
        if at + 8 > stop:
            raise ValueError("is truncated")
        kind, size = (int.from_bytes(content[at + i : at + i + 4], order) for i in (0, 4))
        if kind >> 16:  # a small one: length and type in four bytes, its content in the next four
            yield kind & 0xFFFF, at + 4, at + 4 + min(kind >> 16, 4)
            at += 8
            continue
        if at + 8 + size > stop:
            raise ValueError("is truncated")
        yield kind, at + 8, at + 8 + size
        at += 8 + size + (-size % 8 if padded else 0)


def _check_matrix(content, order, depth):
    if not len(content):
        return  # an empty cell
    parts = list(_elements(content, 0, len(content), order))
    if len(parts) < 3 or not depth:
        raise ValueError("a matrix without its parts" if depth else "has matrices in matrices in matrices")
    (_, flags, _), (_, begin, end), _, *rest = parts
    kind = int.from_bytes(content[flags : flags + 4], order) & 0xFF
    count = 1
    for at in range(begin, end, 4):
        count *= int.from_bytes(content[at : at + 4], order)
    # Every value takes a byte at least, and every cell or field more.
    if count > len(content):
        raise ValueError(f"a matrix says that it has {count:,} values, but has {len(content):,} bytes")
    if kind in (_CELL, _STRUCT):
        for inner, start, stop in rest:
            if inner == _MATRIX:
                _check_matrix(content[start:stop], order, depth - 1)
    elif kind != _CHARACTERS and kind not in _NUMBERS:
        raise ValueError(f"has a matrix of class {kind}, which is neither numbers, characters, cells nor structs")
