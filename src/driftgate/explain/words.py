"""An explanation for people: sentences first, then tables."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.table import Table

from driftgate.explain.explanation import Effect, Explanation, ModuleFinding
from driftgate.results.console import plain
from driftgate.results.tables import make_table, render

_ENOUGH = 0.5
_UNLIKE = 4.0
_WEIGHTS_SHOWN = 5e-3


def render_explanation(found: Explanation, width: int) -> str:
    """The sentences, and the tables of modules, products and rows."""
    lines = "".join(f"{line}\n" for line in say(found))
    return lines + "".join(render(table, width) for table in list_tables(found))


def describe_explanation(found: Explanation) -> dict[str, Any]:
    """Everything that was found, for JSON, with the sentences as `summary`."""
    return {**asdict(found), "summary": say(found)}


def list_tables(found: Explanation) -> list[Table]:
    """Of modules, and of products and rows where there are any."""
    return [
        _modules(found),
        *([_products(found)] if found.products else []),
        *([_rows(found)] if found.worst_rows else []),
    ]


def say(found: Explanation) -> list[str]:
    """What was found, the most important first, as sentences."""
    lines = [*_faults(found), *_weights(found), _share(found), *_outliers(found), *_left_out(found)]
    lines.append(
        f"Drift is {found.drift:.4f} on {found.rows:,} rows (mean of each text's largest probability difference; largest "
        f"{found.largest:.3f}), with {found.flips} of {found.decisions:,} decisions flipped."
    )
    if found.sampled_rows < found.rows:
        lines.append(
            f"Modules and products were exchanged on {found.sampled_rows} rows, those with the largest drift and others drawn at "
            f"random, which estimate a drift of {found.sampled.drift:.4f}."
        )
    return lines


def _faults(found: Explanation) -> list[str]:
    return [
        f"{module.name}: an error of {module.apart_from_products:.1e} begins here even with every product exact, which rounding "
        "does not explain: compare its activation function, normalization and masks with the encoder's."
        for module in found.modules
        if module.apart_from_products is not None
    ]


def _weights(found: Explanation) -> list[str]:
    """Products whose weights are much further from the encoder's than those of the others."""
    errors = sorted(product.weight_error for product in found.products if product.restored is not None)
    if not errors:
        return []
    usual = max(errors[len(errors) // 2], _WEIGHTS_SHOWN)
    odd = [product for product in found.products if product.weight_error > _UNLIKE * usual]
    return [
        f"{product.module}: the weights of {product.path} are {product.weight_error:.1%} away from the encoder's, where "
        f"others are {usual:.1%} away or less."
        for product in sorted(odd, key=lambda product: -product.weight_error)[:2]
    ]


def _share(found: Explanation) -> str:
    if not found.sampled.drift > 0:
        return "The answers are the reference's: there is no drift to explain."
    if not found.together:
        return "Every product is exact in this file: the drift does not come from the products."
    enough = next((step for step in found.together if step.removed >= _ENOUGH), found.together[-1])
    names = _list(_short(path, found) for path in enough.products)
    count = len(enough.products)
    subject = f"{_number(count)} of {found.matched} products"
    if enough.removed >= _ENOUGH:
        return f"{subject} {'makes' if count == 1 else 'make'} {enough.removed:.0%} of the drift: {names}."
    return (
        f"No few products make the drift. The {count} worst of {found.matched} together make {max(enough.removed, 0):.0%} of it: "
        f"{names}."
    )


def _outliers(found: Explanation) -> list[str]:
    return [
        f"What goes into {_short(product.path, found)} has activation outliers in {product.outlier_channels} of "
        f"{product.channels} channels (largest {product.largest_outlier:.0f} times the median)."
        for product in found.products
        if product.restored is not None and product.outlier_channels
    ][:1]


def _left_out(found: Explanation) -> list[str]:
    lines = []
    if found.without_product:
        lines.append(
            f"{len(found.without_product)} of the encoder's products were not recognized in the graph, and could not be "
            f"exchanged: {_some(found.without_product)}."
        )
    if found.without_module:
        lines.append(
            f"{len(found.without_module)} products of the graph have the weights of no module: {_some(found.without_module)}."
        )
    return lines


def _short(path: str, found: Explanation) -> str:
    """The module in words and the last names of the path: "layer 5 feed-forward (output.dense)"."""
    product = next(product for product in found.products if product.path == path)
    return f"{product.module} ({'.'.join(path.split('.')[-2:])})"


def _some(names: tuple[str, ...], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _list(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _number(count: int) -> str:
    words = ("No", "One", "Two", "Three", "Four", "Five")
    return words[count] if count < len(words) else str(count)


def _modules(found: Explanation) -> Table:
    headings = ("share", "error", "cosine", "own", "inherited", "restored", "flips", "alone")
    title = plain(
        f"Modules of {found.backend}, the most harmful first. The sampled rows drift by {found.sampled.drift:.4f} with the file "
        f"as it is ({found.sampled.flips} flips), and by {found.float_products.drift:.4f} with every product exact.",
        "share is a module's part of the drift: its alone squared, over the sum of these squares.",
        "error is the relative error of a module's output, own the error with exact input, and inherited the error if only "
        "this module is exact.",
        "restored is the drift, and flips the flipped decisions, if only this module is exact; alone is the drift if only this "
        "module is not.",
    )
    table = make_table("module", headings, title=title)
    for module in found.modules:
        table.add_row(module.name, *_module_cells(module))
    return table


def _module_cells(module: ModuleFinding) -> list[str]:
    cosine = "-" if module.cosine is None else f"{module.cosine:.5f}"
    errors = [_error(module.relative_error), cosine, _error(module.own_error), _error(module.inherited_error)]
    if not module.sampled:
        return ["exact", *errors, "-", "-", "-"]
    return [f"{module.share:.0%}", *errors, *_effects(module.restored, module.alone)]


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _effects(restored: Effect | None, alone: Effect | None) -> list[str]:
    if restored is None or alone is None:
        return ["-", "-", "-"]
    return [f"{restored.drift:.4f}", str(restored.flips), f"{alone.drift:.4f}"]


def _products(found: Explanation) -> Table:
    title = plain(
        "Products of the worst modules. weights is how far the weights in force are from the encoder's; outliers are channels "
        "with outliers, of all."
    )
    table = make_table("product", ("share", "weights", "outliers", "restored", "flips", "alone"), title=title)
    for product in found.products:
        outliers = f"{product.outlier_channels}/{product.channels}" if product.channels else "-"
        cells = (f"{product.weight_error:.2%}", outliers, *_effects(product.restored, product.alone))
        table.add_row(product.path, f"{product.share:.0%}" if product.restored else "exact", *cells)
    return table


def _rows(found: Explanation) -> Table:
    title = plain(
        "Rows with the largest drift. removed is the share of it that is gone if this module is exact, and tokens are the "
        "positions of the largest errors.",
    )
    table = make_table("row", ("drift",), "module", ("removed",), "tokens", title=title)
    for row in found.worst_rows:
        positions = ", ".join(map(str, row.token_positions)) or "-"
        table.add_row(row.row, f"{row.drift:.3f}", row.module, f"{row.removed:.0%}", positions)
    return table
