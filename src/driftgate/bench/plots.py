"""Pictures of throughputs: the best of each device and backend, and texts per second over the batch size.

Absolute numbers of different devices stand side by side, each under its device's name; a ratio is only ever one of two
backends on the same device.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftgate.bench.throughput_files import Point, Series
from driftgate.errors import OptionError, ResultsError
from driftgate.files import replacing

if TYPE_CHECKING:  # an extra, and slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
# Okabe and Ito's colours, which most colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_MARKERS = "osD^vPX*"
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text stays text: it can be searched, and the file is small
    "svg.hashsalt": "driftgate",  # else ids in the file are drawn again each time
}
# A date would make each file differ from the last.
_NO_DATE: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}


def require_format(path: Path) -> str:
    """The picture's format, from the name's suffix.

    Raises:
        OptionError: another suffix, or matplotlib is not installed.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise OptionError(
            f"{path}: expected a name that ends in .{', .'.join(FORMATS)}, found {path.suffix or 'no suffix'!r}"
        )
    if find_spec("matplotlib") is None:
        raise OptionError('plots need matplotlib, which is not installed: pip install "driftgate[plots]"')
    return kind


def draw_best(series: Sequence[Series], baseline: str | None = None) -> "Figure":
    """A bar for each device and backend: the best of its workers and batch sizes, which are written under it.

    Args:
        series: of one corpus, at least one.
        baseline: a backend that the others of the same device are compared with, as a ratio over each bar.
    """
    devices, looks = _unique(each.device for each in series), _bar_looks(_unique(each.backend for each in series))
    backends = list(looks)
    with _style():
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch

        width = 0.62 * len(series) + 0.5 * len(devices) + 2.2
        figure = Figure(figsize=(max(width, 6), 4.4), layout="constrained")
        axes = figure.subplots()
        spots, centres, left = [], [], 0.0
        for device in devices:
            group = sorted(
                (each for each in series if each.device == device), key=lambda each: backends.index(each.backend)
            )
            against = next((each.best.texts_per_second for each in group if each.backend == baseline), None)
            for offset, each in enumerate(group):
                speed = each.best.texts_per_second
                bar = axes.bar(left + offset, speed, 0.86, **looks[each.backend])
                ratio = "" if against is None else f"\n{speed / against:.2f}\N{MULTIPLICATION SIGN}"
                axes.bar_label(bar, [f"{speed:,.0f}{ratio}"], padding=2, fontsize=8)
                spots.append((left + offset, each.best.setting))
            centres.append((left + (len(group) - 1) / 2, _wrapped(device, min(9 * len(group) + 3, 30))))
            left += len(group) + 0.6
        axes.xaxis.remove_overlapping_locs = False  # a bar in the middle of its device keeps its setting
        axes.set_xticks(*zip(*spots, strict=True), minor=True, fontsize=7)
        axes.set_xticks(*zip(*centres, strict=True))
        axes.tick_params("x", which="both", length=0)
        axes.tick_params("x", which="major", pad=16)
        axes.set_xlabel("device; under each bar: workers \N{MULTIPLICATION SIGN} batch size of its best", color="0.35")
        axes.set_ylabel("texts per second")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.02, y=0.14)
        notes = [f"Best throughput, corpus {series[0].corpus!r}"]
        if len(devices) > 1:
            notes.append("models and software may differ between devices: compare backends within one")
        if baseline is not None:
            notes.append(f"\N{MULTIPLICATION SIGN}: ratio to {baseline} on the same device")
        axes.set_title("\n".join(notes), fontsize=9, loc="left")
        patches = [Patch(label=name, **look) for name, look in looks.items()]
        figure.legend(handles=patches, loc="outside right upper", title="backend", frameon=False)
    return figure


