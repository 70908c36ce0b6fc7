"""Checks of the files around a model."""

import re
from collections.abc import Iterator
from pathlib import Path

from driftgate.doctor.facts import Facts
from driftgate.doctor.findings import Finding, Subject, megabytes
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
        subject = Subject(Path(source.folder).name or source.folder)
        if not source.has_config and facts.graphs and source.refused is None:
            yield subject.note(
                "no-config",
                f"{source.folder}: no config.json beside the graph or one folder up",
                "labels, problem type and sizes are not known: only the graph itself was looked at",
                "put config.json and the tokenizer's files of the encoder there",
            )
            continue
        if source.refused is not None:
            yield subject.problem(
                "refused",
                source.refused,
                "driftgate cannot build or run it",
                "fix the reported error",
            )
        yield from _check_config(subject, source)
        yield from _check_tokenizer(subject, source)
        yield from _check_weights(subject, source)


def _check_config(subject: Subject, source: Source) -> Iterator[Finding]:
    if source.config_error is not None:
        yield subject.problem(
            "config-unreadable",
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
        yield subject.warning(
            "problem-type-unsaid",
            f"config.json does not say problem_type; labels: {number}",
            _UNSAID_OF_ONE if one else _UNSAID,
            f'add "problem_type": "{"regression" if one else "single_label_classification"}" or "multi_label_classification"',
        )
    if source.labels is None or all(_UNNAMED.fullmatch(label) for label in source.labels):
        yield subject.note(
            "labels-unnamed",
            f"config.json names no labels: {', '.join((source.labels or ('none',))[:3])}",
            "predictions are numbers instead of label names",
            "add id2label and label2id",
        )


def _check_tokenizer(subject: Subject, source: Source) -> Iterator[Finding]:
    if source.tokenizer and "tokenizer.json" not in source.tokenizer:
        yield subject.warning(
            "slow-tokenizer",
            f"no tokenizer.json, only {', '.join(source.tokenizer)}",
            "the tokenizer is converted at every start, and programs that use the tokenizers library alone cannot load it",
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes it",
        )
    if not source.tokenizer and source.refused is None:
        yield subject.problem(
            "no-tokenizer",
            f"{source.folder}: no tokenizer files",
            "texts cannot become the tokens that the model was trained on",
            "save the tokenizer beside the model",
        )


def _check_weights(subject: Subject, source: Source) -> Iterator[Finding]:
    if source.pickled and not source.weights:
        yield subject.warning(
            "pickled-weights",
            f"weights only in {', '.join(source.pickled)}",
            "pickled files can run code when they are loaded; driftgate refuses them unless they are allowed",
            "load them once in a sandbox and call save_pretrained(), which writes safetensors",
        )
    if source.non_finite:
        yield subject.problem(
            "weights-not-finite",
            f"NaN or infinity in {len(source.non_finite)} weights: {', '.join(source.non_finite[:5])}",
            "every answer is NaN, or depends on a number that training did not produce",
            "use an earlier checkpoint",
        )
    half = {kind: size for kind, size in source.weights.items() if kind in ("F16", "BF16")}
    if half:
        yield subject.note(
            "half-precision-weights",
            f"weights stored as {', '.join(f'{kind} ({megabytes(size)})' for kind, size in half.items())}",
            "the reference computes in float32 with weights that were rounded already: drift is measured from there",
            "compare with the original checkpoint, if there is one, as a backend of class checkpoint",
        )
