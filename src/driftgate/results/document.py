"""JSON documents that driftgate writes with the number of a schema, and reads again."""

from pathlib import Path
from typing import Any

from driftgate.errors import ResultsError
from driftgate.files import parse_json

_LARGEST_BYTES = 64_000_000


def read_document(path: Path, name: str, schema: int, writer: str) -> dict[str, Any]:
    """The document, as JSON has it.

    Args:
        name: as messages call it. `writer`: what writes it, in a message.
        schema: the only one that is read.

    Raises:
        ResultsError: no such file, one that is too large, not JSON, or not of this schema.
    """
    where = f"{name} {path}"
    try:
        size = path.stat().st_size
        if size > _LARGEST_BYTES:
            raise ResultsError(f"{where}: expected at most {_LARGEST_BYTES:,} bytes, found {size:,}")
        content: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        found = content["schema"]
    except OSError as error:
        raise ResultsError(f"{where}: {str(error.strerror).lower()}; {writer} writes it") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ResultsError(f"{where}: expected a JSON object with a schema, as {writer} writes it") from error
    if found != schema:
        raise ResultsError(
            f"{where}: schema {found!r}, and this driftgate reads schema {schema}; have {writer} write it "
            "again, or read it with the driftgate that wrote it"
        )
    return content
