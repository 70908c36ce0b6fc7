"""How a list of backends is read, and what a name promises."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from driftgate.backends import PRECISION_CLASSES, REFERENCE, REGISTRY, BackendSpec, Precision, Runtime
from driftgate.errors import OptionError, UnknownBackendError
from driftgate.inputs.recipe import SUFFIX, read_recipe, slug


def parse_backends(text: str, registry: Mapping[str, BackendSpec] = REGISTRY) -> tuple[BackendSpec, ...]:
    """Read a comma-separated list of `name`, `name+RECIPE.toml` or `name[:class]=PATH`, in the order given.

    A published artifact without a class gets it from its graph when it is opened.

    Raises:
        UnknownBackendError: names nobody registered.
        OptionError: an empty list, a name given twice or that stands for something else, an unknown class, no path after the
            equals sign, a recipe that cannot be read or is of another backend.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise OptionError(f"no backend in {text!r}; known backends: {', '.join(registry)}")
    unknown = [part for part in parts if "=" not in part and part.partition("+")[0] not in registry]
    if unknown:
        raise UnknownBackendError(
            f"unknown backend {', '.join(map(repr, unknown))}; known: {', '.join(registry)}; "
            "a published artifact is named as NAME=PATH"
        )
    specs = [_parse(part, registry) for part in parts]
    names = [spec.name for spec in specs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise OptionError(f"backends given twice: {', '.join(repeated)}; name each once")
    if REFERENCE in names:  # its own answers would stand in for what it is compared with
        raise OptionError(f"backend name {REFERENCE!r}: it is reserved for torch in the results; choose another")
    return tuple(specs)


def _parse(part: str, registry: Mapping[str, BackendSpec]) -> BackendSpec:
    name, plus, path = part.partition("+")
    if part in registry:
        return registry[part]
    return _parse_recipe(part, registry[name], path) if plus and name in registry else _parse_published(part, registry)


def _parse_recipe(part: str, spec: BackendSpec, path: str) -> BackendSpec:
    """As `onnx-int8+recipe.toml`: called "onnx-int8-recipe", after the file."""
    if not path.endswith(SUFFIX):
        raise OptionError(
            f"{part!r}: expected a recipe after the plus sign, a {SUFFIX} file such as driftgate tune writes"
        )
    recipe = read_recipe(Path(path))
    if recipe.backend != spec.name:
        raise OptionError(f"{part!r}: the recipe is of backend {recipe.backend!r}; name it as {recipe.backend}+{path}")
    return replace(spec, name=f"{spec.name}-{slug(recipe.name)}", recipe=recipe)


def _parse_published(part: str, registry: Mapping[str, BackendSpec]) -> BackendSpec:
    left, _, path = part.partition("=")
    if not path:
        raise OptionError(f"{part!r}: no path after the equals sign; a published artifact is named as NAME=PATH")
    name, colon, class_name = left.partition(":")
    if name in registry:
        raise OptionError(f"{name!r} is a backend that driftgate builds; give the artifact {path!r} a name of its own")
    if colon and class_name not in PRECISION_CLASSES:
        raise OptionError(f"unknown precision class {class_name!r} in {part!r}; known: {', '.join(PRECISION_CLASSES)}")
    precision = Precision(class_name) if colon else Precision.FROM_GRAPH
    return BackendSpec(name, precision, Runtime.ONNXRUNTIME, published=Path(path))


# Short words count at the beginning of a word only: "model-q4f16" promises something, "seq4" and "conf4" do not.
_PROMISES = {
    "int4|(?<![a-z0-9])q4": "int4",
    "bnb4|float4|(?<![a-z0-9])(nf4|fp4)": "float4",
    "fp32|float32": "fp32",
    "fp16|float16": "fp16",
    "int8|quantized": "int8",
}


def name_promises(name: str) -> str | None:
    """The precision that a name promises: what the names of fitting precision classes begin with, such as "fp16" or "int4".

    None where it promises nothing. In "q4f16" and "int4-fp16" the weights are what is promised.
    """
    return next((promise for words, promise in _PROMISES.items() if re.search(words, name)), None)
