"""The history of accepted runs."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftgate.errors import ResultsError
from driftgate.results.history import append_entry, describe_entry, read_history

METRIC = {
    "metric": "row_flip_rate",
    "policy": "at 0.5",
    "value": 0.1,
    "low": 0.0,
    "high": None,
    "limit": 0.2,
    "verdict": "pass",
}
DOCUMENT = {
    "environment": {"cpu": "a cpu", "instruction_sets": ["avx2"], "usable_cores": 2, "versions": {"torch": "2.9"}},
    "encoder": {"name": "<b>\n::error::", "sha256": "ab", "labels": ["x"]},
    "corpus": None,
    "verdict": "pass",
    "backends": {
        "reference": {"verdict": None, "about": {}, "verdicts": []},
        "onnx-int8": {"verdict": "pass", "about": {"artifact_sha256": "cd", "size_bytes": 9}, "verdicts": [METRIC]},
    },
}
ENTRY = describe_entry(DOCUMENT, datetime(2026, 1, 31, tzinfo=UTC), "c0ffee")
ADDING = """
import json, sys
from pathlib import Path
from driftgate.results.history import append_entry
for _ in range(int(sys.argv[2])):
    append_entry(Path(sys.argv[1]), json.loads(sys.argv[3]))
"""


def start_adding(path: Path, times: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", ADDING, str(path), str(times), json.dumps(ENTRY)])


def test_an_entry_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "history.jsonl"
    assert append_entry(path, ENTRY) == ""
    append_entry(path, {**ENTRY, "commit": None})
    first, second = read_history(path)
    assert (first.commit, second.commit) == ("c0ffee", None)
    assert first.date == datetime(2026, 1, 31, tzinfo=UTC)
    assert first.encoder == {"name": "<b>\n::error::", "sha256": "ab"}
    assert list(first.backends) == ["onnx-int8"]  # the reference is not judged
    assert first.backends["onnx-int8"]["metrics"]["row_flip_rate at 0.5"]["value"] == 0.1


def test_processes_that_add_at_once_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    running = [start_adding(path, 10) for _ in range(3)]
    assert [each.wait(60) for each in running] == [0, 0, 0]
    assert len(read_history(path)) == 30


def test_a_killed_process_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for _ in range(3):
        lines = path.read_bytes().count(b"\n") if path.exists() else 0
        running = start_adding(path, 100_000)
        deadline = time.monotonic() + 60
        while (path.read_bytes().count(b"\n") if path.exists() else 0) <= lines and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        assert path.read_bytes().endswith(b"}\n")
        assert append_entry(path, ENTRY) == ""
        assert len(read_history(path)) > lines


def test_a_line_without_its_end_is_kept_aside_and_said(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append_entry(path, ENTRY)
    with path.open("a") as file:
        file.write('{"schema": 1, "da')
    assert len(read_history(path)) == 1
    said = append_entry(path, ENTRY)
    (aside,) = tmp_path.glob("history.jsonl.torn-*")
    assert aside.read_text() == '{"schema": 1, "da'
    assert aside.name in said
    assert len(read_history(path)) == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("no JSON", "line 2: expected an accepted run"),
        ("[]", "line 2: expected an accepted run"),
        ("[" * 100_000, "line 2: expected an accepted run"),
        ('{"schema": 1}', "line 2: expected an accepted run"),
        (json.dumps({**ENTRY, "date": "soon"}), "line 2: expected an accepted run"),
        (json.dumps({**ENTRY, "commit": 5}), "line 2: expected an accepted run"),
        (json.dumps({**ENTRY, "corpus": "rows"}), "line 2: expected an accepted run"),
        (json.dumps({**ENTRY, "backends": {"x": {"metrics": {"y": 1}}}}), "line 2: expected an accepted run"),
        (json.dumps({**ENTRY, "backends": []}), "line 2: expected objects under"),
        (json.dumps({**ENTRY, "schema": 99}), "line 2: schema 99, and this driftgate reads schema 1"),
    ],
)
def test_a_line_that_is_no_entry_is_refused_by_its_number(tmp_path: Path, line: str, expected: str) -> None:
    path = tmp_path / "history.jsonl"
    append_entry(path, ENTRY)
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ResultsError, match=expected):
        read_history(path)


def test_a_missing_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be read"):
        read_history(tmp_path / "none.jsonl")
