"""pytest options, each with an ini twin, read once into a frozen record; and how errors spell them and end a run."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driftgate.backends import REGISTRY, BackendSpec
from driftgate.edges.limits import BATCH_SIZE, CORPUS_ROWS, MAX_TOKENS, SAMPLE_ROWS, TOKEN_BUDGET, read_percentage
from driftgate.edges.spelling import spell_flag, spelled_by
from driftgate.errors import BackendUnavailableError, DriftgateError, OptionError
from driftgate.inputs.backend_names import parse_backends
from driftgate.inputs.corpus_files import Columns
from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.plugin.option_record import Option
from driftgate.plugin.option_table import OPTIONS, TABLE
from driftgate.run.device import RunSettings, available_threads, core_limit, parse_device

if TYPE_CHECKING:
    from driftgate.plugin.session import DriftgateSession


@dataclass(frozen=True, slots=True)
class Options:
    """Everything a run was asked for, parsed."""

    encoder: str
    corpus: str
    backends: tuple[BackendSpec, ...]
    bounds: Path | None
    not_shown: NotShown
    save_predictions: Path | None
    accuracy_baseline: Path | None
    accuracy_baseline_update: bool
    graph_lock: str
    graph_lock_update: bool
    ledger: bool
    calibration: str
    settings: RunSettings
    batch_sizes: tuple[int, ...]
    token_budget: int
    sample_rows: int
    precision: float
    throughput_corpus: str
    corpus_rows: int
    columns: Columns
    max_tokens: int | None
    problem_type: str | None
    revision: str | None
    results: Path
    report: bool
    history: Path | None
    rebuild: bool
    show_texts: bool
    allow_pickle: bool
    trust_remote_code: bool

    def __post_init__(self) -> None:
        for size in self.batch_sizes:
            BATCH_SIZE.require(size)
        TOKEN_BUDGET.require(self.token_budget)
        SAMPLE_ROWS.require(self.sample_rows)
        CORPUS_ROWS.require(self.corpus_rows)


def read_options(config: pytest.Config) -> Options:
    """Command line first, then ini, then the `pytest_driftgate_defaults` hook, then the built-in default.

    Raises:
        OptionError: a value that cannot be used.
    """
    values = read_values(config, OPTIONS)
    registry = dict(REGISTRY)
    for found in config.hook.pytest_driftgate_backends(config=config):
        registry |= {spec.name: spec for spec in found}
    device = parse_device(values["device"])
    return Options(
        encoder=values["encoder"],
        corpus=values["corpus"],
        backends=tuple(spec.built_for(device.kind) for spec in parse_backends(values["backends"], registry)),
        bounds=Path(values["bounds"]) if values["bounds"] else None,
        not_shown=_not_shown(values["not_shown"]),
        save_predictions=_under(config, values["save_predictions"]),
        accuracy_baseline=_under(config, values["accuracy_baseline"]),
        accuracy_baseline_update=bool(values["accuracy_baseline_update"]),
        graph_lock=values["graph_lock"],
        graph_lock_update=bool(values["graph_lock_update"]),
        ledger=bool(values["ledger"]),
        calibration=values["calibration"],
        settings=RunSettings(_threads(values["threads"]), device),
        batch_sizes=BATCH_SIZE.read_list(values["batch_sizes"], "--driftgate-batch-sizes"),
        token_budget=TOKEN_BUDGET.read(values["token_budget"], "--driftgate-token-budget"),
        sample_rows=SAMPLE_ROWS.read(values["sample_rows"], "--driftgate-sample-rows"),
        precision=read_percentage(values["precision"], "--driftgate-precision"),
        throughput_corpus=read_choice(
            values["throughput_corpus"], "--driftgate-throughput-corpus", ("normal", "long", "corpus")
        ),
        corpus_rows=CORPUS_ROWS.read(values["corpus_rows"], "--driftgate-corpus-rows"),
        columns=Columns(
            text=values["text_column"],
            label=values["label_column"],
            label_separator=values["label_separator"],
            pair=values["pair_column"],
            group=values["group_column"],
        ),
        max_tokens=MAX_TOKENS.read(values["max_tokens"], "--driftgate-max-tokens") if values["max_tokens"] else None,
        problem_type=values["problem_type"] or None,
        revision=values["revision"] or None,
        results=config.invocation_params.dir / values["results"],
        report=read_choice(values["report"], "--driftgate-report", ("all", "none")) == "all",
        history=_under(config, values["history"]),
        rebuild=bool(values["rebuild"]),
        show_texts=bool(values["show_texts"]),
        allow_pickle=bool(values["allow_pickle"]),
        trust_remote_code=bool(values["trust_remote_code"]),
    )


def read_values(config: pytest.Config, options: Iterable[Option]) -> dict[str, Any]:
    """What was given for each option, by its name: whether a switch is on, all else as text, whatever a hook made of it."""
    hook_defaults = {
        name: value for found in config.hook.pytest_driftgate_defaults(config=config) for name, value in found.items()
    }
    return {option.name: _value(config, option, hook_defaults) for option in options}


def _value(config: pytest.Config, option: Option, hook_defaults: dict[str, Any]) -> Any:
    sources = ((config.getoption, option.ini), (config.getini, option.ini), (hook_defaults.get, option.name))
    given = (read(name) for read, name in sources)
    if option.is_switch:
        return any(given)
    return next((str(value) for value in given if value is not False and value not in (None, "")), option.default)


def _under(config: pytest.Config, given: str) -> Path | None:
    """A path as seen from where pytest was started."""
    return config.invocation_params.dir / given if given else None


def find_given(config: pytest.Config, given: str) -> Path | None:
    """A path as seen from where pytest was started, or from the root of the project; None where there is nothing."""
    paths = (base / given for base in (config.invocation_params.dir, config.rootpath))
    return next((path for path in paths if path.exists()), None)


def _threads(text: str) -> int:
    return available_threads() if text == "0" else core_limit("threads").read(text, "--driftgate-threads")


def _not_shown(text: str) -> NotShown:
    if text not in list(NotShown):
        raise OptionError(f"--driftgate-not-shown {text!r}: expected {', '.join(NotShown)}")
    return NotShown(text)


def read_choice(text: str, flag: str, choices: Sequence[str]) -> str:
    """One of the values that the option `flag` may have, two at least.

    Raises:
        OptionError: none of them.
    """
    if text not in choices:
        raise OptionError(f"{flag} {text!r}: expected {', '.join(choices[:-1])} or {choices[-1]}")
    return text


_KNOWN = {option.name: option for option in TABLE}


def spelled_as_pytest(config: pytest.Config) -> AbstractContextManager[None]:
    """Errors spell options as this run does. Around our own work only: a project's tests may call us too."""

    def spell(name: str, value: object) -> str | None:
        option = _KNOWN.get(name)
        if option is None:
            return None
        if config.inipath is not None and config.getini(option.ini) and not config.getoption(option.ini):
            given = "" if value == "" else f" = {'true' if value is True else value}"
            return f"{option.ini}{given} in {config.inipath.name}"
        return spell_flag(option.flag, value)

    return spelled_by(spell)


@contextmanager
def usage_errors(config: pytest.Config) -> Iterator[None]:
    """Turn a driftgate error into pytest's, which ends the run with the message alone."""
    with spelled_as_pytest(config):
        try:
            yield
        except DriftgateError as error:
            raise pytest.UsageError(str(error)) from error


SESSION: "pytest.StashKey[DriftgateSession]" = pytest.StashKey()


@contextmanager
def reported() -> Iterator[None]:
    """Turn a driftgate error into a failure that shows its message, not our stack; an unavailable backend into a skip."""
    try:
        yield
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    except DriftgateError as error:
        pytest.fail(f"{type(error).__name__}: {error}", pytrace=False)
