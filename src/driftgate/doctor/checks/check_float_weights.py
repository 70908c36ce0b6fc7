"""What a quantized graph left in float32."""

from collections.abc import Collection
from dataclasses import dataclass

from driftgate.doctor.findings import megabytes
from driftgate.doctor.model_facts import GraphContent

# A position table or a small head is not worth a finding.
_WORTH_QUANTIZING, _WORTH_QUANTIZING_BYTES = 0.05, 100_000
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LeftInFloat:
    """Matrices in float32: their bytes, and the largest of them by name in a sentence."""

    size_bytes: int
    description: str


def find_left_in_float(content: GraphContent, *, table: bool, but_not: Collection[str] = ()) -> LeftInFloat | None:
    """The embedding tables, or else the weights of products, that are float32; None where they are not worth a finding.

    Args:
        but_not: names that another finding is about.
    """
    left = [matrix for matrix in content.float_matrices if matrix.table is table and matrix.name not in but_not]
    size, every = sum(matrix.size_bytes for matrix in left), sum(content.facts.constant_bytes.values())
    if size <= max(_WORTH_QUANTIZING * every, _WORTH_QUANTIZING_BYTES):
        return None
    names = ", ".join(f"{matrix.name} ({megabytes(matrix.size_bytes)})" for matrix in left[:_SHOWN])
    return LeftInFloat(
        size,
        f"{len(left)} {'embedding tables' if table else 'weights of products'} in float32, {megabytes(size)} of "
        f"{megabytes(every)}: {names}{', ...' if len(left) > _SHOWN else ''}",
    )
