"""Fetch an encoder from the Hugging Face hub, and only the files that are needed."""

import re
from pathlib import Path

from driftgate.errors import EncoderError

_COMMIT = re.compile("[0-9a-f]{40}")
_PATTERNS = ("*.json", "*.txt", "*.model", "model*.safetensors", "README.md")  # the card names the licence


def download_encoder(repository: str, revision: str | None, *, allow_pickle: bool) -> Path:
    """The local snapshot of hub model `repository`; its folder is named by the commit that `revision` stands for.

    Raises:
        EncoderError: not a hub id, not there, or no network and not in the local hub cache.
    """
    if repository.startswith((".", "/", "~")) or repository.count("/") > 1:
        raise EncoderError(
            f"encoder {repository!r}: no such folder here; expected a folder with config.json, or a hub id such as OWNER/NAME"
        )
    patterns = [*_PATTERNS, "pytorch_model*.bin", "*.py"] if allow_pickle else [*_PATTERNS, "*.py"]
    return download_files(repository, revision, patterns)


def snapshot_commit(folder: Path) -> str | None:
    """The commit that a folder of the local hub cache holds; None for any other folder."""
    return folder.name if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name) else None


def list_files(repository: str, snapshot: Path) -> list[str]:
    """Paths of all files of the commit that `snapshot` holds; without network, of those that are in the local cache."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return sorted(HfApi().list_repo_files(repository, revision=snapshot.name))
    except (HfHubHTTPError, OSError):
        return sorted(path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file())


def download_files(repository: str, revision: str | None, patterns: list[str]) -> Path:
    """The local snapshot of a revision, with the files that match one of the glob patterns besides those that it has already.

    Raises:
        EncoderError: the hub does not give them.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().partition("\n")[0] or "no reason given"
        raise EncoderError(
            f"encoder {repository!r}: no such folder here, and it could not be fetched from the hub ({type(error).__name__}: "
            f"{reason}); check the name, the network and HF_HUB_OFFLINE, or give a local folder"
        ) from error
