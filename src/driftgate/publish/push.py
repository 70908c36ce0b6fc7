"""Put a published folder on the Hugging Face hub: what stands in the way is said before minutes of building."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.builder.artifact import CARD
from driftgate.edges.escape import for_terminal
from driftgate.edges.spelling import option
from driftgate.errors import PushError

_CARD_HEAD_LINES = 40
_LEFT_ALONE = frozenset({".gitattributes", "LICENSE", "LICENSE.txt", "LICENSE.md"})


@dataclass(frozen=True, slots=True)
class Destination:
    """A repository on the hub that may be written to.

    Args:
        repository: OWNER/NAME.
        private: of a repository that is made; None leaves it to the hub.
        exists: whether it is there already.
    """

    repository: str
    private: bool | None
    exists: bool


def open_hub() -> Any:
    """`huggingface_hub.HfApi()`, once there is a token to write with.

    Raises:
        PushError: none in the usual places.
    """
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise PushError(f"{option('push_to_hub')}: no token to write with; `hf auth login`, or set HF_TOKEN")
    return HfApi()


def require_repository(repository: str) -> None:
    """Refuse what cannot be a hub id.

    Raises:
        PushError: says why.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise PushError(
            f"{option('push_to_hub')} {repository!r}: expected a hub id such as OWNER/NAME ({error})"
        ) from error


def find_destination(
    repository: str, models: Iterable[str], clients: Iterable[str], *, private: bool, api: Any
) -> Destination:
    """Ask the hub who we are and what is there, before anything is built.

    Args:
        repository: OWNER/NAME, or NAME for the owner of the token.
        models: paths of the models that will be pushed, such as "onnx/model.onnx".
        clients: names of the other files, such as "config.json".
        private: make the repository private; one that is public already is refused.
        api: what `open_hub` gives, or something with its methods.

    Raises:
        PushError: a token that is not valid, no network, or a repository that holds what this push would not replace: files of
            another model beside this card would be taken for judged ones.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    with _explained(
        f"{option('push_to_hub')} {repository}", "check the token, the name, the network and HF_HUB_OFFLINE"
    ):
        owner = api.whoami()["name"]
        full = repository if "/" in repository else f"{owner}/{repository}"
        try:
            found = api.model_info(full)
        except RepositoryNotFoundError:
            return Destination(full, private or None, exists=False)
    if private and not found.private:
        raise PushError(
            f"{option('push_to_hub')} {full}: the repository is public; make it private on the hub, or leave out "
            f"{option('private', True)}"
        )
    prefixes = tuple(f"{model.removesuffix('.onnx')}{end}" for model in models for end in (".", "/"))
    expected = {CARD, *clients} | _LEFT_ALONE
    others = [
        file.rfilename
        for file in found.siblings or ()
        if file.rfilename not in expected and not file.rfilename.startswith((*prefixes, "onnx/test_data_set_"))
    ]
    if others:
        raise PushError(
            f"{option('push_to_hub')} {full}: expected a new repository, or one with nothing but what this push replaces; it "
            f"holds {', '.join(sorted(others)[:5])}{' and more' if len(others) > 5 else ''}; choose another name"  # noqa: PLR2004 - as many as are named
        )
    return Destination(full, None, exists=True)


def push_folder(folder: Path, destination: Destination, message: str, api: Any) -> str:
    """Upload `folder` in one commit; returns the repository's address.

    Raises:
        PushError: the hub refuses or the network fails; `folder` stays as it is.
    """
    repository = destination.repository
    again = f"the files stay in {folder}: `hf upload {repository} {folder}` uploads them"
    with _explained(f"pushing to {repository}", again):
        url = api.create_repo(repository, private=destination.private, exist_ok=destination.exists)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    return str(url)


def describe_push(folder: Path, destination: Destination) -> str:
    """What would be uploaded: every file with its bytes, and how the card begins."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = [path.stat().st_size for path in files]
    head = (folder / CARD).read_text(encoding="utf-8").splitlines()[:_CARD_HEAD_LINES]
    lines = [
        f"would push {len(files)} files, {sum(sizes) / 1e6:.1f} MB, to {destination.repository}:",
        *(f"{size:>13,}  {path.relative_to(folder).as_posix()}" for path, size in zip(files, sizes, strict=True)),
        "",
        f"{CARD} begins:",
        *head,
    ]
    return "\n".join(map(for_terminal, lines))


@contextmanager
def _explained(what: str, advice: str) -> Iterator[None]:
    """What the hub or the network answers, as one message with what to do."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        # requests' errors are OSErrors; the transfer library's are not
        reason = str(error).strip().partition("\n")[0] or "no reason given"
        raise PushError(f"{what}: {type(error).__name__}: {reason}; {advice}") from error
