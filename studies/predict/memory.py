"""Peak memory of `driftgate predict --input FILE` over the number of rows.

    python studies/predict/memory.py [--rows 10000,1000000] [--backend onnx-fp32] [--format csv] [--output memory.json]

Every size is scored in a process of its own with a tiny encoder and short texts. The peak is the process's own (VmHWM);
what it held before the job began, with the model loaded, is shown beside it.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).parents[2]
WORDS = ("the", "bus", "was", "late", "again", "and", "it", "rained", "but", "this", "made", "my", "day")


def write_rows(path: Path, rows: int) -> None:
    """Texts of one to eight words."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        file.write("id,text\n")
        for row in range(rows):
            file.write(f"{row},{' '.join(draw.choices(WORDS, k=draw.randint(1, 8)))}\n")


def memory_kib(field: str) -> int:
    """VmHWM, the peak so far, or VmRSS, what is held now."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(f"{field}:")[1].split()[0])


def score(encoder_folder: str, backend: str, source: str, target: str) -> None:
    """In a process of its own; prints what it took."""
    from driftgate.inputs.encoder import load_encoder
    from driftgate.predict.answerer import open_answerer
    from driftgate.predict.job import PredictionJob, run_job

    held = []

    def open_and_look(*arguments: Any) -> Any:
        answerer = open_answerer(*arguments)
        held.append(memory_kib("VmRSS"))
        return answerer

    job = PredictionJob(load_encoder(encoder_folder), backend, source, target, id_column="id", token_budget=4096)
    summary = run_job(job, open_model=open_and_look)
    found = {"rows": summary.counts.rows, "seconds": summary.seconds, "rows_per_second": summary.rows_per_second}
    print(json.dumps({**found, "loaded_kib": held[0], "peak_kib": memory_kib("VmHWM")}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="10000,1000000")
    parser.add_argument("--backend", default="onnx-fp32")
    parser.add_argument("--format", default="csv", help="of the output")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("memory.json"))
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests/support"))
    from tiny_encoders import make_encoder

    started, found = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_encoder(folder / "encoder")
        for rows in map(int, options.rows.split(",")):
            write_rows(folder / f"{rows}.csv", rows)
            paths = (
                folder / "encoder",
                options.backend,
                folder / f"{rows}.csv",
                folder / f"{rows}-out.{options.format}",
            )
            command = [sys.executable, __file__, "--score", *map(str, paths)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
            found.append(json.loads(done.stdout))
            entry = found[-1]
            print(
                f"{rows:,} rows: peak {entry['peak_kib'] / 1024:.0f} MiB ({entry['loaded_kib'] / 1024:.0f} MiB with the model "
                f"loaded), {entry['rows_per_second']:,.0f} rows/s, {entry['seconds']:.0f} s",
                flush=True,
            )
    ratio = found[-1]["peak_kib"] / found[0]["peak_kib"]
    about = {"backend": options.backend, "format": options.format, "sizes": found, "peak_ratio": ratio}
    options.output.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(f"peak at the last size over the first: {ratio:.3f}; {time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--score"]:
        score(*sys.argv[2:])
    else:
        main()
