"""Options that say with what texts are scored and what is given of each, for `driftgate predict` and plans that name a model."""

from typing import Annotated

import typer

SHOWN_LABELS = 5

Backend = Annotated[
    str | None,
    typer.Option(
        help="A backend, a published artifact as name[:class]=PATH, or the name of a file of MODEL. The default is onnx-fp32."
    ),
]
Top = Annotated[
    int | None,
    typer.Option(
        help=f"How many labels to give for each text. 0 means all. The default is {SHOWN_LABELS} in a table and otherwise all.",
        min=0,
    ),
]
Logits = Annotated[bool, typer.Option("--logits", help="Give the logits, before sigmoid or softmax, as well.")]
Thresholds = Annotated[
    str | None,
    typer.Option(
        help="Decide at this probability, or at those of a JSON file, {label: probability}. The default is the encoder's own "
        "thresholds, or 0.5 if it has none.",
        metavar="NUMBER|FILE",
    ),
]
