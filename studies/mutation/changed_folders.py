"""Published folders with one thing wrong beside a good graph, or in the file of its weights."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import changed_weights as weights

from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.publish.unjudged import build

BACKEND = "onnx-int8"
"""Whose own drift hides a later checkpoint."""
_WEIGHTS = "model.onnx.data"

Spoil = Callable[[Path, Encoder, Path], None]
"""(the folder, the encoder, a scratch folder) -> the folder spoiled."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A published folder. `control`: nothing is wrong with it."""

    name: str
    imitates: str
    spoil: Spoil
    control: bool = False

    def make(self, encoder: Encoder, scratch: Path) -> Path:
        """Build, spoil, and give the model's path."""
        folder = build(encoder, BACKEND, scratch / self.name)[BACKEND]
        self.spoil(folder, encoder, scratch)
        return folder / "model.onnx"


def _edit(name: str, change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(folder: Path, encoder: Encoder, scratch: Path) -> None:  # noqa: ARG001
        path = folder / name
        content = json.loads(path.read_text(encoding="utf-8"))
        before = json.dumps(content)
        change(content)
        if json.dumps(content) == before:
            raise ValueError(f"nothing was changed in {name}: nothing would be mutated")
        path.write_text(json.dumps(content), encoding="utf-8")

    return spoil


def _move_thresholds(content: dict[str, Any]) -> None:
    names, values = list(content["thresholds"]), list(content["thresholds"].values())
    content["thresholds"] = dict(zip(names, [*values[1:], values[0]], strict=True))


def _train_longer(encoder: Encoder, scratch: Path) -> Encoder:
    folder = weights.copy_encoder(encoder.path, scratch / "later-encoder")
    weights.edit_tensors(weights.train_on)(folder)
    return load_encoder(folder)


def _take_later_model(folder: Path, encoder: Encoder, scratch: Path) -> None:
    """Model and manifest of a checkpoint of an hour later; everything else is the encoder's."""
    later = build(_train_longer(encoder, scratch), BACKEND, scratch / "later")[BACKEND]
    for name in ("model.onnx", "manifest.json"):
        shutil.copy2(later / name, folder / name)


def _take_weights_of_another(folder: Path, encoder: Encoder, scratch: Path) -> None:
    """The graph is the encoder's, and says that its weights are in a file beside it, which is another model's."""
    other = weights.copy_encoder(encoder.path, scratch / "other-encoder")
    weights.edit_tensors(weights.draw_all_anew)(other)
    built = build(load_encoder(other), BACKEND, scratch / "other")[BACKEND]
    for path in (folder, built):
        _save_apart(path / "model.onnx")
    shutil.copy2(built / _WEIGHTS, folder / _WEIGHTS)


def _save_apart(model: Path) -> None:
    import onnx

    onnx.save(onnx.load(model), model, save_as_external_data=True, location=_WEIGHTS, size_threshold=1024)


def _leave(folder: Path, encoder: Encoder, scratch: Path) -> None:
    """The control."""


FOLDERS = (
    Folder("shipped-good", "nothing: the control of published folders", _leave, control=True),
    Folder("shipped-tokenizer", "a tokenizer that lowers case ships with a cased model",
           _edit("tokenizer.json", lambda content: content.update(normalizer={"type": "Lowercase"}))),
    Folder("shipped-truncation", "the shipped tokenizer cuts the beginning of long texts",
           _edit("tokenizer_config.json", lambda content: content.update(truncation_side="left"))),
    Folder("shipped-thresholds", "each label is decided at the threshold of the next",
           _edit("thresholds.json", _move_thresholds)),
    Folder("shipped-later", "a model that was trained a little longer, in the class whose own drift hides it", _take_later_model),
    Folder("weights-of-another", "the graph's weights lie in a file of another model", _take_weights_of_another),
)  # fmt: skip
