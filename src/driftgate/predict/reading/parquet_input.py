"""Rows out of a Parquet file, a few at a time."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.edges.remote_files import RemoteFile
from driftgate.edges.stores import is_url
from driftgate.errors import CorpusError, DriftgateError, OptionError
from driftgate.predict.reading.formats import choose_column
from driftgate.predict.reading.part import Part
from driftgate.predict.reading.readers import ReadOptions
from driftgate.predict.reading.rows import Reason, Rejected, Row

_BATCH_BYTES = 1 << 23
_MAX_BATCH_ROWS = 2048


class ParquetRows:
    """`rows` of a Parquet file, or of a part of it; `read` of `total` are done. Only the columns asked for are read.

    Raises:
        OptionError: pyarrow is not installed. CorpusError: a damaged file, missing columns.
    """

    def __init__(self, name: str, options: ReadOptions, part: Part | None = None) -> None:
        self._arrow = pa = require_pyarrow(options.source)
        self._damage = (OSError, pa.ArrowException)
        # By us, so that what is read is what was identified.
        self._opened: Any = RemoteFile(name, random=True) if is_url(name) else Path(name).open("rb")  # noqa: SIM115
        try:
            self._file = pa.parquet.ParquetFile(self._opened)
            names = self._file.schema_arrow.names
            self._texts = [
                choose_column(options.source, names, name, argument) for argument, name in options.text_columns.items()
            ]
            self._id = (
                choose_column(options.source, names, options.id_column, "id_column") if options.id_column else None
            )
        except DriftgateError:
            self._opened.close()
            raise
        except (ValueError, *self._damage) as error:
            self._opened.close()
            raise CorpusError(f"{name}: not a readable Parquet file ({error})") from error
        self._options = options
        self.metadata: Any = self._file.metadata
        self.total: int = self.metadata.num_rows
        cut = part is not None and part.end_group > 0
        self._groups = range(part.first_group, part.end_group) if part and cut else range(self.metadata.num_row_groups)
        self._skipped_rows = part.skipped_rows if part else 0
        self.read = 0
        self.rows = self._read_rows()

    @property
    def id_type(self) -> Any:
        """Arrow's type of the ids; that of its values where the column is a dictionary."""
        found = self._file.schema_arrow.field(self._id).type if self._id else None
        return getattr(found, "value_type", found) if "dictionary" in str(found) else found

    @property
    def descriptor(self) -> int:
        """Of the opened file, which is on this machine."""
        return int(self._opened.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self.rows.close()
        self._file.close()
        self._opened.close()

    def read_batches(self) -> Generator[Any]:
        """Arrow's batches of the columns asked for, without the rows that are passed over.

        Raises:
            CorpusError: damaged data.
        """
        columns = list(dict.fromkeys(name for name in (*self._texts, self._id) if name))
        left, number = self._skipped_rows, 0
        try:
            for batch in self._file.iter_batches(self._batch_rows(), row_groups=self._groups, columns=columns):
                passed_over = min(left, len(batch))
                left -= passed_over
                number += len(batch)
                yield batch.slice(passed_over)
        except self._damage as error:
            raise self._damaged(number, error) from error

    def judge(self, batch: Any, number: int) -> Iterator[Row | Rejected]:
        """The rows of a batch, of which the first one has that number."""
        ids = batch.column(self._id).to_pylist() if self._id else [None] * len(batch)
        texts = zip(*(_texts(batch.column(name)) for name in self._texts), strict=True)
        for at, (values, row_id) in enumerate(zip(texts, ids, strict=True), number):
            broken = next((value for value in values if isinstance(value, UnicodeDecodeError)), None)
            if broken is not None:
                yield self._options.reject(at, (Reason.UNDECODABLE, str(broken)), None, None, None)
            else:
                yield self._options.judge(at, values, row_id, None, None)

    def most_chars(self, batch: Any) -> list[int]:
        """For each row of a batch, at least as many as its texts have characters: their bytes in UTF-8."""
        pa = self._arrow
        found = np.zeros(len(batch), dtype=np.int64)
        for name in self._texts:
            column = batch.column(name)
            kind = getattr(column.type, "value_type", column.type)
            if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
                lengths = pa.compute.binary_length(column.cast(pa.large_binary()))
                found += lengths.fill_null(0).to_numpy(zero_copy_only=False)
        return found.tolist()

    def _read_rows(self) -> Generator[Row | Rejected]:
        for batch in self.read_batches():
            number = self.read
            try:
                for row in self.judge(batch, number):
                    self.read += 1
                    yield row
            except self._damage as error:
                raise self._damaged(number, error) from error

    def _damaged(self, number: int, error: Exception) -> CorpusError:
        return CorpusError(f"{self._options.source}: damaged Parquet data behind row {number} ({error})")

    def _batch_rows(self) -> int:
        """As many rows as have a few megabytes by the file's own account, of all columns together.

        Not of the texts alone: pyarrow ends the process where what a file says of one column is malformed.
        """
        groups = (self.metadata.row_group(group) for group in range(self.metadata.num_row_groups))
        widest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1)
        return int(min(max(_BATCH_BYTES // max(widest, 1), 1), _MAX_BATCH_ROWS))


def require_pyarrow(name: str) -> Any:
    """The pyarrow module, with `parquet`, `compute` and `ipc`.

    Raises:
        OptionError: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise OptionError(f'{name}: Parquet needs pyarrow; pip install "driftgate[data]"') from error
    return pa


def _texts(column: Any) -> list[Any]:
    """Values of the column; the error in place of a text that is not UTF-8."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = []
        for scalar in column:
            try:
                values.append(scalar.as_py())
            except UnicodeDecodeError as error:
                values.append(error)
    return values
