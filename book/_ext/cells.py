"""A Sphinx extension: what pages make of a notebook's cells: figures with captions, and one fold for the set-up."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform

SUMMARY = "Code: what the notebook installs, imports and loads, and how it draws this figure"


class SetUp(SphinxTransform):
    """Gathers cells tagged `set-up` and the code of that tagged `hero`: a page opens with its question's answer."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        """Moves them below the figure, folded."""
        cells = [cell for cell in self.document.findall(nodes.container) if "cell" in cell.get("classes", ())]
        set_up = [cell for cell in cells if "tag_set-up" in cell["classes"]]
        first = next((cell for cell in cells if "tag_hero" in cell["classes"]), None)
        if first is None:
            return
        drawing = first[0].deepcopy()
        for cell in (*set_up, first[0]):
            cell.parent.remove(cell)
        fold = nodes.container("", *set_up, nodes.container("", drawing, classes=["cell"]))
        opened = nodes.raw("", f'<details class="set-up"><summary>{SUMMARY}</summary>', format="html")
        place = first.parent.index(first) + 1
        first.parent[place:place] = [opened, fold, nodes.raw("", "</details>", format="html")]


class Captions(SphinxPostTransform):
    """Makes a figure of a picture, or a slider, and the caption that the same cell shows below it."""

    default_priority = 20  # after the kind of each output was chosen

    def run(self, **_: Any) -> None:
        """Wraps both in a figure; its number stays in bold."""
        for caption in list(self.document.findall(nodes.paragraph)):
            if not any(name.startswith("figure-") for name in caption["ids"]):
                continue
            output = caption.parent
            at = output.index(caption)
            if not at:
                continue
            figure = nodes.figure("", output[at - 1].deepcopy(), ids=caption["ids"], classes=["chapter-figure"])
            figure += nodes.caption("", "", *caption.children)
            output[at - 1 : at + 1] = [figure]


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds both."""
    app.add_transform(SetUp)
    app.add_post_transform(Captions)
    return {"parallel_read_safe": True}
