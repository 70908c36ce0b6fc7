"""What the doctor reads: of made-up systems, of small graphs written node by node, and of this machine for real."""

import json
import os
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from weight_graphs import save_dynamic

from driftgate.doctor.collect import collect_facts, examine
from driftgate.doctor.facts import Asked, Broken, Facts, Processor, Software
from driftgate.doctor.findings import Severity
from driftgate.doctor.read_machine import read_noise, read_processor, read_quota
from driftgate.doctor.read_runtime import CPU, CUDA, read_runtime
from driftgate.doctor.read_software import find_broken, read_software
from driftgate.doctor.read_source import read_source
from driftgate.doctor.read_storage import read_cache, read_folder
from driftgate.errors import ArtifactError, DriftgateError, EncoderError, OptionError

Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def system(tmp_path: Path) -> Write:
    """`system({"proc/stat": "cpu 1 2"})`: a folder that has these files, as `/` has them."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


# The machine


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        pytest.param({}, None, id="no control groups"),
        pytest.param({"proc/self/cgroup": "0::/\n"}, None, id="no limit there"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None, id="no limit"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5, id="container"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/user.slice/job\n",
                "sys/fs/cgroup/user.slice/cpu.max": "200000 100000\n",
                "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n",
            },
            2.0,
            id="a slice above",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/docker/0123\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"},
            4.0,
            id="path of the host",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/\n2:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            3.0,
            id="version 1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
            id="version 1 without a limit",
        ),
    ],
)
def test_the_least_quota_of_all_groups_counts(system: Write, files: dict[str, str], quota: float | None) -> None:
    assert read_quota(system(files)) == quota


def test_clocks_are_read_where_the_system_says_something(system: Write) -> None:
    noise = read_noise(
        system(
            {
                "proc/stat": "cpu  60 0 20 0 0 0 0 20 5 5\ncpu0 1 2 3\n",
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/cpu.stat": "usage_usec 1\nnr_periods 10\nnr_throttled 4\n",
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
                "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
            }
        )
    )
    assert noise.steal_share == pytest.approx(0.2)
    assert noise.throttled_share == pytest.approx(0.4)
    assert noise.governor == "powersave"
    assert noise.boost is True


def test_clocks_of_a_system_that_says_nothing_are_unknown(system: Write) -> None:
    noise = read_noise(system({}))
    assert (noise.steal_share, noise.throttled_share, noise.governor, noise.boost) == (None, None, None, None)


def test_the_processor_is_read_for_real() -> None:
    processor = read_processor()
    assert processor.name
    assert processor.architecture in ("x86", "arm")


# Packages


INSTALLED = {"driftgate": "0.1.0", "torch": "2.13.0+cpu", "optimum-onnx": "0.1.0", "transformers": "5.1.0"}


def test_requirements_are_followed_through_what_is_required() -> None:
    requires = {
        "driftgate": ["torch<2.14,>=2.8", "optimum-onnx<0.2", 'onnxruntime>=1.22; extra == "cpu"', "rich>=13"],
        "optimum-onnx": ["transformers<4.58.0,>=4.36", 'accelerate; extra == "tests"', 'tomli; python_version < "3"'],
        "unrelated": ["torch<1"],
    }
    assert find_broken(INSTALLED, requires) == (
        Broken("driftgate", "rich>=13", None),
        Broken("optimum-onnx", "transformers<4.58.0,>=4.36", "5.1.0"),
    )


def test_an_extra_counts_where_it_is_installed() -> None:
    requires = {"driftgate": ['onnxruntime>=1.22; extra == "cpu"', 'ruff>=99; extra == "dev"']}
    assert find_broken({"driftgate": "0.1.0", "onnxruntime": "1.20", "ruff": "1"}, requires) == (
        Broken("driftgate", "onnxruntime>=1.22", "1.20"),
    )


def test_requirements_in_a_circle_end() -> None:
    assert find_broken({"driftgate": "1", "a": "1"}, {"driftgate": ["a"], "a": ["driftgate<1"]}) == (
        Broken("a", "driftgate<1", "1"),
    )


def test_a_second_runtime_and_a_second_version_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("onnxruntime_gpu", "1.20.0"), ("numpy", "0.1")):
        folder = tmp_path / f"{name}-{number}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {number}\n")
    monkeypatch.syspath_prepend(tmp_path)
    software = read_software()
    assert software.runtimes["onnxruntime-gpu"] == "1.20.0"
    assert len(software.runtimes) == 2
    assert software.twice["numpy"][0] == "0.1"
    assert Broken("driftgate", "numpy>=1.26", "0.1") in software.broken


def test_the_compiler_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    assert read_software().compiler is None


# ONNX Runtime


def test_a_runtime_without_cuda_gives_the_cpu_when_it_is_asked() -> None:
    runtime = read_runtime(Asked(device="cuda"))
    if CUDA in runtime.offered:
        pytest.skip("this ONNX Runtime has CUDA")
    assert runtime.given == CPU
    assert read_runtime(Asked()).given is None
    assert runtime.version == version("onnxruntime")
    assert 13 <= runtime.read_opset <= runtime.written_opset
    assert 7 <= runtime.read_ir <= runtime.written_ir


# Folders


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = read_folder("cache", tmp_path / "file" / "cache", "DRIFTGATE_CACHE")
    assert found.error == os.strerror(20)


def test_a_folder_that_does_not_exist_yet_is_judged_by_the_one_above(tmp_path: Path) -> None:
    found = read_folder("cache", tmp_path / "a" / "b", "DRIFTGATE_CACHE")
    assert found.error is None
    assert found.free_bytes
    assert list(tmp_path.iterdir()) == []


def test_builds_that_run_are_told_from_builds_that_were_killed(tmp_path: Path) -> None:
    for name in ("good", "running.partial-1", "killed.partial-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_bytes(b"12345")
    (tmp_path / "killed.lock").touch()
    with FileLock(tmp_path / "running.lock"):
        cache = read_cache(tmp_path)
    assert (cache.entries, cache.size_bytes) == (1, 15)
    assert cache.held == ("running",)
    assert (cache.leftovers, cache.leftover_bytes) == (("killed.partial-2",), 5)


# The files around a model


def test_an_encoder_is_read(tiny_encoder: Path) -> None:
    found = read_source(tiny_encoder, None)
    assert found.labels == ("joy", "anger", "surprise", "neutral")
    assert found.problem_type == "multi_label_classification"
    assert "tokenizer.json" in found.tokenizer
    assert found.weights["F32"] > 0
    assert (found.non_finite, found.pickled, found.config_error, found.refused) == ((), (), None, None)


def test_nan_in_weights_of_every_type_is_seen(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    good = {f"good.{kind}": torch.ones(3, dtype=kind) for kind in (torch.float32, torch.float16, torch.bfloat16)}
    bad = {f"bad.{name}": torch.tensor([1.0, float(value)], dtype=kind) for name, value, kind in (
        ("f32", "nan", torch.float32), ("f16", "inf", torch.float16), ("bf16", "nan", torch.bfloat16)
    )}  # fmt: skip
    integers = {"ids": torch.arange(3), "empty": torch.zeros(0)}
    save_file(good | bad | integers, tmp_path / "model.safetensors")
    found = read_source(tmp_path, None)
    assert sorted(found.non_finite) == ["bad.bf16", "bad.f16", "bad.f32"]
    assert found.weights["BF16"] == 10


def test_a_cut_off_file_of_weights_is_said(tiny_encoder: Path, tmp_path: Path) -> None:
    whole = (tiny_encoder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "not a complete safetensors file" in str(read_source(tmp_path, None).refused)


def test_a_broken_configuration_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    assert "Expecting" in str(read_source(tmp_path, None).config_error)
    (tmp_path / "config.json").write_text("[]")
    assert "not an object" in str(read_source(tmp_path, None).config_error)


# All of it


def ids(facts: Facts) -> set[str]:
    return {finding.id for finding in examine(facts)}


def problems(facts: Facts) -> set[str]:
    """Problems of the model: this machine may have some of its own."""
    about = {graph.file for graph in facts.graphs} | {Path(source.folder).name for source in facts.sources}
    return {
        finding.id for finding in examine(facts) if finding.severity is Severity.PROBLEM and finding.subject in about
    }


@pytest.fixture(scope="module")
def machine() -> tuple[Processor, Software]:
    return read_processor(), read_software()


@pytest.fixture
def known_machine(machine: tuple[Processor, Software], monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes longest to read about this machine was read before."""
    processor, software = machine
    monkeypatch.setattr("driftgate.doctor.collect.read_processor", lambda: processor)
    monkeypatch.setattr("driftgate.doctor.collect.read_software", lambda: software)


