"""What `driftgate build` does beside building: weigh, find where to push, say what was judged."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from driftgate.backends import BackendSpec
from driftgate.builder.layout import Layout, place_of
from driftgate.inputs.encoder import Encoder
from driftgate.publish.push import Destination, find_destination
from driftgate.publish.size_table import render_sizes
from driftgate.publish.sizes import measure_sizes
from driftgate.results.console import Console

if TYPE_CHECKING:  # scikit-learn is slow to import
    from driftgate.publish.acceptance import Trial
    from driftgate.publish.publication import Published


def weigh(
    encoder: Encoder, specs: Sequence[BackendSpec], console: Console, *, rebuild: bool = False, as_json: bool = False
) -> str:
    """The report of sizes, as a table or JSON."""
    with console.announcing("driftgate: sizes") as announce:
        sizes = measure_sizes(encoder, specs, rebuild=rebuild, announce=announce)
    return json.dumps(sizes.describe(), indent=2) + "\n" if as_json else render_sizes(sizes, console.width)


def choose_destination(
    repository: str, specs: Iterable[BackendSpec], encoder: Encoder, *, private: bool, hub: Any
) -> Destination:
    if hub is None:
        return Destination(repository, private or None, exists=False)
    models = [place_of(spec.name, Layout.HUB).model for spec in specs]
    clients = ["config.json", "thresholds.json", "tokenizer.json", *(path.name for path in encoder.tokenizer_files)]
    return find_destination(repository, models, clients, private=private, api=hub)


def say_what_was_judged(published: "Published", encoder: Encoder, trial: "Trial | None", console: Console) -> None:
    if trial is None:
        console.print("driftgate: not judged (--no-verify), hence no card")
        return
    from driftgate.publish.acceptance_text import render_failures, render_judged, render_unshown

    where = f"encoder {encoder.name}, corpus {trial.corpus.name} ({len(trial.corpus):,} rows)"
    console.print(f"driftgate: judged on {where}")
    for assessment in published.assessments:
        console.print(render_judged(assessment))
    if published.failures:
        for line in render_failures(published.failures, where):
            console.print(line)
    for line in render_unshown(published.assessments, len(trial.corpus), trial.not_shown, published.exit_code):
        console.print(line)
