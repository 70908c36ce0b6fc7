"""A project with the suites and a tiny encoder."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nested_pytest import read_results, run_pytest

from driftgate.judge.bounds_file import load_bounds

REPOSITORY = Path(__file__).parents[2]


COMMENTS = (
    ("thank you so much, this made my day", "joy"),
    ("SECRET-PHRASE the bus was late again and it rained", "anger"),
    ("what a game! nobody saw that coming", "surprise"),
    ("ok", "neutral"),
    ("Sorry, I should have told you earlier.", "neutral"),
    ("I am not sure that I like where this is going", "anger"),
)


METRICS = sorted({metric for _, metric in load_bounds(REPOSITORY / "accuracy/bounds.toml")})


BACKENDS = "torch,onnx-fp32,onnx-int8"


@dataclass(frozen=True)
class Run:
    """One finished pytest run."""

    code: int
    output: str
    folder: Path

    @property
    def results(self) -> dict[str, Any]:
        return read_results(self.folder)


@dataclass(frozen=True)
class Project:
    """A folder with the suites, a corpus and wide INT8 bounds: a random encoder is no measure of INT8."""

    folder: Path
    encoder: Path
    cache: Path

    def pytest(self, *arguments: str, suites: tuple[str, ...] = ("accuracy",)) -> Run:
        """Run in this process."""
        return Run(*run_pytest(self.folder, self._command(*arguments, suites=suites), self.cache), self.folder)

    def fresh_pytest(self, *arguments: str, suites: tuple[str, ...] = ("accuracy",), **env: str) -> Run:
        """Run in a process of its own, where the environment must differ."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--driftgate-report=none", *self._command(*arguments, suites=suites)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "DRIFTGATE_CACHE": str(self.cache), **env},
        )
        return Run(done.returncode, done.stdout + done.stderr, self.folder)

    def _command(self, *arguments: str, suites: tuple[str, ...]) -> list[str]:
        given = [*suites, f"--encoder={self.encoder}", "--corpus=corpus.jsonl", "--bounds=wide.toml"]
        given.append("--driftgate-not-shown=warn")  # a few rows show nothing
        sizes = ["--driftgate-sample-rows=4", "--driftgate-batch-sizes=1,2"]
        backends = (
            [] if any(argument.startswith("--backends") for argument in arguments) else [f"--backends={BACKENDS}"]
        )
        # Properties have tests of their own; here they would cost more than all the rest.
        chosen = [] if "-m" in arguments else ["-m", "not property"]
        return [*given, *sizes, *backends, *chosen, "-p", "no:cacheprovider", "--import-mode=importlib", *arguments]


def bound(key: str, metric: str, limit: float, rule: str = "at_most") -> str:
    return f'[{key}.{metric}]\n{rule} = {limit}\nreason = "set by a test"\nset_on = 2026-01-31\n'
