"""Fetch an encoder from the Hugging Face hub, and only the files that are needed."""

from pathlib import Path

from driftgate.errors import EncoderError

_PATTERNS = ("*.json", "*.txt", "*.model", "model*.safetensors")


def download_encoder(repository: str, revision: str | None, *, allow_pickle: bool) -> Path:
    """The local snapshot of hub model `repository`.

    Raises:
        EncoderError: not a hub id, not there, or no network and not in the local hub cache.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    where = f"encoder {repository!r}: no such folder here"
    if repository.startswith((".", "/", "~")) or repository.count("/") > 1:
        raise EncoderError(f"{where}; expected a folder with config.json, or a hub id such as OWNER/NAME")
    patterns = [*_PATTERNS, "pytorch_model*.bin", "*.py"] if allow_pickle else [*_PATTERNS, "*.py"]
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().partition("\n")[0] or "no reason given"
        raise EncoderError(
            f"{where}, and the hub did not give it ({type(error).__name__}: {reason}); check the name, the network and "
            "HF_HUB_OFFLINE, or give a local folder"
        ) from error
