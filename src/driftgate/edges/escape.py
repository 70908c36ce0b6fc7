"""Text from outside, harmless and visible where it is shown: one function for each kind of place.

Labels, names of folders and files, texts, a source's licence, the words of other programs: all of it is data, and any of it may
hold what a terminal, a CI log or a page would obey.
"""

import re
import unicodedata

# Controls (escape sequences, line ends), formats (text that runs the other way, invisible letters), lone surrogates, and
# Unicode's own separators of lines and paragraphs.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")
"""Formats that spelling needs: Persian and Hindi words, and emoji made of several."""

# What GitHub ("::error::", "##[error]"), Azure ("##vso[") and TeamCity ("##teamcity[") obey in a log. GitHub's begins a line,
# and a table may break its line before any word.
_LOG_COMMAND = re.compile(r"(?<!\S)::|##(?=\w*\[)")

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Brackets without an address are no link, and underscores inside a word no emphasis: intervals and names are full of them.
_MARKDOWN = re.compile(r"[&<>\\`*|~$#]|\](?=\()|(?<![^\W_])_|_(?![^\W_])")


def for_terminal(text: object) -> str:
    """One line for a terminal or a log: what cannot be seen is shown escaped, and no CI service obeys it."""
    return _LOG_COMMAND.sub(lambda found: f"\\x{ord(found[0][0]):02x}{found[0][1:]}", _reveal(str(text)))


def for_markdown(text: object) -> str:
    """Plain text within a line of Markdown: no markup, no HTML, no cell's end; what cannot be seen is shown escaped."""
    return _MARKDOWN.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), _reveal(str(text)))


def for_page(text: object) -> str:
    """Words of an HTML page, before its template escapes them: what cannot be seen, or turns others around, is shown escaped."""
    return _reveal(str(text))


def for_spreadsheet(text: str) -> str:
    """A field of CSV or TSV that no spreadsheet takes for a formula: an apostrophe stands before what could begin one.

    The characters are those of OWASP's page on CSV injection.
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}")) else text


def _reveal(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _HIDDEN and character not in _JOINERS
        else character
        for character in text
    )
