"""Logits on disk, and the baselines made of them."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftgate.arrays import Logits
from driftgate.errors import BaselineError, OptionError
from driftgate.results.accuracy_baseline import (
    FILE_NAME,
    list_changes,
    read_baseline,
    require_comparable,
    require_same_kernels,
    write_baseline,
)
from driftgate.results.predictions import require_writable_format, write_predictions

LABELS = ("joy", "anger")
ROW_IDS = ("line 2", "line 3", "line 4")
LOGITS = {
    "reference": Logits(np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], dtype=np.float32)),
    "onnx-fp32": Logits(np.array([[0.5, 1.0], [2.0, 3.0], [4.0, 5.5]], dtype=np.float32)),
}


def about(**changes: Any) -> dict[str, Any]:
    backend = {"artifact_sha256": "a", "threads": 2, "provider": "CPU", "arithmetic": "int8"}
    environment = {"versions": {"torch": "2.13"}, "instruction_sets": ["avx2", "avx512_vnni"], "cpu": "some"}
    usual = {
        "encoder": "e", "encoder_sha256": "1", "corpus": "c", "corpus_sha256": "2", "plan": "budget 1024",
        "problem_type": "multi_label_classification", "environment": environment, "backends": {"onnx-int8": backend},
    }  # fmt: skip
    return {**usual, **changes}


def test_npz_holds_logits_by_backend_row_and_label(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.npz", LOGITS, LABELS, ROW_IDS, {"encoder": "e"})
    with np.load(tmp_path / "p.npz", allow_pickle=False) as saved:
        assert saved["backends"].tolist() == ["reference", "onnx-fp32"]
        assert saved["labels"].tolist() == list(LABELS)
        assert saved["row_ids"].tolist() == list(ROW_IDS)
        assert json.loads(str(saved["about"])) == {"encoder": "e"}
        assert saved["logits"].dtype == np.float32
        assert np.array_equal(saved["logits"][1], LOGITS["onnx-fp32"])


def test_parquet_holds_one_record_for_each_backend_row_and_label(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_predictions(tmp_path / "p.parquet", LOGITS, LABELS, ROW_IDS, {"encoder": "e"})
    table = parquet.read_table(tmp_path / "p.parquet")
    records = table.to_pylist()
    assert len(records) == 2 * 3 * 2
    assert records[-1] == {"backend": "onnx-fp32", "row": 2, "row_id": "line 4", "label": "anger", "logit": 5.5}
    assert json.loads(table.schema.metadata[b"driftgate"]) == {"encoder": "e"}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    write_predictions(path, LOGITS, LABELS, ROW_IDS, {})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_predictions(path, LOGITS, LABELS, ROW_IDS, {"not": object()})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["p.npz"]  # noqa: PTH208 - names are all that is asked


@pytest.mark.parametrize("name", ["p.csv", "p", "p.npz.gz"])
def test_an_unknown_format_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=r"saved as \.npz or \.parquet"):
        require_writable_format(Path(name))


def test_a_baseline_reads_back_as_written(tmp_path: Path) -> None:
    write_baseline(tmp_path / "past", about(), LOGITS, LABELS, ROW_IDS)
    past = read_baseline(tmp_path / "past")
    assert past is not None
    assert past.about["encoder"] == "e"
    assert {name: values.tolist() for name, values in past.logits.items()} == {
        name: values.tolist() for name, values in LOGITS.items()
    }


def test_no_baseline_yet_is_none(tmp_path: Path) -> None:
    assert read_baseline(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_a_damaged_baseline_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(BaselineError, match="not a readable baseline"):
        read_baseline(tmp_path)


def test_predictions_that_are_no_baseline_are_refused(tmp_path: Path) -> None:
    write_predictions(tmp_path / FILE_NAME, LOGITS, LABELS, ROW_IDS, {})
    with pytest.raises(BaselineError, match="not a readable baseline"):
        read_baseline(tmp_path)


@pytest.mark.parametrize("field", ["encoder_sha256", "corpus_sha256", "plan", "problem_type"])
def test_a_baseline_of_something_else_is_refused_and_the_difference_named(tmp_path: Path, field: str) -> None:
    write_baseline(tmp_path, about(), LOGITS, LABELS, ROW_IDS)
    past = read_baseline(tmp_path)
    assert past is not None
    require_comparable(past, about(encoder="the same under another name"))
    with pytest.raises(BaselineError, match=f"{field}: baseline .*, now 'other'"):
        require_comparable(past, about(**{field: "other"}))


def test_int8_logits_are_not_compared_across_instruction_sets(tmp_path: Path) -> None:
    write_baseline(tmp_path, about(), LOGITS, LABELS, ROW_IDS)
    past = read_baseline(tmp_path)
    assert past is not None
    require_same_kernels(past, "onnx-int8", about())
    now = about()
    now["environment"] = {**now["environment"], "instruction_sets": ["avx2"]}
    with pytest.raises(BaselineError, match="ran on a CPU with avx2, avx512_vnni, this one has avx2"):
        require_same_kernels(past, "onnx-int8", now)
    now["backends"]["onnx-int8"]["arithmetic"] = "float32"
    require_same_kernels(past, "onnx-int8", now)


def test_what_changed_since_the_baseline_is_listed(tmp_path: Path) -> None:
    write_baseline(tmp_path, about(), LOGITS, LABELS, ROW_IDS)
    past = read_baseline(tmp_path)
    assert past is not None
    assert list_changes(past, about(), "onnx-int8") == []
    now = about()
    now["environment"]["versions"]["torch"] = "2.14"
    now["backends"]["onnx-int8"]["artifact_sha256"] = "b"
    assert list_changes(past, now, "onnx-int8") == ["torch 2.13 -> 2.14", "artifact_sha256 a -> b"]
