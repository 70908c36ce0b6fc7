"""Encoders with one thing wrong in their files: what a bug in conversion, configuration or storage would leave behind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from driftgate.arrays import FloatArray

Tensors = dict[str, FloatArray]
Change = Callable[[Path], None]

LAYER = ".encoder.layer.1."
"""A middle layer: the first to see attention's output, and both encoders that are mutated have it."""
HEAD_SIZE = 32
"""Of the embedded encoder."""
DEAD_LABEL = 1


def set_config(**values: object) -> Change:
    """Keys of `config.json` set to other values."""

    def change(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        unknown = sorted(set(values) - set(config))
        if unknown:
            raise KeyError(f"{path.name} has no {', '.join(unknown)}: nothing would be mutated")
        path.write_text(json.dumps(config | values), encoding="utf-8")

    return change


def halve_heads(folder: Path) -> None:
    """Half the heads, each twice as wide: what a fusion makes of a layer whose number of heads it is told wrong."""
    heads = json.loads((folder / "config.json").read_text(encoding="utf-8"))["num_attention_heads"]
    set_config(num_attention_heads=heads // 2)(folder)


def edit_tensors(edit: Callable[[Tensors], None]) -> Change:
    """The weights rewritten in float32: the embedded encoder stores float16, which would round small edits away."""

    def change(folder: Path) -> None:
        from safetensors.numpy import load_file, save_file

        path = folder / "model.safetensors"
        before = {name: value.astype(np.float32) for name, value in load_file(path).items()}
        tensors = {name: value.copy() for name, value in before.items()}
        edit(tensors)
        if all(np.array_equal(before[name], tensors[name]) for name in before):
            raise ValueError(f"{edit.__name__} changed no tensor of {path.name}")
        save_file(tensors, path, metadata={"format": "pt"})

    return change


def scale_one_tensor(tensors: Tensors) -> None:
    (name,) = (name for name in tensors if f"{LAYER}intermediate.dense.weight" in name)
    tensors[name] *= np.float32(1.01)


def round_one_layer_to_4_bits(tensors: Tensors) -> None:
    """Every matrix of the layer to 15 levels, with a scale for each output."""
    for name, weight in tensors.items():
        if LAYER in name and weight.ndim == 2:
            tensors[name] = round_to_4_bits(weight)


def round_to_4_bits(weight: FloatArray) -> FloatArray:
    """To 15 levels, with a scale for each output."""
    scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True) / 7, np.finfo(np.float32).tiny)
    return (np.rint(weight / scale) * scale).astype(np.float32)


def shift_positions(tensors: Tensors) -> None:
    """Every token takes the position before its own, as if positions were counted from the padding id, not behind it."""
    (name,) = (name for name in tensors if name.endswith("position_embeddings.weight"))
    tensors[name] = np.roll(tensors[name], 1, axis=0)


def repeat_early_positions(tensors: Tensors) -> None:
    """The second half of the position table is the first again, as where a table for short texts was made longer by copying."""
    (name,) = (name for name in tensors if name.endswith("position_embeddings.weight"))
    half = len(tensors[name]) // 2
    tensors[name][-half:] = tensors[name][:half]


def kill_head(tensors: Tensors) -> None:
    """What one head of a middle layer found is not handed on, as where heads are pruned by a mask that is off by one."""
    (name,) = (name for name in tensors if f"{LAYER}attention.output.dense.weight" in name)
    tensors[name][:, :HEAD_SIZE] = 0


def kill_label(tensors: Tensors) -> None:
    """One label answers the same to every text: its bias."""
    tensors["classifier.out_proj.weight"][DEAD_LABEL] = 0


def draw_all_anew(tensors: Tensors) -> None:
    """Other weights of the same spread: another model of the same architecture."""
    generator = np.random.default_rng(1)
    for name, value in tensors.items():
        tensors[name] = (value.mean() + value.std() * generator.standard_normal(value.shape)).astype(np.float32)


def train_on(tensors: Tensors) -> None:
    """Every tensor moved by 2% of its spread: the checkpoint of an hour later."""
    generator = np.random.default_rng(2)
    for name, value in tensors.items():
        moved = 0.02 * value.std() * generator.standard_normal(value.shape)
        tensors[name] = (value + moved).astype(np.float32)


def copy_encoder(source: Path, target: Path) -> Path:
    """The encoder's files in a folder of their own."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target
