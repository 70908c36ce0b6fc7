"""Draw `docs/failing-gate.svg`: what a terminal shows of a run that judges a faulty backend beside good ones.

Run it as `python docs/failing_gate_picture.py`; it takes about two minutes. The picture has no fonts or links from elsewhere.
"""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.text import Text

from driftgate.results.console import Console

REPOSITORY = Path(__file__).parents[1]
PICTURE = REPOSITORY / "docs/failing-gate.svg"
BACKENDS = "onnx-fp32,onnx-fp16,onnx-int8,onnx-scaled"
WIDTH = 100
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def run_gate() -> list[str]:
    """The lines that pytest prints, with colours."""
    command = ["-m", "pytest", "-q", "--tb=no", "--color=yes", "-p", "no:cacheprovider", f"--backends={BACKENDS}"]
    done = subprocess.run(
        [sys.executable, *command, "--driftgate-corpus-rows=0"],
        cwd=REPOSITORY / "examples/failing-gate",
        env={**os.environ, "COLUMNS": str(WIDTH), "FORCE_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 1:
        raise SystemExit(f"expected exit code 1, found {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.splitlines()


def choose_lines(lines: list[str]) -> list[str]:
    """The verdicts and the first table, then what pytest says at the end."""
    plain = [_STYLE.sub("", line) for line in lines]
    table = next(number for number, line in enumerate(plain) if " driftgate ===" in line)
    notes = next(
        number for number, line in enumerate(plain) if number > table and line.startswith("onnx-fp16: float16 weights")
    )
    return [f"$ pytest --backends={BACKENDS}", "", *lines[table:notes], "", lines[-1]]


def draw(lines: list[str]) -> str:
    """The lines as an SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="ellipsis", crop=True)
    without_fonts = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="driftgate", code_format=without_fonts, unique_id="gate")


if __name__ == "__main__":
    PICTURE.write_text(draw(choose_lines(run_gate())), encoding="utf-8")
