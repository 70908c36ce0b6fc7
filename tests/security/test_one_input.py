"""A job is about one input, and about nothing that somebody put in its way."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from letter_counter import DOUBLE, open_double

from driftgate.errors import InputChangedError, OptionError, OutputError
from driftgate.files import locked
from driftgate.inputs.batches import TokenBatch
from driftgate.predict.answerer import Answerer
from driftgate.predict.job import PredictionJob, run_job
from driftgate.predict.journal import _digest
from driftgate.predict.reading.input_identity import identify

ROWS = 120
OPTIONS = {"window_rows": 16, "token_budget": 512, "commit_seconds": 0.0}


def write_rows(path: Path, word: str) -> Path:
    path.write_text("".join(json.dumps({"text": f"{word} {row}"}) + "\n" for row in range(ROWS)), encoding="utf-8")
    return path


def score(source: Path, target: Path, open_model: Callable[..., Answerer] = open_double, **options: Any) -> int:
    job = PredictionJob(DOUBLE, "double", str(source), str(target), **{**OPTIONS, **options})
    return run_job(job, open_model=open_model).counts.rows


def at_batch(number: int, act: Callable[[], None]) -> Callable[..., Answerer]:
    """A model during whose answer to that batch something happens."""

    def open_model(*arguments: Any) -> Answerer:
        model, batches = open_double(*arguments), iter(range(1, 10_000))

        def answer(batch: TokenBatch) -> Any:
            if next(batches) == number:
                act()
            return model.answer(batch)

        return replace(model, answer=answer)

    return open_model


def interrupted(source: Path, target: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(source, target, at_batch(4, stop))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "in.jsonl", "old")


# What is read


def test_an_input_that_is_replaced_while_the_model_is_built_is_not_mixed_with_its_successor(
    source: Path, tmp_path: Path
) -> None:
    """The journal is about the file that was opened, so the new one is another input to `resume`."""
    other = write_rows(tmp_path / "other.jsonl", "new")

    def open_late(*arguments: Any) -> Answerer:
        other.replace(source)

        def stop() -> None:
            raise KeyboardInterrupt

        return at_batch(4, stop)(*arguments)

    with pytest.raises(KeyboardInterrupt):
        score(source, tmp_path / "out.csv", open_late)
    with pytest.raises(OutputError, match=r"cannot be continued: input, inode was \d+, is \d+|input, .* sampled bytes"):
        score(source, tmp_path / "out.csv", resume=True)


@pytest.mark.parametrize("change", ["cut", "grown", "edited"])
def test_an_input_that_is_written_to_during_a_job_publishes_nothing(change: str, source: Path, tmp_path: Path) -> None:
    size = source.stat().st_size

    def act() -> None:
        with source.open("r+b") as file:
            if change == "cut":
                file.truncate(size)
                os.utime(source, ns=(1, 1))
                file.truncate(size - 30)
            else:
                file.seek(0, os.SEEK_END if change == "grown" else os.SEEK_SET)
                file.write(b'{"text": "one more"}\n')

    with pytest.raises(InputChangedError, match=r"in\.jsonl: it changed while it was read: (bytes|modified_ns) was"):
        score(source, tmp_path / "out.csv", at_batch(4, act))
    assert not (tmp_path / "out.csv").exists()
    with pytest.raises(OutputError, match="cannot be continued"):
        score(source, tmp_path / "out.csv", resume=True)
    assert score(source, tmp_path / "out.csv", overwrite=True) in (ROWS - 1, ROWS, ROWS + 1)


@pytest.mark.parametrize("place", ["head", "middle", "tail"])
def test_an_edit_of_equal_size_with_its_time_restored_is_noticed_by_a_full_digest_and_at_the_ends_always(
    place: str, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"a" * 9_000_000)
    before, offset = path.stat(), {"head": 5, "middle": 2_000_000, "tail": 8_999_000}[place]

    def identities() -> tuple[dict[str, Any], dict[str, Any]]:
        with path.open("rb") as file:
            return identify(file.fileno()), identify(file.fileno(), whole=True)

    sampled, whole = identities()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    now_sampled, now_whole = identities()
    assert now_whole != whole
    assert (now_sampled != sampled) or place == "middle"


def test_the_middle_of_a_file_is_sampled_and_reading_moves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"a" * 40_000_000)
    with path.open("r+b", buffering=0) as file:
        before = identify(file.fileno())
        file.seek(1 << 20)
        file.write(b"b" * (40_000_000 - (2 << 20)))
        at = file.tell()
        after = identify(file.fileno())
        assert file.tell() == at
    assert [key for key in before if before[key] != after[key] and "sha256" in key]


def test_the_same_input_is_continued(source: Path, tmp_path: Path) -> None:
    interrupted(source, tmp_path / "out.csv")
    score(source, tmp_path / "whole.csv")
    assert score(source, tmp_path / "out.csv", resume=True) == ROWS
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


# Journals

EDITS: list[Callable[[dict[str, Any]], object]] = [
    lambda content: content["counts"].update(rows=content["counts"]["rows"] - 16),
    lambda content: content.update(output_bytes=content["output_bytes"] - 1),
    lambda content: content.update(finished=True),
    lambda content: content["counts"].update(rejected={"empty": 1}),
    lambda content: content.pop("sha256"),
]
WRONG: list[Callable[[dict[str, Any]], object]] = [
    lambda content: content["counts"].update(rows="many"),
    lambda content: content["counts"].update(rows=-1),
    lambda content: content["counts"].update(rows=True),
    lambda content: content["counts"].update(rejected=[1]),
    lambda content: content["counts"].update(rejected={"empty": 10**6}),
    lambda content: content["counts"].update(tokens=None),
    lambda content: content["counts"].pop("truncated"),
    lambda content: content.update(counts=None),
    lambda content: content.update(counts=[]),
    lambda content: content.update(identity="me"),
    lambda content: content.update(output_bytes=1.5),
    lambda content: content.update(output_bytes=1 << 70),
    lambda content: content.update(rejects_bytes="0"),
    lambda content: content.update(finished="yes"),
    lambda content: content.pop("schema"),
]


@pytest.mark.parametrize("edit", EDITS, ids=range(len(EDITS)))
def test_an_edited_journal_is_not_believed(edit: Callable[[Any], object], source: Path, tmp_path: Path) -> None:
    interrupted(source, tmp_path / "out.csv")
    path = tmp_path / "out.csv.journal.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(OutputError, match=r"not a readable journal \((its content is not|'sha256')"):
        score(source, tmp_path / "out.csv", resume=True)


@pytest.mark.parametrize("edit", WRONG, ids=range(len(WRONG)))
def test_a_journal_of_wrong_types_is_refused_even_with_a_digest_that_fits(
    edit: Callable[[Any], object], source: Path, tmp_path: Path
) -> None:
    interrupted(source, tmp_path / "out.csv")
    path = tmp_path / "out.csv.journal.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["sha256"]
    edit(content)
    path.write_text(json.dumps({**content, "sha256": _digest(content)}), encoding="utf-8")
    with pytest.raises(OutputError, match="not a readable journal"):
        score(source, tmp_path / "out.csv", resume=True)


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "[" * 100_000, '"text"', "1e999", "{" + " " * (1 << 21)], ids=range(7)
)
def test_a_journal_that_is_something_else_is_refused(content: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv.journal.json").write_text(content, encoding="utf-8")
    with pytest.raises(OutputError, match="not a readable journal"):
        score(source, tmp_path / "out.csv", resume=True)


# Files in the way


@pytest.mark.parametrize("name", ["out.csv.partial", "out.csv.rejects.jsonl.partial", "out.csv.journal.json.new"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_planted_link_is_not_followed(name: str, resume: bool, source: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious", encoding="utf-8")
    (tmp_path / name).symlink_to(tmp_path / "precious")
    assert score(source, tmp_path / "out.csv", resume=resume, overwrite=not resume) == ROWS
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "precious"
    assert not (tmp_path / "out.csv").is_symlink()


def test_a_link_in_the_place_of_an_interrupted_run_is_refused(source: Path, tmp_path: Path) -> None:
    interrupted(source, tmp_path / "out.csv")
    partial = tmp_path / "out.csv.partial"
    partial.rename(tmp_path / "precious")
    partial.symlink_to(tmp_path / "precious")
    before = (tmp_path / "precious").read_bytes()
    with pytest.raises(OutputError, match=r"out\.csv: cannot be written: Too many levels of symbolic links"):
        score(source, tmp_path / "out.csv", resume=True)
    assert (tmp_path / "precious").read_bytes() == before


def test_a_pipe_in_the_place_of_an_interrupted_run_is_refused_and_not_waited_for(source: Path, tmp_path: Path) -> None:
    interrupted(source, tmp_path / "out.csv")
    (tmp_path / "out.csv.partial").unlink()
    os.mkfifo(tmp_path / "out.csv.partial")
    with pytest.raises(OutputError, match="expected a regular file"):
        score(source, tmp_path / "out.csv", resume=True)


@pytest.fixture(params=["lock", "rejects.jsonl.lock", "journal.json.new", "converted", "partial"])
def name_of_ours(request: pytest.FixtureRequest) -> str:
    return f"out.csv.{request.param}"


def test_an_input_with_the_name_of_a_file_of_the_job_is_refused_and_kept(name_of_ours: str, tmp_path: Path) -> None:
    source = write_rows(tmp_path / name_of_ours, "mine")
    before = source.read_bytes()
    with pytest.raises(OptionError, match="input and output are the same file"):
        score(source, tmp_path / "out.csv", input_format="jsonl")
    assert source.read_bytes() == before


def test_somebody_elses_file_with_the_name_of_a_lock_is_kept(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv.lock").write_text("dependencies", encoding="utf-8")
    with pytest.raises(OutputError, match=r"out\.csv\.lock: a file is there that is not a lock"):
        score(source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv.lock").read_text(encoding="utf-8") == "dependencies"


@pytest.mark.parametrize("held", ["out.csv.lock", "rejects.jsonl.lock"])
def test_two_jobs_share_neither_their_output_nor_their_rejects(held: str, source: Path, tmp_path: Path) -> None:
    with locked(tmp_path / held), pytest.raises(OptionError, match="another process is writing it, or its rejected"):
        score(source, tmp_path / "out.csv", rejects=str(tmp_path / "rejects.jsonl"))


# What a spreadsheet would run


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_ids_that_a_spreadsheet_would_run_are_written_as_text_where_asked(form: str, tmp_path: Path) -> None:
    ids = ["=cmd|'/c calc'!A1", "+1", "-1", "@SUM(A1)", "\t=1", "plain"]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"text": "a", "id": row}) + "\n" for row in ids), encoding="utf-8")
    score(source, tmp_path / f"safe.{form}", id_column="id", csv_safe=True)
    score(source, tmp_path / f"plain.{form}", id_column="id")
    safe, plain = ((tmp_path / f"{name}.{form}").read_text(encoding="utf-8") for name in ("safe", "plain"))
    assert safe.count("'") == plain.count("'") + 5
    assert "\n5,plain," in safe.replace("\t", ",")


def test_a_format_without_formulas_refuses_the_option(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"csv_safe=True: .*out\.jsonl is neither CSV nor TSV"):
        score(source, tmp_path / "out.jsonl", csv_safe=True)
