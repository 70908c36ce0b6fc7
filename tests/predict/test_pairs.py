"""Files of pairs are scored as pairs: what is read, what is rejected, and what is cut of megabytes."""

import csv
import io
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_driftgate
from letter_counter import DOUBLE, answer_double, tokenize_double
from tiny_encoders import SENTENCES

from driftgate.errors import CorpusError, OptionError, OutputError
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.texts import Text, on_one_line
from driftgate.inputs.thresholds import limit_tokens
from driftgate.inputs.tokens import TokenizedTexts, load_tokenizer, tokenize
from driftgate.predict import answerer as answerer_module
from driftgate.predict.answerer import Answerer, open_answerer
from driftgate.predict.job import run_job
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.reading.formats import find_format
from driftgate.predict.reading.readers import ReadOptions
from driftgate.predict.reading.rows import Rejected, Row
from driftgate.predict.reading.source import open_source

PAIRS = [("a dog runs", "an animal moves"), ("it, rains", 'the "sun"\nshines'), ("é", "ü")]


def read(path: Path, *, text: str = "premise", pair: str = "hypothesis", **options: Any) -> list[Row | Rejected]:
    form = find_format(str(path), "", output=False)
    read_options = ReadOptions(str(path), text_column=text, pair_column=pair, **options)
    source = open_source(str(path), form, read_options)
    try:
        return list(source.rows)
    finally:
        source.close()


def write_csv(path: Path, pairs: Sequence[Sequence[Any]] = PAIRS) -> Path:
    content = io.StringIO(newline="")
    csv.writer(content).writerows([("premise", "id", "hypothesis"), *((a, n, b) for n, (a, b) in enumerate(pairs))])
    path.write_text(content.getvalue(), encoding="utf-8", newline="")
    return path


def write_jsonl(path: Path, pairs: Sequence[Sequence[Any]] = PAIRS) -> Path:
    rows = [{"premise": first, "id": str(number), "hypothesis": second} for number, (first, second) in enumerate(pairs)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, pairs: Sequence[Sequence[Any]] = PAIRS) -> Path:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    firsts, seconds = zip(*pairs, strict=True)
    table = pa.table({"hypothesis": seconds, "id": [str(row) for row in range(len(pairs))], "premise": firsts})
    parquet.write_table(table, path)
    return path


WRITERS: dict[str, Callable[..., Path]] = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}


@pytest.mark.parametrize("form", WRITERS)
def test_every_format_gives_the_same_pairs(form: str, tmp_path: Path) -> None:
    found = read(WRITERS[form](tmp_path / f"pairs.{form}"), id_column="id")
    assert found == [Row(number, pair, str(number)) for number, pair in enumerate(PAIRS)]


def test_pairs_without_a_header_are_read_by_position(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("id1\tsecond\tfirst\n", encoding="utf-8")
    assert read(path, text="2", pair="1", id_column="0") == [Row(0, ("first", "second"), "id1")]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("pair", "detail"), [(("", "b"), "the first text"), (("a", " "), "the second text")], ids=["first", "second"]
)
def test_a_row_with_an_empty_text_is_rejected_as_single_texts_are(
    form: str, pair: tuple[str, str], detail: str, tmp_path: Path
) -> None:
    good, bad = read(WRITERS[form](tmp_path / f"pairs.{form}", [PAIRS[0], pair]), keep_texts=True)
    assert isinstance(good, Row)
    assert isinstance(bad, Rejected)
    assert (bad.reason, bad.detail, bad.text, bad.second) == ("empty text", detail, *pair)


def test_a_missing_second_text_is_rejected_with_what_was_expected(tmp_path: Path) -> None:
    rows = read(write_jsonl(tmp_path / "pairs.jsonl", [("a", None), ("a", 3), ("a", "b")]))
    assert [(row.reason, row.detail) for row in rows if isinstance(row, Rejected)] == [
        ("no text", "the second text"),
        ("not a string", "the second text: expected a string, found int"),
    ]
    assert all(row.text is None and row.second is None for row in rows if isinstance(row, Rejected))


@pytest.mark.parametrize("form", WRITERS)
def test_a_missing_column_is_refused_with_those_that_are_there(form: str, tmp_path: Path) -> None:
    path = WRITERS[form](tmp_path / f"pairs.{form}")
    with pytest.raises(CorpusError, match=r"expected a column 'answer', found .*'id'.*; name it with pair_column"):
        read(path, pair="answer")


def test_columns_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="text column by position, pair column by name; give both as positions"):
        read(write_csv(tmp_path / "pairs.csv"), text="0")
    with pytest.raises(OptionError, match="found that of the first ones"):
        PredictionJob(DOUBLE, "double", "in.csv", "out.csv", pair_column="text")
    lines = tmp_path / "lines.txt"
    lines.write_text("one\n", encoding="utf-8")
    with pytest.raises(OptionError, match="a file of one text a line has no second texts"):
        run_job(PredictionJob(DOUBLE, "double", str(lines), str(tmp_path / "out.csv"), pair_column="b"))


# Jobs


def open_pairs(encoder: object, backend: str, settings: object) -> Answerer:
    """The double, asked about both texts of a pair on one line."""

    def tokenize_pairs(texts: Sequence[Text]) -> TokenizedTexts:
        return tokenize_double(list(map(on_one_line, texts)))

    return Answerer("sha", tokenize_pairs, answer_double)


