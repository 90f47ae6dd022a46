"""Draws the picture of the landing page from the committed artifacts: `python book/cover.py`."""

from pathlib import Path

from began.images.faces import rendered_faces
from began.images.pixels import to_unit
from began.runs.results import load
from studies import style

COLUMNS = 12

if __name__ == "__main__":
    style.use_style()
    rows = {"real": to_unit(rendered_faces(COLUMNS, 32, seed=1))}
    for name, artifact in (("BEGAN", "faces32-began"), ("BEGAN-CS", "faces32-began-cs")):
        rows[name] = load(artifact).sample(COLUMNS)
    target = Path(__file__).parent / "_static/faces.png"
    style.show_rows(rows, columns=COLUMNS).savefig(target, dpi=200)
    print(target)
