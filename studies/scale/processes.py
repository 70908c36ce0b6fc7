"""Files of rows, processes of driftgate with what they took, and whether a merged file has every row once."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DRIFTGATE = Path(sys.executable).with_name("driftgate")
WORDS = ("the", "bus", "was", "late", "again", "and", "it", "rained", "but", "this", "made", "my", "day", "ünï", '"so"')
EMPTY_EVERY = 997


def write_rows(path: Path, rows: int) -> None:
    """CSV: texts of one to eight words, some with line breaks within quotes, some empty."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "text"))
        for row in range(rows):
            words = draw.choices(WORDS, k=draw.randint(1, 8))
            text = "" if row % EMPTY_EVERY == 0 else ("\n" if row % 50 == 0 else " ").join(words)
            writer.writerow((f"id-{row}", text))


def tiny_encoder(folder: Path) -> Path:
    """Made in a process of its own: what a process has in memory counts in the peaks of those that it starts."""
    make = (
        "import sys; from pathlib import Path; from tiny_encoders import make_encoder; make_encoder(Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests/support")}
    subprocess.run([sys.executable, "-c", make, folder / "encoder"], check=True, env=environment)  # noqa: S603
    return folder / "encoder"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: `peak_mib` is its largest resident set."""

    code: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    said: str = ""


class Started:
    """A command of driftgate at work."""

    def __init__(self, *arguments: object, threads: int = 1) -> None:
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "RAYON_NUM_THREADS": str(threads)}
        self._started = time.perf_counter()
        self._process = subprocess.Popen(  # noqa: S603
            [DRIFTGATE, *map(str, arguments)], stderr=subprocess.PIPE, env=environment
        )

    def ended(self, *, wait: bool = True) -> Ended | None:
        """None while it is at work."""
        pid, status, usage = os.wait4(self._process.pid, 0 if wait else os.WNOHANG)
        if not pid:
            return None
        said = self._process.stderr.read().decode() if self._process.stderr else ""
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        seconds = time.perf_counter() - self._started
        return Ended(code, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)

    def kill(self) -> Ended:
        self._process.send_signal(signal.SIGKILL)
        ended = self.ended()
        assert ended is not None
        return ended


def run(*arguments: object, threads: int = 1) -> Ended:
    """A command that ends well."""
    ended = Started(*arguments, threads=threads).ended()
    assert ended is not None
    assert ended.code == 0, ended.said
    return ended


def score_with_kills(
    plan: Path, arguments: list[object], workers: int, kills: int, draw: random.Random, between: tuple[float, float]
) -> tuple[int, int, float, list[float]]:
    """Keep `workers` shares of a plan at work, and kill one of them now and then.

    Args:
        between: shortest and longest time from one kill to the next, in seconds.

    Returns:
        kills, those that hit a shard at work, seconds, and the peaks of all processes in MiB.
    """
    command = ["predict", *arguments, "--plan", plan, "--threads", 1]
    at_work = {share: Started(*command, "--shard", f"{share}/{workers}") for share in range(1, workers + 1)}
    killed = hits = 0
    peaks, started = [], time.perf_counter()
    next_kill = time.perf_counter() + draw.uniform(*between)
    while at_work:
        time.sleep(0.02)
        for share, process in list(at_work.items()):
            ended = process.ended(wait=False)
            if ended is not None:
                assert ended.code in (0, 1), ended.said  # 1: another process held one of its shards
                peaks.append(ended.peak_mib)
                del at_work[share]
        if at_work and killed < kills and time.perf_counter() >= next_kill:
            share = draw.choice(list(at_work))
            before = len(list(plan.parent.glob("*.partial")))
            peaks.append(at_work.pop(share).kill().peak_mib)
            killed += 1
            hits += before > 0
            at_work[share] = Started(*command, "--shard", f"{share}/{workers}")
            next_kill = time.perf_counter() + draw.uniform(*between)
    return killed, hits, time.perf_counter() - started, peaks


def count_rows(merged: Path, rows: int) -> dict[str, int]:
    """How many rows a merged CSV file and its rejects have lost, doubled or given to another id."""
    seen = bytearray(rows)
    other = 0
    with merged.open(encoding="utf-8", newline="") as file:
        for record in csv.DictReader(file):
            row = int(record["row"])
            seen[row] = min(seen[row] + 1, 255)
            other += record["id"] != f"id-{row}"
    rejects = Path(f"{merged}.rejects.jsonl")
    rejected = 0
    if rejects.exists():
        with rejects.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)["row"]
                seen[row] = min(seen[row] + 1, 255)
                rejected += 1
                other += row % EMPTY_EVERY != 0
    return {"lost": seen.count(0), "doubled": sum(count > 1 for count in seen), "other": other, "rejected": rejected}
