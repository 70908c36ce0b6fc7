"""The sections on a run itself: where it took place, how to repeat it, and how the accepted runs before it drifted."""

import shlex
from collections.abc import Sequence
from functools import partial

from driftgate.report.page.charts import draw_history
from driftgate.report.page.content import Cell, Figure, Section, Table, outcome_badge
from driftgate.report.page.environments import baseline_differences, environment_rows, list_changes
from driftgate.report.page.numbers import megabytes, short, short_hash
from driftgate.report.page.runs import Run
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
        changed = list_changes((before or entry).versions, entry.versions)
        if changed:
            changes.append({"run": run})
        said = ", ".join(f"{library} {then} to {now}" for library, then, now in sorted(changed)) or "-"
        before = entry
        corpus = str((entry.corpus or {}).get("name", ""))
        for name, backend in entry.backends.items():
            value = (backend.get("metrics", {}).get(METRIC) or {}).get("value")
            commit = (entry.commit or "-")[:_COMMIT]
            badge = outcome_badge(str(backend.get("verdict")))
            rows.append((run, commit, corpus or "-", name, badge, short(value), said))
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


_PINNED = ("driftgate", "torch", "transformers", "onnx", "onnxruntime", "onnxruntime-gpu")


def show_changes(run: Run, anchor: str) -> Section:
    """What is another than in the baseline; empty where there is none."""
    figures = []
    if rows := tuple(baseline_differences(run)):
        table = Table("What differs from the baseline", ("what", "baseline", "this run"), rows, frozenset({0, 1, 2}))
        figures.append(Figure(f"{anchor}-changes-table", "Environment and baseline", table))
    moved: list[tuple[Cell, ...]] = []
    for backend in run.backends:
        if movement := backend.node.at("movement"):
            numbers = (movement.number(name) for name in ("backend", "reference", "drift_then", "drift_now"))
            moved.append((backend.name, movement.text("who"), *map(short, numbers)))
    if moved:
        columns = ("backend", "who moved", "backend's move", "reference's move", "drift then", "drift now")
        table = Table(
            "Largest probability differences since the accuracy baseline", columns, tuple(moved), frozenset({0, 1})
        )
        figures.append(Figure(f"{anchor}-movement-table", "Answers and baseline", table))
    return Section(f"{anchor}-changes", "Changes since the baseline", (), tuple(figures), brief=True)


def show_environment(run: Run, anchor: str) -> Section:
    """Where the run took place."""
    rows = tuple((name, value) for name, value in environment_rows(run.node.at("environment")).items() if value)
    options = run.node.at("options").items()
    rows += tuple((name.replace("_", " "), _show(node.value)) for name, node in options.items())
    table = Table("Machine, versions and options of the run", ("what", "value"), rows, frozenset({0, 1}))
    figures = (Figure(f"{anchor}-environment-table", "Environment", table),) if rows else ()
    return Section(f"{anchor}-environment", "Environment", (), figures)


def _show(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def show_artifacts(run: Run, anchor: str) -> Section:
    """What was judged, by digest."""
    rows = tuple(
        (
            backend.name,
            *(about.text(name) or "-" for name in ("precision", "provider", "arithmetic")),
            megabytes(about.number("size_bytes")),
            about.text("artifact_sha256") or "the encoder's own weights",
        )
        for backend in run.backends
        if (about := backend.node.at("about"))
    )
    corpus = run.node.at("corpus")
    inputs = [("encoder", run.encoder, run.encoder_sha256 or "-")]
    if corpus:
        inputs.append(("corpus", corpus.text("pinned") or corpus.text("name"), corpus.text("sha256") or "-"))
    columns = ("backend", "precision", "provider", "arithmetic", "MB", "sha256")
    table = Table("Artifacts by digest", columns, rows, frozenset({0, 1, 2, 3, 5}))
    read = Table("Inputs by digest", ("input", "name", "sha256"), tuple(inputs), frozenset({0, 1, 2}))
    figures = [Figure(f"{anchor}-inputs-table", "Inputs", read)]
    if rows:
        figures.append(Figure(f"{anchor}-artifacts-table", "Artifacts", table))
    return Section(f"{anchor}-artifacts", "Inputs and artifacts", (), tuple(figures))


def show_commands(run: Run, anchor: str) -> Section:
    """What to type to see the same."""
    versions = run.node.at("environment", "versions").items()
    # A local version, such as 2.13.0+cpu, is in no package registry.
    pins = [f"{name}=={version.text().partition('+')[0]}" for name, version in versions.items() if name in _PINNED]
    arguments = run.node.at("arguments")
    commands = []
    if pins:
        commands.append(f"pip install {shlex.join(pins)}")
    if arguments.value is not None:
        commands.append(f"pytest {shlex.join(arguments.texts())}".rstrip())
    corpus = f" and the corpus with {short_hash(run.node.text('corpus', 'sha256'))}" if run.node.at("corpus") else ""
    sentence = f"Use the encoder whose sha256 begins with {short_hash(run.encoder_sha256)}{corpus}."
    return Section(
        f"{anchor}-reproduce", "Commands to reproduce this run", (sentence,), (), tuple(commands), brief=True
    )
