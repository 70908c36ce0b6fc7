"""Files of texts, and jobs on them for a model that counts letters."""

import json
import random
from pathlib import Path
from typing import Any

from letter_counter import DOUBLE

from driftgate.predict.prediction_job import PredictionJob
from driftgate.run.device import RunSettings


def write_input(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text, "id": at}) + "\n" for at, text in enumerate(texts)), "utf-8")
    return path


def some_texts(rows: int) -> list[str]:
    draw = random.Random(rows)  # noqa: S311
    return ["" if row % 97 == 0 else "word " * draw.randint(1, 12) + str(row) for row in range(rows)]


def make_job(source: Path, target: Path, workers: int, **options: Any) -> PredictionJob:
    usual = {"window_rows": 32, "token_budget": 512, "commit_seconds": 0.0, "id_column": "id"}
    return PredictionJob(
        DOUBLE, "double", str(source), str(target), RunSettings(1), workers=workers, **{**usual, **options}
    )
