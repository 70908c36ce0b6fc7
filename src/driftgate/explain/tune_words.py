"""A search for a recipe, for people: the front as a table, and what was chosen."""

from driftgate.explain.tune import Cost
from driftgate.explain.tuned import Judged, Tuned
from driftgate.judge.bounds import Outcome
from driftgate.results.console import plain
from driftgate.results.tables import make_table, render


def render_front(found: Tuned, width: int) -> str:
    """The candidates that no other beats in both drift and cost, and how the chosen one came out."""
    title = plain(
        f"Recipes from the least to the most costly, of {found.tried} that were built and asked. They were searched on "
        f"{found.searched_rows:,} rows and judged on {found.judged_rows:,} others, with 90% intervals.",
        "Time [least, most] and size are relative to the backend as it is.",
    )
    headings = ("products", "searched", "drift", "rows with a flip", "flips", "time", "size")
    table = make_table("verdict", "recipe", headings, title=title)
    for number, judged in enumerate(found.front):
        name = "as it is" if not judged.candidate.forms else f"recipe {number}"
        mark = " *" if judged is found.chosen else ""
        table.add_row("-" if judged.verdict is None else str(judged.verdict), f"{name}{mark}", *_cells(judged))
    return render(table, width) + "".join(f"{line}\n" for line in say(found))


def say(found: Tuned) -> list[str]:
    """What was chosen and whether it holds, as sentences."""
    unit = "time" if found.cost is Cost.SPEED else "size"
    if found.chosen is None:
        best = min(found.front, key=lambda judged: judged.candidate.drift)
        drift = f"{best.drift.value:.4f} [{best.drift.low:.4f}, {best.drift.high:.4f}]"
        return [
            "No recipe was found that reaches the target on the rows of the search; nothing is written.",
            f"The best one has a drift of {drift} with {_changed(best)}, at {best.cost:.2f} times the {unit}.",
        ]
    plain_drift, chosen = found.front[0].drift.value, found.chosen
    gone = 1 - chosen.drift.value / plain_drift if plain_drift else 0.0
    change = f"{gone:.0%} of the drift is gone" if gone >= 0 else f"the drift is {-gone:.0%} larger"
    lines = [f"Chosen (*), with {_changed(chosen)}: {change} on the other rows, at {chosen.cost:.2f} times the {unit}."]
    lines += [f"  {path}: {form}" for path, form in chosen.candidate.forms.items()]
    if found.verdict is Outcome.NOT_SHOWN:
        lines.append(
            "The target is reached on the rows of the search, but the other rows are too few to show that it is: part of the "
            "interval is beyond it. Nothing is written; give more rows, or a little more room."
        )
    if found.verdict is Outcome.FAIL:
        lines.append("The target is reached on the rows of the search, but not on the other rows. Nothing is written.")
    return lines


def _changed(judged: Judged) -> str:
    count = len(judged.candidate.forms)
    return f"{count} product{'' if count == 1 else 's'} in another form"


def _cells(judged: Judged) -> list[str]:
    candidate, time = judged.candidate, judged.candidate.time_ratio
    return [
        str(len(candidate.forms)),
        f"{candidate.drift:.4f}",
        f"{judged.drift.value:.4f} [{judged.drift.low:.4f}, {judged.drift.high:.4f}]",
        f"{judged.row_flips.value:.2%} [{judged.row_flips.low:.2%}, {judged.row_flips.high:.2%}]",
        str(judged.flips),
        f"{time.median:.2f} [{time.low:.2f}, {time.high:.2f}]",
        f"{candidate.size_ratio:.2f}",
    ]
