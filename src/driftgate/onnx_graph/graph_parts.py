"""Which part of a text classifier its weights belong to: where the bytes of a file are."""

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from driftgate.files import parse_json
from driftgate.onnx_graph.graph import readers
from driftgate.onnx_graph.graph_constants import count_bytes
from driftgate.onnx_graph.onnx_file import read_model

OTHER = "other"

# Module paths as transformers names them, in the order in which they are asked: attention has layers of its own in it.
_PARTS = {
    "head": re.compile(
        r"(^|[./])(classifier|final_norm|head|pre_classifier|pooler|score|sequence_summary|logits_proj)([./_]|$)"
        r"|^(model[./]norm|dense)[./]"  # EuroBERT's
    ),
    "attention": re.compile(r"attention|attn|(^|[./])sa_layer_norm"),
    "embeddings": re.compile(r"embed|encoder[./]layernorm"),  # DeBERTa's, of relative positions
    "feed-forward": re.compile(r"layers?\.\d|layer_groups|ffn|mlp"),
}

PARTS = ("embeddings", "attention", "feed-forward", "head", OTHER)


def part_of(path: str) -> str | None:
    """The part that a module path such as "roberta.encoder.layer.0.attention.self.query" lies in; None where it does not say."""
    return next((part for part, pattern in _PARTS.items() if pattern.search(path.lower())), None)


def count_part_bytes(model: Path) -> dict[str, int]:
    """Bytes of an ONNX file's weights by part. External data is not read.

    A weight belongs to the module that its own name says, or the name of the first node downstream that says one.
    """
    graph = read_model(model).graph
    reading = readers(graph)
    return _sum((_find_part(tensor.name, reading), sum(count_bytes([tensor]).values())) for tensor in graph.initializer)


def count_stored_bytes(weights: Iterable[Path]) -> dict[str, int]:
    """Bytes of a torch model's files by part, for .safetensors and pickled weights, shared ones once."""
    return _sum((part_of(name) or OTHER, size) for path in weights for name, size in _stored(path))


def _find_part(name: str, reading: Mapping[str, list[Any]]) -> str:
    pending, seen = deque([name]), {name}
    while pending:
        current = pending.popleft()
        if part := part_of(current):
            return part
        read_next = [found for node in reading.get(current, ()) for found in (node.name, *node.output)]
        pending.extend(found for found in read_next if found not in seen)
        seen.update(read_next)
    return OTHER


def _stored(path: Path) -> Iterator[tuple[str, int]]:
    """Name and bytes of every tensor in a file of weights."""
    if path.suffix == ".safetensors":
        with path.open("rb") as file:
            header = parse_json(file.read(int.from_bytes(file.read(8), "little")))
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                yield name, end - start
        return
    import torch

    seen = set()
    for name, tensor in torch.load(path, map_location="cpu", mmap=True, weights_only=True).items():
        storage = tensor.untyped_storage().data_ptr()
        if storage not in seen:
            seen.add(storage)
            yield name, tensor.nbytes


def _sum(sizes: Iterable[tuple[str, int]]) -> dict[str, int]:
    """In the order of `PARTS`, all of them."""
    found: Counter[str] = Counter()
    for part, size in sizes:
        found[part] += size
    return {part: found[part] for part in PARTS}
