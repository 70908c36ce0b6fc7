"""Readers of files that strangers may have written: a result or an error of ours, whatever the bytes are.

By default some thousand inputs, mutated from good ones; `-m fuzz` tries 100,000 in all.
"""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftgate.builder.artifact import read_manifest
from driftgate.errors import DriftgateError
from driftgate.files import parse_json
from driftgate.inputs.named_files import read_json
from driftgate.predict.journal import Journal, read_journal, write_journal
from driftgate.predict.reading.formats import Format
from driftgate.predict.reading.readers import ReadOptions
from driftgate.predict.reading.source import open_source

HANG_SECONDS = 10

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

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


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


MANIFEST = {
    "backend": "onnx-fp32", "precision": "fp32", "steps": ["export"], "encoder": "e", "encoder_sha256": "0" * 64,
    "versions": {"torch": "2"}, "files": {"model.onnx": "0" * 64}, "notes": {"a": {"b": 1}}, "schema": 1,
    "encoder_revision": None,
}  # fmt: skip


def read_rows(path: Path, form: Format) -> int:
    source = open_source(str(path), form, ReadOptions(str(path), id_column="id"))
    try:
        return sum(1 for _ in source.rows)
    finally:
        source.close()


def journal(folder: Path) -> dict[str, Any]:
    write_journal(folder / "good", folder / "good.new", Journal({"input": {"bytes": 1}}))
    found: dict[str, Any] = json.loads((folder / "good").read_bytes())
    return found


DELIMITED = b'text,id\nthank you,1\n"quoted, with ""marks""\nand a line",2\n,3\n'
LINES = b'{"text": "thank you", "id": 1}\n{"text": "", "id": null}\n{"text": 5}\n'

Reader = tuple[str, Callable[[Path], Any], Callable[[Path], st.SearchStrategy[bytes]]]


def parquet(folder: Path) -> bytes:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"text": ["thank you", "", None], "id": [1, 2, 3]}), folder / "good.parquet")
    return (folder / "good.parquet").read_bytes()


READERS: dict[str, Reader] = {
    "journal": ("j.json", read_journal, lambda folder: mutated_json(journal(folder))),
    "manifest": ("manifest.json", lambda path: read_manifest(path.parent), lambda _: mutated_json(MANIFEST)),
    "configuration": ("config.json", read_json, lambda _: mutated_json({"model_type": "bert", "id2label": {"0": "a"}})),
    "csv": ("in.csv", lambda path: read_rows(path, Format.CSV), lambda _: mutated_bytes(DELIMITED)),
    "tsv": (
        "in.tsv",
        lambda path: read_rows(path, Format.TSV),
        lambda _: mutated_bytes(DELIMITED.replace(b",", b"\t")),
    ),
    "jsonl": ("in.jsonl", lambda path: read_rows(path, Format.JSONL), lambda _: mutated_bytes(LINES)),
    "txt": ("in.txt", lambda path: read_rows(path, Format.TXT), lambda _: mutated_bytes(LINES)),
    "parquet": ("in.parquet", lambda path: read_rows(path, Format.PARQUET), lambda path: mutated_bytes(parquet(path))),
}


def search(name: str, folder: Path, examples: int) -> int:
    file, read, contents = READERS[name]
    refused = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(contents(folder))
    def try_one(content: bytes) -> None:
        nonlocal refused
        (folder / file).write_bytes(content)
        with no_hang():
            try:
                read(folder / file)
            except DriftgateError:
                refused += 1

    try_one()
    return refused


@pytest.mark.parametrize("name", READERS)
def test_a_reader_answers_or_refuses(name: str, tmp_path: Path) -> None:
    refused = search(name, tmp_path, 150)
    if name not in ("txt", "csv", "tsv", "jsonl"):  # rows that are none are rejected one by one
        assert refused


@pytest.mark.fuzz
@pytest.mark.parametrize("name", READERS)
def test_a_reader_answers_or_refuses_100_000_inputs(name: str, tmp_path: Path) -> None:
    search(name, tmp_path, 12_500)


def test_json_that_is_nested_too_deeply_is_no_json() -> None:
    for content in ("[" * 100_000, '{"a":' * 100_000, b"[" * 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(content)
    assert parse_json('{"a": [1]}') == {"a": [1]}
