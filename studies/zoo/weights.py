"""An encoder's files with something else in them: outlier channels that change nothing, and faults that do.

Layers are named as transformers names them, so that nothing here knows what a graph looks like.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "mutation"))

from changed_weights import (
    Change,
    Tensors,
    copy_encoder,
    round_to_4_bits,
)

OUTLIER = 32.0
"""How many times its size a channel gets: a power of two, so that dividing by it again loses nothing."""
CHANNELS = 3
"""How many channels of a matrix get outliers."""
_MEDIAN_OF_NORMALIZED = 0.6745  # of the sizes of standard normal numbers, which is what LayerNorm makes

_LAYER = re.compile(r"(.*(?:layers?|albert_layers)\.(\d+)\.)")
_VALUE = re.compile(
    r"(attention\.self\.value(_proj)?|attention\.v_lin|attention\.value|attention\.attn\.v|attn\.Wqkv)\.weight$"
)
_ATTENDED = re.compile(
    r"(attention\.output\.dense|attention\.out_lin|attention\.dense|attention\.attn\.o|attn\.Wo)\.weight$"
)
_NORM = re.compile(r"(attention\.output\.LayerNorm|sa_layer_norm|attention\.LayerNorm|mlp_norm)\.weight$")
_UP = re.compile(r"(intermediate\.dense|ffn\.lin1|\.ffn|mlp\.Wi)\.weight$")
_DOWN = re.compile(r"((?<!attention\.)output\.dense|ffn\.lin2|ffn_output|mlp\.Wo)\.weight$")
_POSITIONS = re.compile(r"position_embeddings\.weight$")


class NotThereError(LookupError):
    """The encoder has nothing that could be changed so."""


def copy_with(source: Path, target: Path, *changes: Change) -> Path:
    """The encoder's folder copied, and changed."""
    copy_encoder(source, target)
    for change in changes:
        change(target)
    return target


def set_config(values: dict[tuple[str, ...], object]) -> Change:
    """Keys of `config.json`, each by the names that families have for it; of those, what is there is set.

    Raises:
        NotThereError: a family has no such key.
    """

    def change(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        for names, value in values.items():
            found = [name for name in names if name in config]
            if not found:
                raise NotThereError(f"{config['model_type']} has none of {', '.join(names)}")
            config[found[0]] = value
        path.write_text(json.dumps(config), encoding="utf-8")

    return change


def put_outliers(tensors: Tensors) -> None:
    """Channels of `OUTLIER` times the median, before the products that read them, in every layer; the function stays as it is.

    Values of attention are scaled and the columns that read them divided. What the feed-forward network reads is scaled alike
    where it alone reads it (ModernBERT); elsewhere it is also what the layer hands on, so that a constant is added instead, and
    taken off again by the biases behind both.
    """
    for layer in sorted({prefix for prefix, _ in _layers(tensors)}):
        own = [name for name in tensors if name.startswith(layer)]
        value, attended, norm, up, down = (_only(own, kind) for kind in (_VALUE, _ATTENDED, _NORM, _UP, _DOWN))
        width = tensors[attended].shape[1]
        chosen = np.random.default_rng(len(layer)).choice(width, CHANNELS, replace=False)
        rows = chosen + len(tensors[value]) - width  # of a matrix of queries, keys and values together, values are last
        tensors[value][rows] *= OUTLIER
        if (bias := _bias(value)) in tensors:
            tensors[bias][rows] *= OUTLIER
        tensors[attended][:, chosen] /= OUTLIER
        if _bias(norm) not in tensors:
            tensors[norm][chosen] *= OUTLIER
            tensors[up][:, chosen] /= OUTLIER
            continue
        constant = OUTLIER * _MEDIAN_OF_NORMALIZED * float(np.median(np.abs(tensors[norm])))
        tensors[_bias(norm)][chosen] += constant
        tensors[_bias(up)] -= (constant * tensors[up][:, chosen].astype(np.float64).sum(axis=1)).astype(np.float32)
        tensors[_bias(down)][chosen] -= constant


def scale_one_matrix(tensors: Tensors) -> None:
    """One matrix of a middle layer times 1.01."""
    tensors[_only(_middle(tensors), _UP)] *= np.float32(1.01)


def round_one_layer(tensors: Tensors) -> None:
    """Every matrix of a middle layer to 15 levels, with a scale for each output."""
    for name in _middle(tensors):
        if tensors[name].ndim == 2:
            tensors[name] = round_to_4_bits(tensors[name])


def silence_one_head(tensors: Tensors) -> None:
    """What a quarter of the width of a middle layer's attention says is not heard: one head of four, two of eight."""
    attended = tensors[_only(_middle(tensors), _ATTENDED)]
    attended[:, : attended.shape[1] // 4] = 0


def shift_positions(tensors: Tensors) -> None:
    """Every token takes the position before its own."""
    found = [name for name in tensors if _POSITIONS.search(name)]
    if not found:
        raise NotThereError("its positions are no table")
    tensors[found[0]] = np.roll(tensors[found[0]], 1, axis=0)


def _layers(tensors: Tensors) -> Iterator[tuple[str, int]]:
    for name in tensors:
        if found := _LAYER.match(name):
            yield found[1], int(found[2])


def _middle(tensors: Tensors) -> list[str]:
    """Tensors of a layer in the middle; of the only one where layers share their weights."""
    layers = sorted(set(_layers(tensors)), key=lambda layer: layer[1])
    prefix, _ = layers[len(layers) // 2]
    return [name for name in tensors if name.startswith(prefix)]


def _only(names: list[str], kind: re.Pattern[str]) -> str:
    (name,) = (name for name in names if kind.search(name))
    return name


def _bias(weight: str) -> str:
    return weight.removesuffix("weight") + "bias"
