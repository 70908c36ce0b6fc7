"""Proposed bounds as a bounds file, and what they would catch as a table."""

import json
from collections.abc import Sequence
from pathlib import Path

from driftgate.errors import OptionError
from driftgate.files import write_whole
from driftgate.judge.proposed_bounds import Proposal
from driftgate.results.tables import make_table, render


def require_new(path: Path) -> None:
    """Before minutes of building.

    Raises:
        OptionError: there is such a file, or no folder to write it in.
    """
    if path.exists():
        raise OptionError(
            f"{path}: the file exists, and its bounds may have been set by hand; give the name of a new file"
        )
    if not path.parent.is_dir():
        raise OptionError(f"{path}: expected a folder {path.parent} to write it in, found none; create it first")


def write_bounds(proposals: Sequence[Proposal], path: Path, where: str) -> None:
    """A bounds file that `--bounds` reads.

    Raises:
        OptionError: no proposal has a bound.
    """
    if not any(proposal.bounds for proposal in proposals):
        raise OptionError(f"{where}: too few to propose any bound from; 29 rows are the least, 300 or more are better")
    lines = [
        f"# Bounds that `driftgate bounds` proposes from good builds, on {where}. They go before the accuracy suite's own,",
        "# which stay in force for whatever is not named here.",
    ]
    for bound in (bound for proposal in proposals for bound in proposal.bounds):
        lines += [
            "",
            f"[{json.dumps(bound.key, ensure_ascii=False)}.{bound.metric}]",
            f"at_most = {bound.limit:g}",
            f"reason = {json.dumps(bound.reason, ensure_ascii=False)}",
            f"set_on = {bound.set_on.isoformat()}",
        ]
    write_whole(path, "\n".join([*lines, ""]))


def render_proposal(proposal: Proposal, width: int) -> str:
    """What the bounds of one backend are, which of them catch which fault, and what is left to the shipped ones."""
    title = f"{proposal.backend}: bounds, and the faults they catch"
    table = make_table("bound", ["at most", *proposal.caught], title=title)
    for bound in proposal.bounds:
        marks = ("caught" if bound.metric in metrics else "-" for metrics in proposal.caught.values())
        table.add_row(bound.metric, f"{bound.limit:g}", *marks)
    table.add_section()
    table.add_row("shipped bounds that catch it", "", *(str(count) for count in proposal.caught_before.values()))
    lines = [render(table, width)]
    lines += [
        f"{proposal.backend}: {metric}: no bound proposed, the shipped one stays; it takes "
        + (f"about {rows:,} rows\n" if rows else "other rows\n")
        for metric, rows in proposal.left_out.items()
    ]
    missed = [fault for fault, metrics in proposal.caught.items() if not metrics]
    if missed:
        lines.append(f"{proposal.backend}: not caught on these rows: {'; '.join(missed)}\n")
    if proposal.broken:
        lines.append(
            f"{proposal.backend}: it breaks {len(proposal.broken)} of the shipped bounds, and the proposed ones allow that; "
            "make sure that it is a good build:\n"
        )
        lines += [f"  {line}\n" for line in proposal.broken]
    return "".join(lines)
