"""The tables of a model card: a row for each measurement, a column for each model file."""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.judge.parts import AGREEMENT, DRIFT, FLIPS, LOSSES, QUALITY
from driftgate.judge.quality import MIN_SUPPORT, Quality
from driftgate.publish.card_facts import Card
from driftgate.results.markdown import Markdown, code, table

_QUALITY: Mapping[str, Callable[[Quality], float]] = {
    "subset accuracy (the whole label set is right)": lambda quality: quality.subset_accuracy,
    "micro precision": lambda quality: quality.micro_precision,
    "micro recall": lambda quality: quality.micro_recall,
    "micro F1": lambda quality: quality.micro_f1,
    "macro precision": lambda quality: quality.macro_precision,
    "macro recall": lambda quality: quality.macro_recall,
    "macro F1": lambda quality: quality.macro_f1,
    "Matthews correlation": lambda quality: quality.mcc,
}


def files_table(card: Card) -> Markdown:
    """The model files, as `driftgate verify` reads them back: size, opset and digest are in words that it knows."""
    rows = [
        (
            code(variant.model),
            code(variant.assessment.backend),
            str(variant.artifact.precision),
            variant.arithmetic,
            str(variant.file.opset["ai.onnx"]),
            f"{variant.artifact.size_bytes:,} bytes",
            f"{variant.artifact.size_bytes / card.source.weights_bytes:.3f}",
        )
        for variant in card.variants
    ]
    weights = ("torch weights of the source", code("torch"), "", "", "", f"{card.source.weights_bytes:,} bytes", "1")
    headings = ("file", "backend", "class", "compute dtype", "opset", "size", "size ratio")
    return table(headings, [*rows, weights])


def drift_table(card: Card) -> Markdown:
    """Statistics of each text's largest probability difference; then means and extremes over everything."""
    drifts = [variant.measured.require(DRIFT) for variant in card.variants]
    largest = [drift.largest_per_text for drift in drifts]
    same = [f"{variant.measured.require(AGREEMENT).top1:.2%}" for variant in card.variants]
    percentiles = [name for name in largest[0].percentiles if name != "p50"]
    rows = [
        ("mean over texts", *(_small(one.mean) for one in largest)),
        ("standard deviation", *(_small(one.std) for one in largest)),
        ("min", *(_small(one.min) for one in largest)),
        ("median", *(_small(one.median) for one in largest)),
        *((name, *(_small(one.percentiles[name]) for one in largest)) for name in percentiles),
        ("max", *(_small(one.max) for one in largest)),
        ("mean difference over all texts and labels", *(_small(drift.mean_abs) for drift in drifts)),
        ("largest logit difference", *(_small(drift.max_abs_logit) for drift in drifts)),
        ("texts with the same most probable label", *same),
    ]
    return table(("largest probability difference of a text", *_names(card)), rows)


def flips_table(card: Card) -> Markdown:
    """Decisions and texts that flipped, by policy."""
    rows = []
    for policy in card.variants[0].measured.require(FLIPS):
        found = [variant.measured.require(FLIPS)[policy] for variant in card.variants]
        rows += [
            (f"flips {policy}", *(f"{flips.total:,} of {flips.decisions:,} ({flips.rate:.3%})" for flips in found)),
            (f"texts with a flip {policy}", *(f"{flips.rows:,} of {len(card.corpus):,}" for flips in found)),
        ]
        judged = [flips.against_truth for flips in found if flips.against_truth is not None]
        if judged:
            changed = (f"{one.negative:,} + {one.positive:,}" for one in judged)
            rows.append((f"flips {policy}, negative (right to wrong) + positive (wrong to right)", *changed))
    return table(("decisions", *_names(card)), rows)


def quality_text(card: Card) -> Markdown:
    """A table for each decision policy, or that nothing can be said."""
    if card.corpus.labels is None:
        return Markdown("Not measured, because the texts that it was judged on have no labels.")
    parts: list[str] = []
    for policy, both in card.variants[0].measured.require(QUALITY).items():
        sides = [both.reference, *(variant.measured.require(QUALITY)[policy].backend for variant in card.variants)]
        rows = [(name, *(f"{read(side):.4f}" for side in sides)) for name, read in _QUALITY.items()]
        supported = f"macro F1 of the {both.reference.supported_labels} labels with {MIN_SUPPORT} texts or more"
        rows.append((supported, *(f"{side.macro_f1_supported:.4f}" for side in sides)))
        losses = [variant.measured.require(LOSSES)[policy]["macro_f1"] for variant in card.variants]
        intervals = (f"{one.loss:+.4f} [{one.low:+.4f}, {one.high:+.4f}]" for one in losses)
        rows.append(("loss of macro F1 [90% interval]", "", *intervals))
        decided = f"Decided {policy}:" if card.source.multi_label else "The most probable label:"
        parts += [decided, table(("", "torch", *_names(card)), rows)]
    return Markdown("\n\n").join(parts)


def speed_table(card: Card) -> Markdown:
    """Texts per second of torch, and ratios to it, by batch plan."""
    ratios = [card.speed.ratios[variant.assessment.backend] for variant in card.variants]
    rows = []
    for plan, texts in card.speed.torch_texts_per_second.items():
        found = (f"{one[plan].median:.2f} [{one[plan].low:.2f}, {one[plan].high:.2f}]" for one in ratios)
        rows.append((plan, f"{texts:.1f}", *found))
    blocks = next(iter(ratios[0].values())).blocks
    headings = (Markdown("{}, speedup vs torch").format(name) for name in _names(card))
    return table((f"batch plan, {blocks} blocks", "torch, texts per second", *headings), rows)


def bounds_table(card: Card) -> Markdown:
    """Every bound that was checked, with the value it was held to."""
    held = [{one.bound.metric: one for one in variant.assessment.verdicts} for variant in card.variants]
    rows = [
        (code(metric), *(_held(verdicts.get(metric)) for verdicts in held))
        for metric in dict.fromkeys(metric for verdicts in held for metric in verdicts)
    ]
    return table(("metric", *_names(card)), rows)


def _held(verdict: MetricVerdict | None) -> str:
    if verdict is None:
        return ""
    rule = f"{'≤' if verdict.bound.at_most else '≥'} {verdict.limit:g}"
    if not verdict.limits.high_level:
        return f"{_small(verdict.value)} {rule}"
    limit = f"{_small(verdict.value)} (up to {_small(verdict.limits.high)}) {rule}"
    return limit if verdict.verdict is Outcome.PASS else f"{limit}, not shown"


def _names(card: Card) -> list[Markdown]:
    return [code(PurePosixPath(variant.model).name) for variant in card.variants]


def _small(value: float) -> str:
    return f"{value:.3g}"
