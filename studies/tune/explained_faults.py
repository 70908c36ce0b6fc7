"""Whether `driftgate explain` names an injected fault: twenty of them, of four kinds, in layers and heads drawn with a seed.

    export PYTHONPATH=tests/support
    python studies/tune/explained_faults.py [--encoder FOLDER] [--corpus FILE.tsv --text-column 0] [--output FILE]

Each fault is put into the float graph of an encoder, the embedded one or another one of BERT's and RoBERTa's kind, which is then
quantized row by row, and explained as a published file. A fault counts as named if its module is in the first or second line
that `explain` says. Writes `faults.json` beside this file.
"""

import argparse
import json
import random
import tempfile
from pathlib import Path

from graph_faults import FAULTS, dead_head, write_faulty, wrong_scale

from driftgate.backends import REGISTRY, BackendSpec, Precision, Runtime
from driftgate.builder.build import build_artifact
from driftgate.builder.rowwise.nodes import quantize_rowwise
from driftgate.explain.explain import explain_drift
from driftgate.explain.words import say
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.encoder import load_encoder
from driftgate.pipeline import OpenBackends
from driftgate.run.device import RunSettings, available_threads

REPOSITORY = Path(__file__).parents[2]
EMBEDDED = REPOSITORY / "fixtures/encoders/goemotions-roberta-mini"
EACH = 5
ROWS = 90


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, default=EMBEDDED)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--corpus", type=Path, default=REPOSITORY / "fixtures/corpora/emotions.jsonl")
    parser.add_argument("--text-column", default="")
    arguments = parser.parse_args()
    encoder = load_encoder(arguments.encoder)
    config = json.loads((arguments.encoder / "config.json").read_text(encoding="utf-8"))
    heads = config["num_attention_heads"]
    corpus = load_corpus(arguments.corpus, encoder, Columns(arguments.text_column), labelled=False).sample(ROWS)
    source = build_artifact(encoder, REGISTRY["onnx-fp32"]).model
    generator, found = random.Random(20), []
    for _ in range(EACH):
        for kind, fault in FAULTS.items():
            layer = f"{config['model_type']}.encoder.layer.{generator.randrange(config['num_hidden_layers'])}"
            options = {}
            if fault is dead_head:
                options = {"head": generator.randrange(heads), "size": config["hidden_size"] // heads}
            elif fault is wrong_scale:
                options = {"factor": generator.choice((0.5, 0.8, 1.1, 1.25, 2.0))}
            with tempfile.TemporaryDirectory() as scratch:
                faulty, file = Path(scratch) / "faulty.onnx", Path(scratch) / "model.onnx"
                module = write_faulty(source, faulty, fault, layer, **options)
                quantize_rowwise(faulty, file)
                spec = BackendSpec("theirs", Precision.FROM_GRAPH, Runtime.ONNXRUNTIME, published=file)
                explanation = explain_drift(OpenBackends(encoder, RunSettings(available_threads())), spec, corpus)
            lines = say(explanation)
            place = next((number for number, line in enumerate(lines, 1) if module in line), None)
            named = place is not None and place <= 2
            found.append({"fault": kind, "module": module, **options, "line": place, "named": named, "said": lines[:2]})
            print(f"{kind}, {module}, {options}: line {place}, {explanation.seconds:.0f} s", flush=True)
            arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{sum(one['named'] for one in found)} of {len(found)} named in the first or second line")


if __name__ == "__main__":
    main()
