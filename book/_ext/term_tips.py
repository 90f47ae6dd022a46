"""A Sphinx extension: the first use of a term on a page brings up its meaning, on hover, tap or focus."""

import re
from collections.abc import Iterable
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

PAGE = "book/terms"
SKIPPED = {PAGE, "book/notation", "book/api", "book/studies_api", "book/bibliography", "book/intro"}
EVERYDAY = {  # words that chapters also use as everybody does
    *("arrow", "cells", "code", "critic", "cube", "density", "floor", "focus", "gain", "interval", "margin", "mode"),
    *("noise", "precision", "quality", "spread", "stable", "verdict"),
}

USED = re.compile(r"\s+First\s+in\b")  # where an entry goes on to say where it is used


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Keeps each term with its meaning: the first sentences of its entry, up to where it is used."""
    if app.env.docname != PAGE:
        return
    meanings = app.env.metadata[PAGE]["meanings"] = {}
    for item in doctree.findall(nodes.definition_list_item):
        definition = next(item.findall(nodes.definition))[0]
        meaning = []
        for part in definition.children:
            if isinstance(part, nodes.Text) and (used := USED.search(part)):
                meaning.append(nodes.Text(part[: used.start()]))
                break
            meaning.append(nodes.Text(part.astext()) if isinstance(part, addnodes.pending_xref) else part.deepcopy())
        for term in item.findall(nodes.term):
            for name in term.astext().split(", "):
                if name not in EVERYDAY:
                    meanings[name] = term["ids"][0], meaning


def explain(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Attaches the meaning to the first use of each term in the prose of a chapter."""
    waiting = dict(app.env.metadata[PAGE].get("meanings", {}))
    if docname in SKIPPED or not waiting:
        return
    words = _any_of(waiting)
    for paragraph in list(doctree.findall(nodes.paragraph)):
        if isinstance(paragraph.parent, nodes.entry):  # a table scrolls, and would cut the tip off
            continue
        for text in [part for part in paragraph.children if isinstance(part, nodes.Text)]:
            rest, parts = str(text), []
            while waiting and (found := words.search(rest)):
                target, meaning = waiting[found[0]]
                waiting = {name: entry for name, entry in waiting.items() if entry[0] != target}
                words = _any_of(waiting)
                parts += [nodes.Text(rest[: found.start()]), *_tip(app, docname, found[0], target, meaning)]
                rest = rest[found.end() :]
            if parts:
                paragraph.replace(text, [*parts, nodes.Text(rest)])


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Returns what finds any of some words, the longest that fits."""
    return re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, names), key=len, reverse=True))})\b")


def _tip(app: Sphinx, docname: str, word: str, target: str, meaning: list[nodes.Node]) -> list[nodes.Node]:
    more = nodes.reference("", "index of terms", internal=True)
    more["refuri"] = f"{app.builder.get_relative_uri(docname, PAGE)}#{target}"
    said = [part.deepcopy() for part in meaning]
    tip = nodes.inline("", "", *said, nodes.Text(" "), more, classes=["tip"], ids=[f"tip-{target}"])
    opened = nodes.raw(
        "", f'<span class="term" tabindex="0" role="note" aria-describedby="tip-{target}">', format="html"
    )
    return [opened, nodes.Text(word), tip, nodes.raw("", "</span>", format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds both passes."""
    app.add_js_file("tips.js", loading_method="defer")
    app.connect("doctree-read", collect)
    app.connect("doctree-resolved", explain)
    return {"parallel_read_safe": True}
