"""Time several backends side by side: alternating blocks, so that a slow minute hits all of them."""

import gc
import time
from collections.abc import Mapping

import numpy as np

from driftgate.measure.workload import Workload

MIN_BLOCKS = 3


def time_blocks(workloads: Mapping[str, Workload], blocks: int = MIN_BLOCKS, seed: int = 0) -> dict[str, list[float]]:
    """Seconds of each backend in each block, by name.

    In every block each workload's first batch runs untimed, to let the other runtime's threads settle, then all of it
    timed; the order within a block is random. Backends never alternate call by call: their thread pools fight
    (onnxruntime #13808).
    """
    generator = np.random.default_rng(seed)
    seconds: dict[str, list[float]] = {name: [] for name in workloads}
    gc.collect()
    gc.freeze()  # else each collection below walks through all of torch and transformers
    for _ in range(blocks):
        for name in generator.permutation(list(workloads)).tolist():
            workload = workloads[name]
            workload.prepared[0]()
            gc.collect()
            started = time.perf_counter()
            workload.run()
            seconds[name].append(time.perf_counter() - started)
    gc.unfreeze()
    return seconds