def test_a_job_scores_pairs_and_says_how_many_were_cut(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "pairs.jsonl", [*PAIRS, ("long " * 20, "text"), ("a", "")])
    job = PredictionJob(
        replace(DOUBLE, takes_pairs=True), "double", str(source), str(tmp_path / "out.jsonl"), text_column="premise",
        pair_column="hypothesis", rejects_with_texts=True,
    )  # fmt: skip
    summary = run_job(job, open_model=open_pairs)
    assert [json.loads(line)["row"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [0, 1, 2, 3]
    assert "1 pairs of texts were longer than the model's limit and cut" in "\n".join(summary.lines())
    (rejected,) = map(json.loads, (tmp_path / "out.jsonl.rejects.jsonl").read_text().splitlines())
    assert {key: rejected[key] for key in ("row", "reason", "detail", "text", "second")} == {
        "row": 4, "reason": "empty text", "detail": "the second text", "text": "a", "second": "",
    }  # fmt: skip


def test_an_interrupted_job_is_not_continued_with_another_column_or_limit(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "pairs.csv", PAIRS * 600)
    job = PredictionJob(
        DOUBLE, "double", str(source), str(tmp_path / "out.csv"), text_column="premise", pair_column="hypothesis",
        window_rows=64, token_budget=256, commit_seconds=0,
    )  # fmt: skip

    def fail_later(encoder: object, backend: str, settings: object) -> Answerer:
        asked = [0]

        def answer(batch: Any) -> Any:
            asked[0] += 1
            if asked[0] > 40:
                raise KeyboardInterrupt
            return answer_double(batch)

        return replace(open_pairs(encoder, backend, settings), answer=answer)

    with pytest.raises(KeyboardInterrupt):
        run_job(job, open_model=fail_later)
    for changed in (replace(job, pair_column=""), replace(job, encoder=replace(DOUBLE, max_tokens=8))):
        with pytest.raises(OutputError, match=r"pair column was|max tokens was"):
            run_job(replace(changed, resume=True), open_model=open_pairs)
    assert run_job(replace(job, resume=True), open_model=open_pairs).counts.rows == len(PAIRS) * 600


@pytest.mark.parametrize("side", ["right", "left"])
def test_what_is_cut_of_megabytes_leaves_the_same_tokens(
    side: str, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answerer_module, "_FIRST_CUT_CHARS", 64)
    encoder = limit_tokens(load_encoder(tiny_encoder), 23)  # 19 tokens of a pair: odd, one of the texts gets one more
    monkeypatch.setattr(load_tokenizer(encoder), "truncation_side", side)
    asked = Answerer("", lambda texts: tokenize(encoder, texts), answer_double, side == "left")
    draw, words = random.Random(0), " ".join(SENTENCES).split()  # noqa: S311
    sizes = (0, 1, 9, 10, 20, 60, 61, 400)
    texts: list[Text] = [" ".join(draw.choices(words, k=size)) for size in sizes]
    texts += [(first, second) for first in texts for second in texts if isinstance(first, str)]  # type: ignore[misc]
    cut = [answerer_module._cut(text, asked) for text in texts]
    whole, kept = tokenize(encoder, texts), tokenize(encoder, cut)
    assert all(np.array_equal(one, other) for one, other in zip(whole.input_ids, kept.input_ids, strict=True))
    assert whole.truncated == kept.truncated
    assert sum(before != after for before, after in zip(texts, cut, strict=True)) > 10


# The command


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_the_command_scores_pairs_as_transformers_does(
    family: str, make_tiny_encoder: Callable[..., Path], warm_cache: Path, tmp_path: Path
) -> None:
    import torch
    import transformers

    folder = make_tiny_encoder(tmp_path / family, family)
    pairs = [(first, second) for first in SENTENCES for second in SENTENCES]
    source, target = write_jsonl(tmp_path / "pairs.jsonl", pairs), tmp_path / "scores.jsonl"
    columns = ("--text-column", "premise", "--pair-column", "hypothesis", "--logits")
    result = run_driftgate("predict", folder, "--backend=torch", "--input", source, "--output", target, *columns)
    assert result.exit_code == 0, result.output
    found = [list(json.loads(line)["logits"].values()) for line in target.read_text().splitlines()]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    feed = tokenizer(
        *map(list, zip(*pairs, strict=True)), truncation=True, max_length=48, padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        expected = model(**feed).logits.numpy()
    assert np.abs(np.array(found) - expected).max() < 1e-5
    refused = run_driftgate("predict", folder, *columns, "text")
    assert refused.exit_code == 4
    assert "expected --input FILE with the options of a file" in refused.stderr


def test_the_answerer_says_which_end_is_cut(copy_encoder: Callable[..., Path]) -> None:
    from driftgate.run.device import RunSettings

    folder = copy_encoder()
    assert not open_answerer(load_encoder(folder), "torch", RunSettings(1)).cuts_front
    settings = folder / "tokenizer_config.json"
    facts = json.loads(settings.read_text(encoding="utf-8")) | {"truncation_side": "left"}
    settings.write_text(json.dumps(facts), encoding="utf-8")
    assert open_answerer(load_encoder(folder), "torch", RunSettings(1)).cuts_front
