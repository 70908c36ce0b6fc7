"""The command line: what it prints, where it writes, and how it refuses."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import run_driftgate

from driftgate.backends import REGISTRY
from driftgate.builder.artifact import verify_manifest
from driftgate.cli.main import HOMES, load_function

REFUSED = 4
TEXTS = ("thank you so much, this made my day", "the bus was late again")
LABELS = {"joy", "anger", "surprise", "neutral"}

Command = Callable[..., Any]  # typer's Result, wherever this version of it keeps click


@pytest.fixture
def driftgate(warm_cache: Path) -> Command:
    """Run a command in this process, on a terminal wide enough for one line a message."""
    return run_driftgate


def assert_refused(result: Any, *words: str) -> None:
    """Exit code 4, and one line on stderr that has all the words."""
    assert result.exit_code == REFUSED, result.output
    assert isinstance(result.exception, SystemExit)  # anything else would be a stack on the user's terminal
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("driftgate: ")
    for word in words:
        assert word in line


def shown(stdout: str) -> dict[str, float]:
    """Probabilities by label, in the order of the table."""
    return {label: float(value) for label, value in re.findall(r"^ (\w+) +([01]\.\d{4})", stdout, re.MULTILINE)}


# Help


def test_without_a_command_the_commands_are_listed(driftgate: Command) -> None:
    result = driftgate()
    assert "build" in result.output
    assert "predict" in result.output


@pytest.mark.parametrize("command", ["build", "predict"])
def test_the_help_of_a_command_shows_examples(command: str, driftgate: Command) -> None:
    result = driftgate(command, "--help")
    assert result.exit_code == 0
    _, _, examples = result.stdout.partition("Examples:")
    assert examples.count(f"driftgate {command} ") >= 2


def test_the_installed_command_refuses_in_one_line() -> None:
    script = Path(sys.executable).with_name("driftgate")
    done = subprocess.run([script, "predict", "/no/such/folder", "hello"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.startswith("driftgate: encoder '/no/such/folder': no such folder here")
    assert done.stderr.count("\n") == 1


# predict


def test_predict_prints_labels_with_probabilities_most_probable_first(driftgate: Command, tiny_encoder: Path) -> None:
    result = driftgate("predict", tiny_encoder, TEXTS[0])
    assert result.exit_code == 0, result.output
    probabilities = shown(result.stdout)
    assert set(probabilities) == LABELS
    assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)


def test_predict_prints_each_text_as_it_was_given(driftgate: Command, tiny_encoder: Path) -> None:
    text = "a [bold]text[/bold] with :heart: that is a good deal longer than the table of its labels, and then some"
    assert text in driftgate("predict", tiny_encoder, text).stdout.splitlines()


def test_predict_marks_the_labels_that_reach_their_threshold(driftgate: Command, tiny_encoder: Path) -> None:
    result = driftgate("predict", tiny_encoder, TEXTS[0])
    for label, value in shown(result.stdout).items():
        (line,) = [line for line in result.stdout.splitlines() if line.strip().startswith(label)]
        assert ("yes (>= 0.5)" in line) == (value >= 0.5)


def test_predict_decides_by_the_encoders_own_thresholds(driftgate: Command, copy_encoder: Callable[..., Path]) -> None:
    folder = copy_encoder()
    thresholds = {"thresholds": dict.fromkeys(LABELS, 0.9999) | {"joy": 0.0001}}
    (folder / "thresholds.json").write_text(json.dumps(thresholds), encoding="utf-8")
    (line,) = [line for line in driftgate("predict", folder, TEXTS[0]).stdout.splitlines() if "yes" in line]
    assert line.split()[0] == "joy"
    assert line.rstrip().endswith("yes (>= 0.0001)")


def test_predict_shows_as_many_labels_as_asked_for(driftgate: Command, tiny_encoder: Path) -> None:
    counts = {top: len(shown(driftgate("predict", tiny_encoder, TEXTS[0], "--top", top).stdout)) for top in (1, 3, 0)}
    assert counts == {1: 1, 3: 3, 0: len(LABELS)}


def test_predict_json_is_one_object_a_text_in_the_order_given(driftgate: Command, tiny_encoder: Path) -> None:
    result = driftgate("predict", tiny_encoder, "--json", *TEXTS)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["text"] for record in records] == list(TEXTS)
    assert [set(record["probabilities"]) for record in records] == [LABELS, LABELS]


def test_multi_label_probabilities_lie_between_zero_and_one(driftgate: Command, tiny_encoder: Path) -> None:
    record = json.loads(driftgate("predict", tiny_encoder, "--json", TEXTS[0]).stdout)
    values = record["probabilities"].values()
    assert all(0 < value < 1 for value in values)
    assert sum(values) != pytest.approx(1)  # a sigmoid for each label, not a softmax over them


def test_single_label_probabilities_sum_to_one(driftgate: Command, copy_encoder: Callable[..., Path]) -> None:
    folder = copy_encoder(problem_type="single_label_classification")
    record = json.loads(driftgate("predict", folder, "--json", TEXTS[0]).stdout)
    assert sum(record["probabilities"].values()) == pytest.approx(1)


def test_the_table_and_the_json_agree(driftgate: Command, tiny_encoder: Path) -> None:
    record = json.loads(driftgate("predict", tiny_encoder, "--json", TEXTS[0]).stdout)
    table = shown(driftgate("predict", tiny_encoder, TEXTS[0]).stdout)
    assert table == pytest.approx(record["probabilities"], abs=5.1e-5)


@pytest.mark.parametrize("backend", ["torch", "onnx-fp16", "onnx-int8-dynamic"])
def test_predict_asks_the_backend_it_is_given(backend: str, driftgate: Command, tiny_encoder: Path) -> None:
    found, expected = (
        json.loads(driftgate("predict", tiny_encoder, "--json", "--backend", name, TEXTS[0]).stdout)["probabilities"]
        for name in (backend, "onnx-fp32")
    )
    assert found != expected
    assert found == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    "stdin",
    [
        f"{TEXTS[0]}\n{TEXTS[1]}\n",
        f"{TEXTS[0]}\n{TEXTS[1]}",
        f"{TEXTS[0]}\r\n{TEXTS[1]}\r\n",
        f"\ufeff{TEXTS[0]}\n{TEXTS[1]}",
    ],
    ids=["lines", "no-last-newline", "windows", "byte-order-mark"],
)
def test_predict_reads_one_text_a_line_from_standard_input(stdin: str, driftgate: Command, tiny_encoder: Path) -> None:
    result = driftgate("predict", tiny_encoder, "--json", stdin=stdin)
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == list(TEXTS)


@pytest.mark.parametrize(
    ("texts", "stdin", "words"),
    [
        (("",), None, "text 1 is empty"),
        (("fine", "  "), None, "text 2 is empty"),
        ((), "fine\n\nfine\n", "text 2 is empty"),
        ((), "", "no text was given"),
        (("fine", "\udcff"), None, "text 2 is not valid UTF-8"),
        ((), b"fine\n\xff\n", "text 2 is not valid UTF-8"),
    ],
    ids=["empty", "blank", "empty-line", "nothing", "undecodable", "undecodable-line"],
)
def test_a_text_that_cannot_be_classified_is_refused_by_its_number(
    texts: tuple[str, ...], stdin: str | bytes | None, words: str, driftgate: Command, tiny_encoder: Path
) -> None:
    assert_refused(driftgate("predict", tiny_encoder, *texts, stdin=stdin), words)


def test_an_unknown_backend_is_answered_with_the_known_ones(driftgate: Command, tiny_encoder: Path) -> None:
    assert_refused(driftgate("predict", tiny_encoder, "--backend", "onnx-fp31", TEXTS[0]), "'onnx-fp31'", *REGISTRY)


def test_several_backends_cannot_be_asked_at_once(driftgate: Command, tiny_encoder: Path) -> None:
    result = driftgate("predict", tiny_encoder, "--backend", "torch,onnx-fp32", TEXTS[0])
    assert_refused(result, "expected one backend, found 2")


def test_an_unknown_device_is_answered_with_the_known_ones(driftgate: Command, tiny_encoder: Path) -> None:
    assert_refused(driftgate("predict", tiny_encoder, "--device", "tpu", TEXTS[0]), "expected cpu, cuda or cuda:N")


@pytest.mark.parametrize(
    "command", [("predict", TEXTS[0]), ("build", "--backends=onnx-fp32", "--out=out")], ids=lambda it: it[0]
)
def test_a_missing_encoder_is_refused(command: tuple[str, ...], driftgate: Command, tmp_path: Path) -> None:
    name, *options = command
    assert_refused(driftgate(name, tmp_path / "nowhere", *options), "nowhere", "no such folder here")


def test_a_folder_without_an_encoder_is_refused(driftgate: Command, tmp_path: Path) -> None:
    assert_refused(driftgate("predict", tmp_path, TEXTS[0]), "config.json", "found an empty folder")


def test_a_published_artifact_can_be_asked(driftgate: Command, tiny_encoder: Path, tmp_path: Path) -> None:
    driftgate("build", tiny_encoder, "--backends", "onnx-fp16", "--out", tmp_path / "out")
    result = driftgate("predict", tiny_encoder, "--json", "--backend", f"mine={tmp_path / 'out'}", TEXTS[0])
    assert set(json.loads(result.stdout)["probabilities"]) == LABELS


# build


def test_build_writes_one_backend_into_the_folder(driftgate: Command, tiny_encoder: Path, tmp_path: Path) -> None:
    result = driftgate("build", tiny_encoder, "--backends", "onnx-fp16", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert verify_manifest(tmp_path / "out").backend == "onnx-fp16"


def test_build_writes_several_backends_into_folders_of_their_names(
    driftgate: Command, tiny_encoder: Path, tmp_path: Path
) -> None:
    driftgate("build", tiny_encoder, "--backends", "onnx-fp32,onnx-int8-dynamic", "--out", tmp_path / "out")
    written = {folder.name: verify_manifest(folder).backend for folder in (tmp_path / "out").iterdir()}
    assert written == {"onnx-fp32": "onnx-fp32", "onnx-int8-dynamic": "onnx-int8-dynamic"}


def test_build_says_where_each_backend_is_and_how_large(driftgate: Command, tiny_encoder: Path, tmp_path: Path) -> None:
    result = driftgate("build", tiny_encoder, "--backends", "onnx-fp32,onnx-fp16", "--out", tmp_path / "out")
    assert result.stdout.splitlines() == [
        f"{name}: {tmp_path / 'out' / name} ({(tmp_path / 'out' / name / 'model.onnx').stat().st_size / 1e6:.1f} MB)"
        for name in ("onnx-fp32", "onnx-fp16")
    ]


@pytest.mark.parametrize(
    ("backend", "words"),
    [("torch", "nothing to build"), ("onnx-fp31", "known: torch"), ("", "no backend")],
    ids=["torch", "unknown", "none"],
)
def test_build_refuses_what_it_cannot_build(
    backend: str, words: str, driftgate: Command, tiny_encoder: Path, tmp_path: Path
) -> None:
    assert_refused(driftgate("build", tiny_encoder, "--backends", backend, "--out", tmp_path / "out"), words)


def test_build_does_not_write_over_files(driftgate: Command, tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    result = driftgate("build", tiny_encoder, "--backends", "onnx-fp32", "--out", tmp_path)
    assert_refused(result, "expected a new or empty folder, found files")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["notes.txt"]


def test_only_the_command_that_is_asked_for_is_imported() -> None:
    """All of them take as long to import as a sentence to score."""
    code = (
        "import sys; from driftgate.cli.main import app\n"
        "try:\n    app(['verify', '--help'])\n"
        "except SystemExit:\n    pass\n"
        "print(*[name for name in sys.modules if name.startswith('driftgate.cli.') and name.endswith('_command')])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "driftgate.cli.verify_command"


def test_every_command_is_in_the_help_and_says_what_it_does() -> None:
    shown = run_driftgate("--help").stdout
    for name in HOMES:
        assert load_function(name).__doc__
        assert re.search(rf"│ {name} +\w", shown), name
