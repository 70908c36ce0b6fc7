"""`driftgate plot`: throughput of any devices and backends side by side, as a picture."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from driftgate.bench.compare_runs import best_table, read_results, require_baseline, split_corpora
from driftgate.bench.plots import draw_batch_sizes, draw_best, require_format, save_figure
from driftgate.edges.escape import for_terminal
from driftgate.errors import ResultsError
from driftgate.results.console import Console
from driftgate.results.tables import render


class Kind(StrEnum):
    """What a picture shows."""

    BEST = "best"
    BATCH_SIZES = "batch-sizes"


def plot(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Files bench.json and DEVICE_BACKEND_CORPUS.tsv, and folders of them, from any machines.",
            metavar="RESULTS...",
        ),
    ],
    out: Annotated[
        list[Path],
        typer.Option(
            help="The picture to write (.png, .svg or .pdf). The option may be repeated for other formats.",
            metavar="FILE",
        ),
    ],
    corpus: Annotated[
        str | None, typer.Option(help="Draw this corpus only. By default each corpus gets a picture.")
    ] = None,
    kind: Annotated[
        Kind,
        typer.Option(
            help="best draws a bar for each device and backend. batch-sizes draws texts per second over batch "
            "size, a line for each "
            "number of workers."
        ),
    ] = Kind.BEST,
    baseline: Annotated[
        str | None, typer.Option(help="A backend. Each bar gets its ratio to this one on the same device.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that exist.")] = False,
) -> None:
    """Draw the throughput of backends and devices as a picture, and print the best result of each.

    Results are what `driftgate bench --out` writes, and tables of the encoder-optimization guide. If there are several corpora,
    each gets a picture with its name after the file's: comparison-normal.png, comparison-filtered.png.

    Examples:

    `driftgate plot bench-results guide_results --corpus normal --baseline torch --out comparison.png --out comparison.svg`

    `driftgate plot bench-results --kind batch-sizes --out batch-sizes.svg`
    """
    for path in out:
        require_format(path)
    by_corpus = split_corpora(read_results(results), corpus)
    series = [each for of_corpus in by_corpus.values() for each in of_corpus]
    if baseline is not None:
        require_baseline(series, baseline)
    several = len(by_corpus) > 1
    targets = {name: [path.with_stem(f"{path.stem}-{name}") if several else path for path in out] for name in by_corpus}
    there = [str(path) for paths in targets.values() for path in paths if path.exists()]
    if there and not overwrite:
        raise ResultsError(f"{', '.join(there)}: there already; choose another name or add --overwrite")
    for name, paths in targets.items():
        figure = draw_best(by_corpus[name], baseline) if kind is Kind.BEST else draw_batch_sizes(by_corpus[name])
        for path in paths:
            save_figure(figure, path)
            typer.echo(for_terminal(f"wrote {path}"), err=True)
    typer.echo(render(best_table(series, baseline), Console().width), nl=False)
