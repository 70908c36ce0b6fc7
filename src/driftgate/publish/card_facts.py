"""What a model card is made of: facts and measurements, no prose."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from driftgate.inputs.corpus import Corpus
from driftgate.judge.assessment import BackendAssessment
from driftgate.judge.parts import Measured
from driftgate.measure.timings import Ratio
from driftgate.results.environment import Environment


@dataclass(frozen=True, slots=True)
class Source:
    """The encoder.

    Args:
        repository: its hub id; None for a local folder. `revision`: the commit.
        carried: licence and language from the metadata of its own card, such as {"license": "mit"}.
        weights_bytes: of its torch weights on disk.
        takes_pairs: it is asked about pairs of texts.
    """

    name: str
    repository: str | None
    revision: str | None
    sha256: str
    architecture: str
    labels: tuple[str, ...]
    multi_label: bool
    has_thresholds: bool
    max_tokens: int
    weights_bytes: int
    carried: Mapping[str, object] = field(default_factory=dict)
    takes_pairs: bool = False


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed relative to torch, in alternating blocks of one process.

    Args:
        rows: texts in each block, of `corpus`.
        torch_texts_per_second: the median block's, by batch plan.
        ratios: by backend and batch plan; above 1 is faster than torch.
    """

    corpus: str
    rows: int
    threads: int
    device: str
    torch_texts_per_second: Mapping[str, float]
    ratios: Mapping[str, Mapping[str, Ratio]]


@dataclass(frozen=True, slots=True)
class Variant:
    """One model file.

    Args:
        model: its path in the published folder.
        arithmetic: the type in which products were computed where it was judged.
        opset: version of ONNX's own operators.
        size_bytes: external data included.
        inputs: names, in graph order.
        steps: build steps with their versions. `versions`: of the libraries that took part.
        assessment: what was measured of it, and the verdicts.
        recipe: products that are stored in another form than the backend's own, by the path of their module.
    """

    model: str
    backend: str
    precision: str
    arithmetic: str
    opset: int
    size_bytes: int
    inputs: tuple[str, ...]
    steps: tuple[str, ...]
    versions: Mapping[str, str]
    assessment: BackendAssessment
    recipe: Mapping[str, str] = field(default_factory=dict)

    @property
    def measured(self) -> Measured:
        """What its assessment is made of."""
        return self.assessment.measured


@dataclass(frozen=True, slots=True)
class Card:
    """A model card's facts.

    Args:
        model_id: what clients load: a hub id, or "." for the folder that the card is in.
        corpus: the texts of the judgement.
        variants: the model files, at least one.
    """

    model_id: str
    source: Source
    corpus: Corpus
    variants: tuple[Variant, ...]
    speed: Speed
    environment: Environment
