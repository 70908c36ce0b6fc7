"""Answers of the zoo's good builds and mutants, computed once and resampled by `verdicts.py`.

    python studies/zoo/answers.py DATA ZOO ANSWERS [NAME...] [--rows 1500]

Writes a file for each encoder, and one for the same encoder with outlier channels, into the folder ANSWERS, which stays outside
the repository: labels and logits, no texts. Faults of weights and inputs are put into encoders without outlier channels, as
float32, through torch, and some as `onnx-int8`, built anew.
"""

import argparse
import tempfile
from pathlib import Path

import faults
import numpy as np
import weights
from changed_weights import edit_tensors
from encoders import RECIPES
from numpy.typing import NDArray
from tasks import load_task

from driftgate.assessor import Assessor
from driftgate.errors import DriftgateError
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import load_encoder
from driftgate.pipeline import OpenBackends, choose_backends
from driftgate.run.backend import Backend, predict
from driftgate.run.device import RunSettings

GOOD = "torch,onnx-fp32,onnx-fp16,onnx-int8,onnx-int8-dynamic"
MUTATED = {"fp32": "torch", "int8": "onnx-int8"}
THREADS = 1
"""Two encoders can then be asked side by side."""
Answers = dict[str, NDArray[np.generic]]


def load_unseen(name: str, data: Path, rows: int) -> Corpus:
    """Rows that the encoder was not trained on."""
    unseen = load_task(RECIPES[name].task, data).unseen
    return Corpus(name, tuple(unseen.texts), tuple(map(str, range(len(unseen.texts)))), unseen.labels).sample(rows)


def answer(name: str, folder: Path, data: Path, rows: int, *, mutants: bool) -> Answers:
    """Logits by backend, or by fault and class, float32, (rows, labels); "reference", "truth" and the exact rows beside them."""
    encoder, corpus = load_encoder(str(folder)), load_unseen(name, data, rows)
    settings = RunSettings(THREADS)
    specs = {spec.name: spec for spec in choose_backends(GOOD)}
    assessor = Assessor(OpenBackends(encoder, settings), corpus, len(specs))
    exact_rows, exact = assessor.exact
    assert corpus.labels is not None
    found: Answers = {
        "truth": corpus.labels,
        "reference": assessor.reference,
        "exact_rows": np.array(exact_rows),
        "exact": exact,
    }
    for backend, spec in specs.items():
        found[f"good {backend}"] = assessor.logits(spec)
        for length in assessor.judgement(spec).evidence.long_texts()[0]:  # type: ignore[index]
            found[f"long {length.name} {backend}"] = length.backend
            found[f"long {length.name} reference"] = length.reference
    if mutants:
        for kind, backend in MUTATED.items():
            opened = assessor.backends.open(specs[backend])
            found |= {f"{fault} / {kind}": logits for fault, logits in mutate_inputs(opened, assessor).items()}
    return found


def mutate_inputs(good: Backend, assessor: Assessor) -> Answers:
    found: Answers = {"mask dropped": predict(faults.unmasked(good), assessor.tokens, assessor.plan)}
    for fault, change in faults.OF_INPUTS.items():
        try:
            found[fault] = predict(good, change(assessor.tokens), assessor.plan)
        except DriftgateError as refusal:  # a build that refuses is no mutant; which one is said
            print(f"{good.spec.name} refuses {fault}: {refusal}", flush=True)
    return found


def mutate_weights(name: str, folder: Path, data: Path, rows: int) -> Answers:
    found: Answers = {}
    corpus, settings = load_unseen(name, data, rows), RunSettings(THREADS)
    for fault, edit in faults.OF_WEIGHTS.items():
        with tempfile.TemporaryDirectory() as scratch:
            try:
                mutant = load_encoder(str(weights.copy_with(folder, Path(scratch) / name, edit)))
            except weights.NotThereError as reason:
                print(f"{name}, {fault}: left out, {reason}", flush=True)
                continue
            (spec,) = choose_backends(MUTATED["int8"])
            assessor = Assessor(OpenBackends(mutant, settings), corpus)
            found[f"{fault} / fp32"] = assessor.reference
            if fault in faults.QUANTIZED:
                found[f"{fault} / int8"] = assessor.logits(spec)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--rows", type=int, default=1500)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.names or RECIPES:
        folder = given.zoo / name
        plain = answer(name, folder, given.data, given.rows, mutants=True) | mutate_weights(
            name, folder, given.data, given.rows
        )
        np.savez_compressed(given.out / f"{name}.npz", **plain)  # type: ignore[arg-type]
        outlying = weights.copy_with(folder, given.zoo / f"{name}+outliers", edit_tensors(weights.put_outliers))
        found = answer(name, outlying, given.data, given.rows, mutants=False)
        moved = float(np.abs(found["reference"] - plain["reference"]).max())
        print(f"{name}: outlier channels move float32 logits by at most {moved:.1e}", flush=True)
        np.savez_compressed(given.out / f"{name}+outliers.npz", **found)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
