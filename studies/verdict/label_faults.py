"""Which faults of single labels a corpus tells: bounds that they break on top of a good INT8 build's answers.

    python studies/verdict/label_faults.py [DATA]

Without DATA on the embedded comments alone; DATA holds `goemotions/dev.tsv`, of which as many rows are taken. Prints a table.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from driftgate.arrays import Logits
from driftgate.assessor import Assessor
from driftgate.inputs.corpus import Corpus, load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.encoder import load_encoder
from driftgate.judge.bounds import Outcome
from driftgate.judge.bounds_file import load_bounds
from driftgate.judge.parts import AGREEMENT, CALIBRATION, DRIFT, FLIPS, LOSSES, PREVALENCE, SLICES
from driftgate.pipeline import OpenBackends, choose_backends
from driftgate.run.device import RunSettings, available_threads

ROOT = Path(__file__).parents[2]
EMBEDDED, COMMENTS = ROOT / "fixtures/encoders/goemotions-roberta-mini", ROOT / "fixtures/corpora/emotions.jsonl"
BACKEND = "onnx-int8"
NEVER = -20.0
QUALITY = (FLIPS, LOSSES, CALIBRATION)
DRIFTS = (DRIFT, PREVALENCE, AGREEMENT, SLICES)


def faults(labels: tuple[str, ...]) -> Mapping[str, Callable[[Logits], Logits]]:
    """Logits with a fault, by what it is."""
    at = {label: column for column, label in enumerate(labels)}

    def swap(one: str, other: str) -> Callable[[Logits], Logits]:
        order = np.arange(len(labels))
        order[[at[one], at[other]]] = at[other], at[one]
        return lambda logits: Logits(logits[:, order])

    def silence(label: str) -> Callable[[Logits], Logits]:
        return lambda logits: Logits(np.where(np.arange(len(labels)) == at[label], np.float32(NEVER), logits))

    def empty(logits: Logits) -> Logits:
        chosen = np.random.default_rng(0).random(len(logits)) < 0.02
        return Logits(np.where(chosen[:, None], np.float32(NEVER), logits))

    return {
        "none": lambda logits: logits,
        "anger and annoyance swapped": swap("anger", "annoyance"),
        "fear and nervousness swapped": swap("fear", "nervousness"),
        'label "annoyance" dead': silence("annoyance"),
        'label "neutral" dead': silence("neutral"),
        "2% of rows answered empty": empty,
        "logits - 0.3": lambda logits: Logits(logits - np.float32(0.3)),
    }


def judge(corpus: Corpus) -> dict[str, str]:
    """Broken bounds of quality and of drift by fault, in words."""
    encoder = load_encoder(str(EMBEDDED))
    bounds = [load_bounds(ROOT / "accuracy/bounds.toml")]
    (spec,) = choose_backends(BACKEND)
    assessor = Assessor(OpenBackends(encoder, RunSettings(available_threads())), corpus)
    good = assessor.judgement(spec)
    found = {}
    for name, fault in faults(encoder.labels).items():
        judgement = good.of(fault(assessor.logits(spec)))
        counts = [
            sum(one.verdict is Outcome.FAIL for one in judgement.judge(bounds, parts)) for parts in (QUALITY, DRIFTS)
        ]
        found[name] = " + ".join(map(str, counts))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    data = parser.parse_args().data
    encoder = load_encoder(str(EMBEDDED))
    corpora = {"embedded comments": load_corpus(COMMENTS, encoder, Columns("text", "labels"))}
    if data:
        dev = load_corpus(data / "goemotions/dev.tsv", encoder, Columns("0", "1"))
        corpora["GoEmotions dev"] = dev.sample(len(corpora["embedded comments"]))
    columns = {name: judge(corpus) for name, corpus in corpora.items()}
    print("Broken bounds of flips, quality and calibration + of drift:\n")
    print("| fault | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for fault in next(iter(columns.values())):
        print(f"| {fault} | " + " | ".join(column[fault] for column in columns.values()) + " |")


if __name__ == "__main__":
    main()
