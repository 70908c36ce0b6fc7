"""Read a file of bounds; whatever nobody would read, or could never be broken, is refused by name."""

import tomllib
from collections.abc import Collection
from datetime import date
from difflib import get_close_matches
from math import inf
from pathlib import Path

from driftgate.errors import BoundsError
from driftgate.judge.bounds import Bound, Bounds
from driftgate.judge.metrics import ANY_UNIT, BOUNDED

_NO_KEY = "it is neither a precision class nor a backend of this run (give artifacts of other runs a file of their own)"
_NO_METRIC = "no suite measures it"
_FIELDS = {"at_most", "at_least", "reason", "set_on"}
_SHOWN_CHARS = 40
# How alike names are, by difflib. "int8" is 0.62 like "onnx-int8", and "production" 0.3 like any class or backend of ours.
_NEARLY = 0.6
# A suite's own metric may well be called like one of ours and a word more; a slip of the finger is closer.
_ALMOST = 0.9


def load_bounds(
    path: Path, *, keys: Collection[str] | None = None, metrics: Collection[str] | None = None
) -> dict[tuple[str, str], Bound]:
    """Read a bounds file: tables `[KEY.METRIC]` with `at_most` or `at_least`, `reason`, `set_on`.

    Args:
        keys: classes and backends that are looked up. A name that is nearly one of them is refused, any other may be a
            published artifact of another run. None for any name.
        metrics: what suites ask for besides `BOUNDED`. Others are refused. None in a suite's own file, which says by itself what
            the suite asks for: there only what is almost a metric of `BOUNDED` is refused.

    Raises:
        BoundsError: no file, not TOML, an entry without limit, reason or date, with a field, table or metric that nobody reads,
            or with a limit that means nothing.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BoundsError(
            f"bounds file {path}: {str(error.strerror).lower()}; copy the suite's bounds.toml and change it"
        ) from error
    except (ValueError, RecursionError) as error:  # neither TOML nor UTF-8, or numbers and arrays without end
        raise BoundsError(f"bounds file {path}: not valid TOML ({error})") from error
    known, nearness = (BOUNDED, _ALMOST) if metrics is None else ({*BOUNDED, *metrics}, 0.0)
    bounds = {}
    for key, entries in content.items():
        if not isinstance(entries, dict):
            raise BoundsError(f"bounds file {path}: expected tables [class.metric], found a value {key!r} at the top")
        if keys is not None:
            _require_reader(path, f"[{key}]", key, keys, _NO_KEY, _NEARLY)
        for metric, entry in entries.items():
            _require_reader(path, f"[{key}.{metric}]", metric, known, _NO_METRIC, nearness)
            bounds[key, metric] = _read_entry(path, key, metric, entry)
    return bounds


def describe_unread(bounds: Bounds, keys: Collection[str]) -> list[str]:
    """A line about the tables that are for none of `keys`, which may be artifacts of other runs; none where there is none."""
    unread = sorted({key for file in bounds for key, _ in file if key not in keys})
    return [f"bounds for {', '.join(unread)} were not read: no backend of this run has that name"] if unread else []


def _require_reader(path: Path, where: str, name: str, known: Collection[str], missing: str, nearness: float) -> None:
    """Refuse a name that is not known, where it is at least so near to one that is."""
    near = [] if name in known else get_close_matches(name.lower().replace(" ", ""), known, n=1, cutoff=nearness)
    if near:
        raise BoundsError(
            f"bounds file {path}, {where}: no test reads a bound for {name!r}: {missing}; the nearest is {near[0]!r}"
        )


def _read_entry(path: Path, key: str, metric: str, entry: object) -> Bound:
    where = f"bounds file {path}, [{key}.{metric}]"
    if not isinstance(entry, dict):
        raise BoundsError(f"{where}: expected a table with at_most or at_least, reason and set_on")
    unknown = sorted(set(entry) - _FIELDS)
    if unknown:
        raise BoundsError(f"{where}: unknown fields {', '.join(unknown)}; expected {', '.join(sorted(_FIELDS))}")
    rules = [name for name in ("at_most", "at_least") if name in entry]
    if len(rules) != 1:
        raise BoundsError(f"{where}: expected exactly one of at_most and at_least, found {rules or 'neither'}")
    limit = _read_limit(where, metric, rules[0], entry[rules[0]])
    if not str(entry.get("reason", "")).strip() or not isinstance(entry.get("set_on"), date):
        raise BoundsError(f"{where}: every bound needs a reason and a date: set_on = 2026-01-31")
    reason = " ".join(str(entry["reason"]).split())
    return Bound(key, metric, limit, rules[0] == "at_most", reason, entry["set_on"], path)


def _read_limit(where: str, metric: str, rule: str, limit: object) -> float:
    if isinstance(limit, bool) or not isinstance(limit, int | float) or limit != limit:  # noqa: PLR0124 - NaN
        raise BoundsError(f"{where}: {rule} should be a number, found {limit!r:.{_SHOWN_CHARS}}")
    known = BOUNDED.get(metric)
    if known is not None and known.at_most != (rule == "at_most"):
        raise BoundsError(
            f"{where}: {rule} would let worse values pass; use {'at_most' if known.at_most else 'at_least'}"
        )
    largest = (known.unit if known else ANY_UNIT).largest
    if not (0 <= limit <= largest or (limit == inf and rule == "at_most")):
        unjudged = " (or inf, where it is reported and not judged)" if rule == "at_most" else ""
        # Python refuses to write integers of thousands of digits.
        beyond = isinstance(limit, int) and abs(limit) > 10**_SHOWN_CHARS
        found = "more digits than any measure has" if beyond else f"{limit:g}"
        raise BoundsError(f"{where}: {rule} should be from 0 to {largest:g}{unjudged}, found {found}")
    return float(limit)
