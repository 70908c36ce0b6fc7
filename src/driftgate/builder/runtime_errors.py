"""What ONNX Runtime says when it cannot load or run a file, in words that someone can act on.

Its exceptions share no base class, and their texts hold C++ signatures and source files.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from driftgate.errors import ArtifactError, DriftgateError

_READ, _LONGEST = 4000, 240
_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_LOADING = re.compile(r"Load model from .*? failed:\s*(?=\S)")
_SIGNATURE = r"[^()\"']*::\w+\([^()]*\)(?: const)?"
_SOURCE = re.compile(rf"[\w/.-]{{1,200}}\.(?:cc|h|cu):\d+ (?:{_SIGNATURE}|\w+) ")

# What it says, what was expected, what was found, what to do.
_KNOWN = (
    (
        r"Opset (?P<found>\d+) is under development.* till opset (?P<most>\d+)",
        "ONNX's operators up to opset {most}",
        "opset {found}",
        "export it with an older opset, or install a newer onnxruntime",
    ),
    (
        r"Unsupported model IR version: (?P<found>\d+), max supported IR version: (?P<most>\d+)",
        "IR version {most} at most",
        "IR version {found}",
        "save it with an older onnx, or install a newer onnxruntime",
    ),
    (
        r"Protobuf parsing failed|No graph was found|Missing opset|File doesn't exist",
        "a whole ONNX file",
        "none, or one that is cut off, damaged or of another kind",
        "fetch or build it again",
    ),
    (
        r"External data path does not exist: \"(?P<path>.*)\"",
        "its weights in {path}",
        "no such file",
        "fetch it too, and keep the model's files together",
    ),
    (
        r"External initializer: (?P<name>\S+) .*size to read: (?P<size>\d+) given file_length: (?P<length>\d+)",
        "{size} bytes of {name!r} in the file of its weights",
        "a file of {length} bytes",
        "fetch or build it again",
    ),
    (
        r"(?P<name>[^\s(]{1,200})(?:\(-?\d+\))? is not a registered function|No Op registered for (?P<other>\S+)",
        "operators that ONNX Runtime has",
        "{name}",
        "export it with ONNX's own operators",
    ),
    (
        r"Could not find an implementation for (?P<operator>\S+) node",
        "operators with types that ONNX Runtime supports here",
        "{operator} with a type that it does not support",
        "export it in another precision or opset",
    ),
    (
        r"[Ii]nvalid model",
        "a valid graph",
        "nodes that do not fit together",
        "export it again; onnx.checker.check_model looks for more",
    ),
    (
        r"Failed to allocate memory for requested buffer of size (?P<size>\d+)",
        "enough memory",
        "no room for {size} more bytes",
        "take smaller batches, shorter texts or a machine with more memory",
    ),
    (
        r"bad_?alloc|out of memory",
        "enough memory",
        "none left",
        "take smaller batches, shorter texts or a machine with more memory",
    ),
    (
        r"Required inputs \((?P<inputs>.*?)\) are missing from input feed \((?P<fed>.*?)\)",
        "the inputs {inputs}",
        "{fed}",
        "feed them, or export a graph that does without",
    ),
    (
        r"Invalid input name: (?P<name>\S+)",
        "an input {name!r}",
        "a graph without it",
        "leave it out, or export a graph that takes it",
    ),
    (
        r"Unexpected input data type. Actual: \(tensor\((?P<fed>\w+)\)\) , expected: \(tensor\((?P<taken>\w+)\)\)",
        "inputs of {taken}, as the graph says",
        "{fed}",
        "export a graph that takes {fed}",
    ),
    (
        r"Invalid rank for input: (?P<name>\S+)|Got invalid dimensions for input: (?P<other>\S+)",
        "the axes of {name!r} that the graph fixes",
        "others",
        "export it with dynamic batch and sequence axes",
    ),
    (
        r"(?P<operator>MatMulNBits|MatMulBnb4|GatherBlockQuantized)",
        "block-quantized weights that this ONNX Runtime has kernels for",
        "a {operator} node that it has none for",
        "install a newer onnxruntime, or take the file in another format (float16, INT8)",
    ),
    (
        r"running (?P<operator>\w+) node\.",
        "a graph that runs on every batch",
        "a {operator} node that fails on this one",
        "export it again, with dynamic axes and from the model that it is used for",
    ),
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One of its errors. `words`: its own, on one line, without source files and signatures."""

    expected: str
    found: str
    advice: str
    words: str


def explain(
    error: Exception, model: str | Path, doing: str, kind: type[DriftgateError] = ArtifactError
) -> DriftgateError:
    """The error to raise: file, expected, found, what to do, and ONNX Runtime's own words on a line below.

    Args:
        model: the file. `doing`: what was tried with it, such as "load" or "run".
    """
    from onnxruntime import __version__ as version

    told = diagnose(error)
    return kind(
        f"{model}: ONNX Runtime cannot {doing} it: expected {told.expected}, found {told.found}; {told.advice}",
        f"ONNX Runtime {version} says: {told.words}",
    )


def diagnose(error: Exception) -> Diagnosis:
    """What an exception of ONNX Runtime's means, as far as it is known."""
    said = " ".join(str(error).split())[:_READ] or type(error).__name__
    words = _SOURCE.sub("", _LOADING.sub("", _CODE.sub("", said)))
    shown = words if len(words) <= _LONGEST else f"{words[:_LONGEST]}..."
    for pattern, *sentences in _KNOWN:
        match = re.search(pattern, words)
        if match:
            parts = {name: value for name, value in match.groupdict().items() if value is not None}
            if "other" in parts:  # the same part in another sentence of ONNX Runtime's
                parts["name"] = parts["other"]
            expected, found, advice = (sentence.format_map(parts) for sentence in sentences)
            return Diagnosis(expected, found, advice, shown)
    return Diagnosis("a model that it can use", "one that it refuses", "export or build it again", shown)


def is_onnxruntimes(error: Exception) -> bool:
    """Whether an exception is of ONNX Runtime's own classes; it raises Python's too."""
    return type(error).__module__.startswith("onnxruntime.")
