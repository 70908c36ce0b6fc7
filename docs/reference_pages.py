"""Write `docs/options.md`, `docs/commands.md` and `docs/metrics.md` from the tables that the programs themselves are made of.

Run it as `python docs/reference_pages.py` after an option, a command or a metric has changed; a test compares the pages with it.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer
import typer.models

from driftgate.cli.main import HOMES, load_function
from driftgate.plugin.option_record import Decides, Option
from driftgate.plugin.option_table import OPTIONS
from driftgate.plugin.speed.gate_option_table import GATE_OPTIONS

FOLDER = Path(__file__).parent

_OPTIONS_HEAD = """# Options of pytest

<!-- Written by docs/reference_pages.py from src/driftgate/plugin/option_table.py and speed/gate_option_table.py. -->

These options are added to pytest where driftgate is installed. `pytest --help` lists them too.

Every option has a twin in the ini file, and a switch is turned on there with `true`. Values are looked up in this order:
the command line, the ini file, the `pytest_driftgate_defaults` hook, the default. Write options with an equals sign
(`--encoder=path/to/encoder`): pytest may take a path that stands alone for the folder of the project.

```ini
[pytest]
driftgate_encoder = path/to/encoder
driftgate_corpus = labelled.tsv
driftgate_threads = 2
```

Some options decide which artifacts are built. They are handed on when the speed gate builds its baseline from a commit
(`--gate-baseline=git:REF`), which would otherwise be the baseline of another model.

The property tests have the option `--hypothesis-profile`, which belongs to Hypothesis: `ci` tries the same few examples in
every run, `dev` tries more, and `nightly` tries many random ones. `DRIFTGATE_CACHE` is an environment variable that moves
the cache of artifacts.

Numbers out of range are refused, and the message names the range: more threads or workers than the machine has cores,
batches of more than 4,096 rows, a token budget above 1,048,576, more than 100,000 texts in a benchmark cell.
"""

_COMMANDS_HEAD = """# Commands

<!-- Written by docs/reference_pages.py from src/driftgate/cli/. -->

`driftgate COMMAND --help` prints the same. Data goes to standard output, progress and messages go to standard error. The
[exit codes](exit-codes.md) are the same for all commands.
"""


def render_options() -> str:
    """The page of pytest's options, as Markdown."""
    sections = (("The suites", OPTIONS), ("The speed gate", GATE_OPTIONS))
    parts = [_OPTIONS_HEAD, *(f"## {title}\n\n{_entries(options)}" for title, options in sections)]
    return "\n".join(parts)


def _entries(options: Iterable[Option]) -> str:
    return "\n".join(map(_entry, options))


def _entry(option: Option) -> str:
    heading = option.flag if option.is_switch else f"{option.flag}={option.metavar}"
    kind = "a path" if option.is_path else "a switch" if option.is_switch else "text"
    default = f"`{option.default}`" if option.default else "off" if option.is_switch else "none"
    decides = "decides what is built" if option.decides is Decides.BUILD else "does not change what is built"
    return f"### `{heading}`\n\n{_escape(option.help)}\n\nIni key: `{option.ini}`, {kind}. Default: {default}. It {decides}.\n"


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument or an option of a command, read from the annotation of its function."""

    name: str
    annotation: Any
    default: Any
    info: typer.models.ParameterInfo

    @property
    def is_argument(self) -> bool:
        return isinstance(self.info, typer.models.ArgumentInfo)

    @property
    def panel(self) -> str:
        return self.info.rich_help_panel or ""

    @property
    def usage(self) -> str:
        """`MODEL` of an argument, `--out PATH` of an option, `--json` of a switch."""
        if self.is_argument:
            return self.info.metavar or self.name.upper() + ("..." if _is_list(self.annotation) else "")
        # In an annotation, Typer takes the first flag for the default.
        flags = [each for each in (self.info.default, *(self.info.param_decls or ())) if str(each).startswith("-")]
        flag = ", ".join(flags) or f"--{self.name.replace('_', '-')}"
        return flag if self.annotation is bool else f"{flag} {self.info.metavar or _value_name(self.annotation)}"

    @property
    def meaning(self) -> str:
        text = self.info.help or ""
        if self.default is inspect.Parameter.empty and not self.is_argument:
            text = f"{text} It is required."
        is_said = (
            self.default in (None, False, "", inspect.Parameter.empty)
            or "default" in text.lower()
            or self.info.show_default is False
        )
        return text if is_said else f"{text} (default: {getattr(self.default, 'value', self.default)})"


def render_commands() -> str:
    """The page of commands, as Markdown."""
    commands = {name: load_function(name) for name in HOMES}
    listed = [f"- [`driftgate {name}`](#driftgate-{name}): {_paragraphs(found)[0]}" for name, found in commands.items()]
    return "\n".join([_COMMANDS_HEAD, *listed, "", *(_command(name, found) for name, found in commands.items())])


def _command(name: str, function: Callable[..., None]) -> str:
    parameters = _parameters(function)
    arguments = [each for each in parameters if each.is_argument]
    usage = " ".join(
        ["driftgate", name, "[OPTIONS]"]
        + [each.usage if each.default is inspect.Parameter.empty else f"[{each.usage}]" for each in arguments]
    )
    parts = [f"## `driftgate {name}`", *_paragraphs(function), f"```text\n{usage}\n```"]
    if arguments:
        parts.append(_table("argument", arguments))
    options = [each for each in parameters if not each.is_argument]
    for panel in dict.fromkeys(sorted((each.panel for each in options), key=bool)):
        rows = _table("option", [each for each in options if each.panel == panel])
        parts.append(f"**{panel}**\n\n{rows}" if panel else rows)
    return "\n\n".join(parts) + "\n"


def _parameters(function: Callable[..., None]) -> list[Parameter]:
    annotations = get_type_hints(function, include_extras=True)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        annotation, *extras = get_args(annotations[name])
        (info,) = (extra for extra in extras if isinstance(extra, typer.models.ParameterInfo))
        found.append(Parameter(name, annotation, parameter.default, info))
    return found


def _paragraphs(function: Callable[..., None]) -> list[str]:
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", inspect.getdoc(function) or "")]


def _is_list(annotation: Any) -> bool:
    return any(get_origin(each) is list for each in (annotation, *get_args(annotation)))


def _value_name(annotation: Any) -> str:
    """`N` of a number, `PATH`, `TEXT`, and the choices of an enum."""
    kind = next((each for each in get_args(annotation) if each is not type(None)), annotation)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(each.value) for each in kind)
    return {int: "N", float: "X", Path: "PATH"}.get(kind, "TEXT")


_BAR = "\\|"


def _table(heading: str, parameters: Iterable[Parameter]) -> str:
    rows = [f"| `{each.usage.replace('|', _BAR)}` | {_in_cell(each.meaning)} |" for each in parameters]
    return "\n".join([f"| {heading} | meaning |", "|---|---|", *rows])


def _in_cell(text: str) -> str:
    return _escape(text).replace("|", _BAR)


def _escape(text: str) -> str:
    """Brackets are no link."""
    return text.replace("[", "\\[")


def _load(script: str) -> Any:
    """Another script of this folder, which is no package."""
    spec = spec_from_file_location(script, FOLDER / f"{script}.py")
    if spec is None or spec.loader is None:
        raise ImportError(script)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES: Mapping[str, Callable[[], str]] = {
    "options.md": render_options,
    "commands.md": render_commands,
    "metrics.md": lambda: _load("metrics_page").render_metrics(),
}

if __name__ == "__main__":
    for name, render in PAGES.items():
        (FOLDER / name).write_text(render(), encoding="utf-8")
