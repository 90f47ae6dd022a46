"""Tables that a notebook and a page show as tables, and nbval compares as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from IPython.display import display
from torch import Tensor

from studies.statistics import interval


def show_table(columns: Mapping[str, Sequence[Any]], *formats: str) -> None:
    """Show columns of equal length by name, each value in its column's format: `.2f`, `.0%`, or nothing.

    Names and texts are Markdown, with units in the names; numbers stand on the right. What is None is left empty.
    Raises ValueError for columns that differ in length, and for formats that are not one a column.
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns must be equally long, got {lengths}")
    if len(formats) not in (0, len(columns)):
        raise ValueError(f"formats must be one a column, {len(columns)}, got {len(formats)}")
    text = markdown(columns, formats or [""] * len(columns))
    display({"text/markdown": text, "text/plain": text}, raw=True)


def markdown(columns: Mapping[str, Sequence[Any]], formats: Sequence[str]) -> str:
    """Return the table in Markdown, each column as wide as it needs to be, so that it reads as text too."""
    drawn = []
    for (name, values), spec in zip(columns.items(), formats, strict=True):
        cells = [name, *("" if value is None else format(value, spec) for value in values)]
        width = max(3, *map(len, cells))
        if any(isinstance(value, str) for value in values):
            head, *body = (cell.ljust(width) for cell in cells)
            drawn.append([head, "-" * width, *body])
        else:  # numbers stand on the right
            head, *body = (cell.rjust(width) for cell in cells)
            drawn.append([head, "-" * (width - 1) + ":", *body])
    return "\n".join(f"| {' | '.join(row)} |" for row in zip(*drawn, strict=True))


def told(values: Sequence[float], spec: str = ".2f") -> str:
    """Return the mean over seeds with its interval, nothing without a value."""
    return within(*interval(values), spec) if len(values) else ""


def over_seeds(values: Tensor, spec: str = ".2f") -> str:
    """Return median [least, greatest] of one number a run, `(E,)`."""
    return within(values.quantile(0.5).item(), values.amin().item(), values.amax().item(), spec)


def within(mean: float, low: float, high: float, spec: str = ".2f") -> str:
    """Return a number with its interval as a cell has it, in one line: '0.95 [0.90, 1.00]'."""
    return f"{mean:{spec}} [{low:{spec}}, {high:{spec}}]".replace(" ", "\u00a0")
