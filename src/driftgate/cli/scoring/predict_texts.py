"""Scores of texts that were given as arguments or as lines, of one backend or several side by side."""

import io
import sys
from dataclasses import replace

import numpy as np

from driftgate.arrays import Logits
from driftgate.builder.models import Model
from driftgate.errors import ArtifactError, CorpusError, OptionError
from driftgate.inputs.batches import BatchPlan
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.inputs.recorded_tokenizer import open_tokenizer
from driftgate.inputs.thresholds import limit_tokens
from driftgate.inputs.tokens import tokenize
from driftgate.pipeline import open_backend
from driftgate.predict.one_score import TextScores, tabulate_text_scores
from driftgate.predict.scores import Scores, flipped_labels, largest_difference, tabulate, tabulate_side_by_side
from driftgate.results.console import Console
from driftgate.run.backend import predict as run
from driftgate.run.device import RunSettings

_PIPED_WIDTH = 200  # what reads a pipe has no lines to break


def usual_thresholds(encoder: Encoder) -> tuple[float, ...] | None:
    """The encoder's own, else 0.5; None where the most probable label is the answer."""
    if encoder.problem_type is not ProblemType.MULTI_LABEL:
        return None
    return encoder.thresholds or (0.5,) * len(encoder.labels)


def used_as(model: Model, max_tokens: int | None, *, pairs: bool = False) -> Model:
    """The model with its limit of tokens, on texts or on pairs of texts."""
    return replace(model, encoder=limit_tokens(replace(model.encoder, takes_pairs=pairs), max_tokens))


def refuse_other_labels(models: list[Model]) -> None:
    """Refuse to compare backends of different labels.

    Raises:
        ArtifactError: names the first that differs.
    """
    for other in models[1:]:
        if other.encoder.labels != models[0].encoder.labels:
            raise ArtifactError(
                f"{other.backend}: its labels, or their order, are not those of {models[0].backend}; "
                "only backends of one task can be compared"
            )


def refuse_label_options(encoder: Encoder, top: int | None, thresholds: str | None, *, logits: bool) -> None:
    """Refuse what chooses among labels where the encoder has one score and no labels.

    Raises:
        OptionError: names the first option that was given.
    """
    given = {"--top": top is not None, "--logits": logits, "--thresholds": thresholds is not None}
    found = [name for name, is_given in given.items() if is_given]
    if encoder.gives_score and found:
        raise OptionError(
            f"{found[0]}: {encoder.name} gives each text one score, which is its logit, and has no labels; leave the option out"
        )


def score(
    model: Model, texts: list[str], plan: BatchPlan, settings: RunSettings, thresholds: tuple[float, ...] | None
) -> Scores:
    """The scores of one backend for all texts."""
    from driftgate.judge.probabilities import decide, to_probabilities  # SciPy is slow to import

    multi_label = model.encoder.problem_type is ProblemType.MULTI_LABEL
    name, logits = _answer(model, texts, plan, settings)
    probabilities = to_probabilities(logits, multi_label=multi_label)
    decisions = decide(probabilities, np.array(thresholds or 0.5), multi_label=multi_label)
    return Scores(name, model.encoder.labels, logits, probabilities, decisions)


def score_alone(model: Model, texts: list[str], plan: BatchPlan, settings: RunSettings) -> TextScores:
    """The score that one backend of an encoder of one score gives each text."""
    name, logits = _answer(model, texts, plan, settings)
    return TextScores(name, tuple(logits[:, 0].astype(float).tolist()))


def _answer(model: Model, texts: list[str], plan: BatchPlan, settings: RunSettings) -> tuple[str, Logits]:
    """The backend's name and its logits, float32, (texts, labels)."""
    with Console(stderr=True).announcing() as announce:
        announce(model.backend.partition("=")[0])
        backend = open_backend(model.encoder, model.backend, settings)
        return backend.spec.name, run(backend, tokenize(model.encoder, texts, open_tokenizer(model.encoder)), plan)


def show(
    texts: list[str], scores: tuple[Scores, ...], top: int, *, logits: bool, thresholds: tuple[float, ...] | None
) -> None:
    """Print a table for each text."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _PIPED_WIDTH)
    for row, text in enumerate(texts):
        console.print(text, style="bold", soft_wrap=True)
        if len(scores) == 1:
            console.print(tabulate(scores[0], row, top, logits=logits, thresholds=thresholds))
            continue
        console.print(tabulate_side_by_side(scores, row, top, logits=logits))
        largest = largest_difference(scores, row, logits=logits)
        flipped = ", ".join(flipped_labels(scores, row))
        console.print(
            f" largest difference: {largest.value:+.1e} ({largest.label}, {largest.backend}); "
            f"decisions that flip: {flipped or 'none'}",
            soft_wrap=True,
        )


def show_alone(texts: list[str], scores: tuple[TextScores, ...]) -> None:
    """Print a table of all texts: a column for each backend, and its difference from the first."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _PIPED_WIDTH)
    console.print(tabulate_text_scores(texts, scores))


def read_standard_input() -> list[str]:
    """One text a line, UTF-8 whatever the locale; bytes that are not become lone surrogates, refused below."""
    content = sys.stdin.buffer.read().decode("utf-8-sig", "surrogateescape")
    return [line.rstrip("\n") for line in io.StringIO(content, newline=None)]


def refuse_unusable(texts: list[str]) -> None:
    """Refuse texts that are empty or no text.

    Raises:
        CorpusError: names them by number.
    """
    empty = [number for number, text in enumerate(texts, 1) if not text.strip()]
    undecodable = [number for number, text in enumerate(texts, 1) if any("\ud800" <= char <= "\udfff" for char in text)]
    if texts and not empty and not undecodable:
        return
    where = "no text was given"
    if texts:
        numbers, what = (empty, "empty") if empty else (undecodable, "not valid UTF-8")
        where = f"text {', '.join(map(str, numbers[:10]))} is {what}"
    raise CorpusError(f"expected texts to classify, {where}; give them as arguments or one a line on standard input")
