"""Does a document keep to its JSON Schema? For documents that come from somebody else, before anything is read from them."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from driftgate.errors import ResultsError

Kind = Literal["results", "gate", "history", "explanation"]
KINDS: tuple[Kind, ...] = ("results", "gate", "history", "explanation")
_SHOWN = 100


def load_schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `results.json`, of a gate's report, of a line of a history, or of an explanation."""
    found: dict[str, Any] = json.loads(files(__package__).joinpath(f"{kind}.json").read_text(encoding="utf-8"))
    return found


def require_schema(document: object, kind: Kind, file: str) -> None:
    """Refuse a document that its schema does not allow. Fields that the schema does not know are allowed.

    Args:
        document: as JSON has it. `file`: what messages call it.

    Raises:
        ResultsError: with the place, what is expected there and what was found; or there is nothing to check with.
    """
    try:
        from jsonschema.exceptions import best_match
    except ImportError as error:
        raise ResultsError(f"{file}: cannot be checked without jsonschema; install driftgate[github]") from error

    found = best_match(_validator(kind).iter_errors(document))
    if found is not None:
        said = found.message if len(found.message) <= _SHOWN else f"{found.message[:_SHOWN]}..."
        raise ResultsError(
            f"{file}: expected a document as the schema of {kind} describes it, found at {found.json_path}: {said}"
        )


@cache
def _validator(kind: Kind) -> Any:
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    schemas = [load_schema(each) for each in KINDS]
    registry = Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in schemas])
    return Draft202012Validator(load_schema(kind), registry=registry)
