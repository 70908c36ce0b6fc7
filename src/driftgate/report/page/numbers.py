"""Numbers and lists in words."""

from collections.abc import Callable, Sequence

_LISTED = 6
_HASH = 16


def short(value: float | None, dash: str = "-") -> str:
    """Three significant digits."""
    return dash if value is None else f"{value:.3g}"


def percent(value: float | None, dash: str = "-") -> str:
    """A change, with its sign."""
    return dash if value is None else f"{value:+.1%}"


def interval(low: float | None, high: float | None, show: Callable[[float | None, str], str] = short) -> str:
    """In brackets; a limit that the rows do not set is a question mark."""
    return "-" if low is None and high is None else f"[{show(low, '?')}, {show(high, '?')}]"


def megabytes(size_bytes: float | None) -> str:
    """In MB, which are millions of bytes."""
    return "-" if size_bytes is None else f"{size_bytes / 1e6:.1f}"


def count_of(number: int, noun: str) -> str:
    """A number and its noun."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def listed(names: Sequence[str]) -> str:
    """Names with commas, and how many more there are after the first few."""
    shown = ", ".join(names[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown


def short_hash(sha256: str) -> str:
    """The beginning of a digest, which is what people compare; a dash where there is none."""
    return sha256[:_HASH] if sha256 else "-"
