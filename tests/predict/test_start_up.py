"""What a prediction imports: transformers once for each encoder, torch and SciPy only where torch answers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.recorded_tokenizer import open_tokenizer
from driftgate.pipeline import choose_backends, prepare_backend

SLOW = ("torch", "transformers", "sklearn", "scipy", "pandas", "pyarrow", "datasets", "onnxscript", "optimum", "pytest")

COMMAND = """
import sys
from driftgate.cli.main import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def imported_by(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("imported: ")]
    return set(line.split()[1:])


@pytest.fixture
def encoder(tiny_encoder: Path, warm_cache: Path) -> Path:
    """Whose onnx-int8 is built, and whose tokenizer is recorded."""
    found = load_encoder(tiny_encoder)
    (spec,) = choose_backends("onnx-int8")
    prepare_backend(found, spec)
    open_tokenizer(found)
    return tiny_encoder


def test_a_text_is_answered_by_tokenizers_and_onnx_runtime_alone(encoder: Path) -> None:
    found = imported_by("predict", str(encoder), "--backend", "onnx-int8", "thank you")
    assert {"tokenizers", "onnxruntime"} <= found
    assert not found & {*SLOW}


def test_a_file_is_scored_by_tokenizers_and_onnx_runtime_alone(encoder: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"text": "thank you"}) + "\n", encoding="utf-8")
    files = ("--input", str(source), "--output", str(tmp_path / "out.csv"))
    found = imported_by("predict", str(encoder), "--backend", "onnx-int8", "--max-tokens", "9", *files)
    assert {"tokenizers", "onnxruntime"} <= found
    assert not found & {*SLOW}


def test_a_torch_backend_imports_torch(encoder: Path) -> None:
    assert {"torch", "transformers"} <= imported_by("predict", str(encoder), "--backend", "torch", "thank you")
