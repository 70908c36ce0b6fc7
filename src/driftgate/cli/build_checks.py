"""Options of `driftgate build` that contradict each other, or that nobody would read."""

from collections.abc import Mapping
from pathlib import Path

from driftgate.builder.layout import Layout
from driftgate.errors import OptionError
from driftgate.judge.accuracy_verdicts import NotShown


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
