"""One side of a comparison in a process of its own: `python -m driftgate.gate.worker`, asked in lines of JSON.

`{"do": "describe"}` answers what is installed, and which protocol is spoken; `"load"`, which comes once, opens a model;
`"run"` makes some of a cell's calls.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.builder.artifact import Artifact
from driftgate.gate.run_facts import timed_software
from driftgate.inputs.batches import TokenBatch
from driftgate.measure.remote import serve

PROTOCOL = 3
"""Of these requests and answers. Whoever changes one of them counts on: the other side may be another release."""
_ARRAYS = ("input_ids", "attention_mask", "token_type_ids")
_Calls = Mapping[str, Sequence[Callable[[], Logits]]]


def write_batches(path: Path, batches: Mapping[str, Sequence[TokenBatch]]) -> None:
    """Write the batches of each cell, by cell id, for `"load"` to read."""
    arrays: dict[str, Any] = {
        f"{cell}/{index}/{name}": array
        for cell, of_cell in batches.items()
        for index, batch in enumerate(of_cell)
        for name, array in batch.arrays.items()
    }
    np.savez(path, **arrays)


def read_batches(path: Path) -> dict[str, list[TokenBatch]]:
    """The batches that `write_batches` wrote; their rows are counted from 0."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    with np.load(path, allow_pickle=False) as content:
        for key in content.files:
            cell, index, name = key.rsplit("/", 2)
            found.setdefault(cell, {}).setdefault(int(index), {})[name] = content[key]
    return {cell: [_to_batch(arrays) for _, arrays in sorted(of_cell.items())] for cell, of_cell in found.items()}


def _to_batch(arrays: Mapping[str, Any]) -> TokenBatch:
    ids, mask, types = (arrays.get(name) for name in _ARRAYS)
    if ids is None or mask is None:
        raise ValueError(f"a batch has {', '.join(arrays)}, expected input_ids and attention_mask")
    return TokenBatch(tuple(range(len(ids))), ids, mask, types)


def _load(request: Mapping[str, Any]) -> _Calls:
    """Every cell's calls, in a fresh session."""
    from driftgate.inputs.encoder import load_encoder
    from driftgate.run.device import RunSettings, parse_device
    from driftgate.run.open import open_backend

    encoder = load_encoder(**request["encoder"])
    precision = Precision(request["precision"])
    spec = BackendSpec(request["backend"], precision, Runtime.ONNXRUNTIME)
    settings = RunSettings(request["threads"], parse_device(request["device"]), tuple(request["cores"]))
    if settings.cores:  # for the rest of this process's life
        os.sched_setaffinity(0, {settings.cores[0]})
    backend = open_backend(encoder, spec, Artifact(Path(request["model"]), precision, "", 0), settings)
    return {
        cell: [backend.prepare(batch) for batch in batches]
        for cell, batches in read_batches(Path(request["batches"])).items()
    }


def _answer(request: Mapping[str, Any], calls: dict[str, Sequence[Callable[[], Logits]]]) -> object:
    if request["do"] == "describe":
        return {"protocol": PROTOCOL, "software": timed_software()}
    if request["do"] == "load":
        calls.update(_load(request))
    else:
        for call in calls[request["cell"]][request["start"] : request["stop"]]:
            call()
    return None


if __name__ == "__main__":
    loaded: dict[str, Sequence[Callable[[], Logits]]] = {}
    serve(lambda request: _answer(request, loaded))
