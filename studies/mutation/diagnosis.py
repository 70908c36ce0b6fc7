"""Ask for the cause of every mutant: `python studies/mutation/diagnosis.py` writes `diagnosis.json` and a table of it.

A diagnosis is right where its cause is one of those that are expected of the mutant, wrong where it is another one without
"perhaps", and otherwise not named. Mutants that answer as the good backend of their class does have no cause to be found.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(HERE))

from mutants import BASES, MUTANTS  # noqa: E402 - beside this file

from driftgate.assessor import Assessor  # noqa: E402
from driftgate.inputs.corpus import load_corpus  # noqa: E402
from driftgate.inputs.embedded import corpora_folder  # noqa: E402
from driftgate.inputs.encoder import load_encoder  # noqa: E402
from driftgate.pipeline import OpenBackends  # noqa: E402
from driftgate.run.device import RunSettings, available_threads  # noqa: E402

ENCODER = REPOSITORY / "fixtures/encoders/goemotions-roberta-mini"
WEIGHTS = {"weights-or-operator"}
EXPECTED: dict[str, set[str]] = {
    "mask-dropped": {"mask-ignored"},
    "mask-weak": {"padding-leaks"},
    "lengths-for-mask": {"mask-counted"},
    "holes-filled": {"mask-holes"},
    "windows-when-long": {"long-texts"},
    "padded-in-front": {"padding-side"},
    "positions-shifted": {"positions-shifted"},
    "positions-repeated": {"positions-repeated"},
    "half-the-heads": WEIGHTS,
    "head-dead": WEIGHTS,
    "label-dead": {"label-constant"},
    "labels-swapped": {"labels-exchanged"},
    "softmax": {"softmax-for-sigmoid"},
    "sigmoid-twice": {"sigmoid-twice"},
    "rows-reversed": {"rows-reordered"},
    "truncated-128": {"truncated"},
    "truncated-384": {"truncated"},
    "tensor-x1.01": WEIGHTS,
    "layer-4-bits": WEIGHTS,
    "layernorm-1e-3": WEIGHTS,
    "gelu-tanh": WEIGHTS,
    "stale-outputs": {"stale-answers"},
    "one-nan": {"not-finite"},
    "other-checkpoint": {"other-model"},
    "later-checkpoint": WEIGHTS,
    "saturated": WEIGHTS,
}


def judge(only: list[str], classes: list[str], rows: int) -> list[dict[str, Any]]:
    """A row a mutant and class."""
    encoder = load_encoder(ENCODER)
    corpus = load_corpus(corpora_folder() / "emotions.jsonl", encoder).sample(rows)
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        assessor = Assessor(OpenBackends(encoder, RunSettings(available_threads())), corpus)
        for mutant in MUTANTS:
            for precision in mutant.classes:
                if precision not in classes or mutant.control or (only and mutant.name not in only):
                    continue
                started = time.monotonic()
                diagnosis = assessor.diagnose(mutant.spec(precision, Path(scratch)))
                print(f"{time.monotonic() - started:.0f} s ", end="")
                entry = {
                    "mutant": mutant.name,
                    "class": precision,
                    "survives": mutant.control or precision in (mutant.why_survives or {}),
                    "cause": diagnosis.cause,
                    "certain": diagnosis.certain,
                    "explained": round(diagnosis.explained, 3),
                    "sentence": diagnosis.sentence,
                    "right": diagnosis.cause in EXPECTED.get(mutant.name, set()),
                }
                verdict = "right" if entry["right"] else "WRONG" if diagnosis.certain else "not named"
                print(f"{mutant.name}-{precision}: {verdict}: {diagnosis}", flush=True)
                found.append(entry)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--classes", nargs="+", default=list(BASES), choices=list(BASES))
    parser.add_argument("--rows", type=int, default=300)
    options = parser.parse_args()
    found = judge(options.only, options.classes, options.rows)
    if not options.only and options.classes == list(BASES):
        (HERE / "diagnosis.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    killed = [entry for entry in found if not entry["survives"]]
    right = sum(entry["right"] for entry in killed)
    wrong = sum(entry["certain"] and not entry["right"] for entry in found)
    print(f"{right} of {len(killed)} faults are named, {wrong} wrongly and without perhaps")


if __name__ == "__main__":
    main()
