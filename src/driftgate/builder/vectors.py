"""Golden vectors as the ONNX model zoo ships them: a model's inputs and its own answers, as tensors in files.

`test_data_set_0/input_0.pb`, ..., `output_0.pb`, ...: named TensorProtos, numbered as the graph's inputs and outputs are. The
answers are the artifact's, not the encoder's: whoever runs the same file must get the same numbers, within rounding, and any
other number is the fault of the file, the runtime or the machine. How far the artifact is from its encoder is another question,
which bounds of drift answer; a tolerance wide enough for INT8's drift would let a wrong port pass.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.builder.calibration_texts import full_feed
from driftgate.builder.runtime_errors import explain
from driftgate.errors import BuildError
from driftgate.inputs.batches import pad_rows
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.texts import join_texts, map_parts, parts_of
from driftgate.inputs.tokens import tokenize

SET_PREFIX = "test_data_set_"

_SHORT_CHARACTERS = 40
_BATCH_ROWS = 4

Feed = Mapping[str, NDArray[Any]]
"""A model's inputs by name."""


def vectors_folder(model: Path) -> Path:
    """Where the sets of `model` lie: beside it, or in a folder of its name where other models are beside it."""
    alone = all(other == model for other in model.parent.glob("*.onnx"))
    return model.parent if alone else model.parent / model.stem


def embedded_feeds(encoder: Encoder) -> tuple[Feed, ...]:
    """Three batches of embedded texts, int64, (batch, sequence): a short text, a padded batch, a batch with a truncated text.

    Pairs of texts, for an encoder that takes pairs.
    """
    texts = throughput_corpus("normal", pairs=encoder.takes_pairs).texts
    short = next(text for text in texts if max(map(len, parts_of(text))) <= _SHORT_CHARACTERS)
    characters = 10 * encoder.max_tokens  # English gives a token for every three or four
    long = map_parts(lambda joined: joined[:characters], join_texts(texts))
    rows = [short, *texts[:_BATCH_ROWS], long]
    tokens = tokenize(encoder, rows)
    batches = ([0], range(1, 1 + _BATCH_ROWS), [len(rows) - 1, 0])
    return tuple(full_feed(pad_rows(tokens, chosen)) for chosen in batches)


def write_vectors(folder: Path, model: Path, feeds: Sequence[Feed]) -> tuple[Path, ...]:
    """Ask `model` and write a set a feed into `folder`, whole or not at all. The same answers write the same bytes.

    Args:
        model: any ONNX file: a classifier, or an encoder with hidden states.
        feeds: arrays by input name; names that the graph does not take are left out.

    Returns:
        the folders of the sets.

    Raises:
        BuildError: sets are there already, a feed lacks an input, ONNX Runtime cannot run the model, or the disk is full.
    """
    there = sorted(path.name for path in folder.glob(f"{SET_PREFIX}*"))
    if there:
        raise BuildError(f"{folder}: expected no golden vectors yet, found {', '.join(there)}; nothing was written")
    targets = tuple(folder / f"{SET_PREFIX}{number}" for number in range(len(feeds)))
    partial = folder / f".{SET_PREFIX}s.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        session = _open_session(model)
        for target, feed in zip(targets, feeds, strict=True):
            _write_set(partial / target.name, session, feed, model)
        for target in targets:
            (partial / target.name).rename(target)
    except BaseException as error:
        for target in targets:
            shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError):
            raise BuildError(f"{folder}: golden vectors cannot be written ({error.strerror or error})") from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return targets


def _open_session(model: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # how sums are split among threads is not the same everywhere
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise explain(error, model, "load", BuildError) from error


def _write_set(folder: Path, session: Any, feed: Feed, model: Path) -> None:
    from onnx import numpy_helper

    names = [entry.name for entry in session.get_inputs()]
    missing = [name for name in names if name not in feed]
    if missing:
        raise BuildError(f"{model}: the graph takes {', '.join(missing)}, which the feed does not have; add it")
    inputs = {name: feed[name] for name in names}
    try:
        answers = session.run(None, inputs)
    except Exception as error:  # as above
        raise explain(error, model, "run", BuildError) from error
    outputs = {entry.name: answer for entry, answer in zip(session.get_outputs(), answers, strict=True)}
    folder.mkdir(parents=True)
    for kind, tensors in (("input", inputs), ("output", outputs)):
        for number, (name, array) in enumerate(tensors.items()):
            tensor = numpy_helper.from_array(np.ascontiguousarray(array), name)
            (folder / f"{kind}_{number}.pb").write_bytes(tensor.SerializeToString(deterministic=True))
