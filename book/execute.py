"""Executes chapters in place, so that running it twice leaves the same bytes.

Usage: python book/execute.py [chapter ...]     a chapter is a path, or the start of a name such as 03
"""

import json
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

BOOK = Path(__file__).resolve().parent
SECONDS_PER_CELL = 300
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {  # the same from every interpreter: its version is no part of the text
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}


class ChapterError(Exception):
    """A chapter that did not run to its end; the message names its cell."""


def read_chapter(path: Path) -> NotebookNode:
    """Reads a notebook; a cell without an id gets one from its position, so that it stays the same."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    for position, cell in enumerate(raw["cells"]):
        cell.setdefault("id", f"cell-{position:02}")
    raw["nbformat_minor"] = max(5, raw["nbformat_minor"])  # ids came with 4.5
    return nbformat.reads(json.dumps(raw), as_version=4)


def execute(path: Path) -> None:
    """Runs all cells of a chapter in a new kernel and stores their outputs."""
    chapter = read_chapter(path)
    client = NotebookClient(
        chapter,
        timeout=SECONDS_PER_CELL,
        extra_arguments=["--log-level=ERROR"],
        record_timing=False,
        coalesce_streams=True,  # how often a kernel flushes is chance
        store_widget_state=False,  # widget ids are random
        resources={"metadata": {"path": str(path.parent)}},
    )
    with client.setup_kernel():
        for position, cell in enumerate(chapter.cells):
            try:
                client.execute_cell(cell, position)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                raise ChapterError(f"{path.name}, cell {position} (id {cell.id}):\n{error}") from error
    for cell in chapter.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):  # a widget lives in its kernel; what stands for it stays
            output.get("data", {}).pop(WIDGET, None)
    chapter.metadata.update(METADATA)
    path.write_text(nbformat.writes(chapter) + "\n", encoding="utf-8")


def chapters(names: list[str]) -> list[Path]:
    """The chapters that the names stand for; all of them without a name."""
    every = sorted(BOOK.glob("[0-9]*.ipynb"))
    chosen = []
    for name in names:
        found = [Path(name)] if Path(name).is_file() else [p for p in every if p.name.startswith(name)]
        if not found:
            sys.exit(f"no chapter {name!r}: there are {', '.join(p.stem for p in every)}")
        chosen += found
    return chosen if names else every


def main(names: list[str]) -> int:
    """Executes the chapters, prints the seconds each took, and returns how many failed."""
    failures = []
    for path in chapters(names):
        start = time.perf_counter()
        state = "executed in"
        try:
            execute(path.resolve())
        except ChapterError as error:
            failures.append(error)
            state = "failed after"
        print(f"{path.stem:32} {state:12} {time.perf_counter() - start:6.1f} s", flush=True)
    for error in failures:
        print(f"\nFAILED {error}", file=sys.stderr)
    return len(failures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
