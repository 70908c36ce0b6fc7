"""What a file really is, by its first bytes, where it is not what its name says."""

_BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    (b"\x1f\x8b", "a gzip file; unpack it, or give it its suffix"),
    (b"PK\x03\x04", "a zip file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"<!doctype html", "a web page; fetch the file itself"),
    (b"<html", "a web page; fetch the file itself"),
)
LONGEST = 64


def describe_content(content: bytes) -> str:
    """What begins with these bytes, `LONGEST` of them at least; "" where they say nothing."""
    if not content:
        return "an empty file"
    start = content[:LONGEST].lstrip()
    return next((what for beginning, what in _BEGINNINGS if start.lower().startswith(beginning.lower())), "")
