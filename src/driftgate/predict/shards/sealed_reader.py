"""Read sealed files, and compare them with their seals while they are read."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from driftgate.errors import DriftgateError
from driftgate.predict.progress import Pace, Watcher
from driftgate.predict.reading.parquet_input import require_pyarrow
from driftgate.predict.shards.folders import LocalFolder, SealedFile
from driftgate.predict.shards.seal import Seal, ShardFiles

_PIECE_BYTES = 1 << 20
_CHANGED = "gone, or changed since it was written"


@dataclass(frozen=True, slots=True)
class SealedShard:
    """A shard that is done, as far as its seal says: which of the plan, from 0."""

    place: int
    files: ShardFiles
    seal: Seal


class SealedReader:
    """Reads files of shards. `faults` has those that are not what their seals say, by the place of the shard.

    Args:
        rows: of all shards.
    """

    def __init__(self, progress: Watcher, rows: int) -> None:
        self.faults: dict[int, str] = {}
        self._progress, self._pace, self._rows = progress, Pace(0, rows), 0

    def pieces(self, shard: SealedShard, sealed: SealedFile | None) -> Iterator[bytes]:
        """The content, before it is known to be right."""
        if sealed is None:
            return
        digest = hashlib.sha256()
        try:
            with shard.files.folder.open(sealed.name) as file:
                while piece := file.read(_PIECE_BYTES):
                    digest.update(piece)
                    yield piece
        except (OSError, DriftgateError):
            self.faults[shard.place] = _CHANGED
            return
        if digest.hexdigest() != sealed.sha256:
            self.faults[shard.place] = _CHANGED

    def open_parquet(self, shard: SealedShard) -> Any:
        """The output as a `ParquetFile`, known to be right; None where it is not. Of an object store it is a copy."""
        pa = require_pyarrow(str(shard.files))
        sealed = shard.seal.output
        if isinstance(shard.files.folder, LocalFolder):
            for _ in self.pieces(shard, sealed):
                pass
            opened = shard.files.folder.open(sealed.name) if sealed and shard.place not in self.faults else None
        else:
            opened = self._copy(shard, sealed)
        self.done(shard)
        return None if opened is None else pa.parquet.ParquetFile(opened)

    def done(self, shard: SealedShard) -> None:
        """Say how far the rows are."""
        self._rows += shard.seal.rows
        self._progress.update(self._rows, *self._pace.at(self._rows, self._rows))

    def _copy(self, shard: SealedShard, sealed: SealedFile | None) -> BinaryIO | None:
        copy = TemporaryFile()  # noqa: SIM115 - whoever reads it closes it
        for piece in self.pieces(shard, sealed):
            copy.write(piece)
        if shard.place in self.faults:
            copy.close()
            return None
        copy.seek(0)
        return copy
