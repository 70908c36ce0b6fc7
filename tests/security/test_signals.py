"""Signals that come twice, or to a build: the documented exit code, no stack, nothing lost, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("driftgate")
INTERRUPTED = 130
GAPS_SECONDS = (0.0, 0.02, 0.2)

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """`start(...)`: the command with its cache in the test's folder, as a shell in the foreground starts it."""

    def start(*arguments: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(SCRIPT), *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "DRIFTGATE_CACHE": str(tmp_path / "cache")},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - one thread
        )

    return start


def wait_for(folder: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    while process.poll() is None and not list(folder.glob(pattern)):
        time.sleep(0.005)


def finish(process: "subprocess.Popen[str]") -> None:
    _, said = process.communicate()
    assert process.returncode == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_two_quick_interrupts_end_a_job_as_one_does(
    workers: int, tiny_encoder: Path, start: Start, tmp_path: Path
) -> None:
    source, target, whole = tmp_path / "in.jsonl", tmp_path / "out.csv", tmp_path / "whole.csv"
    source.write_text(
        "".join(json.dumps({"text": f"text {row} " * 10}) + "\n" for row in range(8000)), encoding="utf-8"
    )
    job = ("predict", tiny_encoder, "--backend=onnx-fp32", "--input", source, "--output")
    finish(start(*job, whole))
    for gap in GAPS_SECONDS:
        process = start(*job, target, "--resume", "--workers", workers)
        wait_for(tmp_path, "out.csv.journal.json", process)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(gap)
        _, said = process.communicate()
        assert process.returncode == INTERRUPTED, f"{gap} s between them: {said}"
        assert "Traceback" not in said
        assert not list(tmp_path.glob("*.lock"))
        if gap < GAPS_SECONDS[-1]:
            (tmp_path / "out.csv.journal.json").unlink(missing_ok=True)  # so that the next one begins anew
            (tmp_path / "out.csv.partial").unlink(missing_ok=True)
    finish(start(*job, target, "--resume"))
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ends", "code"),
    [([signal.SIGTERM], -signal.SIGTERM), ([signal.SIGINT], INTERRUPTED), ([signal.SIGINT] * 2, INTERRUPTED)],
    ids=["terminate", "interrupt", "interrupt-twice"],
)
def test_a_build_that_is_ended_leaves_no_half_artifact(
    ends: list[signal.Signals], code: int, tiny_encoder: Path, start: Start, tmp_path: Path
) -> None:
    out = tmp_path / "built"
    build = ("build", tiny_encoder, "--backends=onnx-fp32,onnx-fp16", "--out", out)
    for later_seconds in (0.0, 0.3, 1.0):
        process = start(*build)
        wait_for(tmp_path / "cache", f"*.partial-{process.pid}", process)
        time.sleep(later_seconds)
        for end in ends:
            process.send_signal(end)
            time.sleep(0.01)
        _, said = process.communicate()
        assert process.returncode == code, said
        assert "Traceback" not in said
        assert not out.exists()
        assert not [path for path in tmp_path.glob(".built*") if code != -signal.SIGTERM]
    finish(start(*build))
    assert {path.name for path in out.iterdir()} == {"onnx-fp32", "onnx-fp16"}
    assert not list((tmp_path / "cache").glob("*.partial*"))
    assert not list(tmp_path.glob(".built*"))
