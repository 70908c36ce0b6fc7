"""What documents beside a model say of it: driftgate's manifest, the model zoo's, and tables in a README.

Nothing is judged here. A claim is one stated fact in the words of its document.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from driftgate.builder.artifact import CARD, manifest_path, read_manifest
from driftgate.builder.model_file import MODEL_NOTE, Port, parse_port
from driftgate.errors import ArtifactError
from driftgate.files import parse_json

ZOO_MANIFEST = "ONNX_HUB_MANIFEST.json"

_NUMPY_NAMES = {"float": "float32", "double": "float64"}
_SIZE = re.compile(r"([\d.]+(?:,\d{3})*)\s*(bytes|[kKMG]i?B)\b")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Fact(StrEnum):
    """What can be stated of a model file, or of the archive that it came in."""

    SHA256 = "sha256"
    SIZE = "size"
    OPSET = "opset"
    ONNX_RELEASE = "ONNX release"
    """The first release of ONNX that can read the file."""
    INPUTS = "inputs"
    OUTPUTS = "outputs"
    PRECISION = "precision"


@dataclass(frozen=True, slots=True)
class Claim:
    """A stated fact.

    Args:
        stated: a digest, "499 MB", "ai.onnx 11", "1.6", ports by name, a precision class.
        by: the document's name.
        file: another file than the model's, as seen from the model's folder; ARCHIVE for the one that the model came in.
    """

    fact: Fact
    stated: str | Mapping[str, Port]
    by: Path
    file: str = ""


ARCHIVE = "archive"


def find_documents(file: Path, top: Path | None = None) -> tuple[Path, ...]:
    """Documents that speak of a model or archive: its manifest, a README beside it or one folder up, the zoo's manifest at the
    top of a checkout. Never above `top`.
    """
    folders = [folder for folder in file.absolute().parents if top is None or folder.is_relative_to(top.absolute())]
    manifests = [manifest_path(file)] if file.suffix == ".onnx" else []
    cards = [folder / CARD for folder in folders[:2]]
    zoo = [folder / ZOO_MANIFEST for folder in folders]
    return tuple(path for path in (*manifests, *cards, *zoo) if path.is_file())


def read_claims(document: Path, model: Path, archive: Path | None = None) -> tuple[Claim, ...]:
    """What `document` says of `model`, and of the archive that it came in; nothing where it speaks of other models.

    Raises:
        ArtifactError: a document that cannot be read.
    """
    if document.suffix != ".json":
        return tuple(_table_claims(document, model, archive))
    try:
        content = parse_json(document.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{document}: expected a manifest in JSON, it cannot be read ({error})") from error
    if isinstance(content, list):
        return tuple(_zoo_claims(document, content, model, archive))
    return tuple(_manifest_claims(document, content, model))


def _manifest_claims(document: Path, content: Any, model: Path) -> Iterator[Claim]:
    """driftgate's own: a digest of every file, the precision, and what the model file was when it was written."""
    if not isinstance(content, dict) or not {"files", "steps", "precision"} <= content.keys():
        return  # someone else's manifest of something else
    manifest = read_manifest(document)
    name = _relative(model, document.parent)
    if name not in manifest.files:
        return
    for file, sha256 in manifest.files.items():
        yield Claim(Fact.SHA256, sha256, document, "" if file == name else file)
    yield Claim(Fact.PRECISION, manifest.precision, document)
    noted = manifest.notes.get(MODEL_NOTE, {})
    if "size_bytes" in noted:
        yield Claim(Fact.SIZE, f"{noted['size_bytes']} bytes", document)
    for domain, version in noted.get("opset", {}).items():
        yield Claim(Fact.OPSET, f"{domain} {version}", document)
    for fact in (Fact.INPUTS, Fact.OUTPUTS):
        if fact in noted:
            yield Claim(fact, _parse_ports(document, noted[fact]), document)


