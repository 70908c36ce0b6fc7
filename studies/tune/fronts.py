"""Fronts of drift against time that `driftgate tune` finds, on encoders of the zoo and on one of base size.

    python studies/tune/fronts.py DATA ZOO [--encoders NAME,NAME+outliers,base] [--backends onnx-int8,onnx-int8-dynamic]
        [--rows 2000] [--tries 40] [--cost-at-most 1.3] [--bounds accuracy/bounds.toml]

ZOO has the encoders that `studies/zoo/train.py` trained; NAME+outliers is made from NAME by `studies/zoo/weights.py`. `base` is
RoBERTa of base size with random weights and outlier channels (`studies/int8/base_encoders.py`), asked about GoEmotions. Rows are
those that an encoder was not trained on: one half is searched, the other judged. Each search is added to `fronts.json`, and an
earlier one of the same encoder and backend is replaced; `fronts_picture.py` draws them. With bounds, each recipe of a front is
held to them on the rows of the search, and the least costly one that keeps them on the other rows as well.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from runpy import run_path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "zoo"))
sys.path.append(str(Path(__file__).parents[1] / "mutation"))

import weights
from changed_weights import edit_tensors
from encoders import RECIPES
from tasks import load_task

from driftgate.backends import REGISTRY
from driftgate.explain.tune import Cost, Limits
from driftgate.explain.tuned import Judged, Target, tune
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.recipe import Form
from driftgate.judge.confidence.levels import Limits as Interval
from driftgate.pipeline import OpenBackends
from driftgate.run.device import RunSettings, available_threads

RESULT = Path(__file__).with_suffix(".json")
FORMS = {
    "onnx-int8": (Form.FLOAT16, Form.RANGE, Form.SMOOTH),
    "onnx-int8-dynamic": (Form.FLOAT16,),
}
BASE = "base"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("zoo", type=Path)
    parser.add_argument(
        "--encoders", default="modernbert-emotions+outliers,electra-subreddits+outliers,bert-ekman+outliers"
    )
    parser.add_argument("--backends", default="onnx-int8,onnx-int8-dynamic")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--tries", type=int, default=40)
    parser.add_argument("--cost-at-most", type=float, default=1.3)
    parser.add_argument("--bounds", type=Path)
    given = parser.parse_args()
    for name in given.encoders.split(","):
        encoder, corpus = load(name, given.data, given.zoo, given.rows)
        for backend in given.backends.split(","):
            target = Target(Limits(None, None, given.cost_at_most, given.tries), given.bounds)
            found = search(encoder, corpus, backend, target)
            known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else []
            kept = [one for one in known if (one["encoder"], one["backend"]) != (name, backend)]
            record = {"encoder": name, "backend": backend, **found}
            RESULT.write_text(json.dumps([*kept, record], indent=1) + "\n", encoding="utf-8")
            print_table(record)


def load(name: str, data: Path, zoo: Path, rows: int) -> tuple[Encoder, Corpus]:
    trained, _, outliers = name.partition("+")
    if name == BASE:
        folder, task = make_base(zoo / name), load_task("emotions", data)
    else:
        folder, task = zoo / name, load_task(RECIPES[trained].task, data)
    if outliers and not folder.is_dir():
        weights.copy_with(zoo / trained, folder, edit_tensors(weights.put_outliers))
    texts, labels = tuple(task.unseen.texts), None if name == BASE else task.unseen.labels
    return load_encoder(folder), Corpus(name, texts, tuple(map(str, range(len(texts)))), labels).sample(rows)


def make_base(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        # Its module has the name of one of the zoo's.
        run_path(str(Path(__file__).parents[1] / "int8/base_encoders.py"))["make_roberta_base"](folder)
    return folder


def search(encoder: Encoder, corpus: Corpus, backend: str, target: Target) -> dict[str, Any]:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        found = tune(
            OpenBackends(encoder, RunSettings(available_threads())),
            REGISTRY[backend],
            corpus,
            target,
            FORMS[backend],
            Cost.SPEED,
            Path(scratch),
        )
    return {
        "searched_rows": found.searched_rows,
        "judged_rows": found.judged_rows,
        "tried": found.tried,
        "seconds": round(time.monotonic() - started),
        "chosen": None if found.chosen is None else found.front.index(found.chosen),
        "verdict": str(found.verdict) if target.bounds else None,
        "front": [describe(judged) for judged in found.front],
    }


def describe(judged: Judged) -> dict[str, Any]:
    candidate = judged.candidate
    return {
        "verdict": None if judged.verdict is None else str(judged.verdict),
        "searched_drift": candidate.drift,
        "drift": interval(judged.drift),
        "row_flips": interval(judged.row_flips),
        "flips": judged.flips,
        "time": [candidate.time_ratio.median, candidate.time_ratio.low, candidate.time_ratio.high],
        "size": candidate.size_ratio,
        "forms": {path: str(form) for path, form in candidate.forms.items()},
    }


def interval(limits: Interval) -> list[float]:
    return [limits.value, limits.low, limits.high]


def print_table(record: dict[str, Any]) -> None:
    print(f"\n{record['encoder']}, {record['backend']}: {record['tried']} candidates in {record['seconds']} s")
    print(f"chosen: {record['chosen']}, on the other rows: {record['verdict']}")
    for one in record["front"]:
        drift, taken = ("{:.4f} [{:.4f}, {:.4f}]".format(*one["drift"]), "{:.2f} [{:.2f}, {:.2f}]".format(*one["time"]))
        found = f"{one['searched_drift']:.4f} | {drift} | {one['flips']} | {taken} | {one['size']:.2f}"
        print(f"| {one['verdict']} | {len(one['forms'])} | {found} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
