"""Options of `straightedge fit`: how a table is read, what its columns are, how rows and answers count."""

from __future__ import annotations

from typing import Annotated

import typer

TABLE, JUDGED = "A table", "Weights, metrics, thresholds"
TABLE_OPTIONS = (
    "split_column",
    "time",
    "drop",
    "keep",
    "categories",
    "numeric",
    "dates",
    "text",
    "delimiter",
    "header",
    "encoding",
    "decimal",
    "missing",
    "image_shape",
)
"""Options that go to the reader of tables as they are."""

Drop = Annotated[str | None, typer.Option(help="columns of a table to leave out: A,B", rich_help_panel=TABLE)]
Keep = Annotated[
    str | None, typer.Option(help="columns to use though they look like identifiers", rich_help_panel=TABLE)
]
Categories = Annotated[
    str | None, typer.Option(help="columns of numbers that are categories", rich_help_panel=TABLE)
]
Numeric = Annotated[
    str | None, typer.Option(help="columns of numbers, in which all else is missing", rich_help_panel=TABLE)
]
Dates = Annotated[
    str | None,
    typer.Option(help="columns of dates whose parts are numbers: A,B, or all of them", rich_help_panel=TABLE),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        "--text", help="column of texts that are the rows: their words count", rich_help_panel=TABLE
    ),
]
Delimiter = Annotated[str | None, typer.Option(help="one character, tab or blanks", rich_help_panel=TABLE)]
Header = Annotated[
    bool | None,
    typer.Option("--header/--no-header", help="whether the first row has names", rich_help_panel=TABLE),
]
Encoding = Annotated[str | None, typer.Option(help="such as utf-8 or cp1252", rich_help_panel=TABLE)]
Decimal = Annotated[str | None, typer.Option(help=". or ,", rich_help_panel=TABLE)]
Missing = Annotated[
    str | None, typer.Option(help="texts that mean a missing value: ?,NA", rich_help_panel=TABLE)
]
ImageShape = Annotated[
    str | None,
    typer.Option(
        help="columns that are pixels: 28x28, 28x28x3, 3x28x28; no for numbers", rich_help_panel=TABLE
    ),
]
Classes = Annotated[
    str | None, typer.Option(help="class names in their order: no,yes", rich_help_panel=TABLE)
]
Bootstrap = Annotated[
    int,
    typer.Option(help="refits for 95 % intervals of a table's coefficients and odds", rich_help_panel=JUDGED),
]
MultiLabel = Annotated[
    bool,
    typer.Option(
        "--multilabel",
        help="rows have several labels: --labels A,B,C of 0 and 1, or one column of lists",
        rich_help_panel=TABLE,
    ),
]
SampleWeight = Annotated[
    str | None,
    typer.Option(help="column or file of how often each row counts", rich_help_panel=JUDGED),
]
Metric = Annotated[
    str,
    typer.Option(
        help="accuracy, balanced_accuracy, log_loss, auc, average_precision, f1, mcc or brier: chooses reg",
        rich_help_panel=JUDGED,
    ),
]
Threshold = Annotated[
    str | None,
    typer.Option(
        help="where two classes are parted: cost:FP=1,FN=5 (false alarms, misses), f1, mcc, balanced_accuracy, "
        "accuracy, or a probability of the second class",
        rich_help_panel=JUDGED,
    ),
]
ClassWeight = Annotated[
    str | None,
    typer.Option(help="balanced, or a file of lines class,weight", rich_help_panel=JUDGED),
]
