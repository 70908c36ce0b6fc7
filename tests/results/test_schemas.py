"""The schemas in the package: they are schemas, know what is written, and refuse what is not."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import report_documents as documents

from driftgate.errors import ResultsError
from driftgate.explain import explanation
from driftgate.results import history, results_file
from driftgate.results.schemas.schema_check import KINDS, Kind, load_schema, require_schema

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed; the extra github brings it")
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_a_schema(kind: Kind) -> None:
    jsonschema.Draft202012Validator.check_schema(load_schema(kind))


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("results", results_file.SCHEMA),
        ("history", history.SCHEMA),
        ("gate", 2),
        ("explanation", explanation.SCHEMA),
    ],
)
def test_each_has_the_number_that_is_written(kind: Kind, number: int) -> None:
    schema = load_schema(kind)
    assert schema["properties"]["schema"] == {"const": number}
    assert schema["$id"].endswith(f"/{kind}-{number}.json")


def test_fields_of_a_later_version_are_allowed() -> None:
    found = documents.failing()
    found["new"] = found["backends"]["onnx-fp32"]["new"] = found["gate"]["cells"][0]["new"] = {"a": 1}
    require_schema(found, "results", "it")


def _set(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for name in path[:-1]:
            place = place[name]
        if value is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("schema", value=3), r"at \$\.schema: 2 was expected"),
        (_set("verdict", value="PASS"), r"at \$\.verdict: 'PASS' is not one of"),
        (_set("backends", value=...), r"at \$: 'backends' is a required property"),
        (_set("backends", "onnx-fp32", "verdicts", 0, "value", value="1"), r"verdicts\[0\]\.value: '1' is not of type"),
        (_set("encoder", "sha256", value="<script>"), r"at \$\.encoder\.sha256"),
        (_set("gate", "cells", 0, "verdict", value="FINE"), r"at \$\.gate\.cells\[0\]\.verdict"),
        (_set("row_ids", "3", value=["x"]), r"at \$\.row_ids"),
    ],
    ids=["number", "verdict", "missing", "type", "digest", "gate", "id"],
)
def test_what_is_refused_is_named_with_its_place(change: Callable[[dict[str, Any]], None], words: str) -> None:
    found = copy.deepcopy(documents.failing())
    change(found)
    with pytest.raises(ResultsError, match=words) as refused:
        require_schema(found, "results", "results x.json")
    assert str(refused.value).startswith("results x.json: expected a document as the schema of results describes it")


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_schema_is_described_in_the_docs(kind: Kind) -> None:
    pages = {"results": "results.md", "gate": "schemas.md", "history": "history.md", "explanation": "schemas.md"}
    page = (DOCS / pages[kind]).read_text(encoding="utf-8")
    missing = [name for name in load_schema(kind)["required"] if f"`{name}" not in page]
    assert missing == []
