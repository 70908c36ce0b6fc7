"""The wheel of this checkout, installed on its own and used from an unrelated project; beside it, the editable install."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
from nested_pytest import run_pytest

from driftgate.cli.main import app

build_backend = pytest.importorskip("hatchling.build", reason="the wheel is built with hatchling, from the extra dev")

REPOSITORY = Path(__file__).parents[2]
# Commands in one process: importing pytest, and torch, anew for each would cost more than all of them.
DRIVER = """
import contextlib, importlib.metadata, io, json, sys, traceback

import driftgate

done = []
for program, *arguments in json.load(sys.stdin):
    (script,) = importlib.metadata.entry_points(group="console_scripts", name=program)
    sys.argv, printed, code = [program, *arguments], io.StringIO(), 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            code = script.load()()
        except SystemExit as ended:
            code = ended.code
        except Exception:
            code = traceback.print_exc() or 70
    done.append([int(code or 0), printed.getvalue()])
print(json.dumps({"package": driftgate.__file__, "done": done}))
"""
# Arguments of pytest, and words that its output should have.
_ALPHA = (
    r"--gate-alpha=PERCENT\s+The share of runs that may fail although no cell is\s+slower than the tolerance allows"
)
HELP = {
    ("--help",): _ALPHA + r"\. \(default: 1%\)",
    ("--fixtures",): "One backend of `--backends` after the other",
    ("--markers",): "@pytest.mark.property: tried on generated inputs",
    ("--version",): r"pytest \d",
}
COMMANDS = tuple(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Ended:
    """How a command ended, and all that it printed."""

    code: int
    output: str


Run = Callable[..., list[Ended]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel has, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        name = build_backend.build_wheel(str(folder))
    alone = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--disable-pip-version-check"]
    install = [sys.executable, "-m", "pip", "install", *alone, "--target", folder / "installed", folder / name]
    subprocess.run(install, check=True)
    return folder / "installed"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has nothing to do with driftgate but a corpus."""
    folder = tmp_path_factory.mktemp("unrelated")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_own.py").write_text("def test_own():\n    pass\n", encoding="utf-8")
    (folder / "corpus.jsonl").write_text('{"text": "thank you"}\n{"text": "the bus was late"}\n', encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run_wheel(wheel: Path, project: Path, shared_cache: Path) -> Run:
    """`run_wheel(["pytest", "--help"], ...)`: each with the wheel's driftgate, in the unrelated project."""

    def run(*commands: list[str]) -> list[Ended]:
        done = subprocess.run(
            [sys.executable, "-P", "-c", DRIVER],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(wheel), "DRIFTGATE_CACHE": str(shared_cache), "COLUMNS": "200"},
            input=json.dumps(commands),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert Path(said["package"]) == wheel / "driftgate/__init__.py"
        return [Ended(code, output) for code, output in said["done"]]

    return run


@pytest.fixture(scope="module")
def run_here(project: Path, shared_cache: Path) -> Run:
    """The same with the driftgate that these tests import: the editable install's, unless tox installed a wheel."""

    def run(*commands: list[str]) -> list[Ended]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "path", [*sys.path])  # pytest's default way to import test files adds to it
            return [Ended(*run_pytest(project, arguments, shared_cache)) for _, *arguments in commands]

    return run


@pytest.fixture(scope="module")
def helped(run_wheel: Run) -> Mapping[tuple[str, ...], Ended]:
    """What everything that only explains itself said, by command."""
    commands = [*(("pytest", *asked) for asked in HELP), *(("driftgate", name, "--help") for name in COMMANDS)]
    return dict(zip(commands, run_wheel(*map(list, commands)), strict=True))


@pytest.mark.parametrize("asked", HELP, ids=" ".join)
def test_pytest_explains_itself_where_driftgate_is_installed(
    helped: Mapping[tuple[str, ...], Ended], asked: tuple[str, ...]
) -> None:
    ended = helped["pytest", *asked]
    assert ended.code == 0, ended.output
    assert re.search(HELP[asked], ended.output), ended.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(helped: Mapping[tuple[str, ...], Ended], name: str) -> None:
    ended = helped["driftgate", name, "--help"]
    assert ended.code == 0, ended.output
    assert f"driftgate {name}" in ended.output


SUITES = "driftgate.suites"
FORMS = [
    pytest.param(
        [[f"{SUITES}.benchmarks", "--gate-accept", "-k", "artifact or weights"], [f"{SUITES}.benchmarks.test_gate", "--gate"]],
        id="one-suite-and-one-module-gated",
    ),
    pytest.param([[SUITES, "-k", "ranking or weights or b1"]], id="both-suites", marks=pytest.mark.slow),
    pytest.param([[SUITES, "-m", "property", "-k", "equal_rows or mask_says"]], id="properties", marks=pytest.mark.slow),
    pytest.param([[f"{SUITES}.accuracy", "-k", "depend_little or what_its_name"]], id="one-suite-judged", marks=pytest.mark.slow),
]  # fmt: skip


def judge(encoder: Path, *form: str) -> list[str]:
    given = [f"--encoder={encoder}", "--corpus=corpus.jsonl", "--backends=onnx-fp32", "--driftgate-not-shown=warn"]
    quick = ["--driftgate-sample-rows=2", "--driftgate-batch-sizes=1", "-p", "no:cacheprovider", "-rA"]
    return ["pytest", "--pyargs", *form, *given, *quick]


def passed(ended: Ended) -> list[str]:
    assert ended.code == 0, ended.output
    return re.findall(r"^PASSED (\S+)", ended.output, re.MULTILINE)


@pytest.mark.parametrize("forms", FORMS)
def test_the_suites_work_alike_from_a_wheel_and_an_editable_install(
    run_wheel: Run, run_here: Run, tiny_encoder: Path, forms: list[list[str]]
) -> None:
    commands = [judge(tiny_encoder, *form) for form in forms]
    here = run_here(*commands)  # first, for it has imported what builds an artifact; the wheel finds it in the cache
    for ours, theirs in zip(here, run_wheel(*commands), strict=True):
        assert passed(ours) == passed(theirs) != []


def test_both_suites_are_run_by_one_name(run_here: Run, tiny_encoder: Path) -> None:
    (ended,) = run_here(judge(tiny_encoder, SUITES, "-k", "depend_little or artifact"))
    assert passed(ended) == [
        "test_noise.py::test_answers_depend_little_on_batch_mates_and_padding[onnx-fp32]",
        "test_throughput.py::test_artifact_size[onnx-fp32]",
    ]


@pytest.mark.parametrize("suite", ["accuracy", "benchmarks"])
def test_the_wheel_carries_every_file_of_a_suite(wheel: Path, suite: str) -> None:
    carried, own = (
        {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        for folder in (wheel / "driftgate/suites" / suite, REPOSITORY / suite)
    )
    assert carried == own
