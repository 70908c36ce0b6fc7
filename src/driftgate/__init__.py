"""driftgate: is the optimized text classifier still the same model, and still faster?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driftgate.assessor import assess as assess
    from driftgate.inputs.corpus import load_corpus as load_corpus
    from driftgate.inputs.encoder import load_encoder as load_encoder
    from driftgate.judge.drift import measure_drift as measure_drift
    from driftgate.judge.quality import measure_quality as measure_quality
    from driftgate.pipeline import open_backend as open_backend
    from driftgate.publish.unjudged import build as build
    from driftgate.scorer import Scorer as Scorer

_HOMES = {
    "Scorer": "driftgate.scorer",
    "assess": "driftgate.assessor",
    "build": "driftgate.publish.unjudged",
    "load_corpus": "driftgate.inputs.corpus",
    "load_encoder": "driftgate.inputs.encoder",
    "measure_drift": "driftgate.judge.drift",
    "measure_quality": "driftgate.judge.quality",
    "open_backend": "driftgate.pipeline",
}

__all__ = [
    "Scorer",
    "assess",
    "build",
    "load_corpus",
    "load_encoder",
    "measure_drift",
    "measure_quality",
    "open_backend",
]


def __getattr__(name: str) -> Any:
    """Import on first use: every pytest run imports this package, few need scikit-learn or torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'driftgate' has no attribute {name!r}")
