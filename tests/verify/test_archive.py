"""`driftgate verify` on archives."""

import io
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from verified_models import (
    LFS_POINTER,
    Command,
    assert_failed,
    assert_refused,
    assert_verified,
    pack,
    save_encoder,
)

from driftgate.verify.archive import unpacked


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def member(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, io.BytesIO(content)


@pytest.mark.parametrize(("suffix", "mode"), [("tar.gz", "w:gz"), ("tgz", "w:gz"), ("tar", "w")])
def test_a_zoo_archive_is_verified_and_nothing_of_it_stays(
    suffix: str, mode: str, model: Path, tmp_path: Path, temporary: Path, verify: Command
) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        tar.add(model.parent, "./base-11")
        tar.addfile(*member("base-11/._base-11.onnx", b"what macOS adds"))
        tar.addfile(*member("base-11/test_data_set_0/._input_0.pb", b"what macOS adds"))

    archive = pack(tmp_path / f"base-11.{suffix}", fill, mode)
    result = verify(archive)
    assert_verified(result)
    assert f"{archive}:base-11/base-11.onnx" in result.stdout
    assert list(temporary.iterdir()) == []


def test_an_archive_whose_model_answers_otherwise_fails(model: Path, tmp_path: Path, verify: Command) -> None:
    save_encoder(model, shift=0.1)
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    assert_failed(verify(archive), "test_data_set_0, last_hidden_state")


def test_a_damaged_golden_vector_in_an_archive_is_named_by_its_path_there(
    model: Path, tmp_path: Path, temporary: Path, verify: Command
) -> None:
    (model.parent / "test_data_set_0/input_0.pb").write_bytes(b"")
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    assert_refused(verify(archive), f"{archive}:base-11/test_data_set_0/input_0.pb: expected a tensor")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("../escaped", {}, "would be written outside the folder"),
        ("a/../../escaped", {}, "would be written outside the folder"),
        ("/escaped", {}, "would be written outside the folder"),
        ("..\\escaped", {}, "would be written outside the folder"),
        ("C:\\escaped", {}, "would be written outside the folder"),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "is a link to '/etc/passwd'"),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "inside"}, "is a link to 'inside'"),
        ("link", {"type": tarfile.LNKTYPE, "linkname": "../escaped"}, "is a link to '../escaped'"),
        ("pipe", {"type": tarfile.FIFOTYPE}, "is a device, a pipe or a sparse file"),
        ("device", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, "is a device, a pipe or a sparse file"),
        ("disk", {"type": tarfile.BLKTYPE}, "is a device, a pipe or a sparse file"),
    ],
)
def test_a_member_that_has_no_place_in_an_archive_is_refused(
    name: str, fields: dict[str, Any], words: str, tmp_path: Path, temporary: Path, verify: Command
) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        tar.addfile(*member("inside", b"harmless"))
        tar.addfile(*member(name, b"" if fields else b"harmful", **fields))

    archive = pack(tmp_path / "evil.tar.gz", fill)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert_refused(verify(archive), repr(name), words)
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_link_does_not_redirect_a_later_file(tmp_path: Path, temporary: Path, verify: Command) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        tar.addfile(*member("folder", type=tarfile.SYMTYPE, linkname=str(tmp_path)))
        tar.addfile(*member("folder/escaped", b"harmful"))

    assert_refused(verify(pack(tmp_path / "evil.tar.gz", fill)), "is a link")
    assert not (tmp_path / "escaped").exists()


def test_a_file_that_is_twice_in_an_archive_is_refused(tmp_path: Path, verify: Command) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        for content in (b"one", b"other"):
            tar.addfile(*member("model.onnx", content))

    assert_refused(verify(pack(tmp_path / "evil.tar.gz", fill)), "'model.onnx' is in it twice")


