"""A Sphinx extension: `{config-fields}` is the table of a run's fields, made from TrainConfig while building."""

import dataclasses
import inspect
from typing import Any, Literal, get_args, get_origin

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from began.config import LARGEST, PRESETS, TrainConfig
from began.errors import BeganError

COLUMNS = {"Field": 3, "Default": 2, "Allowed": 3, "Meaning": 8}  # and how wide each is


def rows() -> list[tuple[str, str, str, str]]:
    """Returns name, default, what is allowed, and the meaning of every field, with what a preset has instead."""
    table = []
    for field in dataclasses.fields(TrainConfig):
        instead = [f"{values[field.name]} in {name}" for name, values in PRESETS.items() if field.name in values]
        meaning = "; ".join([field.metadata["help"], *instead])
        table.append((field.name, repr(field.default), allowed(field), meaning))
    return table


def allowed(field: dataclasses.Field) -> str:
    """Returns in words what values a field may have; nothing where its meaning says it."""
    low, high = field.metadata["low"], field.metadata["high"]
    if field.type is bool:
        return "True, False"
    if get_origin(field.type) is Literal:
        return ", ".join(get_args(field.type))
    if low is None:
        return ""
    if high == LARGEST:
        return f"{number(low)} or more" if low == int(low) else "above 0"
    if field.type is int and 1 < high < 1000:  # few enough to try them all
        return ", ".join(str(value) for value in range(low, high + 1) if accepted(field.name, value))
    return f"{number(low)} to {number(high)}"


def accepted(name: str, value: int) -> bool:
    """Returns whether a field may have a value within its range."""
    try:
        return bool(TrainConfig.from_dict({name: value}))
    except BeganError:
        return False


def number(value: float) -> str:
    """Returns a number as a page has it: thousands apart, and only the first digits of a huge one."""
    return f"{value:,}".replace(",", " ") if value < 1e9 else f"{value:.2g}"


class ConfigFields(SphinxDirective):
    """The table."""

    def run(self) -> list[nodes.Node]:
        """Returns it as a node, made again when the config changes."""
        self.env.note_dependency(inspect.getfile(TrainConfig))
        body = [_row(nodes.literal("", name), nodes.literal("", default), *rest) for name, default, *rest in rows()]
        columns = [nodes.colspec(colwidth=width) for width in COLUMNS.values()]
        parts = [*columns, nodes.thead("", _row(*COLUMNS)), nodes.tbody("", *body)]
        return [nodes.table("", nodes.tgroup("", *parts, cols=len(columns)), classes=["config-fields"])]


def _row(*cells: nodes.Node | str) -> nodes.row:
    inside = [nodes.Text(cell) if isinstance(cell, str) else cell for cell in cells]
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in inside))


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds the directive."""
    app.add_directive("config-fields", ConfigFields)
    return {"parallel_read_safe": True}