def draw_batch_sizes(series: Sequence[Series]) -> "Figure":
    """Texts per second over the batch size, a line for each number of workers; a row of panels for each device.

    Args:
        series: of one corpus, at least one. Points without a batch size are left out.

    Raises:
        ResultsError: no point has a batch size.
    """
    sized = {
        (each.device, each.backend): [point for point in each.points if point.batch_size is not None] for each in series
    }
    sized = {key: points for key, points in sized.items() if points}
    if not sized:
        raise ResultsError(f"corpus {series[0].corpus!r}: no result has a batch size; measure the arrival plan")
    devices, backends = _unique(device for device, _ in sized), _unique(backend for _, backend in sized)
    workers = sorted({point.workers for points in sized.values() for point in points})
    sizes = sorted({point.batch_size for points in sized.values() for point in points if point.batch_size})
    with _style():
        from matplotlib import colormaps
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D

        shades = colormaps["viridis"]
        looks: dict[int, dict[str, Any]] = {
            count: {"color": shades(0.9 * index / max(len(workers) - 1, 1)), "marker": _MARKERS[index % len(_MARKERS)]}
            for index, count in enumerate(workers)
        }
        size = max(2.4 * len(backends) + 1.6, 6), max(2.2 * len(devices) + 1.0, 3.6)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(devices), len(backends), squeeze=False, sharex=True, sharey="row")
        for row, device in enumerate(devices):
            for column, backend in enumerate(backends):
                _draw_panel(panels[row, column], sized.get((device, backend), []), looks, sizes)
            # By hand, once for the row: a limit set on one panel would stop the others from growing.
            highest = max(
                point.texts_per_second for key, points in sized.items() if key[0] == device for point in points
            )
            panels[row, 0].set_ylim(0, 1.06 * highest)
            panels[row, 0].set_ylabel(f"{_wrapped(device, 26)}\ntexts per second")
        for column, backend in enumerate(backends):
            panels[0, column].set_title(backend, fontsize=9)
            panels[-1, column].set_xlabel("batch size")
        lines = [Line2D([], [], label=str(count), markersize=4, **look) for count, look in looks.items()]
        figure.legend(handles=lines, loc="outside right upper", title="workers", frameon=False)
        figure.suptitle(f"Throughput over batch size, corpus {series[0].corpus!r}", fontsize=11)
    return figure


def _draw_panel(axes: "Axes", points: Sequence[Point], looks: Mapping[int, Any], sizes: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    if not points:
        axes.text(0.5, 0.5, "no result", transform=axes.transAxes, ha="center", va="center", color="gray")
    for count, look in looks.items():
        line = sorted((point.batch_size or 0, point.texts_per_second) for point in points if point.workers == count)
        if line:
            axes.plot(*zip(*line, strict=True), markersize=4, linewidth=1.3, **look)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write the picture whole or not at all; the same figure gives the same bytes."""
    kind = require_format(path)
    with replacing(path) as partial, _style():
        figure.savefig(partial, format=kind, dpi=160, metadata=_NO_DATE[kind])


def _style() -> Any:
    """matplotlib as it comes, whatever this user's matplotlibrc says."""
    import matplotlib.style

    return matplotlib.style.context(["default", _STYLE])


def _bar_looks(backends: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How each backend's bars look, in the order in which they stand: a colour each; hatched under another batch plan."""
    names = _unique(backend.partition(" (")[0] for backend in backends)
    looks = {}
    for backend in sorted(backends, key=lambda backend: (names.index(backend.partition(" (")[0]), backend)):
        name, _, plan = backend.partition(" (")
        rounds, colour = divmod(names.index(name), len(_COLOURS))
        hatch = "///" * bool(plan) + "." * 3 * rounds
        looks[backend] = {"facecolor": _COLOURS[colour], "hatch": hatch, "edgecolor": "white"}
    return looks


def _wrapped(device: str, width: int) -> str:
    """A name of words parted by hyphens, as in a file's name, over lines of `width` characters."""
    return "\n".join(textwrap.wrap(device.replace("-", " "), width))


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
