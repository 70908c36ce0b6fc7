"""Logits on disk, for later study: npz, or Parquet with the `data` extra."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import Logits
from driftgate.errors import OptionError
from driftgate.files import replacing

_SUFFIXES = (".npz", ".parquet")


def require_writable_format(path: Path) -> None:
    """Refuse a file whose format is unknown, or needs what is not installed, before anything is measured.

    Raises:
        OptionError: with what to do.
    """
    if path.suffix not in _SUFFIXES:
        raise OptionError(
            f"{path}: predictions are saved as {' or '.join(_SUFFIXES)}, found {path.suffix or 'no suffix'!r}"
        )
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise OptionError(f'{path}: Parquet needs pyarrow; pip install "driftgate[data]", or save as .npz')


def write_predictions(
    path: Path,
    logits: Mapping[str, Logits],
    labels: tuple[str, ...],
    row_ids: tuple[str, ...],
    about: Mapping[str, Any],
) -> None:
    """Write the logits of every backend, float32, (rows, labels), whole or not at all.

    npz: `backends` and `labels`, their names; `logits`, float32, (backends, rows, labels); `row_ids`; `about`, JSON text.
    Parquet: one record for each backend, row and label, with columns backend, row, row_id, label and logit, and `about` in
    the file's metadata.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        if path.suffix == ".parquet":
            _write_parquet(partial, logits, labels, row_ids, about)
        else:
            with partial.open("wb") as file:
                np.savez_compressed(
                    file,
                    backends=np.array(list(logits)),
                    logits=np.stack(list(logits.values())),
                    labels=np.array(labels),
                    row_ids=np.array(row_ids),
                    about=np.array(json.dumps(about)),
                )


def _write_parquet(
    path: Path,
    logits: Mapping[str, Logits],
    labels: tuple[str, ...],
    row_ids: tuple[str, ...],
    about: Mapping[str, Any],
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    rows, columns = len(row_ids), len(labels)
    row = np.repeat(np.arange(rows), columns)
    label = np.tile(np.arange(columns), rows)
    tables = [
        pa.table(
            {
                "backend": pa.array([name] * len(row)).dictionary_encode(),
                "row": row,
                "row_id": pa.DictionaryArray.from_arrays(row, list(row_ids)),
                "label": pa.DictionaryArray.from_arrays(label, list(labels)),
                "logit": values.reshape(-1),
            }
        )
        for name, values in logits.items()
    ]
    table = pa.concat_tables(tables).unify_dictionaries()
    parquet.write_table(table.replace_schema_metadata({"driftgate": json.dumps(about)}), path)
