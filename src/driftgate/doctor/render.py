"""What people and programs see of an examination."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from driftgate.doctor.facts import Facts
from driftgate.doctor.findings import Finding, Severity, megabytes
from driftgate.doctor.model_facts import Graph
from driftgate.edges.escape import for_terminal
from driftgate.results.console import Console

SCHEMA = 1

_STYLES = {Severity.PROBLEM: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold"}
_INSTRUCTION_SETS = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "VNNI": ("avx512_vnni", "avx512vnni", "avx_vnni"),
    "VNNI for unsigned": ("avx_vnni_int8",),
    "AMX": ("amx_int8",),
    "NEON": ("asimd",),
    "dot products": ("asimddp",),
    "I8MM": ("i8mm",),
}
_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnx", "optimum-onnx", "torch", "transformers", "numpy")


def render_text(facts: Facts, findings: Sequence[Finding], console: Console) -> None:
    """Print what was looked at, the findings, and how many of each severity."""
    console.print(_grid("bold", _summarize(facts)))
    for finding in findings:
        console.print()
        console.print(_block(finding))
    console.print()
    console.print(_count(findings))


def _block(finding: Finding) -> Group:
    head = Text.assemble(
        (f"{finding.severity}", _STYLES[finding.severity]),
        "  ",
        (finding.id, "bold"),
        for_terminal(f"  {finding.subject}"),
    )
    body = _grid("dim", [("found", finding.found), ("why", finding.matters), ("do", finding.advice)])
    return Group(head, Padding(body, (0, 0, 0, 2)))


def _grid(style: str, rows: Sequence[tuple[str, str]]) -> Table:
    """Texts beside their names, which have the style."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style=style)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def _count(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(
        f"{counts[severity] or 'no'} {severity}{'' if counts[severity] == 1 else 's'}" for severity in Severity
    )


def _summarize(facts: Facts) -> list[tuple[str, str]]:
    lines = []
    if facts.processor is not None:
        have = [name for name, flags in _INSTRUCTION_SETS.items() if set(flags) & set(facts.processor.flags)]
        lines.append(("processor", f"{facts.processor.name}: {', '.join(have) or 'no instruction sets known'}"))
    if facts.cores is not None:
        lines.append(("cores", f"{facts.cores.usable} of {facts.cores.logical} usable ({facts.cores.limits})"))
    if facts.software is not None:
        found = facts.software.versions
        lines.append(("software", ", ".join(f"{name} {found[name]}" for name in _PACKAGES if name in found)))
    if facts.runtime is not None:
        lines.append(("providers", ", ".join(facts.runtime.offered)))
    if facts.storage is not None:
        cache, folder = facts.storage.cache, facts.storage.folders[0]
        kept = f"{cache.entries} entries, {megabytes(cache.size_bytes)}" if cache else "empty"
        free = "" if folder.free_bytes is None else f", {megabytes(folder.free_bytes)} free"
        lines.append((folder.purpose, f"{folder.path}: {kept}{free}"))
    return lines + [(graph.file, _summarize_graph(graph)) for graph in facts.graphs]


def _summarize_graph(graph: Graph) -> str:
    content = graph.content
    if content is None:
        return f"{megabytes(graph.size_bytes)}, not readable"
    products = content.facts.products
    parts = [
        megabytes(graph.size_bytes),
        str(content.precision or "unknown precision"),
        f"opset {content.facts.opset.get('ai.onnx', '-')}",
    ]
    if products.integer_nodes:
        parts.append(
            f"{products.integer_nodes} of {products.nodes} products of integers ({products.integer_share:.0%} of the work)"
        )
    if content.facts.block_multiply_adds:
        formats = " and ".join(content.facts.block_multiply_adds)
        parts.append(f"{formats} weights in blocks ({content.facts.block_share:.0%} of the work)")
    if content.integers.signed or content.integers.unsigned:
        parts.append(f"weights: {content.integers.signed} signed, {content.integers.unsigned} unsigned")
    return ", ".join(parts)


def render_json(facts: Facts, findings: Sequence[Finding]) -> str:
    """One JSON object: `schema`, `driftgate`, how many findings of each severity, `findings`, `facts`."""
    counts = Counter(finding.severity for finding in findings)
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "driftgate": version("driftgate"),
        "counts": {str(severity): counts[severity] for severity in Severity},
        "findings": [asdict(finding) for finding in findings],
        "facts": asdict(facts),
    }
    return json.dumps(content, indent=2)
