"""`driftgate plot`: what is read, what is refused, and what the pictures show."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from command_line import run_driftgate

from driftgate.bench.bench_results import ThroughputRun, write_run
from driftgate.bench.compare_runs import read_results, split_corpora
from driftgate.bench.plots import draw_batch_sizes, draw_best, require_format, save_figure
from driftgate.bench.throughput_files import Point, Series
from driftgate.errors import OptionError, ResultsError
from driftgate.measure.timings import Block, Configuration, Throughput, Work

REFUSED = 4
needs_matplotlib = pytest.mark.skipif(
    find_spec("matplotlib") is None, reason='matplotlib is not installed: pip install "driftgate[plots]"'
)

SLOW = Series("Small-CPU", "torch", "normal", (Point(1, 1, 50.0), Point(1, 8, 20.0), Point(2, 1, 80.0)))
FAST = Series("Small-CPU", "onnx-int8", "normal", (Point(1, 1, 160.0), Point(1, 8, 200.0), Point(2, 8, 120.0)))
OTHER = Series("Large-GPU-7", "torch", "normal", (Point(4, 8, 1000.0), Point(4, 32, 1500.0)))
BUDGET = Series("Small-CPU", "onnx-int8 (budget)", "normal", (Point(1, None, 400.0),))


@pytest.fixture
def plot(tmp_path: Path) -> Callable[..., Any]:
    return partial(run_driftgate, "plot")


def write_table(folder: Path, name: str, *rows: tuple[object, ...]) -> Path:
    path = folder / name
    lines = [("workers", "size", "messages/s"), *rows]
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines), encoding="utf-8")
    return path


def write_bench(folder: Path, *, second: float = 0.5) -> None:
    """`bench.json` and its tables: 100 texts, at batch size 8 and under the budget plan."""
    header = {
        "device": {"name": "Small CPU"},
        "cores": 2,
        "corpora": {"long": {"rows": 100, "name_in_files": "filtered"}},
        "backends": {"torch": {}},
    }

    def timed(plan: str, size: int | None, seconds: float) -> Throughput:
        configuration = Configuration("torch", "long", plan, size, 1, 1)
        ends = (int(seconds * 1e9), int(seconds * 1e9), int(seconds * 9e9))
        blocks = tuple(Block(number, 0, (0,), (end,)) for number, end in enumerate(ends))
        return Throughput(configuration, Work(100, 13, 900, 1000), blocks)

    run = ThroughputRun(header, {}, (timed("b8", 8, 1.0), timed("budget", None, second)), complete=True)
    write_run(run, folder)


# Reading


def test_a_table_is_read_by_the_parts_of_its_name(tmp_path: Path) -> None:
    path = write_table(tmp_path, "NVIDIA-RTX-5060-Ti_torch-base_normal.tsv", (1, 1, 198.28), (2, 32, 117.49))
    assert read_results([path]) == (
        Series("NVIDIA-RTX-5060-Ti", "torch-base", "normal", (Point(1, 1, 198.28), Point(2, 32, 117.49))),
    )


def test_a_folder_gives_every_table_in_it(tmp_path: Path) -> None:
    for name in ("B_torch_normal.tsv", "A_torch_normal.tsv", "A_onnx-fp16_filtered.tsv"):
        write_table(tmp_path, name, (1, 1, 10))
    (tmp_path / "notes.tsv").write_text("not a result", encoding="utf-8")
    read = read_results([tmp_path])
    assert [(each.device, each.backend) for each in read] == [("A", "onnx-fp16"), ("A", "torch"), ("B", "torch")]
    assert {name: len(of_corpus) for name, of_corpus in split_corpora(read).items()} == {"filtered": 1, "normal": 2}


def test_bench_json_gives_medians_under_its_tables_names_and_the_budget_plan(tmp_path: Path) -> None:
    write_bench(tmp_path)
    assert set(read_results([tmp_path / "bench.json"])) == {
        Series("Small-CPU", "torch", "filtered", (Point(1, 8, 100.0),)),
        Series("Small-CPU", "torch (budget)", "filtered", (Point(1, None, 200.0),)),
    }


def test_a_run_read_from_its_json_and_from_its_tables_is_one(tmp_path: Path) -> None:
    write_bench(tmp_path)
    assert (tmp_path / "Small-CPU_torch_filtered.tsv").is_file()
    assert len(read_results([tmp_path, tmp_path])) == 2


def test_two_results_of_the_same_are_refused_when_they_differ(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    one = write_table(tmp_path / "first", "A_torch_normal.tsv", (1, 1, 10))
    other = write_table(tmp_path / "second", "A_torch_normal.tsv", (1, 1, 11))
    with pytest.raises(ResultsError, match=r"first.*second.*A torch normal and they differ"):
        read_results([one, other])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("workers\tsize\tmessages/s\n", "no rows"),
        ("workers\tsize\ttokens/s\n1\t1\t5\n", "'tokens/s'"),
        ("workers\tsize\tmessages/s\n1\t1\t5\n1\t2\tfast\n", "line 3"),
        ("workers\tsize\tmessages/s\n1\t1\tnan\n", "line 2"),
        ("workers\tsize\tmessages/s\n1\t1\n", "line 2"),
    ],
)
def test_a_malformed_table_is_refused_with_its_line(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "A_torch_normal.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ResultsError, match=message):
        read_results([path])


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"schema": 1, "configurations": [{}]}', '{"schema": 1, "configurations": []}']
)
def test_a_json_file_that_is_no_bench_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ResultsError, match=r"bench\.json"):
        read_results([path])


def test_a_bench_of_another_version_is_refused(tmp_path: Path) -> None:
    write_bench(tmp_path)
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "schema": 99}), encoding="utf-8")
    with pytest.raises(ResultsError, match="schema 99, and this driftgate reads schema 1"):
        read_results([path])


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no results in it"):
        read_results([tmp_path])


def test_a_corpus_without_results_is_refused_with_those_there_are() -> None:
    with pytest.raises(ResultsError, match="'reviews'; found: normal"):
        split_corpora([SLOW, FAST], "reviews")


def test_the_long_corpus_is_found_under_its_name_in_files() -> None:
    filtered = Series("A", "torch", "filtered", (Point(1, 1, 5.0),))
    assert split_corpora([SLOW, filtered], "long") == {"filtered": [filtered]}


# Pictures


@needs_matplotlib
def test_bars_are_as_high_as_the_best_of_each_backend() -> None:
    (axes,) = draw_best([SLOW, FAST, OTHER, BUDGET]).axes
    assert sorted(bar.get_height() for bar in axes.patches) == [80.0, 200.0, 400.0, 1500.0]
    settings = [label.get_text() for label in axes.get_xticklabels(minor=True)]
    assert settings == ["2 \u00d7 1", "1 \u00d7 8", "1 \u00d7 any", "4 \u00d7 32"]


@needs_matplotlib
def test_a_batch_plan_is_beside_its_backend_in_its_colour_and_hatched() -> None:
    (axes,) = draw_best([FAST, SLOW, BUDGET]).axes
    int8, budget, torch_ = axes.patches
    assert [bar.get_height() for bar in (int8, budget, torch_)] == [200.0, 400.0, 80.0]
    assert int8.get_facecolor() == budget.get_facecolor() != torch_.get_facecolor()
    assert (int8.get_hatch() or "", bool(budget.get_hatch())) == ("", True)


@needs_matplotlib
def test_a_ratio_compares_backends_of_the_same_device_only() -> None:
    (axes,) = draw_best([SLOW, FAST, OTHER], baseline="onnx-int8").axes
    labels = [text.get_text() for text in axes.texts]
    assert labels == ["80\n0.40\u00d7", "200\n1.00\u00d7", "1,500"]


@needs_matplotlib
def test_one_backend_has_one_colour_on_every_device() -> None:
    (axes,) = draw_best([SLOW, FAST, OTHER]).axes
    torch_cpu, int8_cpu, torch_gpu = (bar.get_facecolor() for bar in axes.patches)
    assert torch_cpu == torch_gpu != int8_cpu


@needs_matplotlib
@pytest.mark.parametrize("backends", [1, 2, 5])
def test_labels_of_bars_do_not_overlap(backends: int) -> None:
    many = [
        Series(f"A-processor-with-a-long-name-{device}", f"backend-{number}", "normal", (Point(12, 32, 12345.0),))
        for device in range(4)
        for number in range(backends)
    ]
    figure = draw_best(many, baseline="backend-0")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    for texts in (axes.texts, axes.get_xticklabels(minor=True), axes.get_xticklabels()):
        boxes = sorted((text.get_window_extent() for text in texts), key=lambda box: box.x0)
        assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))


@needs_matplotlib
def test_a_line_for_each_number_of_workers_in_a_panel_for_each_backend_and_device() -> None:
    figure = draw_batch_sizes([SLOW, FAST, OTHER, BUDGET])
    lines = [[list(line.get_ydata()) for line in axes.lines] for axes in figure.axes]
    assert lines == [[[50.0, 20.0], [80.0]], [[160.0, 200.0], [120.0]], [[1000.0, 1500.0]], []]
    assert [text.get_text() for text in figure.axes[3].texts] == ["no result"]


@needs_matplotlib
def test_every_point_is_inside_its_panel() -> None:
    figure = draw_batch_sizes([SLOW, FAST, OTHER])  # the second panel of a row is higher than the first
    figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert all(low <= speed <= high for line in axes.lines for speed in line.get_ydata())
        assert low == 0


@needs_matplotlib
def test_lines_without_batch_sizes_are_refused() -> None:
    with pytest.raises(ResultsError, match="no result has a batch size"):
        draw_batch_sizes([BUDGET])


@needs_matplotlib
@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_the_same_results_give_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_figure(draw_best([SLOW, FAST]), tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


@needs_matplotlib
def test_a_failed_write_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "old.svg"
    target.write_text("old", encoding="utf-8")
    figure = draw_best([SLOW])

    def half(path: Path, **_: object) -> None:
        path.write_text("half", encoding="utf-8")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(OSError, match="No space"):
        save_figure(figure, target)
    assert [path.name for path in tmp_path.iterdir()] == ["old.svg"]
    assert target.read_text(encoding="utf-8") == "old"


@needs_matplotlib
@pytest.mark.parametrize("name", ["comparison.gif", "comparison", "comparison.png.txt"])
def test_another_suffix_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=r"ends in \.png, \.svg, \.pdf"):
        require_format(Path(name))


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftgate.bench.plots.find_spec", lambda _: None)
    with pytest.raises(OptionError, match=r'pip install "driftgate\[plots\]"'):
        require_format(Path("comparison.svg"))


# The command


def svg_texts(path: Path) -> set[str]:
    return {"".join(element.itertext()).strip() for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314


@needs_matplotlib
@pytest.mark.parametrize("kind", ["best", "batch-sizes"])
def test_a_picture_names_every_backend_and_device(kind: str, plot: Callable[..., Any], tmp_path: Path) -> None:
    write_table(tmp_path, "Big-GPU_torch-base_normal.tsv", (1, 1, 198.28))
    write_table(tmp_path, "Big-GPU_onnx-fp16_normal.tsv", (1, 1, 400))
    write_table(tmp_path, "CPU_torch-base_normal.tsv", (1, 1, 30))
    result = plot(tmp_path, "--kind", kind, "--out", tmp_path / "a.svg", "--out", tmp_path / "a.png")
    assert result.exit_code == 0, result.output
    assert {"torch-base", "onnx-fp16"} <= svg_texts(tmp_path / "a.svg")
    assert any("Big GPU" in text for text in svg_texts(tmp_path / "a.svg"))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "198" in result.stdout
    assert "wrote" not in result.stdout


@needs_matplotlib
def test_each_corpus_gets_a_picture_of_its_own(plot: Callable[..., Any], tmp_path: Path) -> None:
    write_table(tmp_path, "A_torch_normal.tsv", (1, 1, 30))
    write_table(tmp_path, "A_torch_filtered.tsv", (1, 1, 20))
    assert plot(tmp_path, "--out", tmp_path / "a.svg").exit_code == 0
    assert {path.name for path in tmp_path.glob("*.svg")} == {"a-normal.svg", "a-filtered.svg"}
    assert plot(tmp_path, "--corpus", "normal", "--out", tmp_path / "b.svg").exit_code == 0
    assert "corpus 'normal'" in " ".join(svg_texts(tmp_path / "b.svg"))


@needs_matplotlib
def test_a_picture_that_is_there_is_replaced_only_when_asked(plot: Callable[..., Any], tmp_path: Path) -> None:
    write_table(tmp_path, "A_torch_normal.tsv", (1, 1, 30))
    (tmp_path / "a.svg").write_text("mine", encoding="utf-8")
    refused = plot(tmp_path, "--out", tmp_path / "a.svg")
    assert refused.exit_code == REFUSED
    assert "--overwrite" in refused.stderr
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == "mine"
    assert plot(tmp_path, "--out", tmp_path / "a.svg", "--overwrite").exit_code == 0
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<?xml")


@needs_matplotlib
def test_a_baseline_that_nobody_measured_is_refused(plot: Callable[..., Any], tmp_path: Path) -> None:
    write_table(tmp_path, "A_torch_normal.tsv", (1, 1, 30))
    refused = plot(tmp_path, "--baseline", "onnx-fp32", "--out", tmp_path / "a.svg")
    assert refused.exit_code == REFUSED
    assert "found: torch" in refused.stderr
    assert not (tmp_path / "a.svg").exists()


@needs_matplotlib
def test_the_guides_results_are_drawn_beside_each_other(
    data_folder: Path, plot: Callable[..., Any], tmp_path: Path
) -> None:
    folder = data_folder / "guide_results"
    if not folder.is_dir():
        pytest.skip("no results of the guide here; DRIFTGATE_DATA names the folder that has them")
    result = plot(folder, "--corpus", "normal", "--baseline", "torch-base", "--out", tmp_path / "a.svg")
    assert result.exit_code == 0, result.output
    texts = svg_texts(tmp_path / "a.svg")
    assert {"onnx-fp16", "torch", "torch-base"} <= texts
    h200 = next(line for line in result.stdout.splitlines() if "H200" in line and "onnx-fp16" in line)
    assert h200.split()[-5:] == ["4,037", "10", "x", "8", "3.98"]  # 4037.42, of 1014.45
