"""How an option is spelled where the user stands: with pytest, with a command, or in Python.

The same function refuses a corpus for `pytest --corpus`, for `driftgate publish --corpus` and for `load_corpus`. Its error names
the argument, and the interface that the user came by spells it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Spelling = Callable[[str, object], str | None]
"""From an argument's name, and the value to give it ("" for any), to the option that an interface has for it; None for none."""

# A list and not a context variable: threads that read and tokenize refuse things too.
_in_force: list[Spelling] = []


def option(name: str, value: object = "", *, argument: str = "") -> str:
    """What sets the argument `name`: `--text-column`, `--driftgate-text-column`, `text_column`.

    Args:
        value: what to set it to; True for a switch.
        argument: how Python spells it, where that is not `name` or `name=value`.
    """
    spelled = _in_force[-1](name, value) if _in_force else None
    if spelled is not None:
        return spelled
    in_python = argument or (name if value == "" else f"{name}={value!r}")
    return f"{in_python} in Python" if _in_force else in_python


def spell_flag(flag: str, value: object) -> str:
    """An option of a command line, with its value unless it is a switch."""
    return flag if value == "" or value is True else f"{flag} {value}"


@contextmanager
def spelled_by(interface: Spelling) -> Iterator[None]:
    """While the block runs, options are spelled as `interface` does."""
    _in_force.append(interface)
    try:
        yield
    finally:
        _in_force.remove(interface)
