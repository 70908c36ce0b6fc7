"""What tells one input from another, taken from the file that was opened and not from whatever its name leads to later.

A file at a URL is told by what its store says of it.
"""

import os
from hashlib import sha256
from typing import Any

from driftgate.edges.remote_files import look

_BLOCK_BYTES = 1 << 20
_MIDDLE_BLOCKS = 16
_MIDDLE_BLOCK_BYTES = 1 << 16


def identify(descriptor: int, *, whole: bool = False) -> dict[str, Any]:
    """Size, time, inode, and a digest of the head, the tail and blocks between them, or of everything.

    Nothing is moved in the opened file.

    Args:
        whole: read all of it (--full-digest): then no edit goes unnoticed, whatever it restores.
    """
    found = os.fstat(descriptor)
    content, read = sha256(), 0
    for start, length in [(0, found.st_size)] if whole else _sampled(found.st_size):
        at = start
        while at < start + length and (block := os.pread(descriptor, min(_BLOCK_BYTES, start + length - at), at)):
            content.update(block)
            at += len(block)
        read += at - start
    return {
        "bytes": found.st_size,
        "modified_ns": found.st_mtime_ns,
        "inode": found.st_ino,
        f"sha256 of {'all' if whole else f'{read} sampled'} bytes": content.hexdigest(),
    }


def identify_remote(url: str) -> dict[str, Any]:
    """Size, and the tag that its store gives its content.

    Raises:
        CorpusError: it is gone, or cannot be reached.
    """
    found = look(url)
    return {"bytes": found.size, "tag": found.tag}


def _sampled(size: int) -> list[tuple[int, int]]:
    """Where to read: start and length, not overlapping; all of a small file."""
    if size <= 2 * _BLOCK_BYTES + _MIDDLE_BLOCKS * _MIDDLE_BLOCK_BYTES:
        return [(0, size)]
    stride = (size - 2 * _BLOCK_BYTES) // _MIDDLE_BLOCKS
    starts = [_BLOCK_BYTES + number * stride + (stride - _MIDDLE_BLOCK_BYTES) // 2 for number in range(_MIDDLE_BLOCKS)]
    middle = [(start, _MIDDLE_BLOCK_BYTES) for start in starts]
    return [(0, _BLOCK_BYTES), *middle, (size - _BLOCK_BYTES, _BLOCK_BYTES)]
