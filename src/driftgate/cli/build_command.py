"""`driftgate build`: artifacts that others can load, judged before they are published, with a card of what was measured."""

import os
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from driftgate.backends import DEFAULT_OPSET
from driftgate.builder.artifact import model_files
from driftgate.cli.build_checks import (
    choose_destination,
    require_alone,
    require_consistent,
    require_target,
    say_what_was_judged,
    weigh,
)
from driftgate.edges.escape import for_terminal
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.thresholds import limit_tokens
from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.judge.bounds_file import describe_unread
from driftgate.pipeline import choose_backends, known_keys, require_buildable
from driftgate.publish.layout import Layout, place_of
from driftgate.publish.push import describe_push, open_hub, push_folder, require_repository
from driftgate.publish.sizes import DEFAULT_FORMS
from driftgate.results.console import Console
from driftgate.run.device import RunSettings, available_threads, parse_device

_LEDGER_ROWS = 200
_EXPORTING, _REPORTING = "Exporting", "Reporting"
_JUDGING, _PUBLISHING = "Judging", "Publishing"


class Report(StrEnum):
    """What `--report` can show."""

    SIZE = "size"


def build(  # noqa: C901 - options, read one after the other
    encoder: Annotated[
        str,
        typer.Argument(help="The encoder: a folder, or the id of a model on the Hugging Face hub.", metavar="ENCODER"),
    ],
    backend: Annotated[
        str | None,
        typer.Option(
            help="The backends to build, separated by commas, such as onnx-fp16,onnx-int8.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder to write, which must be new or empty. Several backends get a folder each in it.",
            show_default=False,
        ),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build every artifact again instead of taking it from the cache.")
    ] = False,
    device: Annotated[
        str, typer.Option(help="The device that the files are built for: cpu or cuda.", metavar="DEVICE")
    ] = "cpu",
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="The texts that build steps with calibration run the model on. By default these are texts that "
            "come with driftgate."
        ),
    ] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Load pickled weights. Such files can run code when they are loaded.")
    ] = False,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Truncate texts to this many tokens, special tokens included. The default is the encoder's own limit.",
            min=1,
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="The revision of an encoder on the hub.")] = None,
    opset: Annotated[
        int,
        typer.Option(
            help="The version of ONNX's operators, from 17 to 22. Row-wise INT8 needs at least 18.",
            rich_help_panel=_EXPORTING,
        ),
    ] = DEFAULT_OPSET,
    no_shape_inference: Annotated[
        bool,
        typer.Option(
            "--no-shape-inference",
            rich_help_panel=_EXPORTING,
            help="Skip the inference of shapes before float16, for very large models. ONNX Runtime's quantizers "
            "always infer them.",
        ),
    ] = False,
    report: Annotated[
        Report | None,
        typer.Option(
            rich_help_panel=_REPORTING,
            help="Print a report. size is a table of how large the encoder is in every form; it needs neither "
            "--backend nor --out.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON.", rich_help_panel=_REPORTING)
    ] = False,
    ledger: Annotated[
        bool,
        typer.Option("--ledger", help="Print what each build step adds in drift and flips.", rich_help_panel=_JUDGING),
    ] = False,
    corpus: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_JUDGING,
            help="The texts to judge on, with labels if F1 is to be judged: a file or hub:NAME. The default is "
            "the corpus that comes "
            f"with driftgate (for the ledger, {_LEDGER_ROWS} of its texts).",
        ),
    ] = None,
    corpus_rows: Annotated[
        int,
        typer.Option(
            help="Judge on this many rows, drawn with a fixed seed. 0 means all rows.", min=0, rich_help_panel=_JUDGING
        ),
    ] = 0,
    text_column: Annotated[
        str,
        typer.Option(
            help="The column of the texts: its name, or its position if the file has no header.",
            rich_help_panel=_JUDGING,
        ),
    ] = "",
    pair_column: Annotated[
        str,
        typer.Option(
            help="The column of the second texts, by name or position, if the rows are pairs.", rich_help_panel=_JUDGING
        ),
    ] = "",
    label_column: Annotated[
        str, typer.Option(help="The column of the labels, by name or position.", rich_help_panel=_JUDGING)
    ] = "",
    label_separator: Annotated[
        str, typer.Option(help="What separates several labels in one field.", rich_help_panel=_JUDGING)
    ] = ",",
    bounds: Annotated[
        Path | None,
        typer.Option(
            help="A file with bounds of your own. They take precedence over those of the accuracy suite.",
            rich_help_panel=_JUDGING,
        ),
    ] = None,
    not_shown: Annotated[
        NotShown,
        typer.Option(
            help="Which bounds have to be shown to hold. If the texts are too few to show it, nothing is "
            "written and the exit code is "
            "7. The values are drift (the bounds of drift), fail (all bounds) and warn (none).",
            rich_help_panel=_JUDGING,
        ),
    ] = NotShown.DRIFT,
    no_verify: Annotated[
        bool,
        typer.Option(
            "--no-verify", help="Publish without judging, and therefore without a model card.", rich_help_panel=_JUDGING
        ),
    ] = False,
    threads: Annotated[
        int,
        typer.Option(
            help="How many threads every backend uses. 0 means every core that this process may use.",
            min=0,
            rich_help_panel=_JUDGING,
        ),
    ] = 0,
    layout: Annotated[
        Layout | None,
        typer.Option(
            rich_help_panel=_PUBLISHING,
            help="folder writes model.onnx with everything that loads it. hub writes onnx/model.onnx, "
            "onnx/model_fp16.onnx and so on.",
            show_default="folder, or hub with --push-to-hub",
        ),
    ] = None,
    push_to_hub: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", help="Upload what was judged, in one commit.", rich_help_panel=_PUBLISHING),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.", rich_help_panel=_PUBLISHING)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what would be uploaded, and upload nothing.", rich_help_panel=_PUBLISHING
        ),
    ] = False,
) -> None:
    """Build ONNX backends and publish them: model, config.json, tokenizer, golden vectors, model card, manifest.

    Each is asked beside torch on a corpus and held to the bounds of its class. Nothing is written where a bound is broken (exit
    code 1), or where the corpus has too few texts to show that drift is within its bounds (exit code 7).

    Examples:

    `driftgate build fixtures/encoders/goemotions-roberta-mini --backend onnx-int8 --out int8 --ledger`

    `driftgate build SamLowe/roberta-base-go_emotions --backend onnx-fp32,onnx-int8 --layout hub --corpus dev.tsv --text-column 0
    --label-column 1 --out artifacts --push-to-hub ME/go_emotions-onnx --dry-run`

    `driftgate build fixtures/encoders/goemotions-roberta-mini --report size`
    """
    if report is None or out is not None:
        backend, out = require_target(backend, out, as_json=as_json)
    else:
        require_alone({
            "--ledger": ledger, "--corpus": corpus, "--bounds": bounds, "--no-verify": no_verify, "--layout": layout,
            "--push-to-hub": push_to_hub,
        })  # fmt: skip
    require_consistent(
        corpus=corpus, pair_column=pair_column, bounds=bounds, not_shown=not_shown, ledger=ledger, no_verify=no_verify,
        layout=layout, push=push_to_hub, private=private, dry_run=dry_run,
    )  # fmt: skip
    # Read when torch is imported: its spinning threads would slow whatever is timed beside it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    layout = layout or (Layout.HUB if push_to_hub else Layout.FOLDER)
    console = Console(stderr=True, soft_wrap=True)
    columns = Columns(text_column, label_column, label_separator, pair=pair_column)
    loaded = load_encoder(encoder, allow_pickle=allow_pickle, revision=revision)
    source = limit_tokens(replace(loaded, takes_pairs=bool(pair_column)), max_tokens)
    # A mistake in what follows is said before minutes of building.
    texts = load_corpus(corpus, source, columns) if corpus else None
    watched = load_corpus(calibration, source, columns if pair_column else None) if calibration else None
    settings = RunSettings(threads or available_threads(), parse_device(device))
    specs = choose_backends(
        DEFAULT_FORMS if backend is None else backend,
        device=settings.device.kind,
        calibration=watched,
        opset=opset,
        shape_inference=not no_shape_inference,
    )
    require_buildable(specs)
    if out is None:
        typer.echo(weigh(source, specs, console, rebuild=rebuild, as_json=as_json), nl=False)
        return

    from driftgate.publish.acceptance import open_trial
    from driftgate.publish.publication import publish  # scikit-learn is slow to import

    trial = None if no_verify else open_trial(source, texts, corpus_rows, bounds, settings, not_shown)
    for line in describe_unread(trial.bounds, known_keys()) if trial else ():
        console.print(f"driftgate: {line}")
    if push_to_hub:
        require_repository(push_to_hub)
    hub = open_hub() if push_to_hub and not dry_run else None
    destination = choose_destination(push_to_hub, specs, source, private=private, hub=hub) if push_to_hub else None
    with console.announcing() as announce:
        published = publish(
            source,
            specs,
            out,
            trial,
            layout=layout,
            model_id=destination.repository if destination else ".",
            rebuild=rebuild,
            announce=announce,
        )
    say_what_was_judged(published, source, trial, console)
    for name, folder in published.folders.items():
        size = sum(path.stat().st_size for path in model_files(folder / place_of(name, layout).model))
        typer.echo(for_terminal(f"{name}: {folder} ({size / 1e6:.1f} MB)"))
    if ledger:
        from driftgate.explain.ledger import tabulate_ledgers

        with console.status("driftgate: ledger"):
            asked = texts or throughput_corpus("normal", pairs=source.takes_pairs).sample(_LEDGER_ROWS)
            table = tabulate_ledgers(source, specs, asked, RunSettings(settings.threads), console.width)
        typer.echo(table, nl=False)
    if report:
        typer.echo(weigh(source, specs, console), nl=False)
    if published.exit_code:
        raise typer.Exit(published.exit_code)
    if destination and dry_run:
        typer.echo(describe_push(out, destination))
    elif destination:
        with console.status(f"driftgate: pushing to {destination.repository}"):
            url = push_folder(out, destination, f"Add {', '.join(published.folders)}, built by driftgate", hub)
        typer.echo(url)
