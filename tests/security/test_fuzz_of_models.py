"""Readers of what comes with a model, and of what runs leave: a result or an error of ours, whatever the bytes are.

By default some hundred inputs each, mutated from good ones; `-m fuzz` tries 5,000 each.
"""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from mutations import Reader, mutated_bytes, mutated_json, search
from onnx import numpy_helper
from tiny_models import save_adder

from driftgate.backends import Precision
from driftgate.bench import compare_runs
from driftgate.bench.throughput_files import read_throughput_table
from driftgate.builder.artifact import open_artifact
from driftgate.builder.model_file import read_model_file
from driftgate.errors import ArtifactError, BaselineError, DriftgateError
from driftgate.gate.baseline import BaselineBackend, read_gate_baseline, write_gate_baseline
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.recipe import read_recipe
from driftgate.inputs.tokens import forget_tokenizers, load_tokenizer
from driftgate.judge.bounds_file import load_bounds
from driftgate.onnx_graph.graph_constants import type_name
from driftgate.onnx_graph.graph_lock import read_graph_lock
from driftgate.predict.shards.plan import read_plan
from driftgate.results.accuracy_baseline import read_baseline
from driftgate.results.results_file import read_results
from driftgate.verify.archive import unpacked
from driftgate.verify.vector_sets import read_set

BOUNDS = b'[int8.label_flip_rate]\nat_most = 0.01\nreason = "measured"\nset_on = 2026-01-31\n'
RECIPE = b'schema = 1\nbackend = "onnx-int8"\n[keep]\nfloat = ["encoder.layer.0.output.dense"]\n'
TABLE = b"workers\tsize\tmessages/s\n1\t1\t120.5\n1\t8\t300\n2\t8\t410\n"


def of_encoder(file: str, read: Callable[[Path], Any]) -> Callable[[Path, Path], Reader]:
    """A file of an encoder, mutated; `read` is given the folder."""

    def make(folder: Path, encoder: Path) -> Reader:
        shutil.copytree(encoder, folder, dirs_exist_ok=True)
        good = {"thresholds": dict.fromkeys(load_encoder(encoder).labels, 0.5)}
        if (folder / file).exists():
            good = json.loads((folder / file).read_text(encoding="utf-8"))
        return Reader(file, lambda path: read(path.parent), mutated_json(good))

    return make


def open_all(folder: Path) -> None:
    forget_tokenizers()
    load_tokenizer(load_encoder(folder))


def of_graph(folder: Path, _: Path) -> Reader:
    save_adder(folder / "good.onnx", [1, 2], "weights.bin")
    return Reader("model.onnx", read_model_file, mutated_bytes((folder / "good.onnx").read_bytes()))


def of_vectors(folder: Path, _: Path) -> Reader:
    tensor = numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "x").SerializeToString()
    for name in ("input_0.pb", "output_0.pb"):
        (folder / name).write_bytes(tensor)
    return Reader("input_0.pb", lambda path: read_set(path.parent), mutated_bytes(tensor))


def of_archive(folder: Path, _: Path) -> Reader:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("model/model.onnx", "model/config.json"):
            entry = tarfile.TarInfo(name)
            entry.size = 700
            tar.addfile(entry, io.BytesIO(b"x" * 700))

    def read(path: Path) -> None:
        with unpacked(path):
            pass

    return Reader("model.tar", read, mutated_bytes(content.getvalue()))


def of_baseline(folder: Path, _: Path) -> Reader:
    save_adder(folder / "built/model.onnx", [1, 2], "weights.bin")
    (folder / "vocab.json").write_text("{}", encoding="utf-8")
    backend = BaselineBackend(open_artifact(folder / "built/model.onnx", Precision.FP32), ("x-b1",))
    write_gate_baseline(
        folder / "kept", {"x": backend}, [folder / "vocab.json"], {"software": {"onnx": onnx.__version__}}
    )
    good = json.loads((folder / "kept/baseline.json").read_text(encoding="utf-8"))
    return Reader("kept/baseline.json", lambda path: read_gate_baseline(path.parent), mutated_json(good))


