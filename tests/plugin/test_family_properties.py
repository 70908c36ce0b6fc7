"""The property suite on a tiny encoder of every family: wide bounds for INT8, whose drift on random weights says nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from nested_pytest import copy_suite, run_pytest
from tiny_encoders import FAMILIES, SENTENCES, make_encoder

from driftgate.judge.bounds_file import load_bounds

REPOSITORY = Path(__file__).parents[2]
BACKENDS = "torch,onnx-fp32,onnx-fp16,onnx-int8-dynamic"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_properties_hold_for_every_family(family: str, tmp_path: Path, shared_cache: Path) -> None:
    encoder = make_encoder(tmp_path / family, family)
    copy_suite(tmp_path, "accuracy")
    rows = "\n".join(json.dumps({"text": text}) for text in SENTENCES)
    (tmp_path / "corpus.jsonl").write_text(rows, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    metrics = {metric for _, metric in load_bounds(REPOSITORY / "accuracy/bounds.toml")}
    wide = (
        f'[{key}.{metric}]\nat_most = inf\nreason = "random weights"\nset_on = 2026-11-21\n'
        for key in ("int8-dynamic", "fp16-cpu")
        for metric in metrics
    )
    (tmp_path / "wide.toml").write_text("\n".join(wide), encoding="utf-8")
    given = [f"--encoder={encoder}", "--corpus=corpus.jsonl", "--bounds=wide.toml", f"--backends={BACKENDS}"]
    code, output = run_pytest(
        tmp_path,
        ["accuracy", "-m", "property", *given, "-p", "no:cacheprovider", "--import-mode=importlib"],
        shared_cache,
    )
    assert code == 0, output


@pytest.mark.slow
def test_warnings_of_a_family_s_own_code_are_no_errors(tmp_path: Path) -> None:
    """DeBERTa's module warns when it is imported; a process of its own imports it anew."""
    encoder = make_encoder(tmp_path / "deberta", "deberta-v2")
    code = (
        "import sys; from driftgate import load_encoder; from driftgate.inputs.weights import load_module; "
        "load_module(load_encoder(sys.argv[1]), attention='eager')"
    )
    command = [sys.executable, "-W", "error::DeprecationWarning", "-c", code, str(encoder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
