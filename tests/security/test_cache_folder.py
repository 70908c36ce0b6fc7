"""A cache that others may have filled is not used, and what was changed in it is built again."""

import os
from pathlib import Path

import pytest

from driftgate.builder.artifact import Manifest
from driftgate.builder.cache import DamagedArtifactWarning, cached
from driftgate.errors import CacheError


def fill(folder: Path) -> Manifest:
    (folder / "model.onnx").write_bytes(b"weights")
    return Manifest("onnx-fp32", "fp32", (), "stand-in", "0" * 64, {}, {})


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_cache_that_everybody_may_write_to_is_refused(mode: int, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(CacheError, match=r"every user of this machine may write to it.*chmod o-w"):
        cached("entry", fill, root=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o770, 0o2775])
def test_a_cache_of_one_user_or_of_a_group_is_used(mode: int, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    assert (cached("entry", fill, root=tmp_path) / "model.onnx").read_bytes() == b"weights"


@pytest.mark.parametrize("change", ["edited", "added", "linked"])
def test_an_artifact_that_was_changed_in_the_cache_is_built_again(change: str, tmp_path: Path) -> None:
    model = cached("entry", fill, root=tmp_path) / "model.onnx"
    before = model.stat()
    if change == "edited":
        model.write_bytes(b"evil789")
        os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "added":
        model.with_name("weights.bin").write_bytes(b"evil")
    else:
        other = tmp_path / "other"
        other.write_bytes(b"evil789")
        model.unlink()
        model.symlink_to(other)
    with pytest.warns(DamagedArtifactWarning):
        entry = cached("entry", fill, root=tmp_path)
    assert {path.name for path in entry.iterdir()} == {"model.onnx", "manifest.json"}
    assert (entry / "model.onnx").read_bytes() == b"weights"
