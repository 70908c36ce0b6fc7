"""The model card: the hub's metadata and a page of measurements, checked before anyone sees it."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from driftgate.judge.parts import QUALITY
from driftgate.publish.acceptance import PLAN, SEED
from driftgate.publish.card_facts import Card, Variant
from driftgate.publish.card_tables import bounds_table, drift_table, files_table, flips_table, quality_text, speed_table
from driftgate.results.markdown import Markdown, code

_TEMPLATE = Path(__file__).with_name("card.md")
_TASK = "text-classification"
_REQUIRED = ("library_name", "pipeline_tag", "tags")
_QUANTIZED_TAGS = {"int8": "int8", "int4": "4-bit", "float4": "4-bit"}
"""The hub's tags, by the first part of a precision class."""
_ATTRIBUTES = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
"""Of what the tokenizers library gives for a text, by the input that takes it."""
_METRICS = {  # the hub's metric, and what of `Quality` it is
    "micro F1": ("f1", "micro_f1"),
    "macro F1": ("f1", "macro_f1"),
    "subset accuracy": ("accuracy", "subset_accuracy"),
}


def render_card(card: Card) -> str:
    """The card's Markdown, with its metadata in front.

    Raises:
        ValueError: the metadata would not survive the hub's own reader.
    """
    import jinja2

    metadata = _metadata(card)
    # What the template is given is escaped, unless it is Markdown.
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, finalize=Markdown.escape)  # noqa: S701
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    text = template.render(card_data=Markdown(metadata.to_yaml()), **_parts(card)) + "\n"
    check_card(text, metadata)
    return text


def check_card(text: str, expected: Any = None) -> None:
    """Read the card as the hub does, and compare what comes back with what was meant.

    Args:
        expected: `ModelCardData`; None to check only that the card is whole.

    Raises:
        ValueError: no metadata, a key that is missing, or metadata that reads back as something else.
    """
    from huggingface_hub import ModelCard

    found: Any = ModelCard(text).data
    missing = [key for key in _REQUIRED if not found.get(key)]
    if missing:
        raise ValueError(f"model card: expected {', '.join(_REQUIRED)} in its metadata, missing: {', '.join(missing)}")
    if found.pipeline_tag != _TASK:
        raise ValueError(f"model card: expected pipeline_tag {_TASK}, found {found.pipeline_tag!r}")
    if expected is not None and found.to_dict() != expected.to_dict():
        raise ValueError("model card: its metadata reads back as something else")


def _metadata(card: Card) -> Any:
    from huggingface_hub import ModelCardData

    source = card.source
    extra: dict[str, Any] = dict(source.carried)
    if source.repository:
        extra |= {"base_model": source.repository, "base_model_relation": "quantized"}
    results = _eval_results(card)
    if results:
        extra |= {"eval_results": results, "model_name": _title(card), "metrics": ["f1", "accuracy"]}
    kinds = {variant.artifact.precision.partition("-")[0] for variant in card.variants}
    quantized = sorted({tag for kind, tag in _QUANTIZED_TAGS.items() if kind in kinds})
    return ModelCardData(
        library_name="onnx",
        pipeline_tag=_TASK,
        tags=["onnx", "onnxruntime", "optimum", _TASK, *quantized, "driftgate"],
        **extra,
    )


def _eval_results(card: Card) -> list[Any]:
    from huggingface_hub import EvalResult

    corpus = card.corpus
    return [
        EvalResult(
            task_type=_TASK,
            dataset_type=corpus.pinned or corpus.name,
            dataset_name=f"{corpus.name}, {len(corpus)} rows",
            metric_type=metric,
            metric_name=f"{name} {policy}, {variant.model}",
            metric_value=round(getattr(both.backend, field), 4),
        )
        for variant in card.variants
        for policy, both in (variant.measured.get(QUALITY) or {}).items()
        for name, (metric, field) in _METRICS.items()
    ]


def _title(card: Card) -> str:
    return f"{card.source.encoder.name}-onnx" if card.model_id == "." else PurePosixPath(card.model_id).name


def _parts(card: Card) -> dict[str, Any]:
    """What the template is filled with."""
    example = min(card.variants, key=lambda variant: variant.artifact.size_bytes)
    path = PurePosixPath(example.model)
    versions = {name: one for variant in card.variants for name, one in variant.made.versions.items()}
    subfolder = f'subfolder="{path.parent}", ' if path.parent.name else ""
    return {
        "card": card,
        "encoder": card.source.encoder,
        "model_id": Markdown(card.model_id),
        "local": card.model_id == ".",
        "multi_label": card.source.multi_label,
        "pairs": card.source.encoder.takes_pairs,
        "example": example,
        "title": _title(card),
        "version": version("driftgate"),
        "texts": _texts(card),
        "tokens": f"{PLAN.max_tokens:,}",
        "files": files_table(card),
        "drift": drift_table(card),
        "flips": flips_table(card),
        "quality": quality_text(card),
        "speed": speed_table(card),
        "machine": _machine(card),
        "optimum_file": Markdown(f'{subfolder}file_name="{path.name}"'),
        "attributes": _ATTRIBUTES,
        "text": "ONNX Runtime answers in a few milliseconds.",
        "versions": _list_versions(versions),
        "recipe": _recipe,
        "code": code,
        "bounds": bounds_table(card),
    }


def _texts(card: Card) -> Markdown:
    corpus = card.corpus
    drawn = f" drawn from {corpus.drawn_from:,} with seed {SEED}" if corpus.drawn_from else ""
    labelled = "without labels" if corpus.labels is None else "labelled"
    kind = "pairs of texts" if card.source.encoder.takes_pairs else "texts"
    shown = code(corpus.pinned or corpus.name)
    return Markdown("{:,} {}{} of {} ({})").format(len(corpus), kind, drawn, shown, labelled)


def _machine(card: Card) -> str:
    environment, speed = card.environment, card.speed
    shown = ("torch", "transformers", "onnxruntime", "onnxruntime-gpu")
    versions = _list_versions({name: environment.versions[name] for name in shown if name in environment.versions})
    sets = ", ".join(environment.instruction_sets) or "no instruction sets that matter here"
    return (
        f"Measured on {environment.cpu} ({sets}), {environment.usable_cores} of {environment.cores} cores, {speed.threads} "
        f"threads, device {speed.device}; Python {environment.python}, {versions}. Other machines have other speedups."
    )


def _list_versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _recipe(variant: Variant) -> str:
    steps = " ▶ ".join(variant.made.steps)
    forms: dict[str, list[str]] = {}
    for note in variant.made.notes.values():
        for path, form in note.get("recipe", {}).items():
            forms.setdefault(form, []).append(path)
    if not forms:
        return steps
    kept = "; ".join(f"{form} for {', '.join(paths)}" for form, paths in forms.items())
    return f"{steps}; by a recipe, these products are stored otherwise: {kept}"
