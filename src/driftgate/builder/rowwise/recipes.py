"""Which form a recipe has for a node of the graph, and that every product of the recipe was found."""

from collections.abc import Iterable, Mapping
from typing import Any

from driftgate.errors import BuildError
from driftgate.inputs.recipe import Form


def module_path(node: Any) -> str:
    """Of a node that an export named, such as "roberta.encoder.layer.0.output.dense/MatMul_63"."""
    return str(node.name).partition("/")[0]


class Recipes:
    """A recipe while a graph is written: forms by the path of the product's module."""

    def __init__(self, forms: Mapping[str, Form]) -> None:
        self._forms = forms
        self._asked: set[str] = set()

    def of(self, node: Any) -> Form | None:
        """The form of a product or table; None for the backend's own way."""
        path = module_path(node)
        self._asked.add(path)
        form = self._forms.get(path)
        return None if form is None else Form(form)

    def require_read(self) -> None:
        """Refuse products that the graph does not have.

        Raises:
            BuildError: says which, and which there are.
        """
        require_known(self._forms, self._asked)


def require_known(forms: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a recipe's products that are not among those of the graph.

    Raises:
        BuildError: says which, and which there are.
    """
    found = sorted(set(known) - {""})
    if unknown := sorted(set(forms) - set(found)):
        raise BuildError(
            f"recipe: the graph has no product {', '.join(unknown)}; it has {', '.join(found)}; change the names in [products]"
        )
