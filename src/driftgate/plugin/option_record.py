"""What one pytest option is: its name, its twin in the ini file, its help, and whether it decides what is built."""

from dataclasses import dataclass
from enum import Enum


class Decides(Enum):
    """What an option has a say in."""

    BUILD = "which artifacts are built, or which gated cells they have"
    """Handed on to the build of a baseline from a commit (`--gate-baseline git:REF`), which would be another one without it."""
    RUN = "what a run does with them, checks and writes"


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `--encoder` has the ini twin `driftgate_encoder`, `--driftgate-threads` has `driftgate_threads`.

    Args:
        decides: has no default, so that nobody adds an option without saying.
        metavar: "" for a switch.
        is_path: names a file, of which a commit may have its own.
    """

    flag: str
    help: str
    decides: Decides
    metavar: str = ""
    default: str = ""
    is_path: bool = False

    @property
    def name(self) -> str:
        """As hooks and records call it."""
        return self.flag.removeprefix("--driftgate-").removeprefix("--").replace("-", "_")

    @property
    def ini(self) -> str:
        """The name of its ini twin, and of the command line's value in pytest's `config.option`."""
        return f"driftgate_{self.name}"

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar
