"""Graphs that live in memory, run by ONNX Runtime."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.errors import ArtifactError

_LARGEST = 2**31 - 2**20


class GraphSession:
    """An onnx.ModelProto that is not in a file, loaded on the CPU.

    Args:
        name: who it is, for messages.

    Raises:
        ArtifactError: more than 2 GB, or ONNX Runtime cannot load it.
    """

    def __init__(self, model: Any, threads: int, name: str) -> None:
        import onnxruntime

        if model.ByteSize() > _LARGEST:
            raise ArtifactError(
                f"{name}: over 2 GB of weights, which cannot be taken apart in memory; explain a smaller model"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise ArtifactError(f"{name}: ONNX Runtime does not load a variant of it: {error}") from error
        self.outputs = tuple(value.name for value in self._session.get_outputs())
        self._inputs = frozenset(value.name for value in self._session.get_inputs())

    def run(self, feed: Mapping[str, NDArray[Any]], names: Sequence[str] | None = None) -> list[NDArray[Any]]:
        """Outputs by name, all of them by default; what the graph does not take is left out of the feed."""
        wanted = {name: value for name, value in feed.items() if name in self._inputs}
        answers: list[NDArray[Any]] = self._session.run(list(names) if names else None, wanted)
        return [np.asarray(answer) for answer in answers]

    def answer(self, feed: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """The first output, and the others by name."""
        first, *others = self.run(feed)
        return first, dict(zip(self.outputs[1:], others, strict=True))


def run_graph(
    model: Any, feed: Mapping[str, NDArray[Any]], names: Sequence[str], *, required: bool = True
) -> list[NDArray[Any]]:
    """Outputs of an onnx.ModelProto that is run once.

    Args:
        feed: an array for each input, float32 or int64 as the graph asks, by name.
        required: False for no outputs where it cannot be run on this feed.
    """
    try:
        return GraphSession(model, 1, "a product").run(feed, names)
    except Exception:
        if required:
            raise
        return []
