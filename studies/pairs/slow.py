"""Write a built graph twice: once with other bytes and equal work, once with a product too many.

    driftgate build OUT/bert --pair-column second --backends onnx-fp32 --out built
    python studies/pairs/slow.py built/model.onnx variants --columns 8192
    pytest benchmarks/test_gate.py --gate-accept --backends mine:fp32=built/model.onnx ...
    pytest benchmarks/test_gate.py --gate --backends mine:fp32=variants/equal/model.onnx ...
    pytest benchmarks/test_gate.py --gate --backends mine:fp32=variants/slow/model.onnx ...

Bytes have to differ, because the speed gate does not time what is identical.
"""

import argparse
import sys
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).parents[1] / "gate"))

from variants import add_work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--columns", type=int, default=8192, help="of the extra product")
    given = parser.parse_args()
    for name in ("equal", "slow"):
        (given.out / name).mkdir(parents=True)
    model = onnx.load(given.model)
    model.doc_string = "The same graph with other bytes."
    onnx.save(model, given.out / "equal/model.onnx")
    add_work(given.model, given.out / "slow/model.onnx", given.columns)


if __name__ == "__main__":
    main()
