"""`driftgate publish`: artifacts that are judged, written with a model card of what was measured, and uploaded if asked."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftgate.backends import DEFAULT_OPSET, BackendSpec
from driftgate.cli import shared_options as shared
from driftgate.errors import OptionError
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.encoder import Encoder
from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.judge.bounds_file import describe_unread
from driftgate.pipeline import choose_backends, known_keys, require_buildable
from driftgate.publish.layout import Layout, describe_folders, place_of
from driftgate.publish.push import (
    Destination,
    describe_push,
    find_destination,
    open_hub,
    push_folder,
    require_repository,
)
from driftgate.results.console import Console

if TYPE_CHECKING:  # scikit-learn is slow to import
    from driftgate.publish.acceptance import Trial
    from driftgate.publish.publication import Published

_HUB = "Hugging Face hub"


def publish(
    encoder: shared.EncoderArgument,
    backends: shared.Backends,
    out: shared.ArtifactFolder,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="The texts to judge on, with labels if F1 is to be judged: a file or hub:NAME. The default is the corpus that "
            "comes with driftgate.",
            metavar="FILE",
        ),
    ] = None,
    corpus_rows: shared.CorpusRows = 0,
    text_column: shared.TextColumn = "",
    pair_column: shared.PairColumn = "",
    label_column: shared.LabelColumn = "",
    label_separator: shared.LabelSeparator = ",",
    bounds: shared.OwnBounds = None,
    not_shown: Annotated[
        NotShown,
        typer.Option(
            help="Which bounds have to be shown to hold. If the texts are too few to show it, nothing is written and the exit "
            "code is 7. The values are drift (the bounds of drift), fail (all bounds) and warn (none)."
        ),
    ] = NotShown.DRIFT,
    layout: shared.LayoutOption = None,
    rebuild: shared.Rebuild = False,
    device: shared.Device = "cpu",
    threads: shared.Threads = 0,
    opset: shared.Opset = DEFAULT_OPSET,
    no_shape_inference: shared.NoShapeInference = False,
    calibration: shared.Calibration = None,
    max_tokens: shared.MaxTokens = None,
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            help="Upload what was judged to this repository, in one commit. The layout is then hub.",
            metavar="OWNER/NAME",
            rich_help_panel=_HUB,
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.", rich_help_panel=_HUB)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be uploaded, and upload nothing.", rich_help_panel=_HUB)
    ] = False,
) -> None:
    """Judge ONNX backends and write them with a model card: model, config.json, tokenizer, golden vectors, card, manifest.

    Each backend is compared with torch on a corpus and held to the bounds of its class. Nothing is written if a bound is broken
    (exit code 1), or if the corpus has too few texts to show that drift is within its bounds (exit code 7).

    Examples:

    `driftgate publish fixtures/encoders/goemotions-roberta-mini --backends onnx-int8 --out int8`

    `driftgate publish SamLowe/roberta-base-go_emotions --backends onnx-fp32,onnx-int8 --corpus dev.tsv --text-column 0
    --label-column 1 --out artifacts --push-to-hub ME/go_emotions-onnx --dry-run`
    """
    if (private or dry_run) and not push_to_hub:
        option = "--private" if private else "--dry-run"
        raise OptionError(f"{option}: expected --push-to-hub OWNER/NAME with it")
    if push_to_hub and layout is Layout.FOLDER:
        raise OptionError("--push-to-hub with --layout folder: repositories have the layout hub; leave --layout out")
    shared.require_file(corpus, "--corpus", ("--pair-column", pair_column), ("--label-column", label_column))
    shared.require_file(corpus or calibration, "--corpus", ("--text-column", text_column))
    shared.let_idle_threads_sleep()
    layout = layout or (Layout.HUB if push_to_hub else Layout.FOLDER)
    console = Console(stderr=True, soft_wrap=True)
    source = shared.open_source(encoder, revision, allow_pickle, max_tokens, pair_column)
    # Everything that can be wrong is read before minutes of building.
    columns = Columns(text_column, label_column, label_separator, pair=pair_column)
    texts = load_corpus(corpus, source, columns) if corpus else None
    settings = shared.read_settings(threads, device)
    specs = choose_backends(
        backends,
        device=settings.device.kind,
        calibration=shared.read_calibration(calibration, source, columns),
        opset=opset,
        shape_inference=not no_shape_inference,
    )
    require_buildable(specs)

    from driftgate.publish.acceptance import open_trial
    from driftgate.publish.publication import publish as judge_and_write  # scikit-learn is slow to import

    trial = open_trial(source, texts, corpus_rows, bounds, settings, not_shown)
    for line in describe_unread(trial.bounds, known_keys()):
        console.print(f"driftgate: {line}")
    if push_to_hub:
        require_repository(push_to_hub)
    hub = open_hub() if push_to_hub and not dry_run else None
    destination = _choose_destination(push_to_hub, specs, source, private=private, hub=hub) if push_to_hub else None
    with console.announcing() as announce:
        published = judge_and_write(
            source,
            specs,
            out,
            trial,
            layout=layout,
            model_id=destination.repository if destination else ".",
            rebuild=rebuild,
            announce=announce,
        )
    _report(published, source, trial, console)
    for line in describe_folders(published.folders, layout):
        typer.echo(line)
    if published.exit_code:
        raise typer.Exit(published.exit_code)
    if destination and dry_run:
        typer.echo(describe_push(out, destination))
    elif destination:
        with console.status(f"driftgate: pushing to {destination.repository}"):
            url = push_folder(out, destination, f"Add {', '.join(published.folders)}, built by driftgate", hub)
        typer.echo(url)


def _choose_destination(
    repository: str, specs: Iterable[BackendSpec], encoder: Encoder, *, private: bool, hub: Any
) -> Destination:
    """The repository to push to, with what is there already where there is a hub to ask."""
    if hub is None:
        return Destination(repository, private or None, exists=False)
    models = [place_of(spec.name, Layout.HUB) for spec in specs]
    clients = ["config.json", "thresholds.json", "tokenizer.json", *(path.name for path in encoder.tokenizer_files)]
    return find_destination(repository, models, clients, private=private, api=hub)


def _report(published: "Published", encoder: Encoder, trial: "Trial", console: Console) -> None:
    """Print each backend's line, then the bounds that are broken and those that are not shown to hold."""
    from driftgate.publish.acceptance import render_failures, render_judged, render_unshown

    where = f"encoder {encoder.name}, corpus {trial.corpus.name} ({len(trial.corpus):,} rows)"
    console.print(f"driftgate: judged on {where}")
    lines = [render_judged(assessment) for assessment in published.assessments]
    if published.failures:
        lines += render_failures(published.failures, where)
    lines += render_unshown(published.assessments, len(trial.corpus), trial.not_shown, published.exit_code)
    for line in lines:
        console.print(line)
