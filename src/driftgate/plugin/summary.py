"""What is said under the tables at the end of a run."""

from driftgate.plugin.session import DriftgateSession
from driftgate.results.unshown import describe_outcome, list_unshown


def list_notes(run: DriftgateSession) -> list[str]:
    """Lines under the tables: what is not shown, what was taken for granted, where the results are."""
    notes = _list_unshown(run)
    if run.encoder.problem_type_inferred:
        notes.append(
            f"{run.encoder.name}: config.json has no problem_type; taken as {run.encoder.problem_type} from its head "
            "(--driftgate-problem-type says otherwise)"
        )
    widened = [
        name
        for name, entry in run.results.backends.items()
        if entry.about and (entry.about.precision, entry.about.arithmetic) == ("fp16", "float32")
    ]
    if widened:
        notes.append(
            f"{', '.join(widened)}: float16 weights, but computed in float32 on this CPU: its drift is a lower bound"
        )
    notes.extend(run.said)
    notes.append(f"results: {run.options.results / 'results.json'}")
    return notes


def _list_unshown(run: DriftgateSession) -> list[str]:
    results, not_shown = run.results, run.options.not_shown
    corpus = results.header.corpus if results.header else None
    lines = list_unshown(
        {name: entry.verdicts for name, entry in results.backends.items()}, corpus.rows if corpus else 0
    )
    return [*lines, describe_outcome(results.verdict(not_shown), not_shown)] if lines else []