def of_accuracy_baseline(folder: Path, _: Path) -> Reader:
    about = {"schema": 1, "environment": {"instruction_sets": ["avx2"]}}
    content = io.BytesIO()
    np.savez(content, about=json.dumps(about), backends=["reference"], logits=np.zeros((1, 2, 3), np.float32))
    return Reader("baseline.npz", lambda path: read_baseline(path.parent), mutated_bytes(content.getvalue()))


RESULTS = {"schema": 2, "encoder": "e", "exit_code": 0, "verdict": "pass", "backends": {"x": {"verdicts": []}}}
PLAN = {
    "schema": 1, "rows": 2, "windows": 1, "inputs": [{"name": "a.csv", "rows": 2, "format": "csv", "bytes": 10}],
    "shards": [{"input": 0, "first": 0, "rows": 2, "offset": 0}], "options": {"token_budget": 64},
}  # fmt: skip

READERS: dict[str, Callable[[Path, Path], Reader]] = {
    "configuration": of_encoder("config.json", load_encoder),
    "thresholds": of_encoder("thresholds.json", load_encoder),
    "tokenizer-configuration": of_encoder("tokenizer_config.json", open_all),
    "tokenizer": of_encoder("tokenizer.json", open_all),
    "graph": of_graph,
    "golden-vectors": of_vectors,
    "archive": of_archive,
    "baseline": of_baseline,
    "accuracy-baseline": of_accuracy_baseline,
    "graph-lock": lambda _, __: Reader("lock.json", read_graph_lock, mutated_json({"schema": 1, "backends": {"x": {"a": 1}}})),
    "results": lambda _, __: Reader("results.json", read_results, mutated_json(RESULTS)),
    "bench": lambda _, __: Reader("bench.json", lambda path: compare_runs.read_results([path]), mutated_json(RESULTS)),
    "throughput": lambda _, __: Reader("cpu_onnx_normal.tsv", read_throughput_table, mutated_bytes(TABLE)),
    "plan": lambda _, __: Reader("plan.json", read_plan, mutated_json(PLAN)),
    "bounds": lambda _, __: Reader("bounds.toml", load_bounds, mutated_bytes(BOUNDS)),
    "recipe": lambda _, __: Reader("recipe.toml", read_recipe, mutated_bytes(RECIPE)),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_a_reader_answers_or_refuses(name: str, tiny_encoder: Path, tmp_path: Path) -> None:
    assert search(READERS[name](tmp_path, tiny_encoder), tmp_path, 100)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", READERS)
def test_a_reader_answers_or_refuses_many_inputs(name: str, tiny_encoder: Path, tmp_path: Path) -> None:
    search(READERS[name](tmp_path, tiny_encoder), tmp_path, 5_000)


def test_a_graph_with_a_name_that_is_no_text_or_a_type_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    save_adder(tmp_path / "model.onnx", [1, 2], "weights.bin")
    good = (tmp_path / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(good.replace(b"weights.bin", b"\x80eights.bin"))
    with pytest.raises(ArtifactError, match="names that are no UTF-8"):
        read_model_file(tmp_path / "model.onnx")
    with pytest.raises(ArtifactError, match="element type 29, which onnx"):
        type_name(29)


@pytest.mark.parametrize("read", [load_bounds, read_recipe])
def test_a_list_that_is_nested_too_deeply_is_refused(read: Callable[[Path], Any], tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text(f"a = {'[' * 5000}", encoding="utf-8")
    with pytest.raises(DriftgateError, match=r"deep\.toml: not "):
        read(tmp_path / "deep.toml")


def test_a_baseline_of_a_later_zip_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez(content, about="{}", backends=["reference"], logits=np.zeros((1, 2, 3), np.float32))
    later = content.getvalue().replace(b"PK\x01\x02\x2d\x03\x2d\x00", b"PK\x01\x02\x2d\x03\x40\x00")
    assert later != content.getvalue()
    (tmp_path / "baseline.npz").write_bytes(later)
    with pytest.raises(BaselineError, match="not a readable baseline"):
        read_baseline(tmp_path)
