"""From an encoder to files that can be published: built, judged on texts, timed, described by a card, and only then written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from driftgate.assessor import Assessor
from driftgate.backends import BackendSpec
from driftgate.builder.artifact import CARD, read_manifest
from driftgate.builder.build import Announce
from driftgate.builder.model_file import read_model_file
from driftgate.errors import EncoderError
from driftgate.inputs.encoder import Encoder
from driftgate.judge.accuracy_verdicts import PASSED, exit_code, worst
from driftgate.judge.assessment import BackendAssessment
from driftgate.judge.bounds import MetricVerdict
from driftgate.pipeline import Built, OpenBackends, require_buildable
from driftgate.publish.acceptance import PLAN, Trial, measure_speed
from driftgate.publish.card import render_card
from driftgate.publish.card_facts import Card, Source, Variant
from driftgate.publish.layout import Layout, artifact_folders, place_of, write_folders
from driftgate.results.environment import describe_environment

_CARRIED = ("license", "license_name", "license_link", "language")


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """What came of it.

    Args:
        folders: of each backend, by name; empty where nothing was written.
        assessments: of each backend, in order.
        exit_code: 0 written, 1 a bound was broken, 7 what has to be shown was not.
    """

    folders: Mapping[str, Path]
    assessments: tuple[BackendAssessment, ...]
    exit_code: int = PASSED

    @property
    def failures(self) -> list[MetricVerdict]:
        """The broken bounds of all backends."""
        return [verdict for assessment in self.assessments for verdict in assessment.failures]


def publish(
    encoder: Encoder,
    specs: Sequence[BackendSpec],
    out: Path,
    trial: Trial,
    *,
    layout: Layout = Layout.FOLDER,
    model_id: str = ".",
    rebuild: bool = False,
    announce: Announce = lambda message: None,  # noqa: ARG005
) -> Published:
    """Build, judge, time, describe and write, in this order: files appear in `out` at the end and all at once.

    Args:
        out: a new or empty folder. In `Layout.FOLDER` several backends get a folder each in it, named by backend.
        model_id: the hub id that the card says; "." for the folder itself.

    Raises:
        OptionError: a backend without files of its own. EncoderError: its card's metadata cannot be read.
        BuildError: a step failed, or `out` is not empty or cannot be written.
        BoundsError: something that is judged has no bound. NonFiniteLogitsError: a backend answers NaN.
    """
    require_buildable(specs)
    folders = artifact_folders(specs, out, layout)  # before minutes of building, as is what follows
    source = describe_source(encoder)
    backends = OpenBackends(encoder, trial.settings, rebuild=rebuild, announce=announce)
    built = [backends.built(spec) for spec in specs]  # all of them before the first is judged
    assessor = Assessor(backends, trial.corpus, len(specs), PLAN, announce=announce)
    assessments = tuple(assessor.judgement(spec).assess(trial.bounds) for spec in specs)
    found = worst(one.verdict(trial.not_shown) for one in assessments)
    if code := exit_code(found, trial.not_shown):
        return Published({}, assessments, code)
    announce("speed relative to torch")
    speed = measure_speed(backends, specs)
    variants: dict[Path, list[Variant]] = {}
    for one, assessment in zip(built, assessments, strict=True):
        variant = _variant(one, backends, assessment, layout)
        variants.setdefault(folders[one.spec.name], []).append(variant)
    environment = describe_environment()
    cards = {
        folder: render_card(Card(model_id, source, trial.corpus, tuple(there), speed, environment))
        for folder, there in variants.items()
    }
    announce("golden vectors")
    artifacts = [(one.spec, one.artifact) for one in built if one.artifact is not None]
    write_folders(encoder, artifacts, folders, layout, cards)
    return Published(folders, assessments)


def describe_source(encoder: Encoder) -> Source:
    """What the card says about the encoder; licence and language come from the metadata of its own card.

    Raises:
        EncoderError: metadata that cannot be read.
    """
    return Source(encoder, sum(path.stat().st_size for path in encoder.weights), _read_carried(encoder.path / CARD))


def _read_carried(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    import yaml
    from huggingface_hub import metadata_load

    try:
        content = metadata_load(path) or {}
    except (ValueError, yaml.YAMLError) as error:
        raise EncoderError(f"{path}: its metadata cannot be read ({error}); correct or remove the file") from error
    return {key: content[key] for key in _CARRIED if content.get(key)}


def _variant(built: Built, backends: OpenBackends, assessment: BackendAssessment, layout: Layout) -> Variant:
    artifact = built.artifact
    if artifact is None:
        raise ValueError(f"{built.spec.name}: expected a backend with files of its own")
    return Variant(
        model=place_of(built.spec.name, layout),
        arithmetic=backends.open(built.spec).in_force.arithmetic,
        artifact=artifact,
        file=read_model_file(artifact.model),
        made=read_manifest(artifact.model.parent),
        assessment=assessment,
    )
