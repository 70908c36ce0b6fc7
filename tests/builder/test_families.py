"""Every family of encoders on every backend: padding on either side, gaps in the mask, every length up to the limit.

Backends are compared with the reference on the same arrays, so that what a family makes of padding is its own affair.
Encoders are generated, the same every time: what is built of them stays in the user's cache.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny_encoders
import torch
from processor import require_exact_sums
from tiny_encoders import FAMILIES, MULTI_LABEL, SENTENCES, SINGLE_LABEL, Family, make_encoder, train_unigrams

from driftgate.backends import DEFAULT_BACKENDS, REGISTRY, Precision
from driftgate.builder.build import build_artifact
from driftgate.errors import SequenceTooLongError
from driftgate.inputs.batches import ArrivalPlan, TokenBatch
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.onnx_graph.functions import load_inlined
from driftgate.pipeline import open_backend
from driftgate.run.backend import Backend, predict
from driftgate.run.device import RunSettings
from driftgate.run.torch_backend import open_reference, predict_exact

SETTINGS = RunSettings(threads=1)
BACKENDS = (
    "torch",
    "onnx-fp32",
    "onnx-fp16",
    "onnx-int8",
    "onnx-int8-dynamic",
    "onnx-int8-dynamic-per-tensor",
    "onnx-int8-static",
)
ENCODERS = [(family, MULTI_LABEL) for family in FAMILIES]
ENCODERS += [(family, SINGLE_LABEL) for family in ("roberta", "bert", "distilbert")]

# In SDs of a label's logits over texts. Worst of all families and cases below, with the weights of six seeds: float32
# 1.6e-5 and float16 5.2e-2 of any logit; INT8 0.29 on average (DeBERTa-v2, whose answer is read off padding where that
# stands in front), 0.26 elsewhere. Single INT8 answers move by more than an SD, since random weights have none of the
# redundancy of trained ones: only their average tells a coarse answer from a wrong one, which is an SD away.
MAX_DRIFT = {Precision.FP32: 1e-4, Precision.FP16: 6e-2}
# Ranges that were fixed on texts fit random ids badly (0.97 under ONNX Runtime 1.22); an unrelated answer would be 1.13 away,
# and a wrong one is.
MEAN_DRIFT = {Precision.INT8_DYNAMIC: 0.35, Precision.INT8_ROWWISE: 0.35, Precision.INT8_STATIC: 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """An encoder, its reference, and what its batches are made of.

    Args:
        spread: SD of each label's logits over texts, float32, (labels,): the unit of every drift here.
        first_token: stands before every text, as `last_token` stands behind it.
    """

    family: Family
    encoder: Encoder
    reference: Any
    spread: Any
    first_token: int
    last_token: int
    pad_token: int
    has_token_types: bool

    def batch(self, lengths: Sequence[int], *, side: str = "right", gaps: bool = False) -> TokenBatch:
        """Rows of these lengths, drawn from all tokens that are not special here."""
        draw = np.random.default_rng(lengths)
        special = {self.first_token, self.last_token, self.pad_token}
        ordinary = [token for token in range(self.encoder.vocab_size) if token not in special]
        ids = np.full((len(lengths), max(lengths)), self.pad_token, dtype=np.int64)
        mask, types = np.zeros_like(ids), np.zeros_like(ids)
        for row, length in enumerate(lengths):
            start = max(lengths) - length if side == "left" else 0
            columns = slice(start, start + length)
            ids[row, columns] = [self.first_token, *draw.choice(ordinary, length - 2), self.last_token]
            mask[row, columns] = 1
            types[row, start + length // 2 : start + length] = 1
            if gaps and length > 4:
                holes = draw.choice(np.arange(1, length - 1), size=(length - 2) // 3, replace=False)
                mask[row, holes] = 0
                if row % 2:  # padding may stand in a gap, or any other token
                    ids[row, holes] = self.pad_token
        return TokenBatch(tuple(range(len(lengths))), ids, mask, types if self.has_token_types else None)


def mixed_lengths(subject: Subject) -> tuple[int, ...]:
    return (2, 3, 5, 9, 12, 17, 31, subject.encoder.max_tokens)


def lengths_in_front(subject: Subject) -> tuple[int, ...]:
    """Of rows that are padded in front. Where attention is local, the first column must see a token of its text: else each
    implementation of attention makes something of its own out of nothing, transformers' two as well."""
    if "local_attention" not in subject.family.config:
        return mixed_lengths(subject)
    longest = subject.encoder.max_tokens
    return tuple(range(longest - subject.family.config["local_attention"] // 2 + 1, longest + 1))


CASES: dict[str, Callable[[Subject], list[TokenBatch]]] = {
    "right-padding": lambda subject: [subject.batch(mixed_lengths(subject))],
    "left-padding": lambda subject: [subject.batch(lengths_in_front(subject), side="left")],
    "gaps": lambda subject: [subject.batch(mixed_lengths(subject), gaps=True)],
    "two-and-three-tokens": lambda subject: [subject.batch([2]), subject.batch([3]), subject.batch([3] * 6)],
    "odd-lengths": lambda subject: [subject.batch([length]) for length in range(5, subject.encoder.max_tokens, 6)],
    "limit": lambda subject: [subject.batch([subject.encoder.max_tokens] * rows) for rows in (1, 3)],
    "one-to-seventeen-rows": lambda subject: [
        subject.batch([3 + 7 * row % 17 for row in range(rows)]) for rows in range(1, 18)
    ],
}


@pytest.fixture(scope="session", params=ENCODERS, ids=["-".join((name, head[:5])) for name, head in ENCODERS])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    name, head = request.param
    folder = tmp_path_factory.mktemp("families") / name
    encoder = load_encoder(make_encoder(folder, name, problem_type=head))
    reference = open_reference(encoder, SETTINGS)
    tokens = tokenize(encoder, [*SENTENCES, *(word for sentence in SENTENCES for word in sentence.split())])
    first, last = tokenize(encoder, [""]).input_ids[0].tolist()
    return Subject(
        family=FAMILIES[name],
        encoder=encoder,
        reference=reference,
        spread=predict(reference, tokens, ArrivalPlan(16)).std(axis=0),
        first_token=first,
        last_token=last,
        pad_token=tokens.pad_token_id,
        has_token_types=tokens.token_type_ids is not None,
    )


@pytest.fixture(scope="session", params=BACKENDS)
def opened(request: pytest.FixtureRequest, subject: Subject) -> Backend:
    return open_backend(subject.encoder, request.param, SETTINGS)


def answer(backend: Backend, batches: Sequence[TokenBatch]) -> Any:
    """Logits of all rows, float32, (rows, labels)."""
    return np.concatenate([backend.prepare(batch)() for batch in batches])


def drift(subject: Subject, backend: Backend, batches: Sequence[TokenBatch]) -> Any:
    """How far each logit is from the reference's, in SDs, (rows, labels)."""
    return np.abs(answer(backend, batches) - answer(subject.reference, batches)) / subject.spread


# The encoders are what they should be


def test_an_encoder_is_loaded_as_its_family_with_its_limit(subject: Subject) -> None:
    encoder, family = subject.encoder, subject.family
    config = json.loads((encoder.path / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == [family.model_class]
    assert encoder.max_tokens == family.max_tokens
    assert encoder.positions_skip_padding == (encoder.model_type in {"roberta", "xlm-roberta", "camembert", "mpnet"})
    assert encoder.attends_in_windows == (encoder.model_type == "modernbert")


# Classes that families without one of their own have, in one release of transformers or another.
SHARED_TOKENIZERS = {
    "electra": ("bert",),
    **dict.fromkeys(("modernbert", "eurobert"), ("pretrained", "tokenizersbackend")),
}


def test_an_encoder_has_its_familys_own_tokenizer(subject: Subject) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(subject.encoder.path, local_files_only=True)
    name = type(tokenizer).__name__.lower().removesuffix("fast").removesuffix("tokenizer")
    assert name in {subject.encoder.model_type.replace("-", ""), *SHARED_TOKENIZERS.get(subject.encoder.model_type, ())}
    model = json.loads((subject.encoder.path / "tokenizer.json").read_text(encoding="utf-8"))["model"]["type"]
    unigrams = dict.fromkeys(("xlm-roberta", "camembert", "deberta-v2", "albert"), "Unigram")
    byte_pairs = dict.fromkeys(("roberta", "modernbert", "eurobert"), "BPE")
    assert model == {**byte_pairs, **unigrams}.get(subject.encoder.model_type, "WordPiece")
    assert len(tokenizer.tokenize("nobody told you")) < len("nobody told you")


def test_logits_spread_by_about_one_over_texts(subject: Subject) -> None:
    assert subject.spread.min() > 0.3
    assert subject.spread.max() < 3.5


def test_the_same_arguments_make_the_same_encoder(tmp_path: Path) -> None:
    digests = [
        [load_encoder(make_encoder(tmp_path / place / name, name)).sha256 for name in FAMILIES] for place in "ab"
    ]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == len(FAMILIES)


def test_another_process_trains_the_same_pieces() -> None:
    """Whatever the order that hashes and threads give. Nothing else in an encoder depends on its process."""
    code = "import json, tiny_encoders; print(json.dumps(tiny_encoders.train_unigrams([])))"
    folder = str(Path(tiny_encoders.__file__).parent)
    environment = {**os.environ, "PYTHONPATH": folder, "PYTHONHASHSEED": "7", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    here = [list(entry) for entry in train_unigrams([])]
    assert json.loads(done.stdout) == here
    assert sum(len(piece) > 2 for piece, _ in here) > 20, "single characters are no pieces"


def test_another_seed_makes_another_encoder(tmp_path: Path) -> None:
    first, second = (load_encoder(make_encoder(tmp_path / str(seed), "bert", seed=seed)) for seed in (0, 1))
    assert first.sha256 != second.sha256


# What is built is the variant it promises


def test_a_graph_takes_segments_where_the_family_has_them(subject: Subject) -> None:
    graph = onnx.load(build_artifact(subject.encoder, REGISTRY["onnx-fp32"]).model).graph
    expected = ["input_ids", "attention_mask"] + ["token_type_ids"] * subject.family.takes_token_types
    assert sorted(value.name for value in graph.input) == sorted(expected)


def test_every_weight_matrix_is_of_the_precision_promised(subject: Subject) -> None:
    graphs = {
        name: onnx.load(build_artifact(subject.encoder, REGISTRY[name]).model).graph
        for name in BACKENDS
        if REGISTRY[name].steps
    }
    constants = {tensor.name for tensor in graphs["onnx-fp32"].initializer}
    products = [
        node
        for node in graphs["onnx-fp32"].node
        if node.op_type == "Gemm" or (node.op_type == "MatMul" and node.input[1] in constants)
    ]
    layers = 2
    assert len(products) >= 4 * layers  # ModernBERT's; others have six
    halves = [tensor.data_type for tensor in graphs["onnx-fp16"].initializer if len(tensor.dims) == 2]
    assert onnx.TensorProto.FLOAT16 in halves
    assert onnx.TensorProto.FLOAT not in halves
    for name in ("onnx-int8-dynamic", "onnx-int8-dynamic-per-tensor"):
        quantized = [node for node in graphs[name].node if node.op_type == "MatMulInteger"]
        assert len(quantized) == len(products)


# Every backend answers as the reference does


@pytest.mark.parametrize("case", CASES)
def test_a_backend_agrees_with_the_reference(case: str, subject: Subject, opened: Backend) -> None:
    found = drift(subject, opened, CASES[case](subject))
    precision = opened.spec.precision
    require_exact_sums(precision)
    if precision in MAX_DRIFT:
        assert found.max() <= MAX_DRIFT[precision]
    else:
        assert found.mean() <= MEAN_DRIFT[precision]


def test_one_token_past_the_limit_is_refused(subject: Subject, opened: Backend) -> None:
    limit = subject.encoder.max_tokens
    for backend in (subject.reference, opened):
        with pytest.raises(SequenceTooLongError, match=f"a batch of {limit + 1} tokens, expected at most {limit}"):
            backend.prepare(subject.batch([2, limit + 1]))


@pytest.mark.parametrize("opened", ["torch", "onnx-fp32"], indirect=True)
def test_a_float32_row_alone_answers_as_in_a_padded_batch(subject: Subject, opened: Backend) -> None:
    together = subject.batch(mixed_lengths(subject))
    alone = [
        TokenBatch(
            (row,),
            together.input_ids[[row], :length],
            together.attention_mask[[row], :length],
            None if together.token_type_ids is None else together.token_type_ids[[row], :length],
        )
        for row, length in enumerate(mixed_lengths(subject))
    ]
    for backend in (subject.reference, opened):
        moved = np.abs(answer(backend, alone) - answer(backend, [together])) / subject.spread
        assert moved.max() <= MAX_DRIFT[Precision.FP32]


def test_the_reference_in_float64_answers_rows_with_much_padding(tmp_path: Path) -> None:
    """ModernBERT's eager attention has no answer where padding is further from a text than its window, but in the last layer."""
    layers = ["sliding_attention", "full_attention"]
    encoder = load_encoder(make_encoder(tmp_path / "modernbert", "modernbert", layer_types=layers))
    tokens, plan = tokenize(encoder, ["a", " ".join(SENTENCES)]), ArrivalPlan(2)
    exact = predict_exact(encoder, tokens, plan)
    rounded = predict(open_reference(encoder, SETTINGS), tokens, plan)
    assert exact.dtype == np.float64
    assert 0 < np.abs(rounded - exact).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("subject", [("deberta-v2", MULTI_LABEL), ("xlm-roberta", MULTI_LABEL)], indirect=True)
def test_torch_compile_agrees_with_the_reference(subject: Subject) -> None:
    compiled: Any = open_backend(subject.encoder, "torch-compile", SETTINGS)
    assert type(compiled.module).__name__ == "OptimizedModule"
    for case, batches in CASES.items():
        assert drift(subject, compiled, batches(subject)).max() <= MAX_DRIFT[Precision.FP32], case


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([name for name in DEFAULT_BACKENDS if name != "torch-compile"], id="built"),
        pytest.param(["torch-compile"], id="compiled", marks=pytest.mark.slow),
    ],
)
def test_an_encoder_of_one_token_type_answers_on_every_backend(
    names: Sequence[str], tmp_path: Path, empty_cache: Path
) -> None:
    """A BERT that was trained on single texts: Optimum would trace it with token types that its table does not have."""
    encoder = load_encoder(make_encoder(tmp_path / "bert", "bert", type_vocab_size=1))
    tokens = tokenize(encoder, SENTENCES)
    expected = predict(open_reference(encoder, SETTINGS), tokens, ArrivalPlan(2))
    for name in names:
        found = predict(open_backend(encoder, name, SETTINGS), tokens, ArrivalPlan(2))
        assert np.abs(found - expected).max() < (0.5 if name == "onnx-int8" else 0.05), name


# What padding in front means


def states(subject: Subject, batch: TokenBatch) -> Any:
    """The reference's last hidden state of every token that is not padding, float32, (tokens, width)."""
    with torch.inference_mode():
        found = subject.reference.module.base_model(
            input_ids=torch.from_numpy(batch.input_ids), attention_mask=torch.from_numpy(batch.attention_mask)
        )[0]
    return found.numpy()[batch.attention_mask == 1]


def test_padding_in_front_moves_a_text_where_positions_are_columns(subject: Subject) -> None:
    """DeBERTa-v2 has relative positions only, the families of RoBERTa and MPNet count tokens that are not padding."""
    right, left = (subject.batch(mixed_lengths(subject), side=side) for side in ("right", "left"))
    moved = np.abs(states(subject, right) - states(subject, left)).max()
    if subject.encoder.model_type in {"bert", "albert", "distilbert", "electra"}:
        assert moved > 0.1
    else:
        assert moved < 1e-4


def test_every_head_but_eurobert_s_reads_the_first_column_padding_or_not(subject: Subject) -> None:
    """So that padding in front changes the answer, whatever the family's positions are. EuroBERT's takes the mean of tokens."""
    right, left = (subject.batch([5, 12], side=side) for side in ("right", "left"))
    moved = np.abs(answer(subject.reference, [right]) - answer(subject.reference, [left])) / subject.spread
    assert (moved[0].max() > 0.1) == (subject.encoder.model_type != "eurobert")
    assert moved[1].max() < 1e-4, "a row without padding"


# Defects that a family brought to light


@pytest.mark.parametrize("subject", [("deberta-v2", MULTI_LABEL), ("mpnet", MULTI_LABEL)], indirect=True)
def test_relative_positions_computed_in_float16_are_other_positions(subject: Subject, tmp_path: Path) -> None:
    """ONNX Runtime's converter rounds the logarithms of their buckets too, which the float16 step keeps it from."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    exported = load_inlined(build_artifact(subject.encoder, REGISTRY["onnx-fp32"]).model)
    path = tmp_path / "all.onnx"
    onnx.save(convert_float_to_float16(exported, keep_io_types=True), path)
    naive = open_backend(subject.encoder, f"naive:fp16={path}", SETTINGS)
    careful = open_backend(subject.encoder, "onnx-fp16", SETTINGS)
    batches = CASES["limit"](subject)
    assert drift(subject, naive, batches).max() > 2 * MAX_DRIFT[Precision.FP16]
    assert drift(subject, careful, batches).max() <= MAX_DRIFT[Precision.FP16]


def test_a_tokenizer_of_debertas_file_name_is_part_of_the_encoder(tmp_path: Path) -> None:
    """Published DeBERTa-v3 encoders have spm.model and no tokenizer.json."""
    folder = make_encoder(tmp_path / "deberta", "deberta-v2")
    (folder / "tokenizer.json").unlink()
    (folder / "spm.model").write_bytes(b"one")
    first = load_encoder(folder)
    assert folder / "spm.model" in first.tokenizer_files
    (folder / "spm.model").write_bytes(b"other")
    assert load_encoder(folder).sha256 != first.sha256


OTHERS_AFTER_PADDING = {
    "data2vec-text": {}, "esm": {}, "ibert": {}, "longformer": {"attention_window": 4}, "luke": {"entity_vocab_size": 5},
    "markuplm": {}, "roberta-prelayernorm": {}, "xlm-roberta-xl": {}, "xmod": {"default_language": "en_XX"},
}  # fmt: skip


@pytest.mark.parametrize("model_type", OTHERS_AFTER_PADDING)
def test_families_whose_positions_start_behind_the_padding_have_two_tokens_less(
    model_type: str, tmp_path: Path
) -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = make_encoder(tmp_path / "encoder")
    config = AutoConfig.for_model(
        model_type, vocab_size=320, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=20, pad_token_id=1, **OTHERS_AFTER_PADDING[model_type],
    )  # fmt: skip
    module = AutoModelForSequenceClassification.from_config(config).eval()
    module.save_pretrained(folder)
    limit = load_encoder(folder).max_tokens
    assert limit == 18
    with torch.inference_mode():
        module(input_ids=torch.full((1, limit), 5))
        with pytest.raises((IndexError, RuntimeError)):
            module(input_ids=torch.full((1, limit + 1), 5))
