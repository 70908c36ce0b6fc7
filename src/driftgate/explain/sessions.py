"""Graphs that live in memory, run by ONNX Runtime."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.arrays import Logits
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
        self._outputs = [value.name for value in self._session.get_outputs()]
        self._inputs = frozenset(value.name for value in self._session.get_inputs())

    def run(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All outputs by name; what the graph does not take is left out of the feed."""
        wanted = {name: value for name, value in feed.items() if name in self._inputs}
        return dict(zip(self._outputs, map(np.asarray, self._session.run(None, wanted)), strict=True))

    def answer(self, feed: Mapping[str, NDArray[Any]]) -> tuple[Logits, dict[str, NDArray[Any]]]:
        """The logits, which are the first output, float32, (batch, labels), and all outputs by name."""
        found = self.run(feed)
        return Logits(found[self._outputs[0]].astype(np.float32)), found
