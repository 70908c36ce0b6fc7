"""What a verification found: which facts were held against which document, and every output against its golden vector."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from driftgate.edges.escape import for_terminal
from driftgate.results.tables import make_table, render
from driftgate.verify.closeness import Closeness, Tolerance

_DIGEST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class FactCheck:
    """One fact of the model: what was found, what is stated and where. `holds` is None where nothing states it."""

    fact: str
    found: str
    stated: str = ""
    by: str = ""
    holds: bool | None = None


@dataclass(frozen=True, slots=True)
class OutputCheck:
    """One output of one set.

    Args:
        output: its name. `shape`: of the answer; None without one.
        tolerance: that was applied. `closeness`: None where nothing could be compared.
        problem: why it fails; "" where it does not.
    """

    output: str
    shape: tuple[int, ...] | None
    tolerance: Tolerance
    closeness: Closeness | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SetCheck:
    """One set of golden vectors. `matched` says how its tensors were told apart; `problem` why it could not be run."""

    name: str
    matched: str
    outputs: tuple[OutputCheck, ...]
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether every output was answered within tolerance."""
        return not self.problem and bool(self.outputs) and not any(check.problem for check in self.outputs)


@dataclass(frozen=True, slots=True)
class Verification:
    """A whole verification.

    Args:
        model: where it is. `runs_on`: runtime, version, provider, threads.
        precision: its class; "" where there is none.
        tolerance: for floating-point outputs, and the reason for it.
        sets_folder: where the sets lie; "" without any.
        structure_only: no vectors were asked for.
    """

    model: str
    runs_on: Mapping[str, Any]
    precision: str
    tolerance: Tolerance
    tolerance_reason: str
    facts: tuple[FactCheck, ...]
    sets: tuple[SetCheck, ...]
    sets_folder: str = ""
    structure_only: bool = False

    @property
    def failures(self) -> tuple[str, ...]:
        """What is wrong, a sentence each; empty where the model is verified."""
        facts = [
            f"{check.fact}: {check.by} states {check.stated}, found {check.found}"
            for check in self.facts
            if check.holds is False
        ]
        sets = [f"{check.name}: {check.problem}" for check in self.sets if check.problem]
        outputs = [
            f"{check.name}, {output.output}: {output.problem}"
            for check in self.sets
            for output in check.outputs
            if output.problem
        ]
        if self.sets or self.structure_only:
            return (*facts, *sets, *outputs)
        return (*facts, "no golden vectors (test_data_set_*): what the model answers was not verified")

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is None."""
        return {**_plain(asdict(self)), "passed": self.passed, "failures": list(self.failures)}


def render_verification(result: Verification, width: int) -> str:
    """Facts, vectors and the verdict."""
    runs_on = ", ".join(f"{name} {value}" for name, value in result.runs_on.items())
    computes = f"{result.precision or 'no known precision class'}; {runs_on}"
    parts: list[Any] = [_line(result.model), _line(computes), _facts_table(result)]
    if result.sets:
        tolerance = result.tolerance
        parts += [
            _line(f"golden vectors in {result.sets_folder}: |found - expected| <= atol + rtol * |expected|"),
            _line(
                f"rtol {tolerance.rtol:g}, atol {tolerance.atol:g}: {result.tolerance_reason}; other than floats: equal"
            ),
            _sets_table(result),
            *(_line(f"{name}: tensors matched to {matched}") for name, matched in _group_by_match(result.sets)),
        ]
    lines = [f"FAILED {failure}" for failure in result.failures] or [_verified(result)]
    shown = "".join(render(part, width) for part in parts)
    return shown + "\n".join(map(for_terminal, lines)) + "\n"


def _line(text: str) -> Text:
    return Text(for_terminal(text), no_wrap=True, overflow="ignore")


def _group_by_match(sets: Sequence[SetCheck]) -> list[tuple[str, str]]:
    """How tensors were matched, and the names of the sets where it was so."""
    ways = dict.fromkeys(check.matched for check in sets)
    return [(", ".join(check.name for check in sets if check.matched == way), way) for way in ways]


def _verified(result: Verification) -> str:
    held = sum(check.holds is True for check in result.facts)
    outputs = sum(len(check.outputs) for check in result.sets)
    facts = f"{held} stated facts hold" if held else "no document states facts about it"
    if result.structure_only:
        return f"structure only: it loads; {facts}; what it answers was not verified"
    return f"verified: {outputs} outputs of {len(result.sets)} sets within tolerance; {facts}"


def _facts_table(result: Verification) -> Table:
    table = make_table("verdict", "fact", "found", "stated", "stated by")
    verdicts = {True: "holds", False: "DIFFERS", None: "not stated"}
    others = Counter(check.by for check in result.facts if _is_of_another_file(check))
    for check in result.facts:
        if not _is_of_another_file(check):
            table.add_row(verdicts[check.holds], check.fact, _short(check.found), _short(check.stated), check.by)
    for by, count in others.items():
        table.add_row(verdicts[True], f"sha256 of {count} other files", "as stated", "", by)
    return table


def _is_of_another_file(check: FactCheck) -> bool:
    """Digests of tokenizer, configuration and vectors: a line for all of them that hold."""
    return check.fact.startswith("sha256 of ") and check.holds is True


def _short(text: str) -> str:
    digest = len(text) == 64 and all(char in "0123456789abcdef" for char in text)  # noqa: PLR2004 - sha256 in hexadecimal
    return f"{text[:_DIGEST_SHOWN]}..." if digest else text


def _sets_table(result: Verification) -> Table:
    table = make_table("verdict", "set", "output", ["shape", "max abs", "max rel", "beyond"])
    for check in result.sets:
        if check.problem:
            table.add_row(f"FAILED: {check.problem}", check.name, "", "", "", "", "")
        for output in check.outputs:
            verdict = f"FAILED: {output.problem}" if output.problem else "ok"
            table.add_row(verdict, check.name, output.output, _shape(output.shape), *_numbers(output.closeness))
    return table


def _shape(shape: tuple[int, ...] | None) -> str:
    return "-" if shape is None else "x".join(map(str, shape)) or "scalar"


def _numbers(closeness: Closeness | None) -> tuple[str, str, str]:
    if closeness is None:
        return "-", "-", "-"
    beyond, elements = closeness.beyond, closeness.elements
    share = f"{beyond}/{elements} ({beyond / elements:.2%})" if beyond else "0"
    return f"{closeness.max_abs:.2e}", f"{closeness.max_rel:.2e}", share


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
