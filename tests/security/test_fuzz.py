"""Readers of rows, journals and manifests: a result or an error of ours, whatever the bytes are.

By default some hundred inputs each, mutated from good ones; `-m fuzz` tries 12,500 each.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutations import Reader, mutated_bytes, mutated_json, search

from driftgate.builder.artifact import read_manifest
from driftgate.files import parse_json
from driftgate.predict.journal import Journal, read_journal, write_journal
from driftgate.predict.reading.formats import Format
from driftgate.predict.reading.readers import ReadOptions
from driftgate.predict.reading.source import open_source

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


def parquet(folder: Path) -> bytes:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"text": ["thank you", "", None], "id": [1, 2, 3]}), folder / "good.parquet")
    return (folder / "good.parquet").read_bytes()


READERS: dict[str, Callable[[Path], Reader]] = {
    "journal": lambda folder: Reader("j.json", read_journal, mutated_json(journal(folder))),
    "manifest": lambda _: Reader("manifest.json", lambda path: read_manifest(path.parent), mutated_json(MANIFEST)),
    "csv": lambda _: Reader("in.csv", lambda path: read_rows(path, Format.CSV), mutated_bytes(DELIMITED)),
    "tsv": lambda _: Reader(
        "in.tsv", lambda path: read_rows(path, Format.TSV), mutated_bytes(DELIMITED.replace(b",", b"\t"))
    ),
    "jsonl": lambda _: Reader("in.jsonl", lambda path: read_rows(path, Format.JSONL), mutated_bytes(LINES)),
    "txt": lambda _: Reader("in.txt", lambda path: read_rows(path, Format.TXT), mutated_bytes(LINES)),
    "parquet": lambda folder: Reader(
        "in.parquet", lambda path: read_rows(path, Format.PARQUET), mutated_bytes(parquet(folder))
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_answers_or_refuses(name: str, tmp_path: Path) -> None:
    refused = search(READERS[name](tmp_path), tmp_path, 150)
    if name not in ("txt", "csv", "tsv", "jsonl"):  # rows that are none are rejected one by one
        assert refused


@pytest.mark.fuzz
@pytest.mark.parametrize("name", READERS)
def test_a_reader_answers_or_refuses_many_inputs(name: str, tmp_path: Path) -> None:
    search(READERS[name](tmp_path), tmp_path, 12_500)


def test_json_that_is_nested_too_deeply_is_no_json() -> None:
    for content in ("[" * 100_000, '{"a":' * 100_000, b"[" * 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(content)
    assert parse_json('{"a": [1]}') == {"a": [1]}
