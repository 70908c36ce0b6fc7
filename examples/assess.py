"""Judge backends from a Python script, without pytest.

Run it as `python examples/assess.py [ENCODER CORPUS]`; by default it judges the encoder that comes with the repository. The exit
code is 0 if every backend passed and 1 otherwise.
"""

import sys
from pathlib import Path

from driftgate import assess, load_corpus, load_encoder

FIXTURES = Path(__file__).parents[1] / "fixtures"
DEFAULTS = [str(FIXTURES / "encoders/goemotions-roberta-mini"), str(FIXTURES / "corpora/emotions.jsonl")]


def main(encoder_path: str, corpus_path: str) -> int:
    encoder = load_encoder(encoder_path)
    corpus = load_corpus(corpus_path, encoder).sample(300, seed=0)
    assessment = assess(encoder, corpus, backends="onnx-fp32,onnx-int8")
    for name, backend in assessment.backends.items():
        print(f"{name}: {backend.verdict()}, {len(backend.verdicts)} metrics were held to their bounds")
        for verdict in backend.failures:
            print(f"  {verdict}")
    return 0 if assessment.passed else 1


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or DEFAULTS)))
