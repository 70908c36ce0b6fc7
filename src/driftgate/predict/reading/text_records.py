"""Lines of a text, and the records of CSV and TSV that they are, in pieces that a broken one does not end."""

import csv
from collections.abc import Iterator

from driftgate.predict.reading.rows import MAX_ROW_CHARS, Reason
from driftgate.predict.reading.text_files import Lines, RowTooLargeError


def split_records(lines: Lines, *, tabs: bool) -> Iterator[tuple[int, list[str], tuple[Reason, str] | None]]:
    """The first line of each record, its fields, and what is wrong with it. After an error the reader starts afresh."""
    csv.field_size_limit(MAX_ROW_CHARS)
    reader = csv.reader(
        lines,
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
        strict=True,
    )
    while True:
        first = lines.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = Reason.TOO_LARGE if "field limit" in str(error) else Reason.BROKEN_CSV
            yield first, [], (reason, str(error))
        except RowTooLargeError as error:
            yield first, [], (Reason.TOO_LARGE, str(error))
        else:
            if fields:
                yield first, fields, None


def each_line(lines: Lines) -> Iterator[str | RowTooLargeError]:
    """Every line, or that it was too large."""
    while True:
        try:
            yield next(lines)
        except StopIteration:
            return
        except RowTooLargeError as error:
            yield error
