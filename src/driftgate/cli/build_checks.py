"""What `driftgate build` does beside building: refuse contradictions, weigh, find where to push, say what was judged."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftgate.backends import BackendSpec
from driftgate.errors import OptionError
from driftgate.inputs.encoder import Encoder
from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.publish.layout import Layout, place_of
from driftgate.publish.push import Destination, find_destination
from driftgate.publish.sizes import measure_sizes, render_sizes
from driftgate.results.console import Console

if TYPE_CHECKING:  # scikit-learn is slow to import
    from driftgate.publish.acceptance import Trial
    from driftgate.publish.publication import Published


def require_target(backend: str | None, out: Path | None, *, as_json: bool) -> tuple[str, Path]:
    """What to build and where, both given.

    Raises:
        OptionError: one is missing.
    """
    if as_json:
        raise OptionError("--json: only a report alone is JSON; give --report size and no --out")
    if backend is None or out is None:
        missing = [option for option, given in (("--backend", backend), ("--out", out)) if given is None]
        raise OptionError(
            f"{' and '.join(missing)}: say what to build and where to write it, or give --report size alone"
        )
    return backend, out


def require_alone(options: Mapping[str, object]) -> None:
    """None of `options` is given, by flag, with a report alone.

    Raises:
        OptionError: names those that are.
    """
    given = [option for option, value in options.items() if value]
    if given:
        raise OptionError(
            f"{', '.join(given)} with --report and no --out: nothing is written or judged; add --backend and --out"
        )


def require_consistent(
    *,
    corpus: str | None,
    pair_column: str,
    bounds: Path | None,
    not_shown: NotShown,
    ledger: bool,
    no_verify: bool,
    layout: Layout | None,
    push: str | None,
    private: bool,
    dry_run: bool,
) -> None:
    """Refuse options that nobody would read, or that say the opposite of each other.

    Raises:
        OptionError: says which to leave out.
    """
    if pair_column and corpus is None:
        raise OptionError(
            f"--pair-column {pair_column!r}: the embedded comments have no such column; it is for a file of --corpus"
        )
    if no_verify and corpus is not None and not ledger:
        raise OptionError(
            f"--corpus {corpus}: only the judgement and the ledger read it; leave out --no-verify or --corpus"
        )
    if no_verify and bounds is not None:
        raise OptionError(f"--bounds {bounds}: nothing is held to bounds with --no-verify; leave one of them out")
    if no_verify and not_shown is not NotShown.DRIFT:
        raise OptionError(f"--not-shown {not_shown}: nothing is judged with --no-verify; leave one of them out")
    if no_verify and push:
        raise OptionError("--push-to-hub with --no-verify: what others load is judged first; leave one of them out")
    if push and layout is Layout.FOLDER:
        raise OptionError("--push-to-hub with --layout folder: repositories have the layout hub; leave --layout out")
    if not push and (private or dry_run):
        option = "--private" if private else "--dry-run"
        raise OptionError(f"{option}: only --push-to-hub reads it; add --push-to-hub OWNER/NAME")


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
    """The repository to push to; asked of the hub where there is one."""
    if hub is None:
        return Destination(repository, private or None, exists=False)
    models = [place_of(spec.name, Layout.HUB).model for spec in specs]
    clients = ["config.json", "thresholds.json", "tokenizer.json", *(path.name for path in encoder.tokenizer_files)]
    return find_destination(repository, models, clients, private=private, api=hub)


def say_what_was_judged(published: "Published", encoder: Encoder, trial: "Trial | None", console: Console) -> None:
    """Print each backend's line, then what is broken and what is not shown."""
    if trial is None:
        console.print("driftgate: not judged (--no-verify), hence no card")
        return
    from driftgate.publish.acceptance import render_failures, render_judged, render_unshown

    where = f"encoder {encoder.name}, corpus {trial.corpus.name} ({len(trial.corpus):,} rows)"
    console.print(f"driftgate: judged on {where}")
    for assessment in published.assessments:
        console.print(render_judged(assessment))
    if published.failures:
        for line in render_failures(published.failures, where):
            console.print(line)
    for line in render_unshown(published.assessments, len(trial.corpus), trial.not_shown, published.exit_code):
        console.print(line)
