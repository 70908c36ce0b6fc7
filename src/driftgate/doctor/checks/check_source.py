"""Checks of the files around a model."""

import re
from collections.abc import Iterator
from pathlib import Path

from driftgate.doctor.facts import Facts
from driftgate.doctor.findings import Finding, Severity, megabytes
from driftgate.doctor.model_facts import Source

_UNNAMED = re.compile(r"LABEL_\d+")
_UNSAID = (
    "programs have to guess, and take softmax over several labels. For a model trained with a sigmoid for each label, every "
    "probability is then wrong"
)
_UNSAID_OF_ONE = (
    "programs have to guess, and take a sigmoid of its one logit. For a regression or a reranker, whose logit is the answer, "
    "every score is then wrong"
)


def check_sources(facts: Facts) -> Iterator[Finding]:
    """Everything about configuration, tokenizer and weights."""
    for source in facts.sources:
        if not source.has_config and facts.graphs and source.refused is None:
            yield Finding(
                "no-config",
                Severity.NOTE,
                _name(source),
                f"{source.folder}: no config.json beside the graph or one folder up",
                "labels, problem type and sizes are not known: only the graph itself was looked at",
                "put config.json and the tokenizer's files of the encoder there",
            )
            continue
        if source.refused is not None:
            yield Finding(
                "refused",
                Severity.PROBLEM,
                _name(source),
                source.refused,
                "driftgate cannot build or run it",
                "fix the reported error",
            )
        yield from _check_config(source)
        yield from _check_tokenizer(source)
        yield from _check_weights(source)


def _name(source: Source) -> str:
    return Path(source.folder).name or source.folder


def _check_config(source: Source) -> Iterator[Finding]:
    if source.config_error is not None:
        yield Finding(
            "config-unreadable",
            Severity.PROBLEM,
            _name(source),
            f"config.json: {source.config_error}",
            "nothing can load the model",
            "fetch or save it again",
        )
        return
    if not source.has_config:
        return
    if source.problem_type is None:
        number = "unknown" if source.labels is None else len(source.labels)
        one = number == 1
        yield Finding(
            "problem-type-unsaid",
            Severity.WARNING,
            _name(source),
            f"config.json does not say problem_type; labels: {number}",
            _UNSAID_OF_ONE if one else _UNSAID,
            f'add "problem_type": "{"regression" if one else "single_label_classification"}" or "multi_label_classification"',
        )
    if source.labels is None or all(_UNNAMED.fullmatch(label) for label in source.labels):
        yield Finding(
            "labels-unnamed",
            Severity.NOTE,
            _name(source),
            f"config.json names no labels: {', '.join((source.labels or ('none',))[:3])}",
            "predictions are numbers instead of label names",
            "add id2label and label2id",
        )


def _check_tokenizer(source: Source) -> Iterator[Finding]:
    if source.tokenizer and "tokenizer.json" not in source.tokenizer:
        yield Finding(
            "slow-tokenizer",
            Severity.WARNING,
            _name(source),
            f"no tokenizer.json, only {', '.join(source.tokenizer)}",
            "the tokenizer is converted at every start, and programs that use the tokenizers library alone cannot load it",
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes it",
        )
    if not source.tokenizer and source.refused is None:
        yield Finding(
            "no-tokenizer",
            Severity.PROBLEM,
            _name(source),
            f"{source.folder}: no tokenizer files",
            "texts cannot become the tokens that the model was trained on",
            "save the tokenizer beside the model",
        )


def _check_weights(source: Source) -> Iterator[Finding]:
    if source.pickled and not source.weights:
        yield Finding(
            "pickled-weights",
            Severity.WARNING,
            _name(source),
            f"weights only in {', '.join(source.pickled)}",
            "pickled files can run code when they are loaded; driftgate refuses them unless they are allowed",
            "load them once in a sandbox and call save_pretrained(), which writes safetensors",
        )
    if source.non_finite:
        yield Finding(
            "weights-not-finite",
            Severity.PROBLEM,
            _name(source),
            f"NaN or infinity in {len(source.non_finite)} weights: {', '.join(source.non_finite[:5])}",
            "every answer is NaN, or depends on a number that training did not produce",
            "use an earlier checkpoint",
        )
    half = {kind: size for kind, size in source.weights.items() if kind in ("F16", "BF16")}
    if half:
        yield Finding(
            "half-precision-weights",
            Severity.NOTE,
            _name(source),
            f"weights stored as {', '.join(f'{kind} ({megabytes(size)})' for kind, size in half.items())}",
            "the reference computes in float32 with weights that were rounded already: drift is measured from there",
            "compare with the original checkpoint, if there is one, as a backend of class checkpoint",
        )
