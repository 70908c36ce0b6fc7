"""Inputs that are mutated from good ones, and the search for one that a reader neither answers nor refuses."""

import json
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftgate.errors import DriftgateError

HANG_SECONDS = 10
MOST_KIBIBYTES = 2 << 20

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([1e308, -1, 2**70, ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@contextmanager
def no_hang() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"not done after {HANG_SECONDS} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)  # of this process: others may be busy
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(found for key, part in below for found in places(part, (*at, key)))]


def replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = replaced(value[at[0]], at[1:], new)
    return copy


@st.composite
def mutated_json(draw: st.DrawFn, good: Any) -> bytes:
    changed = good
    for _ in range(draw(st.integers(0, 3))):
        changed = replaced(changed, draw(st.sampled_from(places(changed))), draw(VALUES))
    return (
        draw(mutated_bytes(json.dumps(changed).encode()))
        if draw(st.integers(0, 3)) == 0
        else json.dumps(changed).encode()
    )


@st.composite
def mutated_bytes(draw: st.DrawFn, good: bytes) -> bytes:
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        kind = draw(st.sampled_from(["cut", "insert", "overwrite", "repeat"]))
        if kind == "cut":
            del content[at : at + draw(st.integers(0, 40))]
        elif kind == "repeat":
            content[at:at] = content[at : at + 20] * draw(st.integers(1, 50))
        else:
            new = draw(
                st.binary(max_size=8) | st.sampled_from([b'"', b"\x00", b"\xff\xfe", b"[" * 3000, b"\n\n", b"PAR1"])
            )
            content[at : at + (len(new) if kind == "overwrite" else 0)] = new
    return bytes(content)


class Reader(NamedTuple):
    """The file that is written, what reads it, and what is written."""

    file: str
    read: Callable[[Path], Any]
    contents: st.SearchStrategy[bytes]


def search(reader: Reader, folder: Path, examples: int) -> int:
    """Let it read so many files in `folder`; how many of them it refused.

    Raises:
        Exception: anything but an error of ours, or that it took too long.
    """
    path, refused = folder / reader.file, 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.contents)
    def try_one(content: bytes) -> None:
        nonlocal refused
        path.write_bytes(content)
        with no_hang():
            try:
                reader.read(path)
            except DriftgateError:
                refused += 1

    before_kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try_one()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kibibytes < MOST_KIBIBYTES
    return refused
