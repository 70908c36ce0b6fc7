"""Read rows of a data set on the Hugging Face hub, pinned to the commit that they come from."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from driftgate.errors import CorpusError
from driftgate.inputs.corpus_files import Columns, RawRow, choose_columns

_PREFIX = "hub:"
_REFERENCE = re.compile(r"hub:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[^:@\s]+))?(?P<parts>(?::[^:\s]*){0,2})")
_COMMIT = re.compile("[0-9a-f]{40}")
_UNNAMED = re.compile(r"LABEL_\d+")


@dataclass(frozen=True, slots=True)
class HubReference:
    """`hub:NAME[@REVISION][:CONFIG][:SPLIT]`; empty strings where nothing was said."""

    name: str
    revision: str = ""
    config: str = ""
    split: str = ""

    def __str__(self) -> str:
        return f"{_PREFIX}{self.name}{'@' if self.revision else ''}{self.revision}:{self.config}:{self.split}"

    @property
    def corpus_name(self) -> str:
        """What reports call it."""
        return "-".join(part for part in (self.name.rpartition("/")[2], self.config, self.split) if part)


def is_hub_corpus(given: str | Path) -> bool:
    """Whether a corpus is named as one of the hub."""
    return str(given).startswith(_PREFIX)


def read_hub_rows(
    given: str, columns: Columns, encoder_labels: Sequence[str]
) -> tuple[list[RawRow], bool, HubReference]:
    """The rows of a split, whether it has labels, and the reference that gives the same rows again.

    A single part after the name is a configuration where there is one of that name, else a split. Without a split it is
    `test`, or the only one. Class labels come as names, or as ids where the encoder's labels have no names of their own.

    Raises:
        CorpusError: not such a reference, no such data set, configuration, split or column, no network and not in the local
            cache, no `datasets` library, or class labels that are not the encoder's.
    """
    asked = parse_reference(given)
    commit = _resolve(asked)
    found, config = _load(asked, commit)
    splits = list(found)
    split = "" if asked.split == config and not asked.config else asked.split  # the only part, taken as configuration
    chosen = split or ("test" if "test" in splits else splits[0] if len(splits) == 1 else "")
    if chosen not in splits:
        wrong = f"no split {chosen!r}" if chosen else "there are several splits, and none is called test"
        raise CorpusError(
            f"corpus {given}: {wrong}; it has {', '.join(splits)}: name one as {_PREFIX}NAME:CONFIG:SPLIT"
        )
    data = found[chosen]
    pinned = replace(asked, revision=_require_commit(asked, commit, data), config=config, split=chosen)
    places = choose_columns(given, data.column_names, columns)
    label = places.get("label")
    name_of = _namer(given, data.features.get(label), encoder_labels) if label else None
    records = data.select_columns(list(places.values()))
    rows = [RawRow.of(f"row {number}", record, places) for number, record in enumerate(records)]
    if name_of:
        rows = [replace(row, labels=name_of(row.labels)) for row in rows]
    return rows, bool(label), pinned


def parse_reference(given: str) -> HubReference:
    """Read a reference. One part after the name stands as `split` with no `config`: what it is, only the hub knows.

    Raises:
        CorpusError: it is malformed.
    """
    match = _REFERENCE.fullmatch(given)
    if match is None:
        raise CorpusError(
            f"corpus {given}: expected {_PREFIX}NAME[@REVISION][:CONFIG][:SPLIT], such as "
            f"{_PREFIX}google-research-datasets/go_emotions:simplified:test"
        )
    parts = match["parts"].split(":")[1:]
    config, split = (parts[0], parts[1]) if len(parts) == 2 else ("", parts[0] if parts else "")  # noqa: PLR2004 - configuration and split
    return HubReference(match["name"], match["revision"] or "", config, split)


def _resolve(asked: HubReference) -> str | None:
    """The commit that the revision stands for; None where the hub cannot be asked."""
    if _COMMIT.fullmatch(asked.revision):
        return asked.revision
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return str(HfApi().dataset_info(asked.name, revision=asked.revision or None).sha)
    except (HfHubHTTPError, HFValidationError) as error:
        raise _unavailable(asked, error) from error
    except OSError as error:  # no network: the local cache may do, unless it cannot know what the revision stands for
        if asked.revision:
            raise _unavailable(asked, error) from error
        return None


def _load(asked: HubReference, commit: str | None) -> tuple[Mapping[str, Any], str]:
    """All splits by name, and the configuration that they belong to."""
    try:
        import datasets
    except ImportError as error:
        raise CorpusError(
            f'corpus {asked}: data sets of the hub need the datasets library; pip install "driftgate[hub]"'
        ) from error
    try:
        names = datasets.get_dataset_config_names(asked.name, revision=commit)
        config = asked.config or (asked.split if asked.split in names else "")
        return datasets.load_dataset(asked.name, config or None, revision=commit), config
    except Exception as error:  # what datasets raises has no base class of its own
        raise _unavailable(asked, error) from error


def _unavailable(asked: HubReference, error: Exception) -> CorpusError:
    reason = " ".join(str(error).split())[:300] or "no reason given"
    return CorpusError(
        f"corpus {asked}: it could not be fetched from the hub ({type(error).__name__}: {reason}); check the name, the network "
        "and HF_HUB_OFFLINE, run it once online so that the local cache has it, or give a file"
    )


def _require_commit(asked: HubReference, commit: str | None, data: Any) -> str:
    """The commit whose rows these are: without network, `datasets` takes any that its cache has."""
    files = (Path(entry["filename"]) for entry in data.cache_files)
    cached = {part for file in files for part in file.parts if _COMMIT.fullmatch(part)}
    found = next(iter(cached)) if len(cached) == 1 else commit
    if found is None:
        raise CorpusError(
            f"corpus {asked}: without a network connection the revision in the local cache is unknown; name a commit as "
            f"{_PREFIX}NAME@COMMIT:CONFIG:SPLIT"
        )
    if commit is not None and found != commit:
        raise CorpusError(
            f"corpus {asked}: expected revision {commit}, the local cache holds {found}; run it once online, or name that "
            "revision"
        )
    return found


def _namer(given: str, feature: Any, encoder_labels: Sequence[str]) -> Callable[[Any], list[Any]]:
    """What turns the values of the label column into labels of the encoder."""
    names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
    if not names:
        return _listed
    if all(_UNNAMED.fullmatch(label) for label in encoder_labels) and len(names) == len(encoder_labels):
        return lambda value: [index for index in _listed(value) if index >= 0]
    spelled = {label.casefold(): label for label in encoder_labels}
    unknown = [name for name in names if name.casefold() not in spelled]
    if unknown or len(spelled) != len(encoder_labels):
        raise CorpusError(
            f"corpus {given}: its class labels {_first(names)} are not the encoder's {_first(encoder_labels)} "
            f"(unknown: {_first(unknown)}); use an encoder for this task, or save the rows as a file with the encoder's names"
        )
    # -1 is how datasets says that a row has no label.
    return lambda value: [spelled[names[index].casefold()] for index in _listed(value) if index >= 0]


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _first(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(map(repr, shown[:5])) + (", ..." if len(shown) > 5 else "")  # noqa: PLR2004 - as many as are named
