"""`driftgate tune`: which products of a quantized backend to keep in another form, as a recipe."""

import math
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from driftgate.builder.build import tunable_step
from driftgate.cli import shared_options as shared
from driftgate.errors import OptionError
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.recipe import SUFFIX, Form, write_recipe
from driftgate.pipeline import OpenBackends, choose_backends
from driftgate.results.console import Console

_TARGET, _SEARCH = "Target", "Search"
_FORMS = f"{Form.FLOAT16},{Form.RANGE}"


def tune(
    encoder: shared.EncoderArgument,
    corpus: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Texts of the kind that the encoder is used on: a file or hub:NAME. The search sees one half of them, and what "
            "it finds is judged on the other.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The recipe to write, a .toml file. It must not exist yet.")],
    backend: Annotated[
        str, typer.Option(help="The backend: onnx-int8, onnx-int8-dynamic or onnx-int8-dynamic-per-tensor.")
    ] = "onnx-int8",
    drift_at_most: Annotated[
        float | None,
        typer.Option(
            help="The mean over texts of each text's largest probability difference that is to be reached, at the least cost.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    flips_at_most: Annotated[
        float | None,
        typer.Option(
            help="The share of texts with a changed decision that is to be reached, such as 0.01.",
            rich_help_panel=_TARGET,
        ),
    ] = None,
    bounds: shared.OwnBounds = None,
    cost: Annotated[
        str, typer.Option(help="What a recipe is to cost little of: speed or size.", rich_help_panel=_SEARCH)
    ] = "speed",
    cost_at_most: Annotated[
        float,
        typer.Option(
            help="How much more time, or size, than the backend as it is a recipe may take: 1.1 is a tenth more.",
            rich_help_panel=_SEARCH,
        ),
    ] = 1.1,
    forms: Annotated[
        str,
        typer.Option(
            help=f"The forms that products may take, separated by commas: {', '.join(Form)}.", rich_help_panel=_SEARCH
        ),
    ] = _FORMS,
    tries: Annotated[
        int, typer.Option(help="Build and ask at most this many candidates.", min=2, rich_help_panel=_SEARCH)
    ] = 40,
    corpus_rows: shared.CorpusRows = 0,
    text_column: shared.TextColumn = "",
    pair_column: shared.PairColumn = "",
    label_column: shared.LabelColumn = "",
    label_separator: shared.LabelSeparator = ",",
    threads: shared.Threads = 0,
    max_tokens: shared.MaxTokens = None,
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
) -> None:
    """Search which products of a quantized backend to keep in float, or in another form, and write that as a recipe.

    Products are ranked by the drift that each makes alone. Then they change their form one by one, and each candidate is built,
    asked on one half of the rows, and timed against the backend as it is. The recipes that no other beats in both drift and cost
    are judged on the other half and printed. With a target, the least costly one that reaches it is written; without, the one
    with the least drift at the cost allowed. The recipe is used as `onnx-int8+recipe.toml` wherever a backend is named.

    Examples:

    `driftgate tune fixtures/encoders/goemotions-roberta-mini --corpus fixtures/corpora/emotions.jsonl --out recipe.toml`

    `driftgate tune path/to/encoder --backend onnx-int8-dynamic --corpus dev.tsv --text-column 0 --drift-at-most 0.005
    --out recipe.toml`
    """
    shared.let_idle_threads_sleep()
    _require_new(out)
    for name, value in (("--drift-at-most", drift_at_most), ("--flips-at-most", flips_at_most)):
        if value is not None and not 0 < value < 1:
            raise OptionError(f"{name} {value:g}: expected a number above 0 and below 1")
    if not (math.isfinite(cost_at_most) and cost_at_most > 1):
        raise OptionError(f"--cost-at-most {cost_at_most:g}: expected a number above 1, such as 1.1 for a tenth more")
    allowed = _parse_forms(forms, backend)
    specs = choose_backends(backend)
    if len(specs) > 1 or specs[0].recipe is not None:
        raise OptionError(f"{backend!r}: expected one backend without a recipe; tune one at a time")
    tunable_step(specs[0])
    source = shared.open_source(encoder, revision, allow_pickle, max_tokens, pair_column)
    columns = Columns(text_column, label_column, label_separator, pair=pair_column)
    whole = load_corpus(corpus, source, columns, labelled=bounds is not None)
    settings = shared.read_settings(threads, "cpu")

    from driftgate.explain.tune import Cost, Limits  # SciPy is slow to import
    from driftgate.explain.tune_words import render_front
    from driftgate.explain.tuned import Target, tune
    from driftgate.judge.bounds import Outcome

    if cost not in tuple(Cost):
        raise OptionError(f"--cost {cost!r}: expected {' or '.join(Cost)}")
    texts = whole.sample(corpus_rows) if corpus_rows else whole
    target = Target(Limits(drift_at_most, flips_at_most, cost_at_most, tries), bounds)
    console = Console(stderr=True, soft_wrap=True)
    with console.announcing() as announce, tempfile.TemporaryDirectory(prefix="driftgate-tune-") as folder:
        backends = OpenBackends(source, settings, announce=announce)
        found = tune(backends, specs[0], texts, target, allowed, Cost(cost), Path(folder), announce)
    typer.echo(render_front(found, Console().width), nl=False)
    if found.recipe is None or found.verdict is not Outcome.PASS:
        raise typer.Exit(7 if found.recipe is not None and found.verdict is Outcome.NOT_SHOWN else 1)
    write_recipe(out, found.recipe, source.name, _EXPLANATION)
    typer.echo(f"{out}: use it as {specs[0].name}+{out}")


_EXPLANATION = """Which products are stored in another form than the backend's own, as driftgate tune found.
The table [search] says which rows the search saw, and what came out on the others."""


def _require_new(out: Path) -> None:
    if out.suffix != SUFFIX:
        raise OptionError(f"--out {out}: expected a name that ends in {SUFFIX}, as backends are named with it")
    if out.exists():
        raise OptionError(f"--out {out}: there is a file already; remove it, or choose another name")
    if not out.parent.is_dir():
        raise OptionError(
            f"--out {out}: expected a file in a folder that exists, found no folder {out.parent}; create it"
        )


def _parse_forms(text: str, backend: str) -> list[Form]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in tuple(Form)]
    if unknown or not names:
        raise OptionError(f"--forms {text!r}: expected some of {', '.join(Form)}, found {', '.join(unknown) or 'none'}")
    floats = (Form.FLOAT32, Form.FLOAT16)
    found = [Form(name) for name in names if backend == "onnx-int8" or name in floats]
    if not found:
        raise OptionError(f"--forms {text!r}: {backend} can keep products in {' or '.join(floats)} only")
    return found
