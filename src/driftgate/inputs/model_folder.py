"""The one door to the files of a model's folder: what is read or copied is a regular file that lies in that folder.

Folders of models come from strangers. A symbolic link in one can name any file of this machine; it would be read as if it were
the model's, and what is built would publish it. The local cache of the Hugging Face hub is the one layout whose links lead out
of a folder, to the blobs of the same repository. Hard links cannot be told from files.
"""

import os
import stat
from pathlib import Path

from driftgate.errors import UnsafeFileError

CONFIG = "config.json"

_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def folder_of(model: Path) -> Path:
    """The model's folder of an ONNX file: where config.json is, beside it or one folder up; without one, the file's own."""
    folders = (model.parent, model.absolute().parent.parent)
    return next((folder for folder in folders if (folder / CONFIG).is_file()), model.parent)


def lies_in(path: Path, folder: Path) -> bool:
    """Whether `path`, with every link followed, is in `folder`, or is a blob of the hub's cache that belongs to it."""
    real, root = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    if real.is_relative_to(root):
        return True
    snapshots = next((place for place in root.parents if place.name == "snapshots"), None)
    return (
        snapshots is not None
        and snapshots.parent.name.startswith("models--")
        and real.parent == snapshots.parent / "blobs"
    )


def is_own_file(path: Path, folder: Path) -> bool:
    """Whether `path` is a file of the model in `folder`; False where nothing is there, or a folder is.

    Raises:
        UnsafeFileError: it leads out of the folder, or is a pipe, a socket or a device, which could be read for ever.
    """
    try:
        mode = path.stat().st_mode
    except ValueError:  # no file can have such a name
        return False
    except OSError:
        mode = 0
    if stat.S_ISDIR(mode):
        return False
    if not lies_in(path, folder):
        raise UnsafeFileError(
            f"{path}: expected a file that lies in the model's folder, found a link that leads to {os.path.realpath(path)}; "
            "nothing of it was read. If it belongs to the model, put a copy of it in its place"
        )
    if kind := _KINDS.get(stat.S_IFMT(mode)):
        raise UnsafeFileError(f"{path}: expected a regular file, found {kind}; remove it from the model's folder")
    return mode != 0


def own_files(folder: Path, *patterns: str, model_folder: Path | None = None) -> list[Path]:
    """The files in `folder` that match one of the glob patterns, in order; folders are left out.

    Args:
        model_folder: what the files must lie in; None for `folder` itself.

    Raises:
        UnsafeFileError: see `is_own_file`.
    """
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    return [path for path in sorted(found) if is_own_file(path, model_folder or folder)]