def test_facts_of_this_machine_are_read_without_exception() -> None:
    facts = collect_facts(Asked())
    assert facts.unread == ()
    assert None not in (
        facts.processor,
        facts.cores,
        facts.noise,
        facts.software,
        facts.runtime,
        facts.storage,
        facts.hub,
    )
    assert (facts.sources, facts.graphs) == ((), ())


@pytest.mark.usefixtures("known_machine")
def test_a_reader_that_fails_becomes_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise PermissionError(13, "Permission denied", "/proc/stat")

    monkeypatch.setattr("driftgate.doctor.collect.read_noise", fail)
    facts = collect_facts(Asked())
    assert facts.noise is None
    assert "/proc/stat" in facts.unread[0].reason
    assert "undetermined" in ids(facts)


@pytest.mark.usefixtures("known_machine")
def test_a_healthy_encoder_has_no_problem_of_its_own(tiny_encoder: Path) -> None:
    facts = collect_facts(Asked(str(tiny_encoder)))
    assert facts.unread == ()
    assert [Path(source.folder) for source in facts.sources] == [tiny_encoder]
    assert problems(facts) == set()


@pytest.mark.usefixtures("known_machine")
def test_a_bare_graph_is_examined_alone(tmp_path: Path) -> None:
    weight = np.full((4, 2), 100, np.int8)
    facts = collect_facts(Asked(str(save_dynamic(tmp_path / "model.onnx", weight))))
    (graph,) = facts.graphs
    assert graph.content is not None
    assert graph.content.integers.overflowing_pairs == 4
    assert "no-config" in ids(facts)
    assert facts.unread == ()


