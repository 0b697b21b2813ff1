"""Options of `straightedge fit`: how a table is read, what its columns are, how rows and answers count."""

from functools import partial
from typing import Annotated

import typer

of_table = partial(typer.Option, rich_help_panel="A table")
of_judged = partial(typer.Option, rich_help_panel="Weights, metrics, thresholds")

Drop = Annotated[str | None, of_table(help="columns of a table to leave out: A,B")]
Keep = Annotated[str | None, of_table(help="columns to use though they look like identifiers")]
Categories = Annotated[str | None, of_table(help="columns of numbers that are categories")]
Numeric = Annotated[str | None, of_table(help="columns of numbers, in which all else is missing")]
Dates = Annotated[str | None, of_table(help="columns of dates whose parts are numbers: A,B, or all of them")]
TextColumn = Annotated[str | None, of_table("--text", help="column of texts that are the rows: their words count")]
Delimiter = Annotated[str | None, of_table(help="one character, tab or blanks")]
Header = Annotated[bool | None, of_table("--header/--no-header", help="whether the first row has names")]
Encoding = Annotated[str | None, of_table(help="such as utf-8 or cp1252")]
Decimal = Annotated[str | None, of_table(help=". or ,")]
Missing = Annotated[str | None, of_table(help="texts that mean a missing value: ?,NA")]
ImageShape = Annotated[
    str | None, of_table(help="columns that are pixels: 28x28, 28x28x3, 3x28x28; no for numbers")
]
Classes = Annotated[str | None, of_table(help="class names in their order: no,yes")]
Bootstrap = Annotated[int, of_judged(help="refits for 95 % intervals of a table's coefficients and odds")]
MultiLabel = Annotated[
    bool,
    of_table("--multilabel", help="rows have several labels: --labels A,B,C of 0 and 1, or one column of lists"),
]
SampleWeight = Annotated[str | None, of_judged(help="column or file of how often each row counts")]
Metric = Annotated[
    str,
    of_judged(help="accuracy, balanced_accuracy, log_loss, auc, average_precision, f1, mcc or brier: chooses reg"),
]
Threshold = Annotated[
    str | None,
    of_judged(
        help="where two classes are parted: cost:FP=1,FN=5 (false alarms, misses), f1, mcc, balanced_accuracy, "
        "accuracy, or a probability of the second class"
    ),
]
ClassWeight = Annotated[str | None, of_judged(help="balanced, or a file of lines class,weight")]
