"""This repository's defaults: the embedded encoder and its comments. `--encoder` and `--corpus` go before them."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent
FIXTURES = ROOT / "fixtures"


def pytest_driftgate_defaults(config: pytest.Config) -> dict[str, str]:
    defaults = {
        "encoder": str(FIXTURES / "encoders/goemotions-roberta-mini"),
        "corpus": str(FIXTURES / "corpora/emotions.jsonl"),
    }
    if not (config.getoption("driftgate_encoder") or config.getini("driftgate_encoder")):
        defaults["graph_lock"] = str(ROOT / "accuracy/graphs.lock.json")  # of the embedded encoder's graphs
    return defaults
