"""JSON documents that driftgate writes with the number of a schema, and reads again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.errors import ResultsError
from driftgate.files import parse_json

_LARGEST_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """What is read.

    Args:
        name: as messages call it.
        schema: the only one that is read.
        writer: what writes it, in a message.
    """

    name: str
    schema: int
    writer: str

    def read(self, path: Path) -> dict[str, Any]:
        """The document, as JSON has it.

        Raises:
            ResultsError: no such file, one that is too large, not JSON, or not of this schema.
        """
        where = f"{self.name} {path}"
        try:
            size = path.stat().st_size
            if size > _LARGEST_BYTES:
                raise ResultsError(f"{where}: expected at most {_LARGEST_BYTES:,} bytes, found {size:,}")
            content = parse_json(path.read_text(encoding="utf-8"))
            schema = content["schema"]
        except OSError as error:
            raise ResultsError(f"{where}: {str(error.strerror).lower()}; {self.writer} writes it") from error
        except (ValueError, TypeError, KeyError) as error:
            raise ResultsError(f"{where}: expected a JSON object with a schema, as {self.writer} writes it") from error
        if schema != self.schema:
            raise ResultsError(
                f"{where}: schema {schema!r}, and this driftgate reads schema {self.schema}; have {self.writer} write it "
                "again, or read it with the driftgate that wrote it"
            )
        found: dict[str, Any] = content
        return found
