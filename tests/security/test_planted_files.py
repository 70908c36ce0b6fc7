"""Files of Python in a model's, a corpus's, a baseline's or a cache's folder: no command and no suite runs them.

Every command runs in the folder of the model, as whoever looks at a download does, in one process that is started as the
command `driftgate` is: one after another, so that what they import is paid for once. What they start in turn inherits that.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# What our libraries import and find on the way, and what Python and pytest look for by themselves.
PLANTED = (
    "numpy", "torch", "transformers", "onnx", "onnxruntime", "tokenizers", "safetensors", "scipy", "sklearn", "huggingface_hub",
    "pyarrow", "matplotlib", "cpuinfo", "yaml", "tqdm", "json", "random", "typing_extensions", "sitecustomize", "usercustomize",
    "conftest", "configuration_roberta", "modeling", "tokenization",
)  # fmt: skip
TRAP = """\
from pathlib import Path

with Path({marker!r}).open("a") as file:
    file.write({name!r} + "\\n")
raise SystemExit("a planted file was imported")
"""
RUN_EACH = """\
import json, sys
from driftgate.cli.main import app
for arguments in json.loads(sys.argv[1]):
    try:
        app(arguments)
    except SystemExit as end:
        print("ended", arguments[0], end.code, flush=True)
"""
RUN_PYTEST = """\
import json, sys
import pytest
sys.exit(pytest.main(json.loads(sys.argv[1])))
"""
TEXTS = ("thank you so much", "the bus was late again", "what a game!", "ok")


def plant(folder: Path, marker: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLANTED:
        (folder / f"{name}.py").write_text(TRAP.format(marker=str(marker), name=name), encoding="utf-8")
    (folder / "torch").mkdir()  # a package goes before a module
    shutil.copy2(folder / "torch.py", folder / "torch/__init__.py")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p conftest\n", encoding="utf-8")
    return folder


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "imported"


@pytest.fixture
def model(tiny_encoder: Path, tmp_path: Path, marker: Path) -> Path:
    """An encoder, its corpus and Python files side by side."""
    folder = plant(tmp_path / "model", marker)
    shutil.copytree(tiny_encoder, folder, dirs_exist_ok=True)
    rows = [{"text": text, "label": "joy", "id": row} for row, text in enumerate(TEXTS * 3)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    many = [{"text": f"{TEXTS[row % 4]} {row}"} for row in range(200)]
    (folder / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in many), encoding="utf-8")
    return folder


def run(code: str, arguments: object, folder: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    return subprocess.run(
        # -P as the installed script has its own folder, and not the current one, on the path.
        [sys.executable, "-P", "-c", code, json.dumps(arguments)],
        cwd=folder,
        env={**environment, "DRIFTGATE_CACHE": str(cache), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_planted_file_would_be_noticed(model: Path, marker: Path, shared_cache: Path) -> None:
    run("import sys; sys.path.insert(0, '.'); import numpy", [], model, shared_cache)
    assert marker.read_text(encoding="utf-8") == "numpy\n"


COMMANDS = {
    "predict": ["predict", ".", "--backend=onnx-fp32", "thank you"],
    "predict-with-torch": ["predict", ".", "--backend=torch", "thank you"],
    "predict-file": ["predict", ".", "--backend=onnx-fp32", "--input=rows.jsonl", "--output=scores.parquet"],
    "predict-workers": ["predict", ".", "--backend=onnx-fp32", "--input=rows.jsonl", "--output=scores.csv", "--workers=2"],
    "build": ["build", ".", "--backends=onnx-int8", "--calibration=rows.jsonl", "--out=built"],
    "verify": ["verify", "built"],
    "sizes": ["sizes", ".", "--backends=onnx-fp32"],
    "ledger": ["ledger", ".", "--backends=onnx-int8", "--corpus=rows.jsonl"],
    "bench": ["bench", ".", "--backends=onnx-fp32", "--plans=budget", "--corpus=rows.jsonl", "--blocks=1", "--out=bench"],
    "plot": ["plot", "bench", "--out=speed.png"],
    "grid": ["grid", ".", "--backends=onnx-fp32", "--batch-sizes=1", "--sequence-lengths=8", "--test-times=2"],
    "doctor": ["doctor", "."],
    "publish": ["publish", ".", "--backends=onnx-fp32", "--corpus=rows.jsonl", "--out=published"],
    "bounds": ["bounds", ".", "--backends=onnx-fp32", "--corpus=rows.jsonl", "--out=bounds.toml"],
    "explain": ["explain", ".", "--backend=onnx-int8", "--corpus=rows.jsonl"],
    "tune": ["tune", ".", "--backend=onnx-int8", "--corpus=many.jsonl", "--out=recipe.toml"],
    "shard": ["shard", "rows.jsonl", "--rows=64", "--out=plan.json"],
    "predict-shard": ["predict", ".", "--backend=onnx-fp32", "--plan=plan.json", "--shard=1/1"],
    "merge": ["merge", "plan.json", "--out=merged.csv"],
}  # fmt: skip


SOME_AND_ALL = [
    pytest.param(["predict-with-torch", "doctor"], id="some"),
    pytest.param(list(COMMANDS), id="every-command", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("names", SOME_AND_ALL)
def test_no_command_runs_a_planted_file(names: list[str], model: Path, marker: Path, tmp_path: Path) -> None:
    commands = [COMMANDS[name] for name in names]
    done = run(RUN_EACH, commands, model, plant(tmp_path / "cache", marker))
    assert not marker.exists(), marker.read_text(encoding="utf-8")
    ends = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("ended ")]
    assert [end[0] for end in ends] == [arguments[0] for arguments in commands], done.stderr
    # A run that stopped at its options would have imported nothing: 4 and 2 are refusals.
    assert {code for _, code in ends} <= {"0", "1", "7", "None"}, done.stdout + done.stderr


@pytest.mark.slow
def test_no_suite_runs_a_planted_file(model: Path, marker: Path, tmp_path: Path) -> None:
    """The project is the user's own, and so is its conftest.py; everything else lies beside planted files."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    cache, results, baseline = (
        plant(tmp_path / "cache", marker),
        plant(tmp_path / "results", marker),
        tmp_path / "baseline",
    )
    given = [
        f"--encoder={model}", f"--corpus={model / 'rows.jsonl'}", "--backends=onnx-fp32", "-p", "no:cacheprovider",
        "--driftgate-sample-rows=2", "--driftgate-batch-sizes=1", "--driftgate-not-shown=warn", "-m", "not property",
        f"--gate-baseline={baseline}", f"--driftgate-results={results}",
    ]  # fmt: skip
    gate = ["--pyargs", "driftgate.suites.benchmarks.test_gate", *given]
    accepted = run(RUN_PYTEST, [*gate, "--gate-accept"], project, cache)
    assert accepted.returncode == 0, accepted.stdout
    plant(baseline, marker)
    both = ["--pyargs", "driftgate.suites.accuracy", "driftgate.suites.benchmarks", *given, "--gate"]
    done = run(RUN_PYTEST, both, project, cache)
    assert not marker.exists(), marker.read_text(encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
