"""The lock of graphs in a run of pytest: what changes a graph fails, and so does writing the lock anew."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest
from nested_pytest import read_results, run_pytest
from onnx import numpy_helper

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.inputs.encoder import load_encoder

REPOSITORY = Path(__file__).parents[2]
LOCK = "graphs.lock.json"


@dataclass(frozen=True)
class Project:
    """A folder with the graph tests, for a tiny encoder."""

    folder: Path
    encoder: Path
    cache: Path

    def pytest(self, *arguments: str, backends: str = "torch,onnx-fp32") -> tuple[int, str]:
        given = ["test_graph.py", f"--encoder={self.encoder}", f"--backends={backends}", "--import-mode=importlib"]
        return run_pytest(self.folder, [*given, "-p", "no:cacheprovider", "-rs", *arguments], self.cache)

    @property
    def lock(self) -> dict[str, Any]:
        return json.loads((self.folder / LOCK).read_text(encoding="utf-8"))

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        content = self.lock
        change(content)
        (self.folder / LOCK).write_text(json.dumps(content), encoding="utf-8")

    @property
    def graph(self) -> dict[str, Any]:
        results = read_results(self.folder)
        return results["backends"]["onnx-fp32"]["graph"]


@pytest.fixture
def project(tiny_encoder: Path, shared_cache: Path, tmp_path: Path) -> Project:
    shutil.copy(REPOSITORY / "accuracy/test_graph.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return Project(tmp_path, tiny_encoder, shared_cache)


@pytest.fixture
def locked(project: Project) -> Project:
    """With a lock of the graph as it is."""
    code, output = project.pytest(f"--graph-lock={LOCK}", "--graph-lock-update")
    assert code == 1, output
    assert "not in the lock before" in output
    return project


def test_without_a_lock_graphs_are_linted_and_nothing_more(project: Project) -> None:
    code, output = project.pytest()
    assert code == 0, output
    assert "1 passed, 1 skipped, 2 deselected" in output
    assert "torch runs no ONNX graph" in output
    assert project.graph["operators"]["driftgate.SelfAttention"] == 2
    assert project.graph["findings"] == []
    assert "lock" not in project.graph


def test_a_graph_that_is_the_locked_one_passes(locked: Project) -> None:
    before = (locked.folder / LOCK).read_bytes()
    code, output = locked.pytest(f"--graph-lock={LOCK}")
    assert code == 0, output
    assert "2 passed" in output
    assert locked.graph["lock"] == []
    assert (locked.folder / LOCK).read_bytes() == before


def test_the_lock_has_one_fact_a_line_in_order(locked: Project) -> None:
    lines = (locked.folder / LOCK).read_text(encoding="utf-8").splitlines()
    assert '      "operators.driftgate.SelfAttention": 2,' in lines
    assert '      "inputs.input_ids": "int64[batch_size, sequence_length]",' in lines
    facts = list(locked.lock["backends"]["onnx-fp32"])
    assert facts == sorted(facts)


def test_the_lock_is_found_through_its_ini_twin(locked: Project) -> None:
    (locked.folder / "pytest.ini").write_text(f"[pytest]\ndriftgate_graph_lock = {LOCK}\n", encoding="utf-8")
    code, output = locked.pytest()
    assert code == 0, output
    assert "2 passed" in output


def test_a_changed_graph_fails_fact_by_fact(locked: Project) -> None:
    """The same backend, built by a recipe with one step more."""
    conftest = """
import onnx
from driftgate.backends import BackendSpec, Precision, Runtime, Step

def add_a_node(source, target):
    model = onnx.load(source)
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(onnx.helper.make_node("Identity", ["before"], ["logits"]))
    onnx.save(model, target)

def pytest_driftgate_backends(config):
    steps = ("export", "optimize-basic", Step("add-a-node", "1", add_a_node))
    return [BackendSpec("onnx-fp32", Precision.FP32, Runtime.ONNXRUNTIME, steps)]
