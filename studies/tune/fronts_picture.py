"""Draw `fronts.json`: drift against time, a line for each encoder and backend.

python studies/tune/fronts_picture.py docs/images/fronts.svg
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
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.subplots()
        for one in found:
            front = sorted(one["front"], key=lambda point: point["time"][0])
            plain = next(point for point in front if not point["forms"])["drift"][0]
            line, marker = LINES.get(one["backend"], ("-.", "^"))
            axes.plot(
                [point["time"][0] for point in front],
                [point["drift"][0] / plain for point in front],
                line,
                marker=marker,
                markersize=4,
                color=COLOURS[encoders.index(one["encoder"]) % len(COLOURS)],
                label=f"{one['encoder']}, {one['backend']}: {plain:.4f}",
            )
        axes.axhline(0.5, color="#999999", linewidth=0.8)
        axes.axvline(1.1, color="#999999", linewidth=0.8)
        axes.set_xlabel("time, relative to the backend as it is")
        axes.set_ylabel("mean drift, relative to the backend as it is")
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7, title="encoder, backend: drift as it is", title_fontsize=7)
        figure.savefig(sys.argv[1], metadata={"Date": None})


if __name__ == "__main__":
    main()
