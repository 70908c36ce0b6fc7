"""Files to cut into shards, and jobs on a model that needs no torch."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from letter_counter import DOUBLE, open_double

from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.shards.make_plan import PlanOptions, make_plan
from driftgate.predict.shards.plan import Plan, read_plan, write_plan
from driftgate.predict.shards.score import ShardsDone, score_shards
from driftgate.run.device import RunSettings

BUDGET = 256  # windows of 512 rows, the fewest


def draw_texts(rows: int, seed: int = 0) -> list[str]:
    """Texts with whatever separates texts; every 89th is empty."""
    draw = random.Random(seed)  # noqa: S311
    pieces = ("word", 'a "quoted" one', "ünïcode", "日本", "👩‍👧", "comma, here", "semi;colon")
    texts = [" ".join(draw.choices(pieces, k=draw.randint(1, 9))) + f" {row}" for row in range(rows)]
    return ["" if row % 89 == 0 else text for row, text in enumerate(texts)]


def write_csv(path: Path, texts: list[str], start: bytes = b"", end: str = "\n") -> Path:
    """With blank lines, and line breaks within quotes."""
    lines = ["id,text"]
    for row, text in enumerate(texts):
        broken = text.replace(" ", end, 1) if row % 7 == 0 else text  # a line break within quotes
        lines.append(f'id-{row},"{broken.replace(chr(34), chr(34) * 2)}"' + (end if row % 50 == 0 else ""))
    path.write_bytes(start + end.join(lines).encode() + end.encode())
    return path


def write_json_lines(path: Path, texts: list[str]) -> Path:
    """With blank lines, escapes and a broken line."""
    lines = [json.dumps({"id": f"id-{row}", "text": text}, ensure_ascii=row % 2 == 0) for row, text in enumerate(texts)]
    path.write_text("\n\n".join(lines) + "\n{broken\n", encoding="utf-8")
    return path


def write_plain(path: Path, texts: list[str]) -> Path:
    """With lines that are not UTF-8."""
    path.write_bytes(b"\n".join(text.encode() if row % 60 != 1 else b"\xff bad" for row, text in enumerate(texts)))
    return path


def write_tsv(path: Path, texts: list[str]) -> Path:
    """Without a header."""
    path.write_text("".join(f"id-{row}\t{text}\n" for row, text in enumerate(texts)), encoding="utf-8")
    return path


def write_parquet(path: Path, texts: list[str], rows_a_group: int = 300) -> Path:
    """Ids are numbers, and row groups end where no window does."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"title": ["x"] * len(texts), "text": texts, "id": pa.array(range(len(texts)), pa.int32())})
    parquet.write_table(table, path, row_group_size=rows_a_group)
    return path


SOURCES: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "csv": (lambda folder: write_csv(folder / "in.csv", draw_texts(2500)), {"id_column": "id"}),
    "csv of Windows": (lambda folder: write_csv(folder / "in.csv", draw_texts(2500), b"\xef\xbb\xbf", "\r\n"), {}),
    "jsonl": (lambda folder: write_json_lines(folder / "in.jsonl", draw_texts(2500)), {"id_column": "id"}),
    "txt": (lambda folder: write_plain(folder / "in.txt", draw_texts(2500)), {}),
    "tsv without a header": (
        lambda folder: write_tsv(folder / "in.tsv", draw_texts(2500)),
        {"text_column": "1", "id_column": "0"},
    ),
    "parquet": (lambda folder: write_parquet(folder / "in.parquet", draw_texts(2500)), {"id_column": "id"}),
}


def whole_job(source: Path | str, target: Path | str, **options: Any) -> PredictionJob:
    """Of one process, in the smallest windows."""
    return PredictionJob(
        DOUBLE, "double", str(source), str(target), RunSettings(1), token_budget=BUDGET, commit_seconds=0.0, **options
    )


def plan_of(folder: Path | str, *inputs: Path | str, **options: Any) -> tuple[str, Plan]:
    """A plan in a folder, as it is read."""
    path = f"{folder}/plan.json"
    plan, _ = make_plan([str(one) for one in inputs], PlanOptions(**{"rows": 600, "token_budget": BUDGET, **options}))
    write_plan(path, plan)
    return path, read_plan(path)


def score(path: Path | str, places: list[int] | None = None, *, overwrite: bool = False, **options: Any) -> ShardsDone:
    """Shards by their places from 0, or all of them."""
    plan = read_plan(path)
    job = replace(whole_job("-", "-"), **options)
    chosen = list(range(len(plan.shards))) if places is None else places
    return score_shards(path, plan, chosen, job, open_model=open_double, overwrite=overwrite)
