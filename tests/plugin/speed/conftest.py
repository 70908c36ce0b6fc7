"""A project under `--gate`, and a machine it is timed on."""

import shutil
from pathlib import Path

import pytest
from gated_project import BOTH, Machine, Project, Run
from nested_pytest import copy_suite


@pytest.fixture(scope="module")
def accepted(tiny_encoder: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Run]:
    """A project whose baseline has both backends: copied, never changed."""
    folder = tmp_path_factory.mktemp("accepted")
    copy_suite(folder, "benchmarks", "test_gate.py", "test_throughput.py")
    project = Project(folder, tiny_encoder, shared_cache)
    return project, project.pytest(BOTH, "--gate-accept", "-k", "artifact", suite="benchmarks")


@pytest.fixture
def project(accepted: tuple[Project, Run], tmp_path: Path) -> Project:
    first, run = accepted
    assert run.code == 0, run.output
    shutil.copytree(first.folder, tmp_path / "project")
    return Project(tmp_path / "project", first.encoder, first.cache)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr("driftgate.gate.remote_side.load_here", machine.load_here)
    monkeypatch.setattr("driftgate.plugin.speed.speed_gate.CLOCK", machine.clock)
    monkeypatch.setattr("driftgate.plugin.speed.speed_gate.draw_seed", lambda: 5)
    return machine
