"""Advice is in the spelling of the command at hand: pytest's option or ini key, a command's option, or Python's argument."""

import ast
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import run_driftgate
from nested_pytest import copy_suite, run_pytest

import driftgate
from driftgate.edges.spelling import option, spell_flag, spelled_by
from driftgate.errors import CorpusError
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.encoder import load_encoder

SOURCE = Path(driftgate.__file__).parent
REPOSITORY = Path(__file__).parents[2]
EXPECTED = "expected a column 'text', found 'id', 'body'; name it with "


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.csv"
    path.write_text("id,body\n1,thanks\n", encoding="utf-8")
    return path


def judge(folder: Path, cache: Path, *arguments: object, ini: str = "") -> str:
    """The output of the accuracy suite in `folder`."""
    copy_suite(folder, "accuracy")
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}", encoding="utf-8")
    code, output = run_pytest(folder, ["accuracy/test_drift.py", *map(str, arguments)], cache)
    assert code == pytest.ExitCode.USAGE_ERROR
    return output


def test_a_command_spells_its_own_option(tiny_encoder: Path, corpus: Path, tmp_path: Path) -> None:
    result = run_driftgate(
        "publish", tiny_encoder, "--backends", "onnx-fp32", "--out", tmp_path / "out", "--corpus", corpus
    )
    assert result.exit_code == 4
    assert f"{EXPECTED}--text-column " in result.stderr


@pytest.mark.parametrize(("command", "spelled"), [("predict", "--backend,"), ("bench", "--backends,")])
def test_each_command_spells_the_same_argument_in_its_way(
    command: str, spelled: str, tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "published", ignore=shutil.ignore_patterns("*.safetensors"))
    for name in ("one.onnx", "other.onnx"):
        (folder / name).touch()
    result = run_driftgate(command, folder, *(["thanks"] if command == "predict" else []))
    assert f"several ONNX files: one.onnx, other.onnx; name one with {spelled} by its stem" in result.stderr


def test_pytest_spells_its_option(tiny_encoder: Path, corpus: Path, shared_cache: Path, tmp_path: Path) -> None:
    output = judge(tmp_path, shared_cache, f"--encoder={tiny_encoder}", f"--corpus={corpus}")
    assert f"{EXPECTED}--driftgate-text-column " in output


def test_pytest_names_the_ini_key_of_a_value_that_comes_from_there(
    tiny_encoder: Path, corpus: Path, shared_cache: Path, tmp_path: Path
) -> None:
    ini = "driftgate_text_column = comment\n"
    output = judge(tmp_path, shared_cache, f"--encoder={tiny_encoder}", f"--corpus={corpus}", ini=ini)
    assert "expected a column 'comment'" in output
    assert "name it with driftgate_text_column in pytest.ini " in output


def test_python_spells_its_argument(tiny_encoder: Path, corpus: Path) -> None:
    with pytest.raises(CorpusError, match=r"name it with Columns\(text=\.\.\.\) "):
        load_corpus(corpus, load_encoder(tiny_encoder))


def test_a_command_without_such_an_option_says_what_python_has(copy_encoder: Callable[..., Path]) -> None:
    folder = copy_encoder(auto_map={"AutoModel": "model.Model"})
    result = run_driftgate("predict", folder, "thanks")
    assert result.exit_code == 4
    assert "then pass trust_remote_code=True in Python" in result.stderr
    assert "--driftgate" not in result.stderr


def test_pytest_names_the_switch_for_pickled_weights(tiny_encoder: Path, shared_cache: Path, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("*.safetensors")
    folder = shutil.copytree(tiny_encoder, tmp_path / "encoder", ignore=ignored)
    (folder / "pytorch_model.bin").write_bytes(b"")
    output = judge(tmp_path, shared_cache, f"--encoder={folder}", "--corpus=corpus.csv")
    assert "or pass --allow-pickle" in output
    assert "or pass --allow-pickle" in run_driftgate("predict", folder, "thanks").stderr


def test_a_missing_corpus_is_told_what_could_be_there_instead(tiny_encoder: Path, tmp_path: Path) -> None:
    asked = ("--corpus", "reviews.csv")
    built = run_driftgate("publish", tiny_encoder, "--backends", "onnx-fp32", "--out", tmp_path / "out", *asked)
    assert "corpus reviews.csv: no such file; give a .csv, .tsv, .jsonl or .parquet file, or a data set" in built.stderr
    assert "built-in" not in built.stderr
    timed = run_driftgate("bench", tiny_encoder, "--backends", "onnx-fp32", *asked)
    assert (
        "--corpus reviews.csv: expected a file, hub:NAME, or one that comes with driftgate (normal, long)"
        in timed.stderr
    )


def test_a_word_of_the_advice_is_no_plan(tiny_encoder: Path) -> None:
    result = run_driftgate("bench", tiny_encoder, "--plans", "both")
    assert "--plans 'both': expected arrival, budget or arrival,budget" in result.stderr


def test_threads_spell_as_the_interface_does() -> None:
    with spelled_by(lambda name, value: spell_flag(f"--{name}", value)), ThreadPoolExecutor(1) as pool:
        assert pool.submit(option, "encoding", "cp1252").result() == "--encoding cp1252"


def test_python_gives_values_and_switches_as_arguments() -> None:
    assert option("device", "cpu") == "device='cpu'"
    assert option("overwrite", True) == "overwrite=True"
    assert option("out") == "out"


def spelled_by_hand() -> Iterator[str]:
    """Strings that name an option of a command line, where no interface is known; whole commands may."""
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE)
        if place.parts[0] in ("cli", "plugin", "doctor", "suites", "gate"):  # nobody but pytest has a gate
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
                words = re.sub(r"\b(pytest|driftgate|pip|git|hf) [^;]*", "", node.value)
                if re.search(r"(?<!-)--[a-z]", words):
                    yield f"{place}, line {node.lineno}: {node.value!r}"


def test_no_module_below_the_interfaces_spells_an_option_by_hand() -> None:
    assert list(spelled_by_hand()) == []
