"""Jobs that last: memory, descriptors, threads and temporary files stay as they are while rows and batches go by the million."""

import os
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from letter_counter import DOUBLE, open_double
from scipy import stats

from driftgate.arrays import IntArray
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.encoder import load_encoder
from driftgate.pipeline import open_backend
from driftgate.predict.job import run_job
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.progress import Silent
from driftgate.run.device import RunSettings

ROWS, BATCHES = 2_000_000, 2_000
WARM_SHARE = 0.25  # pools and caches fill
MOST_MEBIBYTES = 24.0  # over a whole job: a leak of one row's text in ten would be more

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc"),
]


@pytest.fixture(autouse=True)
def own_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes use the usual folder."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@dataclass
class Watch:
    """What the process holds, as often as it is asked to look."""

    places: list[float] = field(default_factory=list)
    mebibytes: list[float] = field(default_factory=list)
    counts: list[tuple[int, int, int]] = field(default_factory=list)

    def look(self, place: float) -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        self.places.append(place)
        self.mebibytes.append(pages * os.sysconf("SC_PAGESIZE") / 2**20)
        descriptors, temporary = (
            len(list(Path(folder).iterdir())) for folder in ("/proc/self/fd", tempfile.gettempdir())
        )
        self.counts.append((descriptors, threading.active_count(), temporary))

    def growth(self) -> tuple[float, float]:
        """MiB that are added from the first place to the last: the estimate, and the upper end of its 99% interval."""
        warm = np.asarray(self.places) >= WARM_SHARE * self.places[-1]
        fit = stats.linregress(np.asarray(self.places)[warm], np.asarray(self.mebibytes)[warm])
        width = stats.t.ppf(0.995, warm.sum() - 2) * fit.stderr
        return fit.slope * self.places[-1], (fit.slope + width) * self.places[-1]

    def require_flat(self) -> None:
        estimate, most = self.growth()
        print(f"{estimate:+.2f} MiB by the end, at most {most:+.2f} (99%)")  # noqa: T201 - shown by -s, and where this fails
        assert most < MOST_MEBIBYTES, f"{estimate:.1f} MiB more by the end, perhaps {most:.1f}"
        warm = self.counts[len(self.counts) // 4 :]
        for name, of_kind in zip(("descriptors", "threads", "temporary files"), zip(*warm, strict=True), strict=True):
            assert of_kind[-1] <= of_kind[0], f"{name}: {of_kind[0]} at first, {of_kind[-1]} at the end"


class Looking(Silent):
    """A job's progress, looked at every so many rows."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def update(self, rows: int, *rest: object) -> None:
        if not self.watch.places or rows - self.watch.places[-1] >= ROWS / 200:
            self.watch.look(rows)


def test_a_job_of_two_million_rows_grows_nothing(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    with source.open("w", encoding="utf-8") as file:
        file.writelines(f"text {row} {'word ' * (row % 23)}\n" for row in range(ROWS))
    watch = Watch()
    job = PredictionJob(DOUBLE, "double", str(source), str(tmp_path / "out.csv"), RunSettings(1))
    summary = run_job(job, progress=Looking(watch), open_model=open_double)
    assert summary.counts.rows == ROWS
    assert len(watch.places) > 100
    watch.require_flat()


@pytest.mark.parametrize("name", ["torch", "onnx-fp32", "onnx-int8"])
def test_two_thousand_batches_of_a_hundred_shapes_grow_nothing(name: str, tiny_encoder: Path, warm_cache: Path) -> None:
    encoder, generator = load_encoder(tiny_encoder), np.random.default_rng(5)
    backend = open_backend(encoder, name, RunSettings(1))
    # Kernels are kept by shape: torch's memory grows by 35 MiB while it first meets a thousand of them, and then no more.
    shapes = [(int(generator.integers(1, 17)), int(generator.integers(3, encoder.max_tokens + 1))) for _ in range(100)]
    watch = Watch()
    for number in range(BATCHES):
        rows, width = shapes[generator.integers(len(shapes))]
        ids: IntArray = generator.integers(5, encoder.vocab_size, (rows, width))
        answer = backend.prepare(TokenBatch(tuple(range(rows)), ids, np.ones_like(ids), None))()
        assert np.isfinite(answer).all()
        if number % 20 == 0:
            watch.look(number)
    watch.require_flat()
