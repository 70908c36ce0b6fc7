"""Projects that the suites are run in."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from judged_project import COMMENTS, METRICS, Project, Run, bound
from nested_pytest import copy_suite


@pytest.fixture(scope="module")
def make_project(
    tiny_encoder: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Project]:
    def make(encoder: Path = tiny_encoder, conftest: str = "") -> Project:
        folder = tmp_path_factory.mktemp("project")
        for suite in ("accuracy", "benchmarks"):
            copy_suite(folder, suite)
        rows = (json.dumps({"text": text, "labels": [label]}) for text, label in COMMENTS)
        (folder / "corpus.jsonl").write_text("\n".join(rows), encoding="utf-8")
        wide = [bound("int8-dynamic", metric, math.inf) for metric in METRICS]
        ratios = [bound(key, "best_ratio_to_torch", 0.0, "at_least") for key in ("fp32", "fp16", "int8-dynamic")]
        (folder / "wide.toml").write_text("\n".join([*wide, *ratios]), encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (folder / "conftest.py").write_text(conftest, encoding="utf-8")
        return Project(folder, encoder, shared_cache)

    return make


@pytest.fixture(scope="module")
def passing(make_project: Callable[..., Project]) -> Run:
    """Both suites, once: read, never changed."""
    return make_project().pytest(
        "--benchmark-json=bench.json", "--benchmark-autosave", suites=("accuracy", "benchmarks")
    )