@pytest.mark.usefixtures("known_machine")
def test_a_corrupt_file_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x01 no model at all")
    assert "graph-unreadable" in problems(collect_facts(Asked(str(tmp_path / "model.onnx"))))


@pytest.mark.usefixtures("known_machine")
def test_an_empty_file_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    assert "graph-unreadable" in problems(collect_facts(Asked(str(tmp_path))))


@pytest.mark.usefixtures("known_machine")
def test_an_empty_folder_is_a_finding(tmp_path: Path) -> None:
    assert "refused" in problems(collect_facts(Asked(str(tmp_path))))


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (Asked("no/such/folder/anywhere"), EncoderError),
        (Asked("./nowhere.onnx"), ArtifactError),
        (Asked(backend="onnx-int4"), OptionError),
        (Asked(__file__), ArtifactError),
    ],
)
@pytest.mark.usefixtures("known_machine")
def test_what_is_nowhere_is_refused(asked: Asked, error: type[DriftgateError]) -> None:
    with pytest.raises(error):
        collect_facts(asked)


@pytest.mark.usefixtures("known_machine")
def test_a_backend_of_a_model_must_have_a_name(tiny_encoder: Path) -> None:
    with pytest.raises(OptionError, match="onnx-int4"):
        collect_facts(Asked(str(tiny_encoder), backend="onnx-int4"))


@pytest.mark.usefixtures("known_machine")
def test_a_backend_is_built_and_its_graph_read(tiny_encoder: Path, warm_cache: Path) -> None:
    facts = collect_facts(Asked(str(tiny_encoder), backend="onnx-int8-dynamic"))
    (graph,) = facts.graphs
    assert (graph.refused, facts.unread) == (None, ())
    assert graph.content is not None
    assert graph.content.facts.encoder.layers == 2
    assert graph.content.facts.encoder.parameter_bytes
    assert graph.session is not None
    assert graph.session.error is None
    assert problems(facts) == set()


@pytest.mark.usefixtures("known_machine")
def test_changed_files_and_lost_tokenizers_are_problems(
    tiny_encoder: Path, warm_cache: Path, tmp_path: Path, make_artifact: Callable[[], Path]
) -> None:
    folder = make_artifact()
    assert problems(collect_facts(Asked(str(folder)))) == set()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "problem_type": None}))
    changed = collect_facts(Asked(str(folder / "model.onnx")))
    assert "refused" in problems(changed)
    assert "files differ from" in str(changed.graphs[0].refused)
    assert "problem-type-unsaid" in ids(changed)
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (folder / name).unlink()
    assert "no-tokenizer" in ids(collect_facts(Asked(str(folder))))


@pytest.fixture
def make_artifact(tiny_encoder: Path, warm_cache: Path, tmp_path: Path) -> Callable[[], Path]:
    from driftgate.inputs.encoder import load_encoder
    from driftgate.publish.unjudged import build

    def make() -> Path:
        return build(load_encoder(tiny_encoder), "onnx-fp32", tmp_path / "artifact")["onnx-fp32"]

    return make


@pytest.mark.usefixtures("known_machine")
def test_published_files_in_hub_layout_are_all_examined(make_artifact: Callable[[], Path], tmp_path: Path) -> None:
    folder = make_artifact()
    published = tmp_path / "published"
    shutil.copytree(folder, published, ignore=shutil.ignore_patterns("model.onnx", "manifest.json"))
    (published / "onnx").mkdir()
    for name in ("model.onnx", "model_copy.onnx"):
        shutil.copy(folder / "model.onnx", published / "onnx" / name)
    facts = collect_facts(Asked(str(published)))
    assert [graph.file for graph in facts.graphs] == ["onnx/model.onnx", "onnx/model_copy.onnx"]
    assert [graph.refused for graph in facts.graphs] == [None, None]
    assert len(facts.sources) == 1


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, False),
        ({"sbert_ce_default_activation_function": "mine.Identity"}, True),
        ({}, True),
    ],
    ids=["an activation", "an unknown activation", "nothing"],
)
def test_a_cross_encoder_says_by_its_activation_what_its_one_logit_is(
    make_tiny_encoder: Callable[..., Path], tmp_path: Path, section: dict[str, str], expected: bool
) -> None:
    folder = make_tiny_encoder(tmp_path / "reranker", labels=("score",), problem_type=None)
    config = json.loads((folder / "config.json").read_text())
    config.pop("problem_type", None)
    (folder / "config.json").write_text(json.dumps({**config, **section}))
    assert (read_source(folder, None).problem_type is None) is expected
    assert ("problem-type-unsaid" in ids(collect_facts(Asked(str(folder))))) is expected
