"""`driftgate predict` with its own options, and how every command ends: exit codes, closed pipes, Ctrl-C."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import run_driftgate

from driftgate.errors import DriftgateError
from driftgate.inputs.encoder import load_encoder
from driftgate.predict.job import PredictionJob
from driftgate.run.device import RunSettings

REFUSED, BUG, INTERRUPTED, PIPE_CLOSED = 4, 70, 130, 141
TEXTS = ("thank you so much, this made my day", "the bus was late again")
LABELS = ("joy", "anger", "surprise", "neutral")
SCRIPT = Path(sys.executable).with_name("driftgate")

Command = Callable[..., Any]


@pytest.fixture
def driftgate(warm_cache: Path) -> Command:
    """Run a command in this process, on a terminal wide enough for one line a message."""
    return run_driftgate


def assert_refused(result: Any, *words: str) -> None:
    assert (result.exit_code, result.stdout) == (REFUSED, ""), result.output
    assert result.stderr.startswith("driftgate: ")
    for word in words:
        assert word in result.stderr


def records(result: Any) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


# Scores


def test_logits_are_what_becomes_probabilities(driftgate: Command, tiny_encoder: Path) -> None:
    (record,) = records(driftgate("predict", tiny_encoder, "--json", "--logits", TEXTS[0]))
    logits = np.array([record["logits"][label] for label in LABELS])
    probabilities = [record["probabilities"][label] for label in LABELS]
    assert probabilities == pytest.approx((1 / (1 + np.exp(-logits))).tolist(), abs=1e-12)


def test_the_table_shows_logits_only_where_asked(driftgate: Command, tiny_encoder: Path) -> None:
    assert "logit" not in driftgate("predict", tiny_encoder, TEXTS[0]).stdout
    (record,) = records(driftgate("predict", tiny_encoder, "--json", "--logits", TEXTS[0]))
    shown = driftgate("predict", tiny_encoder, "--logits", TEXTS[0]).stdout
    found = {
        label: float(value) for label, value in re.findall(r"^ (\w+) +(-?\d\.\d{6}) +\d\.\d{4}", shown, re.MULTILINE)
    }
    assert found == pytest.approx(record["logits"], abs=5.1e-7)


def test_json_shows_as_many_labels_as_asked_for(driftgate: Command, tiny_encoder: Path) -> None:
    counts = {
        top: len(records(driftgate("predict", tiny_encoder, "--json", *top, TEXTS[0]))[0]["probabilities"])
        for top in ((), ("--top=2",), ("--top=0",))
    }
    assert counts == {(): 4, ("--top=2",): 2, ("--top=0",): 4}


@pytest.mark.parametrize(("arguments", "plan"), [(TEXTS, [1, 1]), ((), [2])], ids=["arguments-alone", "lines-together"])
def test_arguments_do_not_share_a_batch(
    arguments: tuple[str, ...], plan: list[int], driftgate: Command, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from driftgate.run.onnx_backend import OnnxBackend

    sizes: list[int] = []
    prepare = OnnxBackend.prepare
    monkeypatch.setattr(
        OnnxBackend, "prepare", lambda self, batch: (sizes.append(len(batch.rows)), prepare(self, batch))[1]
    )
    stdin = None if arguments else "\n".join(TEXTS)
    assert driftgate("predict", tiny_encoder, *arguments, stdin=stdin).exit_code == 0
    assert sizes == plan


# Thresholds


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "content",
    [
        {"joy": 0, "anger": 1, "surprise": 0.0, "neutral": 1.0},
        {"thresholds": {"neutral": 1, "surprise": 0, "anger": 1, "joy": 0}},
        [0, 1, 0, 1],
    ],
    ids=["by-label", "as-thresholds-json", "list"],
)
def test_decisions_are_made_at_a_files_thresholds(
    content: object, driftgate: Command, tiny_encoder: Path, tmp_path: Path
) -> None:
    path = write_json(tmp_path / "cuts.json", content)
    (record,) = records(driftgate("predict", tiny_encoder, "--json", "--thresholds", path, TEXTS[0]))
    assert set(record["decisions"]) == {"joy", "surprise"}


@pytest.mark.parametrize(("threshold", "decided"), [("0", set(LABELS)), ("1", set())])
def test_decisions_are_made_at_one_number(
    threshold: str, decided: set[str], driftgate: Command, tiny_encoder: Path
) -> None:
    (record,) = records(driftgate("predict", tiny_encoder, "--json", "--thresholds", threshold, TEXTS[0]))
    assert set(record["decisions"]) == decided
    shown = driftgate("predict", tiny_encoder, "--thresholds", threshold, TEXTS[0]).stdout
    assert shown.count(f"yes (>= {threshold})") == len(decided)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nan", "the threshold of 'joy' is nan"),
        ("1.5", "expected a probability from 0 to 1"),
        ("nowhere.json", "No such file"),
        ({"joy": 0.5}, "labels without a threshold: anger, surprise, neutral"),
        (dict.fromkeys((*LABELS, "rage"), 0.5), "unknown labels: rage"),
        ([0.5], "found 1 values"),
        ([0.5, 0.5, 0.5, float("nan")], "the threshold of 'neutral' is nan"),
        ([0.5, 0.5, 0.5, True], "the threshold of 'neutral' is True"),
        ("half", "expected a probability from 0 to 1 or a JSON file"),
        (7, "found int"),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(
    given: object, words: str, driftgate: Command, tiny_encoder: Path, tmp_path: Path
) -> None:
    option = given if isinstance(given, str) else write_json(tmp_path / "cuts.json", given)
    assert_refused(driftgate("predict", tiny_encoder, "--thresholds", option, TEXTS[0]), words)


def test_an_encoder_of_one_label_a_text_takes_no_thresholds(
    driftgate: Command, copy_encoder: Callable[..., Path]
) -> None:
    folder = copy_encoder(problem_type="single_label_classification")
    assert_refused(driftgate("predict", folder, "--thresholds", "0.3", TEXTS[0]), "its most probable label")
    (record,) = records(driftgate("predict", folder, "--json", TEXTS[0]))
    assert record["decisions"] == [next(iter(record["probabilities"]))]


# Side by side


def test_backends_are_compared_side_by_side(driftgate: Command, tiny_encoder: Path) -> None:
    names = ("torch", "onnx-fp32", "onnx-int8")
    (record,) = records(driftgate("predict", tiny_encoder, "--json", "--compare", ",".join(names), TEXTS[0]))
    for name in names:
        (alone,) = records(driftgate("predict", tiny_encoder, "--json", "--backend", name, TEXTS[0]))
        assert record["probabilities"][name] == alone["probabilities"]
        assert record["decisions"][name] == alone["decisions"]
    differences = {
        (name, label): record["probabilities"][name][label] - record["probabilities"]["torch"][label]
        for name in names[1:]
        for label in LABELS
    }
    (backend, label), value = max(differences.items(), key=lambda entry: abs(entry[1]))
    assert record["largest_difference"] == {"label": label, "backend": backend, "value": value}


def test_the_comparison_is_a_column_for_each_backend_and_difference(driftgate: Command, tiny_encoder: Path) -> None:
    command = ("predict", tiny_encoder, "--compare", "torch,onnx-int8", TEXTS[0])
    (record,) = records(driftgate(*command, "--json", "--logits"))
    result = driftgate(*command, "--logits")
    text, header, *rows, last = result.stdout.splitlines()
    assert (text, header.split()) == (TEXTS[0], ["label", "torch", "onnx-int8", "difference"])
    cells = [row.split() for row in rows]
    assert [label for label, *_ in cells] == sorted(LABELS, key=lambda label: -record["logits"]["torch"][label])
    for label, first, second, difference in cells:
        expected = [record["logits"][name][label] for name in ("torch", "onnx-int8")]
        assert [float(first), float(second)] == pytest.approx(expected, abs=5.1e-7)
        assert float(difference) == pytest.approx(expected[1] - expected[0], rel=0.06)
    largest = record["largest_difference"]
    assert f"largest difference: {largest['value']:+.1e} ({largest['label']}, onnx-int8)" in last


def test_the_largest_difference_is_sought_among_labels_that_are_not_shown(
    driftgate: Command, tiny_encoder: Path
) -> None:
    lines = {
        top: driftgate(
            "predict", tiny_encoder, "--compare", "torch,onnx-int8", f"--top={top}", TEXTS[0]
        ).stdout.splitlines()[-1]
        for top in (1, 0)
    }
    assert lines[1] == lines[0]


def test_a_decision_that_flips_is_named(driftgate: Command, tiny_encoder: Path) -> None:
    command = ("predict", tiny_encoder, "--compare", "torch,onnx-int8", TEXTS[0])
    (record,) = records(driftgate(*command, "--json"))
    between = {
        label: (record["probabilities"]["torch"][label] + record["probabilities"]["onnx-int8"][label]) / 2
        for label in LABELS
    }
    assert "decisions that flip: none" in driftgate(*command, "--thresholds", "0").stdout
    label = record["largest_difference"]["label"]
    assert f"decisions that flip: {label}" in driftgate(*command, "--thresholds", between[label]).stdout


@pytest.mark.parametrize("compare", ["torch", "torch,torch", ","])
def test_a_comparison_needs_two_backends(compare: str, driftgate: Command, tiny_encoder: Path) -> None:
    assert_refused(
        driftgate("predict", tiny_encoder, "--compare", compare, TEXTS[0]), "at least two different backends"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--compare", "torch,onnx-fp32", "--backend", "torch"), "--compare names the backends itself"),
        (("--output", "out.jsonl"), "expected --input FILE"),
        (("--resume",), "expected --input FILE"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: tuple[str, ...], words: str, driftgate: Command, tiny_encoder: Path
) -> None:
    assert_refused(driftgate("predict", tiny_encoder, *options, TEXTS[0]), words)


# Models that are no encoder


def test_an_artifact_folder_answers_as_its_backend_does(driftgate: Command, tiny_encoder: Path, tmp_path: Path) -> None:
    driftgate("build", tiny_encoder, "--backends", "onnx-int8", "--out", tmp_path / "out")
    answers = [
        records(driftgate("predict", *model, "--json", *TEXTS))
        for model in ((tiny_encoder, "--backend=onnx-int8"), (tmp_path / "out",), (tmp_path / "out/model.onnx",))
    ]
    assert answers[0] == answers[1] == answers[2]


def test_a_published_file_and_its_encoder_are_compared(driftgate: Command, tiny_encoder: Path, tmp_path: Path) -> None:
    driftgate("build", tiny_encoder, "--backends", "onnx-fp16", "--out", tmp_path / "out")
    result = driftgate("predict", tiny_encoder, "--compare", f"onnx-fp16,mine={tmp_path / 'out'}", "--json", TEXTS[0])
    (record,) = records(result)
    assert record["largest_difference"]["value"] == 0


def test_a_corrupt_onnx_file_is_refused(driftgate: Command, tiny_encoder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "published", ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.onnx").write_bytes(b"these are not the bytes of a graph")
    assert_refused(driftgate("predict", folder, TEXTS[0]), "model.onnx: expected an ONNX file")


def test_an_onnx_file_that_is_no_text_classifier_is_refused(
    driftgate: Command, tiny_encoder: Path, tmp_path: Path
) -> None:
    import onnx
    from onnx import TensorProto, helper

    folder = shutil.copytree(tiny_encoder, tmp_path / "published", ignore=shutil.ignore_patterns("*.safetensors"))
    pixels, classes = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("pixels", "classes")
    )
    graph = helper.make_graph([helper.make_node("Relu", ["pixels"], ["classes"])], "images", [pixels], [classes])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "model.onnx")
    assert_refused(driftgate("predict", folder, TEXTS[0]), "expected inputs input_ids", "found pixels")


# Files


def test_every_option_of_a_file_reaches_the_job(
    driftgate: Command, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[PredictionJob] = []

    def run_job(job: PredictionJob, **_options: object) -> Any:
        jobs.append(job)
        return SimpleNamespace(lines=lambda: ["the summary"], exit_code=1)

    monkeypatch.setattr("driftgate.predict.job.run_job", run_job)
    options = {
        "--input": "in", "--output": "out", "--format": "csv", "--output-format": "tsv", "--text-column": "body",
        "--id-column": "id", "--encoding": "cp1252", "--rejects": "bad", "--token-budget": 7, "--top": 2, "--thresholds": 0.25,
        "--threads": 1, "--backend": "onnx-int8",
    }  # fmt: skip
    arguments = [str(part) for option in options.items() for part in option]
    flags = ("--rejects-with-texts", "--resume", "--overwrite", "--logits")
    result = driftgate("predict", tiny_encoder, *arguments, *flags)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "the summary\n")
    assert jobs == [
        PredictionJob(
            load_encoder(tiny_encoder), "onnx-int8", "in", "out", RunSettings(1), input_format="csv", output_format="tsv",
            text_column="body", id_column="id", encoding="cp1252", rejects="bad",
            rejects_with_texts=True, resume=True, overwrite=True, token_budget=7, top=2, logits=True,
            thresholds=(0.25, 0.25, 0.25, 0.25),
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    "options", [(), ("--output=out", "--json"), ("--output=out", TEXTS[0])], ids=["no-output", "json", "texts"]
)
def test_a_file_needs_an_output_and_nothing_else(
    options: tuple[str, ...], driftgate: Command, tiny_encoder: Path
) -> None:
    assert_refused(driftgate("predict", tiny_encoder, "--input=in", *options), "expected --output FILE")


# How commands end


def test_the_help_lists_every_exit_code(driftgate: Command) -> None:
    result = driftgate("--help")
    assert result.exit_code == 0
    assert {int(code) for code in re.findall(r"\d+", result.stdout.partition("Exit codes:")[2])} == {
        0, 1, 2, REFUSED, 7, BUG, INTERRUPTED, PIPE_CLOSED,
    }  # fmt: skip


def test_the_version_is_the_installed_one(driftgate: Command) -> None:
    from importlib.metadata import version

    assert driftgate("--version").stdout == f"driftgate {version('driftgate')}\n"


def test_wrong_usage_is_told_from_a_refusal(driftgate: Command) -> None:
    result = driftgate("predict", "--no-such-option")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make `predict` fail with an exception."""

    def fail_with(error: BaseException) -> None:
        def fail(*_args: object, **_options: object) -> None:
            raise error

        monkeypatch.setattr("driftgate.cli.scoring.predict_command.find_model", fail)

    return fail_with


