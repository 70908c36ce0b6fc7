"""Which machine scored a shard: bits of INT8 are the same within one kind of machine only."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from driftgate.backends import Precision
from driftgate.edges.spelling import option
from driftgate.errors import OptionError, OutputError
from driftgate.predict.shards.plan import Plan
from driftgate.predict.shards.seal import Seal, files_of, read_seal
from driftgate.results.environment import read_processor

# A sum that a kernel rounds elsewhere moves float32 by its last bits, but an activation by a whole step of its scale.
_INTEGER = frozenset({Precision.INT8_DYNAMIC, Precision.INT8_STATIC, Precision.INT8_ROWWISE, Precision.INT4_BLOCKWISE})


def needs_one_kind(precision: str) -> bool:
    """Whether shards of a class of arithmetic have to be scored with the same instruction sets."""
    return precision in _INTEGER


def describe_machine() -> dict[str, Any]:
    """This machine, as a seal has it."""
    processor = asdict(read_processor())
    return {**processor, "instruction_sets": list(processor["instruction_sets"])}


def find_first(plan_path: Path | str, plan: Plan) -> tuple[int, Seal] | None:
    """The first shard of the plan that was scored, with its seal; None where none says on which machine."""
    for place, shard in enumerate(plan.shards):
        seal = read_seal(files_of(plan_path, shard))
        if seal is not None and seal.plan == plan.sha256 and seal.output and seal.machine:
            return place, seal
    return None


def describe_difference(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """How the instruction sets of two machines differ; empty where they do not, or one of them is not known."""
    if not first or not other:
        return ""
    before, now = set(first["instruction_sets"]), set(other["instruction_sets"])
    sides = [("without", before - now), ("with", now - before)]
    found = " and ".join(f"{word} {', '.join(sorted(names))}" for word, names in sides if names)
    return f"{other['cpu']} {found}, where {first['cpu']} scored" if found else ""


def kind_of_machine(precision: str) -> str:
    """What `PredictionJob.machine` is on this machine: the instruction sets that the bits of this class depend on."""
    return " ".join(read_processor().instruction_sets) if needs_one_kind(precision) else ""


def require_one_kind(plan_path: Path | str, plan: Plan, precision: str) -> None:
    """Refuse to score shards on a machine of another kind than the one that scored the first.

    Raises:
        OptionError: with the instruction sets that differ.
    """
    found = find_first(plan_path, plan) if needs_one_kind(precision) else None
    if found is None:
        return
    place, seal = found
    if difference := describe_difference(seal.machine, describe_machine()):
        raise OptionError(
            f"this machine is of another kind: {difference} shard {place + 1} ({plan.shards[place].output}), and answers of "
            f"{precision} have the same bits within one kind only; use machines like the first, or allow others with "
            f"{option('mixed_machines', True)}"
        )


def require_one_kind_of_seals(plan: Plan, seals: Sequence[Seal]) -> None:
    """Refuse to join shards that machines of different kinds have scored.

    Args:
        seals: of all shards, in order.

    Raises:
        OutputError: with the first two that differ.
    """
    known = [(place, seal) for place, seal in enumerate(seals) if seal.machine and needs_one_kind(seal.precision)]
    for place, seal in known:
        first, kind = known[0]
        if difference := describe_difference(kind.machine, seal.machine):
            raise OutputError(
                f"shard {place + 1} ({plan.shards[place].output}) was scored on another kind of machine: {difference} shard "
                f"{first + 1}, and answers of {seal.precision} have the same bits within one kind only; delete the outputs of "
                f"one kind and score them again, or join them with {option('mixed_machines', True)}"
            )
