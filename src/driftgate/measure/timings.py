"""What a throughput benchmark measured: which configuration, how long each block took, and speed as ratios of paired blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy.special import stdtrit


@dataclass(frozen=True, slots=True)
class Configuration:
    """One way to answer a corpus.

    Args:
        plan: name of the batch plan: "b32", or "budget".
        batch_size: rows a batch; None where the plan has no such number.
        workers: processes that answer their shares at the same time, with `threads` intra-op threads each.
    """

    backend: str
    corpus: str
    plan: str
    batch_size: int | None
    workers: int
    threads: int

    @property
    def cell(self) -> tuple[str, str, int, int]:
        """What backends are compared at: all but the backend."""
        return (self.corpus, self.plan, self.workers, self.threads)


@dataclass(frozen=True, slots=True)
class Work:
    """What a configuration has to answer, padding included in `padded_tokens`."""

    rows: int
    batches: int
    real_tokens: int
    padded_tokens: int

    @property
    def padding_share(self) -> float:
        """Padding in all tokens, from 0 to 1."""
        return 1 - self.real_tokens / self.padded_tokens


@dataclass(frozen=True, slots=True)
class Block:
    """One pass over the corpus: nanoseconds on a clock that all processes share.

    Args:
        number: of the block, counted from 0; every configuration runs once in each.
        start_ns: the moment at which all workers were to begin.
        begun_ns, ended_ns: when each worker did, and when it had answered its share.
    """

    number: int
    start_ns: int
    begun_ns: tuple[int, ...]
    ended_ns: tuple[int, ...]

    @property
    def seconds(self) -> float:
        """From the common start until the slowest worker has ended."""
        return (max(self.ended_ns) - self.start_ns) / 1e9

    @property
    def worker_seconds(self) -> tuple[float, ...]:
        """Each worker's own time."""
        return tuple((end - begin) / 1e9 for begin, end in zip(self.begun_ns, self.ended_ns, strict=True))

    @property
    def latest_start_seconds(self) -> float:
        """How long after the common start the last worker began; counted in `seconds`."""
        return (max(self.begun_ns) - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Throughput:
    """A configuration's blocks, at least one, in the order of their numbers."""

    configuration: Configuration
    work: Work
    blocks: tuple[Block, ...]

    @property
    def texts_per_second(self) -> tuple[float, ...]:
        """Of all workers together, by block."""
        return tuple(self.work.rows / block.seconds for block in self.blocks)


def paired_seconds(anchor: Throughput, other: Throughput) -> tuple[list[float], list[float]]:
    """Seconds of both in the blocks that both have."""
    numbers = {block.number for block in anchor.blocks} & {block.number for block in other.blocks}
    first, second = ([block.seconds for block in side.blocks if block.number in numbers] for side in (anchor, other))
    return first, second


def estimate_seconds(known: Sequence[Throughput], left: Mapping[Configuration, Work]) -> float:
    """What the configurations in `left` will take: as before, or as much a padded token as the same backend's others.

    Raises:
        ValueError: nothing is known yet.
    """
    if not known:
        raise ValueError("expected at least one measured configuration to estimate others from")
    exact = {each.configuration: each.blocks[-1].seconds for each in known}
    costs: dict[str, list[float]] = {}
    for each in known:
        # Of one worker: two workers answer at best twice as fast.
        cost = each.blocks[-1].seconds * each.configuration.workers / each.work.padded_tokens
        costs.setdefault(each.configuration.backend, []).append(cost)
    every = [cost for of_backend in costs.values() for cost in of_backend]
    return sum(
        exact[one] if one in exact else fmean(costs.get(one.backend, every)) * work.padded_tokens / one.workers
        for one, work in left.items()
    )


def relative_margin(seconds: Sequence[float], confidence: float = 0.95) -> float:
    """Half the width of a confidence interval of what a pass takes: 0.1 for a tenth more or less.

    The interval is Student's for the mean of the logarithms, and its upper end is the one that counts: exp(t s / sqrt(n)) - 1.

    Args:
        seconds: of passes of the same work, at least two.

    Raises:
        ValueError: fewer, or times that are not positive and finite.
    """
    taken = np.asarray(seconds, dtype=np.float64)
    if len(taken) < 2 or not ((taken > 0) & np.isfinite(taken)).all():  # noqa: PLR2004 - said below
        raise ValueError(f"expected at least 2 positive, finite times in seconds, found {taken.tolist()}")
    quantile = stdtrit(len(taken) - 1, (1 + confidence) / 2)
    return float(np.expm1(quantile * np.log(taken).std(ddof=1) / np.sqrt(len(taken))))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Speed relative to an anchor over paired blocks: above 1 is faster. `low` and `high` are the extremes seen."""

    median: float
    low: float
    high: float
    blocks: int


def speed_ratio(anchor_seconds: Sequence[float], seconds: Sequence[float]) -> Ratio:
    """Anchor time over own time, block by block; both ran the same rows in the same block.

    Raises:
        ValueError: fewer than three blocks, different counts, or times that are not positive and finite.
    """
    if len(anchor_seconds) != len(seconds) or len(seconds) < 3:  # noqa: PLR2004 - said below
        raise ValueError(f"expected at least 3 paired blocks, found {len(anchor_seconds)} and {len(seconds)}")
    anchor, own = np.asarray(anchor_seconds, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    if not all(((times > 0) & np.isfinite(times)).all() for times in (anchor, own)):
        raise ValueError(f"expected positive, finite times in seconds, found {anchor.tolist()} and {own.tolist()}")
    ratios = anchor / own
    return Ratio(float(np.median(ratios)), float(ratios.min()), float(ratios.max()), len(ratios))
