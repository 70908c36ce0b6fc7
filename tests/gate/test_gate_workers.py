"""Sides of a comparison in processes of their own: what they are asked, and what becomes of one that dies or hangs."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.errors import WorkerError
from driftgate.gate.pairs import Contest, time_pairs
from driftgate.gate.remote_side import MODULE, RemoteCalls, describe_worker, load_remote
from driftgate.gate.run_facts import timed_software
from driftgate.gate.schedule import PAIRS_A_ROUND, Units
from driftgate.gate.worker import PROTOCOL, read_batches, write_batches
from driftgate.inputs.batches import ArrivalPlan, make_batches
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.measure.remote import start_worker
from driftgate.pipeline import Built
from driftgate.run.device import RunSettings

TEXTS = ["thank you", "the bus was late again", "ok"]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`module(code)`: the name of a module that a worker can be made of."""

    def write(code: str) -> str:
        (tmp_path / "stand_in.py").write_text(code, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return "stand_in"

    return write


def test_a_worker_that_cannot_be_started_is_an_error_that_names_it(tmp_path: Path) -> None:
    with (
        pytest.raises(WorkerError, match=r"other: .*python cannot be started"),
        start_worker(tmp_path / "python", "other", module=MODULE),
    ):
        pass


def test_an_environment_without_driftgate_shows_its_own_error() -> None:
    with start_worker(sys.executable, "other", module="driftgate_of_nobody") as worker:  # noqa: SIM117 - raised inside
        with pytest.raises(WorkerError, match=r"(?s)other: it died at 'describe', exit code 1.*No module named"):
            worker.ask({"do": "describe"})


def test_a_worker_that_dies_on_the_way_shows_its_last_words(module: Any) -> None:
    code = "import sys\nfor line in sys.stdin:\n    print('out of memory', file=sys.stderr)\n    sys.exit(9)\n"
    with start_worker(sys.executable, "other", module=module(code)) as worker:
        with pytest.raises(
            WorkerError,
            match=r"(?s)it died at 'load', exit code 9; the last lines of its standard error:\nout of memory",
        ):
            worker.ask({"do": "load"})
        with pytest.raises(WorkerError, match="it died at 'run'"):
            worker.ask({"do": "run"})


def test_a_worker_that_hangs_is_ended(module: Any) -> None:
    name = module("import time\ntime.sleep(600)\n")
    with start_worker(sys.executable, "other", module=name, timeout_seconds=0.3) as worker:  # noqa: SIM117 - raised inside
        with pytest.raises(WorkerError, match=r"no answer to 'run' in 0.3 s; it was ended"):
            worker.ask({"do": "run"})


def test_a_slice_of_a_cell_is_one_request() -> None:
    asked: list[dict[str, Any]] = []

    class Recorder:
        def ask(self, request: dict[str, Any]) -> None:
            asked.append(request)

    calls = RemoteCalls(Recorder(), "x-b1", 10)  # type: ignore[arg-type] - stands in for a worker
    assert len(calls) == 10
    for call in (*calls[2:5], calls[9], calls[-10]):
        call()
    assert [(request["start"], request["stop"]) for request in asked] == [(2, 5), (9, 10), (0, 1)]
    assert all(request["cell"] == "x-b1" for request in asked)
    assert len(list(calls)) == 10


def test_a_worker_answers_what_it_is_asked_and_survives_a_bad_request(
    tiny_encoder: Path, warm_cache: Path, tmp_path: Path
) -> None:
    """A real one: it loads a session, and makes calls of the batches it was given."""
    encoder = load_encoder(tiny_encoder)
    artifact = build_artifact(encoder, REGISTRY["onnx-fp32"])
    batches = {"x-b2": list(make_batches(tokenize(encoder, TEXTS), ArrivalPlan(2)))}
    write_batches(tmp_path / "batches.npz", batches)
    for wrote, read in zip(batches["x-b2"], read_batches(tmp_path / "batches.npz")["x-b2"], strict=True):
        np.testing.assert_array_equal(wrote.input_ids, read.input_ids)
        np.testing.assert_array_equal(wrote.attention_mask, read.attention_mask)
        assert (wrote.token_type_ids is None) == (read.token_type_ids is None)
    load = {
        "do": "load",
        "encoder": {"source": str(tiny_encoder)},
        "backend": "x",
        "precision": "fp32",
        "model": str(artifact.model),
        "threads": 1,
        "device": "cpu",
        "cores": [],
        "batches": str(tmp_path / "batches.npz"),
    }
    with start_worker(sys.executable, "other", module=MODULE) as worker:
        assert worker.ask({"do": "describe"}) == {"protocol": PROTOCOL, "software": timed_software()}
        assert worker.ask(load) is None
        run = {"do": "run", "cell": "x-b2", "start": 0, "stop": 2}
        assert worker.ask(run) is None
        with pytest.raises(WorkerError, match=r"(?s)'run' failed:.*KeyError"):
            worker.ask({**run, "cell": "y"})
        assert worker.ask(run) is None


def test_real_workers_are_timed_in_pairs(tiny_encoder: Path, warm_cache: Path, tmp_path: Path) -> None:
    encoder, spec = load_encoder(tiny_encoder), REGISTRY["onnx-fp32"]
    built = Built(spec, encoder, build_artifact(encoder, spec))
    batches = {"x-b2": list(make_batches(tokenize(encoder, TEXTS), ArrivalPlan(2)))}
    load = load_remote(built, RunSettings(1), batches, python=sys.executable, name="a worker", folder=tmp_path)
    contest = Contest("x", load, load, {"x-b2": Units((slice(0, 1),))}, "x-b2")
    timing = time_pairs([contest], lambda ratios: {}, budget_seconds=1e9)
    assert [pair.is_control for pair in timing.pairs].count(True) == len(timing.pairs) / 2 == PAIRS_A_ROUND
    assert min(min(pair.baseline_ns, pair.candidate_ns) for pair in timing.pairs) > 0


ANSWERS = """\
import json, sys
for line in sys.stdin:
    print(json.dumps({{"found": {found}}}), flush=True)
"""


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"driftgate": "0.0.9", "onnxruntime": "1.20"}, r"\(driftgate 0\.0\.9, protocol 1\)"),
        ({"protocol": PROTOCOL + 1, "software": {"driftgate": "9.0"}}, rf"\(driftgate 9\.0, protocol {PROTOCOL + 1}\)"),
    ],
    ids=["before protocols had numbers", "later"],
)
def test_a_driftgate_of_another_protocol_is_refused_by_name(
    found: dict[str, Any], words: str, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftgate.gate.remote_side.MODULE", module(ANSWERS.format(found=found)))
    with pytest.raises(WorkerError, match=rf"--gate-baseline-python .*expected a driftgate whose .*{words}; install"):
        describe_worker(sys.executable)


def test_a_driftgate_from_before_there_were_such_workers_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "driftgate").mkdir()
    (tmp_path / "driftgate/__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(
        WorkerError, match=r"found an older or a newer one \(driftgate, protocol none\); install driftgate \d"
    ):
        describe_worker(sys.executable)
