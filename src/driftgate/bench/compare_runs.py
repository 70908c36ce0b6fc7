"""Throughputs from anywhere, side by side: this machine's, other machines', the encoder-optimization guide's."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.table import Table

from driftgate.bench.bench_results import FILE_NAME, SCHEMA
from driftgate.bench.throughput_files import Point, Series, read_throughput_table, series_key
from driftgate.errors import ResultsError
from driftgate.measure.timings import Configuration
from driftgate.results.document import read_document
from driftgate.results.tables import make_table

_TABLES = "*_*_*.tsv"
_LONG_IN_FILES = "filtered"
"""What the guide, and with it every file's name, calls the corpus that `driftgate bench` calls long."""


def read_results(paths: Iterable[Path]) -> tuple[Series, ...]:
    """Every series in files and folders, in the order given; of a folder `bench.json` first, then tables by name.

    Raises:
        ResultsError: a file that cannot be read, a folder without any, or two files that disagree about the same device,
            backend and corpus.
    """
    found: dict[tuple[str, str, str], tuple[Path, Series]] = {}
    for path in paths:
        for file in _files(path):
            for series in _read_bench(file) if file.suffix == ".json" else [read_throughput_table(file)]:
                key = series.device, series.backend, series.corpus
                known, same = found.setdefault(key, (file, series))
                if _rounded(same) != _rounded(series):
                    raise ResultsError(
                        f"{known} and {file}: both are of {' '.join(key)} and they differ; leave one out, or rename its device"
                    )
    return tuple(series for _, series in found.values())


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise ResultsError(f"{path}: no such file or folder; expected results of `driftgate bench`")
        return [path]
    files = [*path.glob(FILE_NAME), *sorted(path.glob(_TABLES))]
    if not files:
        raise ResultsError(f"{path}: no results in it; expected {FILE_NAME} or files such as DEVICE_BACKEND_CORPUS.tsv")
    return files


def _rounded(series: Series) -> set[tuple[int, int | None, str]]:
    """As the tables round: `bench.json` and the tables of the same run say the same."""
    return {(point.workers, point.batch_size, f"{point.texts_per_second:.2f}") for point in series.points}


def _read_bench(path: Path) -> list[Series]:
    """The medians in a `bench.json`, under the names of its tables; the budget plan is a series of its own.

    Raises:
        ResultsError: not what `driftgate bench` writes.
    """
    content = read_document(path, "benchmark", SCHEMA, "`driftgate bench`")
    try:
        keys = [field.name for field in fields(Configuration)]
        entries = [(Configuration(**{key: each[key] for key in keys}), each) for each in content["configurations"]]
        every = [one for one, _ in entries]
        points: dict[tuple[str, str, str], list[Point]] = {}
        for one, each in entries:
            device, backend, corpus = series_key(content, every, one)
            label = backend if one.batch_size else f"{backend} ({one.plan})"
            points.setdefault((device, label, corpus), []).append(_median(one, each))
    except (ValueError, TypeError, KeyError) as error:
        raise ResultsError(
            f"{path}: expected a {FILE_NAME} of `driftgate bench` or a table named DEVICE_BACKEND_CORPUS.tsv ({error!r})"
        ) from error
    if not points:
        raise ResultsError(f"{path}: nothing was measured; run it again")
    return [Series(*key, tuple(of_series)) for key, of_series in points.items()]


def _median(one: Configuration, entry: Mapping[str, Any]) -> Point:
    speed = float(entry["texts_per_second"]["median"])
    if not 0 < speed < math.inf:
        raise ValueError(f"{speed} texts per second")
    return Point(one.workers, one.batch_size, speed)


def split_corpora(series: Sequence[Series], corpus: str | None = None) -> dict[str, list[Series]]:
    """Series by corpus, or those of one corpus; `long` is found under its name in files too.

    Raises:
        ResultsError: no results of that corpus.
    """
    by_corpus: dict[str, list[Series]] = {}
    for each in series:
        by_corpus.setdefault(each.corpus, []).append(each)
    if corpus is None:
        return by_corpus
    if corpus == "long" and corpus not in by_corpus:
        corpus = _LONG_IN_FILES
    if corpus not in by_corpus:
        raise ResultsError(f"no results of corpus {corpus!r}; found: {', '.join(by_corpus)}")
    return {corpus: by_corpus[corpus]}


def require_baseline(series: Iterable[Series], baseline: str) -> None:
    """Refuse a baseline that no device has.

    Raises:
        ResultsError: with the backends that are there.
    """
    backends = dict.fromkeys(each.backend for each in series)
    if baseline not in backends:
        raise ResultsError(f"baseline {baseline!r}: no result of that backend; found: {', '.join(backends)}")


def best_table(series: Sequence[Series], baseline: str | None = None) -> Table:
    """The best of each corpus, device and backend: what the bars show."""
    ratio = [f"speedup vs {baseline}"] if baseline else []
    table = make_table("corpus", "device", "backend", ["texts/s", "workers x batch size", *ratio])
    speeds = {(each.corpus, each.device): each.best.texts_per_second for each in series if each.backend == baseline}
    for each in series:
        speed, against = each.best.texts_per_second, speeds.get((each.corpus, each.device))
        ratio = ["-" if against is None else f"{speed / against:.2f}"] if baseline else []
        setting = each.best.setting.replace("\N{MULTIPLICATION SIGN}", "x")
        table.add_row(each.corpus, each.device.replace("-", " "), each.backend, f"{speed:,.0f}", setting, *ratio)
    return table
