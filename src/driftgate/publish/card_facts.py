"""What a model card is made of: facts and measurements, no prose."""

from collections.abc import Mapping
from dataclasses import dataclass

from driftgate.builder.artifact import Artifact, Manifest
from driftgate.builder.model_file import ModelFile
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.judge.assessment import BackendAssessment
from driftgate.judge.parts import Measured
from driftgate.measure.timings import Ratio
from driftgate.pipeline import describe_head
from driftgate.results.environment import Environment


@dataclass(frozen=True, slots=True)
class Source:
    """The encoder.

    Args:
        weights_bytes: of its torch weights on disk.
        carried: licence and language from the metadata of its own card, such as {"license": "mit"}.
    """

    encoder: Encoder
    weights_bytes: int
    carried: Mapping[str, object]

    @property
    def repository(self) -> str | None:
        """Its hub id; None for a local folder."""
        encoder = self.encoder
        return encoder.name if encoder.revision and encoder.name != encoder.revision else None

    @property
    def multi_label(self) -> bool:
        """Whether each label is decided for itself."""
        return self.encoder.problem_type is ProblemType.MULTI_LABEL

    @property
    def has_thresholds(self) -> bool:
        """Whether it decides by thresholds of its own, too."""
        return len(describe_head(self.encoder).policies) > 1


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
        made: how it was built.
        assessment: what was measured of it, and the verdicts.
    """

    model: str
    arithmetic: str
    artifact: Artifact
    file: ModelFile
    made: Manifest
    assessment: BackendAssessment

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
