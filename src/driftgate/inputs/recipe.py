"""Recipes: which products of a quantized backend are stored in another form, in a TOML file."""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from driftgate.errors import OptionError
from driftgate.files import write_whole

SCHEMA = 1
SUFFIX = ".toml"
_KEYS = frozenset({"schema", "backend", "build", "encoder", "encoder_sha256", "products", "search"})


class Form(StrEnum):
    """How a product, or a table of embeddings, is stored and computed instead of the backend's own way."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    """Weights in float16, multiplied in float32."""
    RANGE = "int8-range"
    """Row-wise INT8 whose rows are quantized from their least to their greatest value."""
    SMOOTH = "int8-smooth"
    """Row-wise INT8 behind a LayerNorm, the root of whose gains is moved from the activations to the weights."""
    BLOCKS = "int8-blocks"
    """Weights and activations in 8 bits with a scale for each block of 32 inputs (ONNX Runtime's `MatMulNBits`)."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How products are built that are not to be built in the backend's own way.

    Args:
        backend: which it is for.
        forms: by the path of the product's module, such as "roberta.encoder.layer.5.output.dense".
        encoder_sha256: of the encoder that it was made for; "" for any.
        build: the build step that it was made with, such as "int8-rowwise@5"; "" for any.
        search: what a search saw and found, as it stands in the file.
        name: of the file, without its suffix.
    """

    backend: str
    forms: Mapping[str, Form]
    encoder_sha256: str = ""
    build: str = ""
    search: Mapping[str, Any] = field(default_factory=dict)
    name: str = "recipe"

    @property
    def digest(self) -> str:
        """Of what it changes: two recipes of the same forms build the same file."""
        content = json.dumps(sorted((path, str(form)) for path, form in self.forms.items()))
        return hashlib.sha256(content.encode()).hexdigest()

    def require_for(self, encoder: str, encoder_sha256: str, build: str) -> None:
        """Refuse another encoder or another version of the build step.

        Raises:
            OptionError: says which.
        """
        if self.encoder_sha256 and self.encoder_sha256 != encoder_sha256:
            raise OptionError(
                f"recipe {self.name}: it was made for an encoder with digest {self.encoder_sha256[:12]}, and {encoder} has "
                f"{encoder_sha256[:12]}; make one for this encoder with driftgate tune"
            )
        if self.build and self.build != build:
            raise OptionError(
                f"recipe {self.name}: it was made with build step {self.build}, and this driftgate builds with {build}; run "
                "driftgate tune again, or remove the line `build` to use it without the measurements that are in it"
            )


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file.

    Raises:
        OptionError: no such file, or one that is malformed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"recipe {path}: {error.strerror}; driftgate tune writes one") from error
    except (ValueError, RecursionError) as error:  # neither TOML nor UTF-8, or arrays without end
        raise OptionError(f"recipe {path}: not a TOML file: {error}") from error
    unknown = sorted(content.keys() - _KEYS)
    if unknown:
        raise OptionError(f"recipe {path}: unknown {', '.join(unknown)}; expected {', '.join(sorted(_KEYS))}")
    if content.get("schema") != SCHEMA:
        raise OptionError(
            f"recipe {path}: expected schema = {SCHEMA}, found {content.get('schema')!r}; run driftgate tune again"
        )
    words = {name: content.get(name, "") for name in ("backend", "build", "encoder_sha256")}
    products, search = content.get("products", {}), content.get("search", {})
    if not all(isinstance(word, str) for word in words.values()) or not words["backend"]:
        raise OptionError(f'recipe {path}: expected backend = "NAME", and texts for build and encoder_sha256')
    if not isinstance(products, dict) or not isinstance(search, dict):
        raise OptionError(f"recipe {path}: expected tables [products] and [search]")
    return Recipe(forms=_read_forms(path, products), search=search, name=path.stem, **words)


def _read_forms(path: Path, products: Mapping[str, Any]) -> dict[str, Form]:
    wrong = {name: form for name, form in products.items() if form not in tuple(Form)}
    for name, form in wrong.items():
        raise OptionError(f"recipe {path}: product {name!r} is {form!r}; expected one of {', '.join(Form)}")
    return {name: Form(form) for name, form in products.items()}


def write_recipe(path: Path, recipe: Recipe, encoder: str, explanation: str) -> None:
    """Write a recipe, whole or not at all; its products in the order given.

    Args:
        explanation: lines of a comment at the top.
    """
    lines = [f"# {line}".rstrip() for line in explanation.splitlines()]
    lines += [
        f"schema = {SCHEMA}",
        f"backend = {_quote(recipe.backend)}",
        f"build = {_quote(recipe.build)}",
        f"encoder = {_quote(encoder)}",
        f"encoder_sha256 = {_quote(recipe.encoder_sha256)}",
        "",
        "[products]",
        *(f"{_quote(name)} = {_quote(form)}" for name, form in recipe.forms.items()),
        "",
        "[search]",
        *(f"{name} = {_write_value(value)}" for name, value in recipe.search.items()),
    ]
    write_whole(path, "\n".join(lines) + "\n")


def _write_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_write_value, value))}]"
    return _quote(value) if isinstance(value, str) else repr(value)


def _quote(text: str) -> str:
    """A basic string of TOML, which JSON's are but for one character."""
    return json.dumps(str(text), ensure_ascii=True).replace("\x7f", "\\u007F")


def slug(text: str) -> str:
    """As part of a backend's name: lower-case letters, digits and hyphens."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-") or "recipe"
