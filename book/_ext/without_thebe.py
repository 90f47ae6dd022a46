"""A Sphinx extension: takes the scripts of sphinx-thebe, which Jupyter Book always loads, off the pages.

The book has no button for it, and its constants, declared twice, log an error on every page.
"""

from typing import Any

from sphinx.application import Sphinx


def drop_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Leaves the other scripts of a page, in their order."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{script.filename} {script.attributes.get('body')}".lower()
    ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the extension, after those that add scripts."""
    app.connect("html-page-context", drop_scripts, priority=900)
    return {"parallel_read_safe": True}
