"""What people see of a job: a bar or lines on stderr, and a summary."""

import io
from pathlib import Path

import pytest

from driftgate.inputs.batches import BudgetPlan
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.judge.probabilities import to_probabilities
from driftgate.pipeline import open_backend
from driftgate.predict import progress as progress_module
from driftgate.predict.job import PredictionJob, run_job
from driftgate.predict.journal import Counts
from driftgate.predict.progress import Pace, Summary, clock, show_progress
from driftgate.results.console import Console
from driftgate.run.backend import predict


def test_the_time_left_is_for_the_rows_left_at_the_pace_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    pace = Pace(rows=1000, total=4000)
    now = 110.0
    rows_per_second, fraction, left = pace.at(rows=1500, position=3000)
    assert (rows_per_second, fraction) == (50.0, 0.75)
    assert left == pytest.approx(10.0)  # 500 of 2,000 rows, 50 a second
    assert Pace(0, 0).at(10, 10)[1:] == (None, None)


def test_where_there_is_no_terminal_a_line_is_said_every_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    said = io.StringIO()
    with show_progress(Console(file=said, width=40)) as watcher:
        for _ in range(70):
            now += 1
            watcher.update(12345, 678.9, 0.25, 3723.0)
    assert said.getvalue() == "driftgate: 25.0%, 12,345 rows, 679 rows/s, 1:02:03 left\n" * 2


def test_a_terminal_gets_a_bar_and_messages_above_it() -> None:
    said = io.StringIO()
    with show_progress(Console(file=said, force_terminal=True, width=120)) as watcher:
        watcher.update(12345, 678.9, 0.25, 3723.0)
        watcher.say("look here")
    assert "25%" in said.getvalue()
    assert "driftgate: look here" in said.getvalue()


def test_the_summary_has_every_count() -> None:
    counts = Counts(rows=1_000_000, rejected={"empty text": 12, "broken CSV": 3}, tokens=7_654_321, truncated=99)
    lines = "\n".join(Summary(counts, 400_000, 3723.0, "out.csv", "out.csv.rejects.jsonl").lines())
    for word in ("999,985 of 1,000,000 rows", "400,000 of them by the interrupted run", "161 rows/s", "1:02:03"):
        assert word in lines
    for word in ("7,654,321 tokens", "99 texts", "15 rows rejected", "broken CSV: 3, empty text: 12", "rejects.jsonl"):
        assert word in lines


def test_clocks_carry() -> None:
    assert [clock(seconds) for seconds in (0.4, 59.6, 3599.6)] == ["0:00:00", "0:01:00", "1:00:00"]


def test_a_real_encoder_answers_in_a_file_as_it_does_alone(tiny_encoder: Path, tmp_path: Path) -> None:
    texts = ["thank you so much", "the bus was late again " * 30, "what a game!"] * 5
    (tmp_path / "in.txt").write_text("\n".join(texts), encoding="utf-8")
    encoder = load_encoder(tiny_encoder)
    job = PredictionJob(encoder, "torch", str(tmp_path / "in.txt"), str(tmp_path / "out.csv"), window_rows=4)
    summary = run_job(job)
    expected = to_probabilities(
        predict(open_backend(encoder, "torch"), tokenize(encoder, texts), BudgetPlan()), multi_label=True
    )
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1:]]
    found = [[float(value) for value in row[-4:]] for row in rows]
    assert found == [pytest.approx(row, abs=1e-6) for row in expected.tolist()]
    assert summary.counts.truncated == 5
