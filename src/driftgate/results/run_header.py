"""What a run is of, and where it ran: the head of `results.json`."""

from dataclasses import dataclass

from driftgate.results.environment import Environment


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options that decide what a run measures."""

    threads: int
    device: str
    batch_sizes: tuple[int, ...]
    token_budget: int
    sample_rows: int
    backends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """The encoder of a run: `revision` is the commit of one from the hub, `max_tokens` where its texts were cut."""

    name: str
    sha256: str
    labels: tuple[str, ...]
    problem_type: str
    problem_type_inferred: bool
    thresholds: tuple[float, ...] | None
    revision: str | None
    max_tokens: int


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """The corpus of a run.

    Args:
        pinned: what loads the same rows of a hub data set again. `pairs`: whether they are pairs of texts.
        drawn_from: how many rows these were drawn from at random; None where the corpus is whole.
    """

    name: str
    rows: int
    sha256: str
    pinned: str | None
    pairs: bool = False
    drawn_from: int | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What a run is of, and where it ran; no corpus where none was given. `arguments` are those that pytest was given."""

    environment: Environment
    options: RunOptions
    encoder: EncoderFacts
    corpus: CorpusFacts | None
    arguments: tuple[str, ...] = ()
