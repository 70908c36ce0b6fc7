"""A file that a seal vouches for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SealedFile:
    """As it was when it was sealed.

    Args:
        name: in the folder of the plan.
        tag: what an object store calls this content; empty in a folder of files.
    """

    name: str
    bytes: int
    sha256: str
    tag: str = ""
