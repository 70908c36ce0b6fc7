"""Rows out of a Parquet file, a few at a time."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from driftgate.errors import CorpusError, DriftgateError, OptionError
from driftgate.predict.reading.formats import choose_column
from driftgate.predict.reading.readers import ReadOptions
from driftgate.predict.reading.rows import Reason, Rejected, Row

_BATCH_BYTES = 1 << 23
_MAX_BATCH_ROWS = 2048


class ParquetRows(Iterator[Row | Rejected]):
    """The rows of a Parquet file; `read` of `total` are done. Only the columns asked for are read.

    Raises:
        OptionError: pyarrow is not installed. CorpusError: a damaged file, missing columns.
    """

    def __init__(self, path: Path, options: ReadOptions) -> None:
        pa = require_pyarrow(options.source)
        self._damage = (OSError, pa.ArrowException)
        self._opened = path.open("rb")  # by us, so that what is read is what was identified
        try:
            self._file = pa.parquet.ParquetFile(self._opened)
        except (ValueError, *self._damage) as error:
            self._opened.close()
            raise CorpusError(f"{path}: not a readable Parquet file ({error})") from error
        names = self._file.schema_arrow.names
        self._options = options
        try:
            self._texts = [
                choose_column(options.source, names, name, argument) for argument, name in options.text_columns.items()
            ]
            self._id = (
                choose_column(options.source, names, options.id_column, "id_column") if options.id_column else None
            )
        except DriftgateError:
            self._opened.close()
            raise
        self.total: int = self._file.metadata.num_rows
        self.read = 0
        self._rows = self._read_rows()

    @property
    def id_type(self) -> Any:
        """Arrow's type of the ids; that of its values where the column is a dictionary."""
        found = self._file.schema_arrow.field(self._id).type if self._id else None
        return getattr(found, "value_type", found) if "dictionary" in str(found) else found

    @property
    def descriptor(self) -> int:
        """Of the opened file."""
        return self._opened.fileno()

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()
        self._file.close()
        self._opened.close()

    def __next__(self) -> Row | Rejected:
        row = next(self._rows)
        self.read += 1
        return row

    def _read_rows(self) -> Generator[Row | Rejected]:
        columns = list(dict.fromkeys(name for name in (*self._texts, self._id) if name))
        number = 0
        try:
            for batch in self._file.iter_batches(self._batch_rows(), columns=columns):
                ids = batch.column(self._id).to_pylist() if self._id else [None] * len(batch)
                texts = zip(*(_texts(batch.column(name)) for name in self._texts), strict=True)
                for values, row_id in zip(texts, ids, strict=True):
                    broken = next((value for value in values if isinstance(value, UnicodeDecodeError)), None)
                    if broken is not None:
                        yield self._options.reject(number, (Reason.UNDECODABLE, str(broken)), None, None, None)
                    else:
                        yield self._options.judge(number, values, row_id, None, None)
                    number += 1
        except self._damage as error:
            raise CorpusError(f"{self._options.source}: damaged Parquet data behind row {number} ({error})") from error

    def _batch_rows(self) -> int:
        """As many rows as have a few megabytes by the file's own account, of all columns together.

        Not of the texts alone: pyarrow ends the process where what a file says of one column is malformed.
        """
        about = self._file.metadata
        groups = (about.row_group(group) for group in range(about.num_row_groups))
        widest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1)
        return int(min(max(_BATCH_BYTES // max(widest, 1), 1), _MAX_BATCH_ROWS))


def require_pyarrow(name: str) -> Any:
    """The pyarrow module, with `parquet` and `ipc`.

    Raises:
        OptionError: it is not installed.
    """
    try:
        import pyarrow as pa
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
