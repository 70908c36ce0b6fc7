"""What a run keeps for later: its logits, and itself as the baseline of the next ones."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftgate.judge.parts import DRIFT
from driftgate.results.accuracy_baseline import write_baseline
from driftgate.results.environment import CorpusFacts, EncoderFacts, Header, RunOptions, describe_environment
from driftgate.results.predictions import write_predictions

if TYPE_CHECKING:
    from driftgate.plugin.session import DriftgateSession


def describe_header(run: "DriftgateSession") -> Header:
    """What the run is of, and where it ran."""
    options, encoder = run.options, run.encoder
    corpus = run.corpus if options.corpus else None
    return Header(
        environment=describe_environment(),
        options=RunOptions(
            threads=options.settings.threads,
            device=str(options.settings.device),
            batch_sizes=options.batch_sizes,
            token_budget=options.token_budget,
            sample_rows=options.sample_rows,
            backends=tuple(spec.name for spec in options.backends),
        ),
        encoder=EncoderFacts(
            name=encoder.name,
            sha256=encoder.sha256,
            labels=encoder.labels,
            problem_type=str(encoder.problem_type),
            problem_type_inferred=encoder.problem_type_inferred,
            thresholds=encoder.thresholds,
            revision=encoder.revision,
            max_tokens=encoder.max_tokens,
        ),
        corpus=None
        if corpus is None
        else CorpusFacts(corpus.name, len(corpus), corpus.sha256, corpus.pinned, corpus.has_pairs, corpus.drawn_from),
        arguments=tuple(map(str, run.config.invocation_params.args)),
    )


def name_worst_rows(run: "DriftgateSession") -> dict[int, str]:
    """Where the rows with the largest drift stand in the corpus, by number."""
    drifts = [drift for entry in run.results.backends.values() if (drift := entry.measured.get(DRIFT))]
    return {worst.row: run.corpus.row_ids[worst.row] for drift in drifts for worst in drift.worst}


def describe_run(run: "DriftgateSession") -> dict[str, Any]:
    """What the run's logits were taken on, as JSON has it."""
    return {
        "encoder": run.encoder.name,
        "encoder_sha256": run.encoder.sha256,
        "corpus": run.corpus.name,
        "corpus_sha256": run.corpus.sha256,
        "plan": f"{run.plan.name} {run.options.token_budget}",
        "problem_type": str(run.encoder.problem_type),
        "max_tokens": run.options.max_tokens,  # None for the encoder's own, as in baselines from before it could be another
        "environment": json.loads(json.dumps(asdict(describe_environment()))),
        "backends": {name: asdict(about) for name in run.answered if (about := run.results.of(name).about)},
    }


def keep_logits(run: "DriftgateSession", exit_code: int) -> list[str]:
    """Write what the options ask for; only a run that ends with 0 becomes a baseline. Lines that say what was done."""
    options = run.options
    said: list[str] = []
    if not (options.save_predictions or options.accuracy_baseline) or not run.answered:
        return said
    logits = {"reference": run.assessor.reference, **run.answered}
    about, labels, row_ids = describe_run(run), run.encoder.labels, run.corpus.row_ids
    if options.save_predictions:
        write_predictions(options.save_predictions, logits, labels, row_ids, about)
        said.append(f"predictions: {options.save_predictions}")
    if options.accuracy_baseline and run.past is None:
        if exit_code == 0:
            path = write_baseline(options.accuracy_baseline, about, logits, labels, row_ids)
            said.append(f"accuracy baseline saved: {path}; later runs compare with it")
        else:
            said.append(f"accuracy baseline not saved: a run that ends with {exit_code} does not become one")
    return said


def report_run(run: "DriftgateSession", results: Path) -> str:
    """Write the report beside the results, with texts only where they may be shown; a line that says what was done."""
    from driftgate.report.page.write import write_run_report  # Jinja is slow to import

    shown = run.options.show_texts and run.results.row_ids
    texts = {row: run.corpus.shown_texts[row] for row in run.results.row_ids} if shown else {}
    return write_run_report(results, texts, run.options.history)
