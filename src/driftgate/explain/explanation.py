"""What `driftgate explain` finds, as records: by module, by product, by row."""

from dataclasses import dataclass

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Effect:
    """What the answers to the sampled rows are under a change.

    Args:
        drift: estimate of the mean over the corpus of each text's largest |probability difference|.
        flips: decisions of the sampled rows that differ from the reference's.
    """

    drift: float
    flips: int


@dataclass(frozen=True, slots=True)
class ModuleFinding:
    """One module, such as "layer 3 attention".

    Args:
        products: the paths of its products in the torch module.
        relative_error: of what comes out of it, over all real tokens of the corpus: root mean square error relative to the
            reference's root mean square; None where the graph's tensor could not be found. `cosine`: likewise.
        own_error: the same on the sampled rows if everything before and behind the module is exact, so that it is given the
            reference's own input. `inherited_error`: if only the module is exact.
        restored: the answers if only this module were exact. `alone`: if only this module were not.
        share: of the sum over modules of the squares of what each makes alone: drifts of independent errors add as squares.
        apart_from_products: an error that appears in this module even with every product exact, where it begins; None for none.
        sampled: False where the module is exact in the file and nothing had to be tried.
    """

    name: str
    products: tuple[str, ...]
    relative_error: float | None
    cosine: float | None
    own_error: float | None
    inherited_error: float | None
    restored: Effect
    alone: Effect
    share: float
    apart_from_products: float | None
    sampled: bool


@dataclass(frozen=True, slots=True)
class ProductFinding:
    """One product.

    Args:
        path: of the torch module. `node`: in the graph. `operator`: what multiplies there. `module`: what it is part of.
        weight_error: of the weights in force, relative to the encoder's (root mean square).
        restored, alone, share: as of modules.
        channels: that go in. `outlier_channels`: those whose largest |activation| is over `OUTLIER` times the median channel's.
        largest_outlier: the largest channel over the median one.
    """

    path: str
    node: str
    operator: str
    module: str
    weight_error: float
    restored: Effect | None
    alone: Effect | None
    share: float
    channels: int
    outlier_channels: int
    largest_outlier: float


@dataclass(frozen=True, slots=True)
class RowFinding:
    """One of the rows with the largest drift.

    Args:
        row: its id in the corpus. `drift`: its largest |probability difference|.
        module: the one whose restoration takes most of that away. `removed`: how much, as a share; negative where none helps.
        token_positions: of the tokens, counted from 0, that leave this module with the largest relative error; none for
            the head.
    """

    row: str
    drift: float
    module: str
    removed: float
    token_positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """The first of the ranked products, all exact at the same time, on up to 600 rows drawn at random.

    Args:
        removed: share of the drift that is gone.
    """

    products: tuple[str, ...]
    drift: float
    removed: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where the drift of one backend comes from.

    Args:
        rows: of the corpus. `sampled_rows`: on which modules and products were exchanged.
        drift: mean over all rows of each text's largest |probability difference|. `largest`: the largest of all.
        flips: decisions of all rows that changed. `decisions`: how many there are.
        sampled: the answers as they are, on the sampled rows, and `float_products`: with every product exact.
        matched: how many products of the graph were recognized. `without_product`, `without_module`: what was not.
        modules: the most harmful first. `products`: of the five worst modules, the most harmful first.
        together: the worst product, the worst two, and so on.
        seconds: what it took.
    """

    encoder: str
    encoder_sha256: str
    backend: str
    artifact_sha256: str
    corpus: str
    corpus_sha256: str
    rows: int
    sampled_rows: int
    drift: float
    largest: float
    flips: int
    decisions: int
    sampled: Effect
    float_products: Effect
    matched: int
    without_product: tuple[str, ...]
    without_module: tuple[str, ...]
    modules: tuple[ModuleFinding, ...]
    products: tuple[ProductFinding, ...]
    worst_rows: tuple[RowFinding, ...]
    together: tuple[Together, ...]
    seconds: float
    schema: int = SCHEMA