@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["plain", "debug"])
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DriftgateError("found a mistake"), REFUSED, "driftgate: found a mistake"),
        (OSError(28, "No space left on device", "out.jsonl"), REFUSED, "driftgate: out.jsonl: No space left on device"),
        (KeyError("who knows"), BUG, "driftgate: unexpected KeyError in test_predict_command.py, line"),
        (OSError("who knows"), BUG, "driftgate: unexpected OSError in test_predict_command.py, line"),
        (KeyboardInterrupt(), INTERRUPTED, "driftgate: interrupted; what was written is kept"),
    ],
    ids=["refusal", "disk-full", "bug", "system", "ctrl-c"],
)
def test_every_early_end_has_its_exit_code_and_shows_a_stack_only_on_request(
    error: BaseException,
    code: int,
    message: str,
    debug: tuple[str, ...],
    driftgate: Command,
    failing: Callable[[BaseException], None],
) -> None:
    failing(error)
    result = driftgate(*debug, "predict", "folder", "text")
    assert (result.exit_code, result.stdout) == (code, "")
    assert isinstance(result.exception, SystemExit)
    assert message in result.stderr
    assert ("Traceback" in result.stderr) == bool(debug)
    assert bool(debug) or len(result.stderr.splitlines()) <= 2


def test_an_unexpected_error_says_how_to_see_more(driftgate: Command, failing: Callable[[BaseException], None]) -> None:
    failing(KeyError("who knows"))
    assert "driftgate --debug" in driftgate("predict", "folder", "text").stderr


