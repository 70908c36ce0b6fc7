"""`run_job`: what is written, in which order, and how bad input and bad ends look."""

import csv
import errno
import gzip
import io
import json
import math
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from letter_counter import DOUBLE, LABELS, MAX_TOKENS, answer_double, logits_of, open_double, tokenize_double

from driftgate.arrays import Logits
from driftgate.errors import CorpusError, NonFiniteLogitsError, OptionError, OutputError
from driftgate.files import locked
from driftgate.inputs.batches import TokenBatch
from driftgate.predict import outputs
from driftgate.predict.answerer import Answerer
from driftgate.predict.job import PredictionJob, run_job
from driftgate.predict.progress import Summary

TEXTS = [f"text number {number} {'with more of it ' * (number % 7)}" for number in range(300)]


def make_job(source: Path | str, target: Path | str, **options: Any) -> PredictionJob:
    usual = {"window_rows": 32, "token_budget": 512, "commit_seconds": 0.0}
    return PredictionJob(DOUBLE, "double", str(source), str(target), **{**usual, **options})


def score(source: Path | str, target: Path | str, **options: Any) -> Summary:
    return run_job(make_job(source, target, **options), open_model=open_double)


def write_json_lines(path: Path, texts: list[str]) -> Path:
    records = [{"text": text, "id": f"id-{number}"} for number, text in enumerate(texts)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_json_lines(tmp_path / "in.jsonl", TEXTS)


def probabilities_of(text: str) -> list[float]:
    return [1 / (1 + math.exp(-float(value))) for value in logits_of(text)]


def left_behind(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"in.jsonl"}


# What is written


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.csv.gz"])
def test_delimited_rows_are_in_order_and_numbers_come_back_as_the_same_float32(
    name: str, source: Path, tmp_path: Path
) -> None:
    summary = score(source, tmp_path / name, id_column="id", logits=True)
    content = (tmp_path / name).read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if ".tsv" in name else ","))
    assert list(rows[0]) == ["row", "id", "labels", *LABELS, *(f"logit:{label}" for label in LABELS)]
    assert [row["row"] for row in rows] == [str(number) for number in range(len(TEXTS))]
    assert [row["id"] for row in rows] == [f"id-{number}" for number in range(len(TEXTS))]
    for text, row in zip(TEXTS, rows, strict=True):
        assert [np.float32(row[f"logit:{label}"]) for label in LABELS] == logits_of(text).tolist()
        assert [np.float32(row[label]) for label in LABELS] == [np.float32(value) for value in probabilities_of(text)]
        above = [value >= cut for value, cut in zip(probabilities_of(text), DOUBLE.thresholds or (), strict=True)]
        assert row["labels"] == ",".join(label for label, yes in zip(LABELS, above, strict=True) if yes)
    assert (summary.counts.rows, summary.counts.answered, summary.exit_code) == (300, 300, 0)


def test_json_lines_give_every_label_by_name(source: Path, tmp_path: Path) -> None:
    score(source, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["row"] for row in rows] == list(range(len(TEXTS)))
    assert set(rows[0]) == {"row", "labels", "probabilities"}
    assert list(rows[3]["probabilities"]) == list(LABELS)
    assert rows[3]["probabilities"]["joy"] == pytest.approx(probabilities_of(TEXTS[3])[0], rel=1e-7)


@pytest.mark.parametrize("logits", [True, False])
def test_the_top_labels_stand_most_probable_first(logits: bool, source: Path, tmp_path: Path) -> None:
    score(source, tmp_path / "out.csv", top=2, logits=logits)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    best = sorted(zip(probabilities_of(TEXTS[9]), LABELS, strict=True), reverse=True)[:2]
    assert [rows[9]["label_1"], rows[9]["label_2"]] == [label for _, label in best]
    assert float(rows[9]["probability_2"]) == pytest.approx(best[1][0], rel=1e-7)
    assert ("logit_1" in rows[9]) is logits


