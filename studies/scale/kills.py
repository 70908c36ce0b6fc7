"""Workers of shards killed at every moment: how many rows are lost or doubled.

    python studies/scale/kills.py [--kills 120] [--rows 60000] [--output kills.json]

Rounds of `--rows` rows in shards of some thousand, two workers of `driftgate predict --plan PLAN --shard I/2` with a tiny
encoder. One of them is killed (SIGKILL) every 0.3 to 2.5 seconds, which is while it starts, loads, scores, seals or ends, until
there were `--kills` kills. Each round is joined and compared with one process byte for byte.
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

from processes import count_rows, run, score_with_kills, tiny_encoder, write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("kills.json"))
    options = parser.parse_args()
    started, draw = time.perf_counter(), random.Random(0)
    found = {
        "kills": 0,
        "kills_at_work": 0,
        "rounds": 0,
        "lost": 0,
        "doubled": 0,
        "other": 0,
        "rounds_of_other_bytes": 0,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder = tiny_encoder(folder)
        source, whole = folder / "in.csv", folder / "whole.csv"
        write_rows(source, options.rows)
        run("predict", encoder, "--input", source, "--id-column", "id", "--top", 1, "--output", whole)
        while found["kills"] < options.kills:
            plan, merged = folder / f"run-{found['rounds']}/plan.json", folder / "merged.csv"
            run("shard", source, "--id-column", "id", "--rows", 5_000, "--out", plan)
            left = options.kills - found["kills"]
            kills, hits, _, _ = score_with_kills(plan, [encoder, "--top", 1], 2, left, draw, (0.3, 2.5))
            run("merge", plan, "--out", merged, "--overwrite")
            counted = count_rows(merged, options.rows)
            same = all(
                Path(f"{merged}{end}").read_bytes() == Path(f"{whole}{end}").read_bytes()
                for end in ("", ".rejects.jsonl")
            )
            for key, value in {
                "kills": kills,
                "kills_at_work": hits,
                "rounds": 1,
                "rounds_of_other_bytes": not same,
            }.items():
                found[key] += value
            for key in ("lost", "doubled", "other"):
                found[key] += counted[key]
            print(found, flush=True)
    options.output.write_text(json.dumps({"rows": options.rows, **found}, indent=1) + "\n", encoding="utf-8")
    print(f"{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