def test_the_environment_asks_for_the_stack_too(
    driftgate: Command, failing: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(DriftgateError("found a mistake"))
    monkeypatch.setenv("DRIFTGATE_DEBUG", "1")
    assert "Traceback" in driftgate("predict", "folder", "text").stderr


def run_script(*arguments: object, **options: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [SCRIPT, *map(str, arguments)], stderr=subprocess.PIPE, **{"stdout": subprocess.PIPE, **options}
    )


def test_a_closed_pipe_ends_a_command_silently() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = run_script("--help", stdout=writing)
    os.close(writing)
    assert process.communicate() == (None, b"")
    assert process.returncode == PIPE_CLOSED


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_refused_where_output_goes() -> None:
    with Path("/dev/full").open("wb") as full:
        _, errors = (process := run_script("--help", stdout=full)).communicate()
    assert errors == b"driftgate: standard output: No space left on device; make room or choose another place\n"
    assert process.returncode == REFUSED


def test_ctrl_c_ends_a_command_with_one_line(tiny_encoder: Path) -> None:
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background are started deaf to it
    process = run_script("predict", tiny_encoder, stdin=subprocess.PIPE)
    signal.signal(signal.SIGINT, heard)
    assert process.stdin is not None
    process.stdin.write(b"a line\n" * 100_000)  # more than a pipe holds: once this returns, the command is reading
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (INTERRUPTED, b"driftgate: interrupted; what was written is kept\n")


@pytest.mark.slow
def test_head_ends_a_prediction_silently(tiny_encoder: Path, warm_cache: Path) -> None:
    process = run_script("predict", tiny_encoder, "--json", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"thank you so much, this made my day\n" * 5000)
    process.stdin.close()
    assert json.loads(process.stdout.readline())["text"] == TEXTS[0]
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait() == PIPE_CLOSED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=["terminal", "no-color"]
)
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_color_goes_to_terminals_that_want_it(variables: dict[str, str], colored: bool) -> None:
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-7]m", on_terminal("--help", variables))) == colored


def on_terminal(argument: str, variables: dict[str, str]) -> bytes:
    """What the command writes to a terminal."""
    import pty

    outer, inner = pty.openpty()
    environment = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "PY_COLORS")
    }
    process = run_script(argument, stdout=inner, env={**environment, "TERM": "xterm-256color", **variables})
    os.close(inner)
    written = b""
    try:
        while chunk := os.read(outer, 65536):
            written += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(outer)
    process.communicate()
    return written
