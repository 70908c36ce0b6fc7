"""The section on accepted runs: how far each backend drifted in each of them, and where libraries changed."""

from collections.abc import Sequence
from functools import partial

from driftgate.report.page.charts import draw_history
from driftgate.report.page.content import Cell, Figure, Section, Table, outcome_badge
from driftgate.report.page.numbers import short
from driftgate.results.history import HistoryEntry

METRIC = "mean_of_largest_probability_drift"
_SHOWN = 60
_COMMIT = 7
_DRAWN = 2


def show_history(entries: Sequence[HistoryEntry], encoder_sha256: str, anchor: str) -> Section:
    """Accepted runs of the encoder with this digest, the newest ones; empty where there are none.

    Runs on other texts are told apart: drift is compared within a corpus.
    """
    own = [entry for entry in entries if entry.encoder.get("sha256") == encoder_sha256][-_SHOWN:]
    rows: list[tuple[Cell, ...]] = []
    drawn, changes, before = [], [], None
    for number, entry in enumerate(own, 1):
        run = f"{number}: {entry.date:%Y-%m-%d}"
        changed = _changes(before, entry)
        if changed:
            changes.append({"run": run})
        before = entry
        corpus = str((entry.corpus or {}).get("name", ""))
        for name, backend in entry.backends.items():
            value = (backend.get("metrics", {}).get(METRIC) or {}).get("value")
            shown = "-" if value is None else short(value)
            commit = (entry.commit or "-")[:_COMMIT]
            rows.append(
                (run, commit, corpus or "-", name, outcome_badge(str(backend.get("verdict"))), shown, changed or "-")
            )
            if value is not None:
                drawn.append({"run": run, "group": f"{name}, {corpus}" if corpus else name, "value": value})
    if not rows:
        return Section(f"{anchor}-history", "Accepted runs")
    columns = ("run", "commit", "corpus", "backend", "verdict", "mean drift", "libraries that changed")
    table = Table("Accepted runs, oldest first", columns, tuple(rows), frozenset({0, 1, 2, 3, 4, 6}))
    draw = partial(draw_history, drawn, changes, "mean of each text's largest probability difference")
    figure = Figure(
        f"{anchor}-history-chart",
        "Drift over accepted runs",
        table,
        "For each backend, the mean drift in each accepted run; a dashed line marks a run whose libraries had changed.",
        draw if len({row["run"] for row in drawn}) >= _DRAWN else None,
    )
    return Section(f"{anchor}-history", "Accepted runs", (), (figure,))


def _changes(before: HistoryEntry | None, entry: HistoryEntry) -> str:
    if before is None:
        return ""
    names = sorted({*before.versions, *entry.versions})
    then, now = before.versions, entry.versions
    return ", ".join(
        f"{name} {then.get(name, 'none')} to {now.get(name, 'none')}"
        for name in names
        if then.get(name) != now.get(name)
    )
