"""An encoder that is used shorter than it could be: the limit is checked, and reaches whatever is made of texts."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import run_driftgate
from nested_pytest import run_pytest
from tiny_encoders import SENTENCES

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.builder.calibration_texts import tokenize_calibration
from driftgate.builder.vectors import embedded_feeds
from driftgate.errors import BaselineError, OptionError
from driftgate.gate.run_facts import describe_run
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.thresholds import limit_tokens
from driftgate.inputs.tokens import tokenize
from driftgate.measure.process import describe_request, read_request
from driftgate.publish.layout import Layout, write_artifacts
from driftgate.results.accuracy_baseline import AccuracyBaseline, require_comparable
from driftgate.run.device import RunSettings

LIMIT = 12


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


@pytest.fixture(scope="module")
def short(encoder: Encoder) -> Encoder:
    return limit_tokens(encoder, LIMIT)


def test_texts_are_cut_at_the_limit_and_said_to_be(short: Encoder) -> None:
    tokens = tokenize(short, [" ".join(SENTENCES), "ok"])
    assert tokens.truncated == (True, False)
    assert tokens.lengths[0] == LIMIT


@pytest.mark.parametrize(("pairs", "least"), [(False, 3), (True, 6)], ids=["texts", "pairs"])
def test_the_least_limit_leaves_a_token_of_each_text(encoder: Encoder, pairs: bool, least: int) -> None:
    asked = replace(encoder, takes_pairs=pairs)
    text = ("thank you", "so much") if pairs else "thank you"
    whole = tokenize(asked, [text, ("", "") if pairs else ""]).input_ids
    (ids,) = tokenize(limit_tokens(asked, least), [text]).input_ids
    assert (len(ids), len(whole[1])) == (least, least - (2 if pairs else 1))
    with pytest.raises(OptionError, match=f"max_tokens {least - 1}: expected {least} to 64"):
        limit_tokens(asked, least - 1)


def test_a_limit_beyond_the_encoders_own_is_refused_with_both_numbers(encoder: Encoder) -> None:
    assert limit_tokens(encoder, 64) == encoder
    with pytest.raises(
        OptionError, match=r"max_tokens 65: expected 3 to 64: .* 64 is the longest input of the encoder"
    ):
        limit_tokens(encoder, 65)
    with pytest.raises(OptionError, match="max tokens 0"):
        limit_tokens(encoder, 0)


def test_a_limit_cannot_be_made_longer_again_than_the_encoder(short: Encoder) -> None:
    assert limit_tokens(short, 64).max_tokens == 64


@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
def test_calibration_and_golden_vectors_are_cut_there(short: Encoder, pairs: bool) -> None:
    asked = replace(short, takes_pairs=pairs)
    whole = throughput_corpus("normal", pairs=pairs)
    # A cut pair leaves pieces of both texts, which are combined: of two thousand pairs that takes a minute.
    corpus = replace(whole, texts=whole.texts[:40], row_ids=whole.row_ids[:40])
    widths = {feed["input_ids"].shape[1] for feed in tokenize_calibration(asked, corpus).feeds}
    assert max(widths) == LIMIT
    feeds = embedded_feeds(asked)
    assert max(feed["input_ids"].shape[1] for feed in feeds) == LIMIT


def test_golden_vectors_of_pairs_are_pairs(make_tiny_encoder: Callable[..., Path], tmp_path: Path) -> None:
    encoder = replace(load_encoder(make_tiny_encoder(tmp_path / "bert", "bert")), takes_pairs=True)
    for feed in embedded_feeds(encoder):
        assert feed["token_type_ids"].any(axis=1).all()  # every row has a second text


def test_a_calibrated_step_has_another_key_and_the_export_the_same(
    encoder: Encoder, short: Encoder, warm_cache: Path
) -> None:
    fp32, static = REGISTRY["onnx-fp32"], REGISTRY["onnx-int8-static"]
    assert build_artifact(short, fp32) == build_artifact(encoder, fp32)
    own, cut = build_artifact(encoder, static), build_artifact(short, static)
    assert own.model != cut.model
    pairs = build_artifact(replace(encoder, takes_pairs=True), static)
    assert pairs.model not in (own.model, cut.model)


def test_what_is_published_cuts_there_too(short: Encoder, warm_cache: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    spec = REGISTRY["onnx-fp32"]
    write_artifacts(short, [(spec, build_artifact(short, spec))], tmp_path, Layout.FOLDER)
    assert load_encoder(tmp_path, needs_weights=False).max_tokens == LIMIT
    assert len(Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(" ".join(SENTENCES)).ids) == LIMIT


def test_a_process_of_its_own_and_the_gates_baseline_know_the_limit(short: Encoder) -> None:
    pair = ("one", "two")
    request = json.loads(json.dumps(describe_request(short, REGISTRY["torch"], None, ["one", pair], RunSettings(1))))
    assert read_request(request)[0].max_tokens == LIMIT
    assert describe_run(short, RunSettings(1))["encoder"]["max_tokens"] == LIMIT


def test_a_baseline_of_another_limit_is_refused() -> None:
    about = dict.fromkeys(("schema", "encoder_sha256", "corpus_sha256", "plan", "problem_type"), 1)
    before = AccuracyBaseline(about, {})
    require_comparable(before, {**about, "max_tokens": None})  # of before there was such an option
    with pytest.raises(BaselineError, match="max_tokens: baseline None, now 12"):
        require_comparable(before, {**about, "max_tokens": 12})


def test_the_suite_takes_the_limit(tiny_encoder: Path, shared_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "def test_limit(encoder, driftgate):\n"
        "    assert encoder.max_tokens == 12\n"
        "    assert driftgate.assessor.tokens.lengths.max() == 12\n",
        encoding="utf-8",
    )
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"text": " ".join(SENTENCES)}), encoding="utf-8")
    given = [f"--encoder={tiny_encoder}", "--corpus=corpus.jsonl", "--backends=torch", "-p", "no:cacheprovider"]
    code, output = run_pytest(tmp_path, ["test_own.py", *given, "--driftgate-max-tokens=12"], shared_cache)
    assert code == 0, output
    for wrong, said in (("65", "--driftgate-max-tokens 65: expected 3 to 64"), ("a", "--driftgate-max-tokens 'a'")):
        code, output = run_pytest(tmp_path, ["test_own.py", *given, f"--driftgate-max-tokens={wrong}"], shared_cache)
        assert code == 4, output
        assert said in output


def test_predict_cuts_there(tiny_encoder: Path, warm_cache: Path) -> None:
    text, first_words = " ".join(SENTENCES), "thank you so much"

    def scores(asked: str, *options: object) -> list[float]:
        result = run_driftgate("predict", tiny_encoder, "--backend=torch", "--json", *options, asked)
        assert result.exit_code == 0, result.output
        return list(json.loads(result.stdout)["probabilities"].values())

    cut = scores(text, "--max-tokens", 6)
    assert not np.allclose(cut, scores(text), atol=1e-4)
    assert cut == pytest.approx(scores(first_words, "--max-tokens", 6), abs=1e-6)
    refused = run_driftgate("predict", tiny_encoder, "--max-tokens", 999, text)
    assert refused.exit_code == 4
    assert "--max-tokens 999: expected 3 to 64" in refused.stderr
