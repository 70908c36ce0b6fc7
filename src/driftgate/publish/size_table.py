"""The table of sizes: what an encoder weighs in every form, and where the bytes are."""

from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table

from driftgate.results.console import plain
from driftgate.results.terminal import render

WEIGHTS, NAIVE = "torch weights", "naive export"

_FOOTNOTE = (
    "ratios: to the parameters in float32, and to the naive export, which is torch.onnx.export without its search for equal\n"
    "weights (as exporters once were, and some are again); it is measured and thrown away. graph: nodes and names, no weights.\n"
)


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an encoder.

    Args:
        name: `WEIGHTS`, `NAIVE`, or a backend.
        size_bytes: of all its files, external data too.
        parts: bytes of weights by part of the model, such as "attention".
    """

    name: str
    size_bytes: int
    parts: dict[str, int]

    @property
    def graph_bytes(self) -> int:
        """What is no weight: nodes, names, headers."""
        return self.size_bytes - sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Sizes:
    """An encoder in every form; the first is its own weights.

    Args:
        parameters: how many numbers training gave it, shared ones counted once.
        opset: of the forms that are ONNX files.
    """

    encoder: str
    parameters: int
    opset: int
    forms: tuple[Form, ...]

    @property
    def parameter_bytes(self) -> int:
        """In float32."""
        return 4 * self.parameters

    def describe(self) -> dict[str, Any]:
        """As JSON has it: bytes, and ratios of bytes."""
        naive = self._naive_bytes()
        forms = [
            {
                **asdict(form),
                "graph_bytes": form.graph_bytes,
                "ratio_to_parameters": form.size_bytes / self.parameter_bytes,
                "ratio_to_naive": form.size_bytes / naive,
            }
            for form in self.forms
        ]
        return {
            "encoder": self.encoder,
            "parameters": self.parameters,
            "parameter_bytes": self.parameter_bytes,
            "opset": self.opset,
            "forms": forms,
        }

    def _naive_bytes(self) -> int:
        return next(form.size_bytes for form in self.forms if form.name == NAIVE)


def render_sizes(sizes: Sizes, width: int) -> str:
    """A line for each form: megabytes (millions of bytes), ratios, and megabytes by part."""
    title = plain(
        f"sizes of {sizes.encoder} in MB",
        f"{sizes.parameters:,} parameters, shared ones counted once: {_megabytes(sizes.parameter_bytes)} MB in float32",
    )
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    table.add_column("form", no_wrap=True)
    for heading in ("files", "of parameters", "of naive", *sizes.forms[0].parts, "graph"):
        table.add_column(heading, justify="right", no_wrap=True)
    described = sizes.describe()["forms"]
    for form in described:
        table.add_row(
            form["name"],
            _megabytes(form["size_bytes"]),
            f"{form['ratio_to_parameters']:.2f}",
            f"{form['ratio_to_naive']:.2f}",
            *map(_megabytes, (*form["parts"].values(), form["graph_bytes"])),
        )
    return render(table, width) + _FOOTNOTE


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.2f}"
