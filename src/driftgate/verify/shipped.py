"""The files next to a published model: is the folder used in the way in which the model was judged?

A graph is judged with the encoder's tokenizer, labels and thresholds. Its users take those of its own folder.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from driftgate.builder.artifact import manifest_path
from driftgate.errors import EncoderError
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.model_folder import CONFIG, folder_of, is_own_file
from driftgate.inputs.named_files import has_tokenizer, read_json
from driftgate.verify.tokenizer_differences import Difference, compare_tokenizers

_SHOWN = 5
_NONE = "none"


@dataclass(frozen=True, slots=True)
class Shipped:
    """What was found beside a published model.

    Args:
        lacking: what the folder lacks to be used by itself; then the model's graph alone was judged.
    """

    lacking: tuple[str, ...]
    differences: tuple[Difference, ...]


def compare_shipped(model: Path, encoder: Encoder, corpus: Corpus) -> Shipped:
    """Compare what ships with a model file with the encoder that it is judged against. No model is loaded.

    Args:
        corpus: whose texts are tokenized both ways, where the tokenizers are not the same files.

    Raises:
        UnsafeFileError: a file that leads out of the folder, or code of its own that the encoder was not allowed.
        EncoderError: a manifest that cannot be read.
    """
    folder = folder_of(model)
    there = {CONFIG: is_own_file(folder / CONFIG, folder), "a tokenizer": has_tokenizer(folder)}
    lacking = tuple(name for name, found in there.items() if not found)
    differences = [*_compare_manifest(manifest_path(model), folder, encoder)]
    if not lacking:
        try:
            own = load_encoder(folder, needs_weights=False, trust_remote_code=encoder.trust_remote_code)
            differences.extend(_compare_settings(encoder, own))
            differences.extend(compare_tokenizers(encoder, own, corpus))
        except EncoderError as error:
            differences.append(Difference("the folder", "configuration and tokenizer that load", str(error)))
    return Shipped(lacking, tuple(differences))


def _compare_manifest(path: Path, folder: Path, encoder: Encoder) -> Iterator[Difference]:
    """The checkpoint that driftgate made the model from; manifests of other tools do not say one."""
    if not is_own_file(path, folder):
        return
    content = read_json(path)
    made_from = content.get("encoder_sha256")
    if made_from not in (None, encoder.sha256):
        yield Difference(
            f"encoder_sha256 in {path.name}",
            f"{encoder.sha256} of the encoder {encoder.name}",
            f"{made_from} of {content.get('encoder')}: the model was made from another checkpoint",
        )


def _compare_settings(encoder: Encoder, own: Encoder) -> Iterator[Difference]:
    if own.labels != encoder.labels:
        yield Difference("id2label", *_show_differing(_number(encoder.labels), _number(own.labels)))
    if own.problem_type is not encoder.problem_type:
        found = f"none, which is taken as {own.problem_type}" if own.problem_type_inferred else str(own.problem_type)
        yield Difference("problem_type", str(encoder.problem_type), found)
    thresholds = [dict(zip(one.labels, map(str, one.thresholds or ()), strict=False)) for one in (encoder, own)]
    if thresholds[0] != thresholds[1]:
        yield Difference("thresholds.json", *_show_differing(*thresholds))


def _number(labels: tuple[str, ...]) -> dict[str, str]:
    return {str(number): label for number, label in enumerate(labels)}


def _show_differing(expected: Mapping[str, str], found: Mapping[str, str]) -> tuple[str, str]:
    """Both sides of the first entries that differ, and how many more do."""
    differing = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
    more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
    shown = (", ".join(f"{key}: {side.get(key, _NONE)}" for key in differing[:_SHOWN]) for side in (expected, found))
    return next(shown) + more, next(shown) + more