@pytest.mark.parametrize("top", [0, 2])
def test_parquet_has_typed_columns(top: int, source: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    score(source, tmp_path / "out.parquet", id_column="id", top=top, logits=True)
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table["row"].to_pylist() == list(range(len(TEXTS)))
    assert table["id"].to_pylist()[5] == "id-5"
    if top:
        first = table["top"].to_pylist()[4][0]
        assert first["probability"] == pytest.approx(max(probabilities_of(TEXTS[4])), rel=1e-6)
        assert first["logit"] == pytest.approx(max(logits_of(TEXTS[4])), rel=1e-6)
    else:
        assert str(table.schema.field("anger").type) == "float"
        assert table["logit:anger"].to_pylist()[4] == logits_of(TEXTS[4])[1]
    assert left_behind(tmp_path) == {"out.parquet"}


def test_parquet_ids_keep_their_type(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"text": ["a", "b"], "n": [2**40, None]}), tmp_path / "in.parquet")
    score(tmp_path / "in.parquet", tmp_path / "out.parquet", id_column="n")
    assert parquet.read_table(tmp_path / "out.parquet")["id"].to_pylist() == [2**40, None]


def test_single_label_models_decide_for_the_most_probable_label(source: Path, tmp_path: Path) -> None:
    from driftgate.inputs.encoder import ProblemType

    encoder = replace(DOUBLE, problem_type=ProblemType.SINGLE_LABEL, thresholds=None)
    run_job(replace(make_job(source, tmp_path / "out.jsonl"), encoder=encoder), open_model=open_double)
    row = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert sum(row["probabilities"].values()) == pytest.approx(1)
    assert row["labels"] == [max(row["probabilities"], key=row["probabilities"].get)]


def test_thresholds_given_decide_instead_of_the_models_own(source: Path, tmp_path: Path) -> None:
    score(source, tmp_path / "none.jsonl", thresholds=(1.0, 1.0, 1.0))
    score(source, tmp_path / "every.jsonl", thresholds=(0.0, 0.0, 0.0))
    for name, expected in (("none", []), ("every", list(LABELS))):
        lines = (tmp_path / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert all(json.loads(line)["labels"] == expected for line in lines)


def test_a_label_called_like_a_column_of_ours_does_not_hide_it(source: Path, tmp_path: Path) -> None:
    encoder = replace(DOUBLE, labels=("row", "a,b", "neutral"))
    job = replace(make_job(source, tmp_path / "out.csv"), encoder=encoder, thresholds=(0.0, 0.0, 0.0))
    run_job(job, open_model=open_double)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert list(row) == ["row", "labels", "probability:row", "probability:a,b", "probability:neutral"]
    assert row["labels"] == "row;a,b;neutral"


def test_long_texts_are_cut_as_the_tokenizer_cuts_them_and_counted(tmp_path: Path) -> None:
    long = "ab" * 3_000_000
    path = write_json_lines(tmp_path / "in.jsonl", ["short", long, "x" * (MAX_TOKENS + 1)])
    summary = score(path, tmp_path / "out.jsonl", logits=True)
    row = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()[1])
    assert list(row["logits"].values()) == pytest.approx(logits_of(long).tolist(), rel=1e-7)
    assert summary.counts.truncated == 2
    assert summary.counts.tokens == len("short") + 2 * MAX_TOKENS


# Rejected rows


def test_rejected_rows_are_left_out_named_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"text,id\nfine,1\n,2\ncaf\xe9,3\na,b,c\nlast,5\n")
    summary = score(path, tmp_path / "out.csv", id_column="id")
    rows = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [row.split(",")[:2] for row in rows] == [["0", "1"], ["4", "5"]]
    rejected = [json.loads(line) for line in Path(summary.rejects).read_text(encoding="utf-8").splitlines()]
    assert [(row["row"], row["line"], row["reason"]) for row in rejected] == [
        (1, 3, "empty text"),
        (2, 4, "not decodable"),
        (3, 5, "wrong number of fields"),
    ]
    assert summary.rejects == f"{tmp_path / 'out.csv'}.rejects.jsonl"
    assert summary.counts.rejected == {"empty text": 1, "not decodable": 1, "wrong number of fields": 1}
    assert "3 rows rejected (empty text: 1" in "\n".join(summary.lines())
    assert summary.exit_code == 0


