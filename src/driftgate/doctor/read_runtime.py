"""Asking ONNX Runtime: which provider it gives, how new a file may be, what it makes of a graph."""

import ctypes
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from driftgate.builder.runtime_errors import diagnose
from driftgate.doctor.facts import Asked, Runtime
from driftgate.doctor.model_facts import Session

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

_OLDEST_OPSET, _OLDEST_IR = 13, 7  # that any ONNX Runtime we allow loads
_SILENT = 4  # what it would log is a finding


def read_runtime(asked: Asked) -> Runtime:
    """ONNX Runtime as it is installed here. CUDA is tried where it was asked for or the wheel has it."""
    import onnx
    import onnxruntime

    offered = tuple(onnxruntime.get_available_providers())
    given, reason = _try_cuda(CUDA in offered) if asked.on_cuda or CUDA in offered else (None, "")
    opset, ir = onnx.defs.onnx_opset_version(), onnx.IR_VERSION
    return Runtime(
        version=onnxruntime.__version__,
        offered=offered,
        given=given,
        not_given_because=reason,
        gpu_driver=any(Path(path).exists() for path in ("/proc/driver/nvidia/version", "/dev/dxg")),
        written_opset=opset,
        written_ir=ir,
        read_opset=_newest(lambda version: _loads(version, _OLDEST_IR + 1), opset, _OLDEST_OPSET),
        read_ir=_newest(lambda version: _loads(_OLDEST_OPSET, version), ir, _OLDEST_IR),
    )


def read_session(model: Path, provider: str) -> Session:
    """Load a model as a user would, and count the operators that are left after ONNX Runtime's own optimizations."""
    import onnx

    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(optimized)
        # Beside the file: a protobuf message takes no more than 2 GB, and only the operators are read.
        for key, value in (("file_name", "weights"), ("min_size_in_bytes", "1024")):
            options.add_session_config_entry(f"session.optimized_model_external_initializers_{key}", value)
        try:
            _open(model, options, provider)
        except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class
            told = diagnose(error)
            return _load_only(model, provider, f"expected {told.expected}, found {told.found} ({told.words})")
        graph = onnx.load(optimized, load_external_data=False).graph
    return Session(provider, None, dict(sorted(Counter(node.op_type for node in graph.node).items())))


def _load_only(model: Path, provider: str, before: str) -> Session:
    """Whether it was the model that did not load, or its optimized graph that could not be written."""
    try:
        _open(model, _options(), provider)
    except Exception:  # noqa: BLE001 - as above
        return Session(provider, before, {})
    return Session(provider, None, {})


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = 1
    return options


def _open(model: Any, options: Any, provider: str) -> Any:
    import onnxruntime

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the provider is not there
        # Without the fall back of its Python part, which would print and hide the reason.
        return onnxruntime.InferenceSession(model, options, providers=[provider], enable_fallback=0)


def _try_cuda(offered: bool) -> tuple[str, str]:
    """The provider that a session got which asked for CUDA, and why it is another."""
    try:
        given = str(_open(_tiny_model(_OLDEST_OPSET, _OLDEST_IR + 1), _options(), CUDA).get_providers()[0])
    except Exception as error:  # noqa: BLE001 - as above
        return "none", diagnose(error).words
    if given == CUDA or not offered or not sys.platform.startswith("linux"):
        return given, ""
    return given, _loading_error()


def _loading_error() -> str:
    """What the loader says of the provider's library: the name of the first library that is missing."""
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / "libonnxruntime_providers_cuda.so"))
    except OSError as error:
        return str(error)
    return ""


def _newest(loads: Callable[[int], bool], written: int, oldest: int) -> int:
    """The newest version up to `written` that loads; `oldest` where none above it does."""
    return next((version for version in range(written, oldest, -1) if loads(version)), oldest)


def _loads(opset: int, ir: int) -> bool:
    try:
        _open(_tiny_model(opset, ir), _options(), CPU)
    except Exception:  # noqa: BLE001 - as above
        return False
    return True


def _tiny_model(opset: int, ir: int) -> bytes:
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "probe", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = ir
    return bytes(model.SerializeToString())
