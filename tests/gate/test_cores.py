"""Threads of a gated run stay on the same cores, on both sides."""

import os
from pathlib import Path

import pytest

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.gate import cores
from driftgate.gate.cores import choose_cores, hold_cores, stay_on
from driftgate.inputs.encoder import load_encoder
from driftgate.run.device import Device, RunSettings
from driftgate.run.onnx_backend import open_session

needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not tell affinities")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Eight usable cores, 0 and 4 threads of the same one, and so on."""
    for core in range(8):
        (tmp_path / str(core)).write_text(f"{core % 4},{core % 4 + 4}\n", encoding="ascii")
    monkeypatch.setattr(cores, "_SIBLINGS", f"{tmp_path}/{{}}")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    return tmp_path


@pytest.mark.usefixtures("machine")
def test_each_thread_has_a_core_of_its_own_as_far_as_there_are() -> None:
    assert choose_cores(4) == (4, 5, 6, 7)
    assert len({core % 4 for core in choose_cores(4)}) == 4
    assert choose_cores(6) == (2, 3, 4, 5, 6, 7)
    assert choose_cores(8) == tuple(range(8))


def test_more_threads_than_cores_stay_where_the_system_puts_them(machine: Path) -> None:
    assert choose_cores(9) == ()
    for told in machine.iterdir():
        told.unlink()
    assert choose_cores(2) == (6, 7), "without siblings every core is its own"


def test_a_system_that_does_not_tell_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert choose_cores(1) == ()
    with stay_on(()):
        pass


def test_threads_are_not_held_for_a_device() -> None:
    settings = RunSettings(1, Device("cuda"))
    assert hold_cores(settings) == settings


@needs_affinity
def test_the_calling_thread_goes_back_to_where_it_was() -> None:
    before = os.sched_getaffinity(0)
    with stay_on([max(before)]):
        assert os.sched_getaffinity(0) == {max(before)}
    assert os.sched_getaffinity(0) == before


@needs_affinity
@pytest.mark.skipif(len(getattr(os, "sched_getaffinity", lambda pid: ())(0)) < 2, reason="needs two cores")
def test_a_sessions_other_threads_live_on_the_cores_they_were_given(tiny_encoder: Path, warm_cache: Path) -> None:
    model = build_artifact(load_encoder(tiny_encoder), REGISTRY["onnx-fp32"]).model
    chosen = choose_cores(2)
    elsewhere = open_session(model, RunSettings(2), "a test")  # the first one starts threads of the runtime's own
    before = affinities()
    session = open_session(model, RunSettings(2, cores=chosen), "a test")
    new = [found for thread, found in affinities().items() if thread not in before]
    assert new == [{chosen[1]}]
    del session, elsewhere


def affinities() -> dict[str, set[int]]:
    """The cores of every thread of this process."""
    return {
        thread: os.sched_getaffinity(int(thread))
        for thread in (path.name for path in Path("/proc/self/task").iterdir())
    }
