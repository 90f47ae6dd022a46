"""A Sphinx extension: chapters are plain Markdown, as Jupyter, Colab and GitHub read it; pages make more of it.

- `[Berthelot et al., 2017](references.bib#began)` is a citation, and so is `[Berthelot et al. (2017)](...)`.
- `\\tag{4.3}` numbers an equation; `(4.3)` in prose leads to it, and so does `Figure 4.1` to that figure.
- A quotation that opens with a bold name, as in `> **Takeaway.** ...`, is a box of that kind.
- `<!-- check: 0.66 0.01 -->` is a field for the reader's own number, right within 0.01.
"""

import json
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.nodes import make_refnode

CITED = re.compile(r"\[([^\]]+?)( \()?(\d{4})\)?\]\(references\.bib#([\w-]+)\)")
CHECK = re.compile(r"<!-- check: (\S+) (\S+) -->")
FIELD = """<form class="check" data-answer="{answer}" data-within="{within}">
<label>Your number: <input type="text" inputmode="decimal" autocomplete="off" size="8"></label>
<button>Check</button> <output></output></form>"""
SUMMARY = re.compile(r"<summary>.*?</summary>")
FORMULA = re.compile(r"\$(.+?)\$")
TAG = re.compile(r"\s*\\tag\{([^}]+)\}")
NUMBERED = re.compile(r"\(([N\d]+\.\d+)\)|\b(Figure|Table) (\d+\.\d+)")
BOXES = {"Takeaway": "important", "Takeaways": "tip", "Note": "note", "Warning": "warning"}


def prose(text: str) -> str:
    """Returns Markdown of a notebook or a page with citations, formulas in HTML and fields as pages have them."""
    text = CITED.sub(lambda m: f"{m[1]} ({{cite:year}}`{m[4]}`)" if m[2] else f"{{cite:alp}}`{m[4]}`", text)
    formula = r'<span class="math notranslate nohighlight">\\(\1\\)</span>'  # what MathJax looks for in HTML
    text = SUMMARY.sub(lambda m: FORMULA.sub(formula, m[0]), text)
    return CHECK.sub(lambda m: FIELD.format(answer=m[1], within=m[2]), text)


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turns a page's text, or the prose of a notebook, into what MyST reads; a folded cell of asserts says so."""
    if not app.env.doc2path(docname).endswith(".ipynb"):
        source[0] = prose(source[0])
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = prose("".join(cell["source"]))
        elif "hide-cell" in cell["metadata"].get("tags", ()) and not cell["outputs"]:
            cell["metadata"].setdefault("mystnb", {}).setdefault("code_prompt_show", "Check")
    source[0] = json.dumps(notebook)


class Numbers(SphinxTransform):
    """Gives equations the numbers that they are tagged with, and makes known where they and the figures are."""

    default_priority = 500  # before labels are collected

    def apply(self, **_: Any) -> None:
        """Marks tagged equations, and the captions that open with a number."""
        known = self.env.metadata[self.env.docname].setdefault("numbered", {})
        for math in self.document.findall(nodes.math_block):
            if tag := TAG.search(math.astext()):
                math.children = [nodes.Text(TAG.sub("", math.astext()))]
                known[f"({tag[1]})"] = self._mark(math, "eq", tag[1])
                math["number"], math["label"] = tag[1], None
        for strong in self.document.findall(nodes.strong):
            if found := re.fullmatch(r"(Figure|Table) (\d+\.\d+)\.", strong.astext()):
                known[strong.astext()[:-1]] = self._mark(strong.parent, *found.groups())

    def _mark(self, node: nodes.Element, kind: str, number: str) -> str:
        name = nodes.make_id(f"{kind}-{number}")
        node["ids"].append(name)
        return name


class Boxes(SphinxTransform):
    """Turns quotations with a bold name into boxes."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        """Replaces each by an admonition."""
        for quote in list(self.document.findall(nodes.block_quote)):
            first, bold = quote[0], quote.next_node(nodes.strong)
            if not isinstance(first, nodes.paragraph) or bold is None or bold.parent is not first:
                continue
            name = bold.astext().rstrip(".")
            if name not in BOXES or not first.astext().startswith(name):
                continue
            rest = first.children[first.index(bold) + 1 :]
            first.clear()
            first += rest
            if first.children and isinstance(start := first[0], nodes.Text):
                first[0] = nodes.Text(start.lstrip())
            box = nodes.admonition("", nodes.title("", name), classes=[BOXES[name]])
            box += quote.children if first.children else quote.children[1:]
            quote.replace_self(box)


def lead_on(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Turns numbers of equations and figures in prose into links to them."""
    places = {
        name: (page, target)
        for page, metadata in app.env.metadata.items()
        for name, target in metadata.get("numbered", {}).items()
    }
    for text in list(doctree.findall(nodes.Text)):
        if not isinstance(text.parent, nodes.paragraph | nodes.emphasis | nodes.entry) or not NUMBERED.search(text):
            continue
        parts, at = [], 0
        for found in NUMBERED.finditer(text):
            place = places.get(found[0])
            if not place or text.parent["ids"][-1:] == [place[1]]:
                continue
            parts += [nodes.Text(text[at : found.start()]), _link(app, docname, *place, found[0])]
            at = found.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text[at:])])


def _link(app: Sphinx, docname: str, page: str, target: str, text: str) -> nodes.reference:
    return make_refnode(app.builder, docname, page, target, nodes.Text(text))


def tables(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Says of each head cell that it is a column's, which docutils leaves out."""
    if "body" in context:
        context["body"] = context["body"].replace('<th class="head', '<th scope="col" class="head')


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds what reads the text, what changes the tree, and what finishes the page."""
    app.connect("source-read", read)
    app.add_transform(Numbers)
    app.add_transform(Boxes)
    app.connect("doctree-resolved", lead_on)
    app.connect("html-page-context", tables)
    app.add_js_file("check.js", loading_method="defer")
    return {"parallel_read_safe": True}
