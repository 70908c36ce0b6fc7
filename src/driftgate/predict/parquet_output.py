"""Parquet in two steps. Its rows cannot be appended to, so they wait as an Arrow stream, which can be cut behind any window."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from driftgate.predict.answerer import AnsweredWindow
from driftgate.predict.reading.parquet_input import require_pyarrow
from driftgate.predict.score_layout import SCORE, Layout, text_id

ROWS_A_GROUP = 1 << 16


class ParquetWriter:
    """Columns: row (int64), id, labels (a list of strings), a float32 column for each label.

    With `top` the scores are a list of structs instead: label, probability, logit. Of an encoder of one score there are no
    labels, and one float32 column, score.
    """

    def __init__(self, layout: Layout, id_type: Any = None) -> None:
        self._arrow = pa = require_pyarrow("output")
        self._layout = layout
        self._strings = id_type is None
        fields = [pa.field("row", pa.int64(), nullable=False)]
        if layout.has_ids:
            fields.append(pa.field("id", pa.string() if id_type is None else id_type))
        if not layout.one_score:
            fields.append(pa.field("labels", _list(pa, pa.string())))
        if layout.one_score:
            fields.append(pa.field(SCORE, pa.float32()))
        elif layout.top:
            scores = pa.struct([(part, pa.string() if part == "label" else pa.float32()) for part in layout.parts])
            fields.append(pa.field("top", _list(pa, scores)))
        else:
            fields += [pa.field(name, pa.float32()) for name in (*layout.probability_columns, *layout.logit_columns)]
        self._schema = pa.schema(fields)

    def head(self) -> bytes:
        content: bytes = self._schema.serialize().to_pybytes()
        return content

    def rows(self, window: AnsweredWindow) -> bytes:
        if not window.numbers:
            return b""
        pa = self._arrow
        scores = list(self._layout.scores(window.numbers, window.ids, window.logits))
        columns: dict[str, Any] = {"row": window.numbers, "labels": [row.decided for row in scores]}
        if self._layout.has_ids:
            columns["id"] = [text_id(row.id) if self._strings else row.id for row in scores]
        if self._layout.one_score:
            columns[SCORE] = [row.score for row in scores]
        elif self._layout.top:
            parts = self._layout.parts
            columns["top"] = [[dict(zip(parts, ranked, strict=True)) for ranked in row.ranked] for row in scores]
        else:
            names = (*self._layout.probability_columns, *self._layout.logit_columns)
            values = [(*row.probabilities, *(row.logits or ())) for row in scores]
            columns |= zip(names, zip(*values, strict=True), strict=True)
        arrays = [pa.array(columns[field.name], type=field.type) for field in self._schema]
        content: bytes = pa.record_batch(arrays, schema=self._schema).serialize().to_pybytes()
        return content

    def convert(self, partial: Path, target: Path) -> bool:
        """Read the stream back and write it as Parquet, a row group in memory at a time."""
        pa = self._arrow
        with pa.OSFile(str(partial), "rb") as stream, pa.ipc.open_stream(stream) as batches:
            write_row_groups(batches, target, self._schema)
        return True


def _list(pa: Any, kind: Any) -> Any:
    """A list whose values are called as Parquet calls them: what is read and written again has the same schema."""
    return pa.list_(pa.field("element", kind))


def write_row_groups(batches: Iterable[Any], target: Path | BinaryIO, schema: Any) -> None:
    """Write Arrow's batches as Parquet. Row groups have so many rows, however the batches are cut, and the last one fewer."""
    pa = require_pyarrow("output")
    waiting: list[Any] = []
    missing = ROWS_A_GROUP
    with pa.parquet.ParquetWriter(target, schema, compression="zstd") as parquet:

        def write() -> None:
            parquet.write_table(pa.Table.from_batches(waiting, schema).combine_chunks())
            waiting.clear()

        for whole in batches:
            batch = whole
            while len(batch) >= missing:
                waiting.append(batch.slice(0, missing))
                write()
                batch, missing = batch.slice(missing), ROWS_A_GROUP
            if len(batch):
                waiting.append(batch)
                missing -= len(batch)
        if waiting:
            write()
