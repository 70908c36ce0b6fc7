"""The comments that the studies of Ray score, as a file that can be cut into shards."""

import csv
import gzip
import json
import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENCODER = ROOT / "fixtures/encoders/goemotions-roberta-mini"
SHARD_ROWS = 2048


def write_comments(target: Path) -> int:
    """The Reddit comments of DRIFTGATE_DATA (or `../shared/data`) as JSON lines with ids; their number."""
    folder = Path(os.environ.get("DRIFTGATE_DATA") or ROOT.parent / "shared/data")
    with gzip.open(folder / "reddit/random_sample_10k.csv.gz", "rt", encoding="utf-8", newline="") as source:
        rows = [{"id": row["id"], "text": row["body"]} for row in csv.DictReader(source)]
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return len(rows)
