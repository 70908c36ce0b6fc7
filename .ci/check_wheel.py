"""Check that a wheel has what users need and nothing that only this repository needs: `python .ci/check_wheel.py WHEEL`."""

import sys
import zipfile
from pathlib import Path

NEEDED = (
    "driftgate/py.typed",
    "driftgate/cli/main.py",
    "driftgate/plugin/entry.py",
    "driftgate/publish/card.md",
    "driftgate/suites/accuracy/bounds.toml",
    "driftgate/suites/accuracy/test_drift.py",
    "driftgate/suites/benchmarks/bounds.toml",
    "driftgate/suites/benchmarks/test_gate.py",
    "driftgate/fixtures/corpora/emotions.jsonl",
    "entry_points.txt",
    "licenses/LICENSE",
)
UNWANTED = ("tests/", "docs/", "studies/", "examples/", "fixtures/encoders/", "__pycache__")


def check(wheel: Path) -> list[str]:
    """What is wrong with the wheel; nothing where it is as it should be."""
    names = zipfile.ZipFile(wheel).namelist()
    missing = [f"missing: {name}" for name in NEEDED if not any(found.endswith(name) for found in names)]
    unwanted = [f"unwanted: {found}" for found in names if any(part in found for part in UNWANTED)]
    return [*missing, *unwanted]


if __name__ == "__main__":
    wrong = [line for name in sys.argv[1:] for line in check(Path(name))]
    sys.exit("\n".join(wrong) if wrong else 0)
