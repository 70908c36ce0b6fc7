"""Draw `fronts.json`: drift against time and against size.

    python studies/tune/fronts_picture.py docs/tune-fronts.svg

All are relative to the backend as it is. Bars of time are the least and the most of the rounds; grey lines stand at half of the
drift and at a tenth more time. Needs matplotlib (`driftgate[plots]`).
"""

import json
import sys
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
LINES = {"onnx-int8": ("-", "o"), "onnx-int8-dynamic": ("--", "s")}


def main() -> None:
    found = json.loads(Path(__file__).with_name("fronts.json").read_text(encoding="utf-8"))
    encoders = list(dict.fromkeys(one["encoder"] for one in found))
    with rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "driftgate"}):
        figure = Figure(figsize=(8, 4.6), layout="constrained")
        by_time, by_size = figure.subplots(1, 2, sharey=True)
        for one in found:
            front = sorted(one["front"], key=lambda point: point["size"])
            plain = next(point for point in front if not point["forms"])["drift"][0]
            drifts = [point["drift"][0] / plain for point in front]
            line, marker = LINES[one["backend"]]
            style = {"marker": marker, "markersize": 4, "color": COLOURS[encoders.index(one["encoder"]) % len(COLOURS)]}
            middle, least, most = zip(*(point["time"] for point in front), strict=True)
            around = [
                [a - b for a, b in zip(middle, least, strict=True)],
                [b - a for a, b in zip(middle, most, strict=True)],
            ]
            by_time.errorbar(middle, drifts, xerr=around, linestyle="none", elinewidth=0.6, **style)
            label = f"{one['encoder']}, {one['backend']}: {plain:.4f}"
            by_size.plot([point["size"] for point in front], drifts, line, label=label, **style)
        for axes, unit in ((by_time, "time"), (by_size, "size of the file")):
            axes.axhline(0.5, color="#999999", linewidth=0.8)
            axes.set_xlabel(f"{unit}, relative to the backend as it is")
            axes.spines[["top", "right"]].set_visible(False)
        by_time.axvline(1.1, color="#999999", linewidth=0.8)
        by_time.set_ylabel("mean drift, relative to the backend as it is")
        by_time.set_ylim(bottom=0)
        title = "encoder, backend: mean drift as it is"
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=7, title=title, title_fontsize=8)
        figure.savefig(sys.argv[1], metadata={"Date": None} if sys.argv[1].endswith(".svg") else None)


if __name__ == "__main__":
    main()
