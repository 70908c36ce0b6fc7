"""The texts that some build steps watch a graph on, and the ranges they see."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import IntArray
from driftgate.errors import BuildError
from driftgate.inputs.batches import TokenBatch, evenly_spaced, pad_rows, spread_sample
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import tokenize
from driftgate.onnx_graph.onnx_file import read_model

ROWS = 256
_FEWEST_ROWS = 32
_LARGEST_BATCH = 16

Feed = dict[str, IntArray]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Rows of a corpus, tokenized.

    Args:
        corpus: its name; `sha256` its digest.
        rows: ids of the rows that are used, from short texts to long ones.
        feeds: the model's inputs, int64, (batch, sequence). The texts of a batch are equally long: padding is not text, and
            its activations are not what ranges are for. Their rows are `rows`, in that order.
    """

    corpus: str
    sha256: str
    rows: tuple[str, ...]
    feeds: tuple[Feed, ...]

    def take(self, batches: int) -> "Calibration":
        """At most so many of the batches, of every length."""
        ends = np.cumsum([len(feed["input_ids"]) for feed in self.feeds]).tolist()
        kept = evenly_spaced(len(ends), batches)
        rows = [self.rows[ends[at] - len(self.feeds[at]["input_ids"]) : ends[at]] for at in kept]
        return replace(self, rows=tuple(chain.from_iterable(rows)), feeds=tuple(self.feeds[at] for at in kept))

    def describe(self, watched: Sequence[str] | None = None) -> dict[str, Any]:
        """What a manifest says about it, where all of its rows were watched or those with the ids `watched`."""
        few = len(self.rows) < _FEWEST_ROWS
        warning = {"warning": f"{len(self.rows)} rows; fewer than {_FEWEST_ROWS} may miss the range"} if few else {}
        return {
            "corpus": self.corpus,
            "sha256": self.sha256,
            "rows": list(self.rows if watched is None else watched),
            **warning,
        }


def tokenize_calibration(encoder: Encoder, corpus: Corpus) -> Calibration:
    """At most `ROWS` rows of `corpus`, of every length.

    Raises:
        BuildError: no tokens in any of them.
    """
    tokens = tokenize(encoder, corpus.texts)
    chosen = sorted(
        (row for row in spread_sample(tokens, ROWS) if tokens.lengths[row]), key=lambda row: tokens.lengths[row]
    )
    if not chosen:
        raise BuildError(f"corpus {corpus.name}: none of its rows has a token to calibrate on; give another corpus")
    groups = [list(equally_long) for _, equally_long in groupby(chosen, key=lambda row: tokens.lengths[row])]
    feeds = tuple(
        full_feed(pad_rows(tokens, rows[start : start + _LARGEST_BATCH]))
        for rows in groups
        for start in range(0, len(rows), _LARGEST_BATCH)
    )
    return Calibration(corpus.name, corpus.sha256, tuple(corpus.row_ids[row] for row in chosen), feeds)


def full_feed(batch: TokenBatch) -> Feed:
    """All that a graph may take of a batch, int64, (batch, sequence), by name."""
    # A graph may take segments that its tokenizer does not give: then all is one segment.
    types = np.zeros_like(batch.input_ids) if batch.token_type_ids is None else batch.token_type_ids
    return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "token_type_ids": types}


class FeedReader:
    """Feeds as ONNX Runtime's calibrators take them: one at a time, with the inputs that the graph has."""

    def __init__(self, model: Path, feeds: Sequence[Feed]) -> None:
        names = {value.name for value in read_model(model).graph.input}
        self._feeds = [{name: array for name, array in feed.items() if name in names} for feed in feeds]
        self.set_range(0, len(feeds))

    def __len__(self) -> int:
        return len(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go on with these."""
        self._next = iter(self._feeds[start_index:end_index])

    def get_next(self) -> Feed | None:
        """What ONNX Runtime asks a reader for; None at the end."""
        return next(self._next, None)


_EXTREMES = ("ReduceMin", "ReduceMax")


def measure_ranges(
    model: Any, folder: Path, calibration: Calibration, types: Iterable[Any] = ()
) -> dict[str, tuple[float, float]]:
    """Least and greatest value of every float tensor that the graph computes, by its name.

    ONNX Runtime's calibrators would find the same; they need shapes inferred and every weight in memory first.

    Args:
        model: an onnx.ModelProto without its external data; `folder` has that data.
        types: ValueInfoProtos of tensors inside the graph. Where one lacks, the graph is loaded once more to find it out.
    """
    from onnx import helper

    watched = type(model)()
    watched.CopyFrom(model)
    graph = watched.graph
    floats = _name_floats(watched, folder, types)
    for name in floats:
        graph.node.extend(helper.make_node(operator, [name], [f"{name}/{operator}"]) for operator in _EXTREMES)
    _set_outputs(graph, [f"{name}/{operator}" for operator in _EXTREMES for name in floats])
    session = _open(watched, folder)
    inputs = {value.name for value in session.get_inputs()}
    rows = [session.run(None, {name: feed[name] for name in inputs}) for feed in calibration.feeds]
    found = np.array([[value.item() for value in row] for row in rows])
    lows, highs = found[:, : len(floats)].min(axis=0), found[:, len(floats) :].max(axis=0)
    return dict(zip(floats, zip(lows.tolist(), highs.tolist(), strict=True), strict=True))


def _name_floats(model: Any, folder: Path, types: Iterable[Any]) -> list[str]:
    """Of the tensors that nodes of the graph compute; its outputs are changed."""
    from onnx import TensorProto

    computed = [name for node in model.graph.node for name in node.output if name]
    known = {value.name: value.type.tensor_type.elem_type for value in (*types, *model.graph.output)}
    if known.keys() >= set(computed):
        return [name for name in computed if known[name] == TensorProto.FLOAT]
    _set_outputs(model.graph, computed)
    return [value.name for value in _open(model, folder).get_outputs() if value.type == "tensor(float)"]


def _set_outputs(graph: Any, names: Sequence[str]) -> None:
    """Without types: ONNX Runtime knows them once it has loaded the graph."""
    from onnx import ValueInfoProto

    del graph.output[:]
    graph.output.extend(ValueInfoProto(name=name) for name in names)


def _open(model: Any, folder: Path) -> Any:
    """A session of a graph in memory, node by node as it is; `folder` holds its external data."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
