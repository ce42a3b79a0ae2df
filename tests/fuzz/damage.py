"""What can become of a file, and what a reader may do with it."""

import contextlib
import sys

from hypothesis import strategies as st

# Bytes of address space that a reader of a small file may take, its own limits included.
ROOM = 2**30
# Numbers that headers are likely to say where they lie.
LIES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 10**10, 2**63 - 1, 2**64 - 1)


def _flip(content, at, bit):
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :] if at < len(content) else content


def _lie(content, at, number, size, order):
    said = (number % 256**size).to_bytes(size, order)
    return content[:at] + said + content[at + size :]


def _cut(content, at, end):
    return content[: min(at, end)] + content[max(at, end) :]


def _repeat(content, at, end, times):
    low, high = min(at, end), max(at, end)
    return (content[:high] + content[low:high] * times + content[high:])[: 2 * len(content) + 64]


@st.composite
def damaged(draw, content: bytes, heads=()):
    """The bytes with one to four damages: bits, numbers, parts missing, repeated, or put there from nowhere.

    Args:
      content: a whole file.
      heads: where its headers begin, as half of all damages happen there.
    """
    for _ in range(draw(st.integers(1, 4))):
        size = len(content)
        anywhere = st.integers(0, max(size - 1, 0))
        place = st.one_of(anywhere, *[st.integers(head, head + 64) for head in (0, *heads)])
        match draw(st.sampled_from(("flip", "lie", "lie", "truncate", "cut", "repeat", "insert"))):
            case "flip":
                content = _flip(content, draw(place), draw(st.integers(0, 7)))
            case "lie":
                sizes, orders = st.sampled_from((1, 2, 4, 8)), st.sampled_from(("little", "big"))
                content = _lie(content, draw(place), draw(st.sampled_from(LIES)), draw(sizes), draw(orders))
            case "truncate":
                content = content[: draw(place)]
            case "cut":
                content = _cut(content, draw(place), draw(place))
            case "repeat":
                content = _repeat(content, draw(place), draw(place), draw(st.integers(1, 3)))
            case "insert":
                at = draw(place)
                content = content[:at] + draw(st.binary(min_size=1, max_size=16)) + content[at:]
    return content


@st.composite
def rewritten(draw, text: str, words=("nan", "-1", "1e999", "99999999999", "\0", "\\", "#", '"', "�", "٣", "")):
    """A text with one to four of its words exchanged for strange ones, as bytes in one encoding or another."""
    parts = text.split(" ")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(parts) - 1))
        parts[at] = draw(st.one_of(st.sampled_from(words), st.text(max_size=5), st.sampled_from(parts)))
    return " ".join(parts).encode(draw(st.sampled_from(("utf-8", "utf-16", "latin-1", "cp1252"))), "replace")


@contextlib.contextmanager
def bounded(room=ROOM):
    """Whoever takes more than `room` bytes more than the process has gets a MemoryError (on Linux)."""
    if sys.platform != "linux":
        yield
        return
    import resource

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def assert_read_or_refused(read, refusals, room=ROOM):
    """Calls `read()`, which gives data or raises one of `refusals` with a message of one sentence or a few.

    Sizes are looked at before memory is taken: a reader that ran out of it and told so in another way is at fault.
    """
    try:
        with bounded(room):
            return read()
    except refusals as error:
        assert str(error).strip()
        cause = error
        while cause is not None:
            assert not isinstance(cause, MemoryError), "memory was taken before the size was looked at"
            cause = cause.__cause__ or cause.__context__
        return None
