"""Which column holds the texts, and which the ids."""

from collections.abc import Sequence
from difflib import get_close_matches

from driftgate.edges.spelling import option
from driftgate.errors import CorpusError

_NAMED = 8
_NAME_CHARS = 40  # without a header, what was taken for names is a user's text


def choose_column(source: str, names: Sequence[str], wanted: str, argument: str) -> str:
    """`wanted`, where it is among the names.

    Raises:
        CorpusError: it is not there, with the nearest names, or is there twice.
    """
    if names.count(wanted) == 1:
        return wanted
    if wanted in names:
        raise CorpusError(f"{source}: {names.count(wanted)} columns are called {wanted!r}; rename all but one")
    near = get_close_matches(wanted, names, n=_NAMED, cutoff=0.5)
    if len(names) <= _NAMED or not near:
        near += [name for name in names[:_NAMED] if name not in near]
    shown = ", ".join(repr(name[:_NAME_CHARS]) for name in near)
    more = f" and {len(names) - len(near):,} more" if len(names) > len(near) else ""
    raise CorpusError(
        f"{source}: expected a column {wanted!r}, found {shown}{more}; name it with {option(argument)} "
        "(in CSV and TSV, a position from 0 where the file has no header)"
    )
