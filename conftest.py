"""This repository's defaults: the embedded encoder and its comments. `--encoder` and `--corpus` go before them."""

from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"


def pytest_driftgate_defaults(config: pytest.Config) -> dict[str, str]:  # noqa: ARG001
    return {
        "encoder": str(FIXTURES / "encoders/goemotions-roberta-mini"),
        "corpus": str(FIXTURES / "corpora/emotions.jsonl"),
    }