"""
    (locked.folder / "conftest.py").write_text(conftest, encoding="utf-8")
    before = (locked.folder / LOCK).read_bytes()
    code, output = locked.pytest(f"--graph-lock={LOCK}")
    assert code == 1
    assert "1 fact(s) of its graph are not those of" in output
    assert "operators.Identity: absent -> 1" in output
    assert "what else changed: nothing; the encoder and the libraries are the same" in output
    assert "operators.Identity: absent -> 1" in "\n".join(locked.graph["lock"])
    assert (locked.folder / LOCK).read_bytes() == before


def test_a_change_under_another_library_names_it(locked: Project) -> None:
    def age(lock: dict[str, Any]) -> None:
        lock["versions"]["onnxruntime"] = "0.9"
        lock["backends"]["onnx-fp32"]["operators.driftgate.SelfAttention"] = 1

    locked.edit(age)
    code, output = locked.pytest(f"--graph-lock={LOCK}")
    assert code == 1
    assert "operators.driftgate.SelfAttention: 1 -> 2" in output
    assert "what else changed: onnxruntime 0.9 ->" in output


def test_another_library_that_changes_no_graph_is_said_and_passes(locked: Project) -> None:
    locked.edit(lambda lock: lock["versions"].update(onnxruntime="0.9"))
    code, output = locked.pytest(f"--graph-lock={LOCK}")
    assert code == 0, output
    assert "graph lock: what has changed since it was written: onnxruntime 0.9 ->" in output


def test_another_encoder_of_the_same_shape_keeps_the_graph(
    locked: Project, make_tiny_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    retrained = Project(locked.folder, make_tiny_encoder(tmp_path / "retrained", seed=1), locked.cache)
    code, output = retrained.pytest(f"--graph-lock={LOCK}")
    assert code == 0, output
    assert "what has changed since it was written: encoder tiny-roberta (sha256 " in output


def test_a_lock_of_another_device_is_not_judged_by(locked: Project) -> None:
    def move(lock: dict[str, Any]) -> None:
        lock["device"] = "cuda"
        lock["backends"]["onnx-fp32"]["operators.driftgate.SelfAttention"] = 1

    locked.edit(move)
    code, output = locked.pytest(f"--graph-lock={LOCK}")
    assert code == 0, output
    assert "is of graphs built for cuda; give this device a lock of its own" in output
    code, output = locked.pytest(f"--graph-lock={LOCK}", "--graph-lock-update")
    assert code == 1
    assert locked.lock["device"] == "cpu"


def test_an_update_writes_the_change_and_fails(locked: Project) -> None:
    good = (locked.folder / LOCK).read_bytes()
    locked.edit(lambda lock: lock["backends"]["onnx-fp32"].update({"operators.driftgate.SelfAttention": 1}))
    code, output = locked.pytest(f"--graph-lock={LOCK}", "--graph-lock-update")
    assert code == 1
    assert "operators.driftgate.SelfAttention: 1 -> 2" in output
    assert (locked.folder / LOCK).read_bytes() == good
    code, output = locked.pytest(f"--graph-lock={LOCK}", "--graph-lock-update")
    assert code == 1
    assert "no fact of the graph changed" in output


def test_an_update_keeps_backends_of_other_runs_while_nothing_else_changed(locked: Project) -> None:
    assert locked.pytest(f"--graph-lock={LOCK}", "--graph-lock-update", backends="onnx-fp16")[0] == 1
    assert set(locked.lock["backends"]) == {"onnx-fp16", "onnx-fp32"}
    locked.edit(lambda lock: lock["versions"].update(onnxruntime="0.9"))
    code, output = locked.pytest(f"--graph-lock={LOCK}", "--graph-lock-update")
    assert code == 1
    assert "removed from it, because they were built from other things: onnx-fp16" in output
    assert set(locked.lock["backends"]) == {"onnx-fp32"}


def test_a_backend_that_is_not_in_the_lock_fails(locked: Project) -> None:
    code, output = locked.pytest(f"--graph-lock={LOCK}", backends="onnx-fp16")
    assert code == 1
    assert "onnx-fp16: not in the lock" in output
    assert "--graph-lock-update" in output


def test_backends_in_the_lock_that_are_not_in_the_run_are_not_judged(locked: Project) -> None:
    locked.edit(lambda lock: lock["backends"].update({"onnx-gone": {"operators.driftgate.SelfAttention": 1}}))
    code, output = locked.pytest(f"--graph-lock={LOCK}")
    assert code == 0, output


def test_a_published_artifact_is_held_to_the_lock_only_where_it_is_in_it(locked: Project, warm_cache: Path) -> None:
    theirs = build_artifact(load_encoder(locked.encoder), REGISTRY["onnx-fp32"]).model
    code, output = locked.pytest(f"--graph-lock={LOCK}", backends=f"theirs={theirs}")
    assert code == 0, output
    assert "theirs: a published artifact that is not in the lock" in output
    assert locked.pytest(f"--graph-lock={LOCK}", "--graph-lock-update", backends=f"theirs={theirs}")[0] == 1
    assert locked.lock["backends"]["theirs"] == locked.lock["backends"]["onnx-fp32"]


def test_a_published_graph_with_a_fault_fails_by_the_lint(project: Project, warm_cache: Path, tmp_path: Path) -> None:
    model = onnx.load(build_artifact(load_encoder(project.encoder), REGISTRY["onnx-fp32"]).model)
    for tensor in [tensor for tensor in model.graph.initializer if len(tensor.dims) == 2]:
        model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(tensor), f"{tensor.name}/again"))
    onnx.save(model, tmp_path / "twice.onnx")
    code, output = project.pytest(backends=f"twice={tmp_path / 'twice.onnx'}")
    assert code == 1
    assert "twice: the graph is not sound" in output
    assert "duplicate constants: expected at most 10%" in output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("{", "JSONDecodeError", id="no-json"),
        pytest.param("[]", "TypeError", id="a-list"),
        pytest.param('{"schema": 9}', "expected schema 1, found 9", id="schema"),
        pytest.param(
            '{"schema": 1, "device": "cpu", "encoder": {}, "versions": {}, "backends": {}}',
            "KeyError: 'name'",
            id="encoder",
        ),
        pytest.param(
            '{"schema": 1, "device": "cpu", "encoder": {"name": "a", "sha256": "b"}, "versions": {}, '
            '"backends": {"a": {"heads": [1]}}}',
            "expected a number, a text or null for 'heads', found list",
            id="fact",
        ),
    ],
)
@pytest.mark.parametrize("update", [[], ["--graph-lock-update"]], ids=["compare", "update"])
def test_a_corrupt_lock_is_refused_and_kept(project: Project, content: str, words: str, update: list[str]) -> None:
    (project.folder / LOCK).write_text(content, encoding="utf-8")
    code, output = project.pytest(f"--graph-lock={LOCK}", *update)
    assert code == 4
    assert "not a readable graph lock" in output
    assert words in output
    assert "restore it from version control" in output
    assert (project.folder / LOCK).read_text(encoding="utf-8") == content


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--graph-lock=nowhere.json"], "found no file; write it with --graph-lock-update"),
        (["--graph-lock-update"], "no file to write; name it with --graph-lock"),
    ],
    ids=["missing", "unnamed"],
)
def test_a_lock_that_is_not_there_is_refused_before_anything_is_built(
    project: Project, arguments: list[str], words: str
) -> None:
    code, output = project.pytest(*arguments)
    assert code == 4
    assert words in output


def test_a_lock_is_not_written_from_several_processes(project: Project) -> None:
    pytest.importorskip("xdist")
    code, output = project.pytest(f"--graph-lock={LOCK}", "--graph-lock-update", "-n2")
    assert code == 4
    assert "from one process" in output


def test_this_repository_locks_every_onnx_backend_it_builds() -> None:
    lock = json.loads((REPOSITORY / "accuracy/graphs.lock.json").read_text(encoding="utf-8"))
    # Optimum's presets need an environment of other versions, whose graphs are others.
    built = {spec.name for spec in REGISTRY.values() if spec.steps and "optimum" not in spec.name}
    assert set(lock["backends"]) == built
    encoder = load_encoder(REPOSITORY / "fixtures/encoders/goemotions-roberta-mini")
    assert lock["encoder"] == {"name": encoder.name, "sha256": encoder.sha256}