def _relative(file: Path, folder: Path) -> str:
    """How documents in `folder` call the file."""
    file, folder = file.absolute(), folder.absolute()
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def _parse_ports(document: Path, ports: Mapping[str, str]) -> dict[str, Port]:
    try:
        return {name: parse_port(text) for name, text in ports.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{document}: its inputs and outputs cannot be read ({error})") from error


def _zoo_claims(document: Path, entries: list[Any], model: Path, archive: Path | None) -> Iterator[Claim]:
    """The zoo's ONNX_HUB_MANIFEST.json: an entry a file."""
    entry = _find_entry(entries, model, archive)
    if entry is None:
        return
    metadata = entry.get("metadata", {})
    yield Claim(Fact.OPSET, f"ai.onnx {entry['opset_version']}", document)
    if "onnx_version" in entry:
        yield Claim(Fact.ONNX_RELEASE, str(entry["onnx_version"]), document)
    for prefix, file, there in (("model", "", True), ("model_with_data", ARCHIVE, archive is not None)):
        if there and f"{prefix}_sha" in metadata:
            yield Claim(Fact.SHA256, metadata[f"{prefix}_sha"], document, file)
        if there and f"{prefix}_bytes" in metadata:
            yield Claim(Fact.SIZE, f"{metadata[f'{prefix}_bytes']} bytes", document, file)
    for fact in (Fact.INPUTS, Fact.OUTPUTS):
        if fact in metadata.get("io_ports", {}):
            ports = metadata["io_ports"][fact]
            yield Claim(fact, {port["name"]: _zoo_port(port) for port in ports}, document)


def _find_entry(entries: list[Any], model: Path, archive: Path | None) -> Any:
    """The entry of that path, or the only one of that file name; paths in a checkout end as those in the manifest do."""
    path, key = (archive, "model_with_data_path") if archive else (model, "model_path")
    stated = [(entry, _stated_path(entry, key)) for entry in entries if isinstance(entry, dict)]
    exact = [entry for entry, told in stated if told and f"/{path.absolute().as_posix()}".endswith(f"/{told}")]
    named = [entry for entry, told in stated if told.rpartition("/")[2] == path.name]
    found = exact or named
    return found[0] if len(found) == 1 else None


def _stated_path(entry: Mapping[str, Any], key: str) -> str:
    return str(entry.get(key) or entry.get("metadata", {}).get(key) or "")


def _zoo_port(port: Mapping[str, Any]) -> Port:
    kind = str(port.get("type", "")).removeprefix("tensor(").removesuffix(")")
    axes = tuple(axis if isinstance(axis, int) else str(axis or "?") for axis in port.get("shape", ()))
    return Port(_NUMPY_NAMES.get(kind, kind), axes)


def _table_claims(document: Path, model: Path, archive: Path | None) -> Iterator[Claim]:
    """Tables of a README whose row names the file: the zoo's, where a size is the text of a link to the file, and model cards."""
    try:
        lines = document.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{document}: expected a README in UTF-8, it cannot be read ({error})") from error
    path = archive or model
    named = [(row, token) for row in _table_rows(lines) if (token := _find_path(row.values(), path.name))]
    # Several folders may have a model.onnx: a row is believed by its path, or where no other row names such a file.
    exact = [row for row, token in named if token == _relative(path, document.parent)]
    alone = [row for row, _ in named] if len({token for _, token in named}) == 1 else []
    for row in exact or alone:
        for heading, cell in row.items():
            yield from _cell_claims(document, heading, cell, model, archive)


def _table_rows(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Rows of Markdown tables: cells by heading, in lower case."""
    headings: list[str] = []
    for line in lines:
        text = line.strip()
        cells = [cell.strip() for cell in text.strip("|").split("|")] if text.startswith("|") else []
        if headings and len(cells) == len(headings):
            yield dict(zip(headings, cells, strict=True))
        elif not headings or not cells:
            headings = [cell.lower() for cell in cells]


def _find_path(cells: Iterable[str], name: str) -> str:
    """The path of a file of that name in one of the cells; "" without one."""
    pattern = re.compile(rf"(?:^|(?<=[\s(`\[]))(?:\./)?((?:[^\s()`\[\]]*/)?{re.escape(name)})(?=$|[\s)`\]])")
    return next((found[1] for cell in cells if (found := pattern.search(cell))), "")


def _cell_claims(document: Path, heading: str, cell: str, model: Path, archive: Path | None) -> Iterator[Claim]:
    if "opset" in heading and cell.isdecimal():
        yield Claim(Fact.OPSET, f"ai.onnx {cell}", document)
    elif "onnx version" in heading and re.fullmatch(r"\d+(\.\d+)+", cell):
        yield Claim(Fact.ONNX_RELEASE, cell, document)
    elif "sha" in heading and (digest := re.search(r"\b[0-9a-f]{64}\b", cell)):
        yield Claim(Fact.SHA256, digest[0], document)
    size, link = _SIZE.search(cell), _LINK.search(cell)
    if size is None:
        return
    target = link[1].rpartition("/")[2] if link else ""
    if target == model.name or (not link and "size" in heading):
        yield Claim(Fact.SIZE, size[0], document)
    elif archive is not None and target == archive.name:
        yield Claim(Fact.SIZE, size[0], document, ARCHIVE)
