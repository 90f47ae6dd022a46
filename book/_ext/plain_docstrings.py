"""A Sphinx extension: docstrings are plain text, where only backticks mean something.

They hold equations such as |v - D(v)| or 2 * x, which reStructuredText would take for markup. What they say of shapes
and of what is raised is set apart, to be found at a glance.
"""

import re
import textwrap
from typing import Any

from sphinx.application import Sphinx

import began

BACKTICKS = re.compile(r"(`[^`]*`)")
MARKUP = re.compile(r"[|*]|_(?!\w)")
LAYOUT = re.compile(r"^ |\S {2,}\S", re.MULTILINE)
ENTRY = re.compile(r"^(\S+) {2,}(\S.*(?:\n +\S.*)*)$", re.MULTILINE)  # of a list: a name, spaces, what it is
SET_APART = re.compile(r"(?:^|(?<=[.:;)])\s)(Shapes?:|Raises)\s+")  # where a sentence begins with it


def to_markup(paragraph: str) -> str:
    """Returns a paragraph as reStructuredText that shows it as it stands.

    What is outside backticks is escaped; shapes and errors become fields, and lines with a name and what it is a list.
    Any other paragraph that is laid out with spaces keeps its lines.
    """
    if paragraph.lstrip().startswith(">>>"):  # an example, which reStructuredText knows
        return paragraph
    pieces = BACKTICKS.split(paragraph)
    pieces[::2] = [MARKUP.sub(r"\\\g<0>", piece) for piece in pieces[::2]]
    escaped = "".join(pieces)
    if LAYOUT.search(paragraph) and not paragraph.startswith("- "):
        if ENTRY.sub("", escaped).strip():
            return "::\n\n" + textwrap.indent(paragraph, "    ")
        return "\n".join(f"`{name}`\n    {' '.join(text.split())}\n" for name, text in ENTRY.findall(escaped)).rstrip()
    text, *found = SET_APART.split(escaped)
    bodies = [" ".join(body.split()) for body in found[1::2]]
    fields = [f":{name.rstrip(':')}: {body}" for name, body in zip(found[::2], bodies, strict=True)]
    return "\n\n".join(filter(None, [text.rstrip(), "\n".join(fields)]))


def process_docstring(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Replaces the lines of one docstring, paragraph by paragraph."""
    lines[:] = "\n\n".join(map(to_markup, "\n".join(lines).split("\n\n"))).split("\n")


def skip_member(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: Any) -> bool | None:
    """Leaves out of rooms what the public face shows, and the fields of named tuples ('Alias for field number 0')."""
    shown = what == "module" and name in began.__all__ and obj is getattr(began, name)
    return True if shown or type(obj).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the two to autodoc."""
    app.connect("autodoc-process-docstring", process_docstring)
    app.connect("autodoc-skip-member", skip_member)
    return {"parallel_read_safe": True}
