"""A report as Markdown, for a pull request or the summary of a CI job: failures first, and no charts."""

from collections.abc import Iterator

from driftgate.report.page.content import Badge, Report, Section, Table
from driftgate.results.markdown import Markdown, code, table

_MOST_ROWS = 40


def render_markdown(report: Report) -> str:
    """The summary. Its first line is a comment that names the encoder, so that an earlier summary of it can be found."""
    lines = [Markdown("<!-- driftgate: {} -->").format(report.encoder), Markdown("# {}").format(report.title)]
    several = len(report.parts) > 1
    for part in report.parts:
        if several:
            lines.append(Markdown("**{}**").format(part.title))
        answers = tuple((one.question, one.badge, one.sentence) for one in part.answers)
        lines.append(_table(Table("", ("question", "verdict", "answer"), answers, frozenset({1, 2}))))
        lines.append(Markdown.escape(part.about))
    for section in report.common:
        lines += _section(section, "")
    brief = [(part, section) for part in report.parts for section in part.sections if section.brief]
    for part, section in sorted(brief, key=lambda found: not found[1].anchor.endswith("-failures")):
        lines += _section(section, part.title if several else "")
    return "\n\n".join(lines) + "\n"


def _badge(badge: Badge) -> Markdown:
    return Markdown("{} **{}**").format(Markdown(badge.kind.sign), badge.word)


def _section(section: Section, of: str) -> Iterator[Markdown]:
    yield Markdown("## {}: {}").format(section.title, of) if of else Markdown("## {}").format(section.title)
    for sentence in section.sentences:
        yield Markdown.escape(sentence)
    for figure in section.figures:
        yield _table(figure.table)
        left = len(figure.table.rows) - _MOST_ROWS
        if left > 0:
            yield Markdown("{} more rows are in the page.").format(left)
    for command in section.commands:
        yield Markdown("- {}").format(code(command))


def _table(own: Table) -> Markdown:
    words = [column for place, column in enumerate(own.columns) if place in own.texts]
    rows = [
        tuple(_badge(cell) if isinstance(cell, Badge) else Markdown.escape(cell) for cell in row)
        for row in own.rows[:_MOST_ROWS]
    ]
    return table(own.columns, rows, words)
