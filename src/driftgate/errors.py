"""One error class per mistake that someone can act on.

A message says what was expected, what was found, where, and what to do.
"""

from driftgate.edges.escape import for_terminal


class DriftgateError(Exception):
    """Base class: everything driftgate refuses or cannot do.

    Its arguments are lines: the message, then the words of another program if there are any. Messages quote names and labels
    that strangers chose, so that every line is shown escaped.
    """

    def __str__(self) -> str:
        return "\n".join(for_terminal(line) for line in self.args)


def quote_lines(text: str) -> list[str]:
    """The words of another program, as the further lines of an error."""
    return [line.expandtabs(4) for line in text.strip().splitlines()]


class OptionError(DriftgateError):
    """An option or argument has a value that cannot be used."""


class EncoderError(DriftgateError):
    """The source model is missing, incomplete or not a text classifier."""


class UnsafeFileError(DriftgateError):
    """The file must not be opened: it could run code that nobody allowed, or it lies outside its model's folder."""


class CorpusError(DriftgateError):
    """The corpus cannot be read or does not fit the encoder."""


class InputChangedError(CorpusError):
    """A file was written to while a job read it; nothing is published."""


class LongTextsError(CorpusError):
    """Long texts cannot be made of the corpus, or would cost too much; a run says so, and judges other lengths."""


class UnknownBackendError(OptionError):
    """A backend name that nobody registered."""


class BackendUnavailableError(DriftgateError):
    """This machine lacks what the backend needs; suites skip with this message as the reason."""


class DeviceError(DriftgateError):
    """The device asked for is not here, or not the one that was given."""


class RuntimeConflictError(DriftgateError):
    """Installed packages overwrite each other."""


class BuildError(DriftgateError):
    """An artifact could not be built."""


class CacheError(BuildError):
    """The artifact cache cannot be used."""


class ArtifactError(DriftgateError):
    """An artifact is damaged, or is not what its name says, or does not fit the encoder."""


class PushError(DriftgateError):
    """The hub does not take what was published."""


class PullRequestError(DriftgateError):
    """The host of a pull request cannot be reached, or does not take a comment."""


class SequenceTooLongError(DriftgateError):
    """A batch is longer than the encoder has positions."""


class BaselineError(DriftgateError):
    """A baseline is missing, damaged, or was taken on something else."""


class NonFiniteLogitsError(DriftgateError):
    """A backend answered NaN or infinity."""


class ResultsError(DriftgateError):
    """A file of results is damaged or malformed, or would be overwritten."""


class OutputError(DriftgateError):
    """A file of predictions cannot be written, is already there, or is not what an interrupted run left."""


class WorkerError(DriftgateError):
    """A process that runs one side of a comparison cannot be started, died or hangs."""


class BoundsError(DriftgateError):
    """A bounds file is malformed or has no bound for something that is gated."""