def test_where_every_row_is_rejected_the_exit_code_is_1(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": ""}\n{"text": " "}\n', encoding="utf-8")
    summary = score(tmp_path / "in.jsonl", tmp_path / "out.csv")
    assert summary.exit_code == 1
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "row,labels,joy,anger,neutral\n"


def test_a_run_without_rejected_rows_leaves_no_rejects_file(source: Path, tmp_path: Path) -> None:
    score(source, tmp_path / "out.csv")
    assert left_behind(tmp_path) == {"out.csv"}


# Refusals: nothing is loaded, nothing is written


def refuse(error: type[Exception], words: str, source: Path | str, target: Path | str, **options: Any) -> None:
    def never(*arguments: Any) -> Any:
        raise AssertionError("the model was loaded")

    with pytest.raises(error, match=words):
        run_job(make_job(source, target, **options), open_model=never)


def test_an_output_that_exists_is_refused_and_kept(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("precious", encoding="utf-8")
    refuse(OutputError, "it exists; overwrite=True replaces it", source, tmp_path / "out.csv")
    refuse(OutputError, "no interrupted run is beside it", source, tmp_path / "out.csv", resume=True)
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "precious"
    score(source, tmp_path / "out.csv", overwrite=True)
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()) == len(TEXTS) + 1


@pytest.mark.parametrize("link", ["same", "symlink", "hardlink", "rejects"])
def test_input_and_output_may_not_be_the_same_file(link: str, source: Path, tmp_path: Path) -> None:
    target, options = tmp_path / "out.jsonl", {}
    if link == "same":
        target = tmp_path / "." / source.name
    elif link == "symlink":
        target.symlink_to(source)
    elif link == "hardlink":
        target.hardlink_to(source)
    else:
        options = {"rejects": str(source)}
    before = source.read_bytes()
    refuse(OptionError, "the same file", source, target, overwrite=True, **options)
    assert source.read_bytes() == before


def test_what_is_wrong_with_the_input_is_said_before_a_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("text\n", encoding="utf-8")
    (tmp_path / "other.csv").write_text("body\nhello\n", encoding="utf-8")
    refuse(CorpusError, "it has no rows", tmp_path / "empty.csv", tmp_path / "out.csv")
    refuse(CorpusError, "expected a column 'text', found 'body'", tmp_path / "other.csv", tmp_path / "out.csv")
    refuse(CorpusError, "no such file", tmp_path / "absent.csv", tmp_path / "out.csv")
    refuse(CorpusError, "found a folder", tmp_path, tmp_path / "out.csv", input_format="csv")
    refuse(OutputError, "found a folder", tmp_path / "other.csv", tmp_path, output_format="csv", text_column="body")
    assert left_behind(tmp_path) == {"empty.csv", "other.csv"}


def test_pipes_cannot_be_resumed(source: Path, tmp_path: Path) -> None:
    refuse(OptionError, "resume=True: a pipe", "-", tmp_path / "out.csv", resume=True)
    refuse(OptionError, "resume=True: a pipe", source, "-", resume=True)


def test_two_processes_do_not_write_one_output(source: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "out.csv.lock"):
        refuse(OptionError, "another process is writing it", source, tmp_path / "out.csv")


# Pipes


def test_a_pipe_in_and_a_pipe_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Standard:
        def __init__(self, content: bytes) -> None:
            self.buffer = io.BytesIO(content)
            self.fileno = self.buffer.fileno

    answers = Standard(b"")
    monkeypatch.setattr(sys, "stdin", Standard(gzip.compress(b"hello\nworld\n\n")))
    monkeypatch.setattr(sys, "stdout", answers)
    summary = score("-", "-", input_format="txt")
    rows = [json.loads(line) for line in answers.buffer.getvalue().splitlines()]
    assert [row["row"] for row in rows] == [0, 1]
    assert summary.counts.rejected == {"empty text": 1}
    assert "name a file for them with rejects" in "\n".join(summary.lines())


def test_a_named_pipe_is_read_once_and_leaves_a_whole_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    content = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    feeder = threading.Thread(target=(tmp_path / "fifo").write_text, args=(content,))
    feeder.start()
    assert score(tmp_path / "fifo", tmp_path / "out.jsonl").counts.rows == len(TEXTS)
    feeder.join()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_device_is_one_clear_error(source: Path) -> None:
    with pytest.raises(OutputError, match="/dev/full: cannot be written: No space left on device"):
        score(source, "/dev/full")


def test_a_pipe_that_nobody_reads_stays_a_broken_pipe(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb", buffering=0) as nobody:
        monkeypatch.setattr(sys, "stdout", type("Standard", (), {"buffer": nobody}))
        with pytest.raises(BrokenPipeError):
            score(source, "-")


# Errors in the middle, once, whatever the stage; and going on from there


def failing(after: int, error: BaseException) -> Callable[..., Answerer]:
    """A model that answers some batches."""
    calls = 0

    def answer(batch: TokenBatch) -> Logits:
        nonlocal calls
        calls += 1
        if calls > after:
            raise error
        return answer_double(batch)

    return lambda *arguments: Answerer("sha-of-double", tokenize_double, answer)


class Heard:
    """Remembers what was said."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def update(self, *arguments: Any) -> None:
        pass

    def say(self, message: str) -> None:
        self.messages.append(message)


def alive() -> int:
    return sum(thread.is_alive() for thread in threading.enumerate())


def test_an_error_of_the_model_ends_all_and_the_rows_before_it_are_kept(source: Path, tmp_path: Path) -> None:
    before, heard = alive(), Heard()
    with pytest.raises(RuntimeError, match="out of order"):
        run_job(
            make_job(source, tmp_path / "out.csv"), open_model=failing(30, RuntimeError("out of order")), progress=heard
        )
    assert alive() == before
    assert not (tmp_path / "out.csv").exists()
    assert json.loads((tmp_path / "out.csv.journal.json").read_text(encoding="utf-8"))["counts"]["rows"] > 0
    assert heard.messages == [
        f"the rows done so far are kept beside {tmp_path / 'out.csv'}; the same job with resume=True continues"
    ]


def test_an_error_before_the_first_window_leaves_nothing(source: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        run_job(make_job(source, tmp_path / "out.csv"), open_model=failing(0, RuntimeError()))
    assert left_behind(tmp_path) == set()


def test_a_damaged_input_ends_the_job_behind_the_rows_before_the_damage(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    noise = "".join(json.dumps({"text": generator.bytes(40).hex()}) + "\n" for _ in range(8_000)).encode()
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(noise)[:-5000])
    with pytest.raises(CorpusError, match="damaged gzip data behind line"):
        score(tmp_path / "in.jsonl.gz", tmp_path / "out.csv", window_rows=512)
    kept = json.loads((tmp_path / "out.csv.journal.json").read_text(encoding="utf-8"))
    assert kept["counts"]["rows"] > 6_000


def test_logits_that_are_not_finite_end_the_job_with_the_row(source: Path, tmp_path: Path) -> None:
    def answer(batch: TokenBatch) -> Logits:
        logits = answer_double(batch)
        logits[(batch.input_ids == ord("7") + 1).sum(axis=1) >= 3] = np.nan  # text number 277 has no third
        return logits

    texts = [*TEXTS[:100], "777", *TEXTS[100:200]]
    path = write_json_lines(tmp_path / "other.jsonl", texts)
    with pytest.raises(NonFiniteLogitsError, match="rows 100 of the input"):
        run_job(make_job(path, tmp_path / "out.csv"), open_model=lambda *_: Answerer("x", tokenize_double, answer))


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.jsonl", "out.parquet"])
def test_a_resumed_job_ends_as_one_that_was_never_interrupted(name: str, source: Path, tmp_path: Path) -> None:
    if name == "out.parquet":
        pytest.importorskip("pyarrow")
    whole = tmp_path / "whole"
    whole.mkdir()
    score(source, whole / name, id_column="id")
    after, attempts = 7, 0
    while not (tmp_path / name).exists():
        attempts += 1
        try:
            run_job(
                make_job(source, tmp_path / name, id_column="id", resume=True),
                open_model=failing(after + attempts, KeyboardInterrupt()),
            )
        except KeyboardInterrupt:
            continue
    assert attempts >= 4
    assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()
    assert left_behind(tmp_path) == {name, "whole"}


def interrupt(source: Path, target: Path, **options: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_job(make_job(source, target, **options), open_model=failing(30, KeyboardInterrupt()))


def test_an_interrupted_run_is_neither_lost_nor_mixed_by_accident(source: Path, tmp_path: Path) -> None:
    interrupt(source, tmp_path / "out.csv")
    refuse(
        OutputError,
        "resume=True continues it, overwrite=True starts over",
        source,
        tmp_path / "out.csv",
    )
    score(source, tmp_path / "out.csv", overwrite=True)
    assert left_behind(tmp_path) == {"out.csv"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"top": 1}, "options, top was 0, is 1"),
        ({"token_budget": 100}, "options, token budget was 512, is 100"),
        ({"backend": "other"}, "model, backend was double, is other"),
        ({"thresholds": (0.1, 0.1, 0.1)}, "options, thresholds was"),
    ],
)
def test_another_model_or_option_is_not_continued(
    change: dict[str, Any], words: str, source: Path, tmp_path: Path
) -> None:
    interrupt(source, tmp_path / "out.csv")
    job = replace(make_job(source, tmp_path / "out.csv", resume=True), **change)
    with pytest.raises(OutputError, match=words):
        run_job(job, open_model=open_double)
    score(source, tmp_path / "out.csv", resume=True)


def test_another_input_is_not_continued(source: Path, tmp_path: Path) -> None:
    interrupt(source, tmp_path / "out.csv")
    write_json_lines(source, [*TEXTS, "one more"])
    with pytest.raises(OutputError, match="input, bytes was"):
        score(source, tmp_path / "out.csv", resume=True)


def test_a_partial_file_shorter_than_its_journal_is_not_continued(source: Path, tmp_path: Path) -> None:
    interrupt(source, tmp_path / "out.csv")
    os.truncate(tmp_path / "out.csv.partial", 10)
    with pytest.raises(OutputError, match=r"expected at least .* bytes, as its journal says, found 10"):
        score(source, tmp_path / "out.csv", resume=True)


def test_a_damaged_journal_is_not_believed(source: Path, tmp_path: Path) -> None:
    interrupt(source, tmp_path / "out.csv")
    (tmp_path / "out.csv.journal.json").write_text("{", encoding="utf-8")
    with pytest.raises(OutputError, match="not a readable journal"):
        score(source, tmp_path / "out.csv", resume=True)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_run_killed_between_its_last_steps_is_finished_by_resume(
    name: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "out.parquet":
        pytest.importorskip("pyarrow")
    with monkeypatch.context() as patch:
        patch.setattr(outputs, "_publish_rejects", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            score(source, tmp_path / name)
    assert (tmp_path / f"{name}.journal.json").exists()
    assert score(source, tmp_path / name, resume=True).counts.rows == len(TEXTS)
    assert left_behind(tmp_path) == {name}


def test_a_disk_that_fills_up_keeps_what_was_done(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = outputs.write_all
    written = 0

    def until_full(file: Any, content: bytes) -> None:
        nonlocal written
        written += len(content)
        if written > 8000:
            file.write(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(file, content)

    heard = Heard()
    with monkeypatch.context() as patch:
        patch.setattr(outputs, "write_all", until_full)
        with pytest.raises(OutputError, match=r"out\.csv: cannot be written: No space left on device"):
            run_job(make_job(source, tmp_path / "out.csv"), open_model=open_double, progress=heard)
    assert "resume=True continues" in heard.messages[0]
    summary = score(source, tmp_path / "out.csv", resume=True)
    assert 0 < summary.resumed_rows < summary.counts.rows == len(TEXTS)
    numbers = [line.split(",")[0] for line in (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1:]]
    assert numbers == [str(number) for number in range(len(TEXTS))]