def test_an_archive_that_grows_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, temporary: Path, verify: Command
) -> None:
    archive = pack(tmp_path / "bomb.tar.gz", lambda tar: tar.addfile(*member("model.onnx", bytes(70 << 20))))
    assert archive.stat().st_size < 100_000
    assert_refused(verify(archive), f"expected at most {64 << 20} bytes", "--max-bytes")
    assert list(temporary.iterdir()) == []


def test_max_bytes_counts_all_files_together(model: Path, tmp_path: Path, verify: Command) -> None:
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    size = sum(path.stat().st_size for path in model.parent.rglob("*") if path.is_file())
    assert_verified(verify(archive, "--max-bytes", size))
    assert_refused(verify(archive, "--max-bytes", size - 1), f"expected at most {size - 1} bytes")


def test_an_archive_whose_descriptions_are_bombs_is_refused(tmp_path: Path, temporary: Path, verify: Command) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        tar.addfile(*member("model.onnx", b"small", pax_headers={"comment": "a" * (4 << 20)}))

    assert_refused(verify(pack(tmp_path / "bomb.tar.gz", fill)), "the description of a file in it is too long")
    assert list(temporary.iterdir()) == []


def test_an_archive_of_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verify: Command
) -> None:
    monkeypatch.setattr("driftgate.verify.archive._MOST_MEMBERS", 3)
    archive = pack(tmp_path / "many.tar.gz", lambda tar: [tar.addfile(*member(str(n))) for n in range(4)] and None)
    assert_refused(verify(archive), "expected at most 3 files, found more")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[: len(content) // 2], "cut off or damaged"),
        (lambda content: content[:-4], "cut off or damaged"),
        (lambda content: content[:-8] + bytes(8), "cut off or damaged"),
        (lambda content: b"", "an empty file"),
        (lambda content: LFS_POINTER, "a Git LFS pointer"),
        (lambda content: b"hello", "expected a tar archive"),
    ],
    ids=["half", "end", "checksum", "empty", "lfs", "text"],
)
def test_a_damaged_archive_is_refused(
    damage: Callable[[bytes], bytes], words: str, model: Path, tmp_path: Path, temporary: Path, verify: Command
) -> None:
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    archive.write_bytes(damage(archive.read_bytes()))
    assert_refused(verify(archive), str(archive), "expected a tar archive, found", words)
    assert list(temporary.iterdir()) == []


def test_a_damaged_description_does_not_hide_what_comes_after(model: Path, tmp_path: Path, verify: Command) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        tar.add(model, "base-11.onnx")
        tar.addfile(*member("other", b"x" * 600))

    archive = pack(tmp_path / "base-11.tar", fill, "w")
    content = bytearray(archive.read_bytes())
    content[content.rindex(b"other")] ^= 1
    archive.write_bytes(content)
    assert_refused(verify(archive), "has no readable description")


def test_an_archive_without_a_model_is_refused(tmp_path: Path, verify: Command) -> None:
    archive = pack(tmp_path / "empty.tar.gz", lambda tar: tar.addfile(*member("README.md", b"hello")))
    assert_refused(verify(archive), "expected an ONNX file in it, found none")


def test_an_interrupted_verification_leaves_no_folder(model: Path, tmp_path: Path, temporary: Path) -> None:
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    with pytest.raises(KeyboardInterrupt), unpacked(archive):  # noqa: PT012 - once something was unpacked
        assert [path.name for path in temporary.glob("*/*/*.onnx")] == ["base-11.onnx"]
        raise KeyboardInterrupt
    assert list(temporary.iterdir()) == []


def test_unpacked_files_belong_to_who_unpacks_and_run_nothing(tmp_path: Path) -> None:
    archive = pack(
        tmp_path / "a.tar.gz", lambda tar: tar.addfile(*member("tool", b"#!/bin/sh", mode=0o6777, uid=12345))
    )
    with unpacked(archive) as folder:
        assert (folder / "tool").stat().st_mode & 0o7111 == 0
        assert (folder / "tool").stat().st_uid == folder.stat().st_uid
