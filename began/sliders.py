"""Sliders over pictures that also move in the built pages, where no kernel runs."""

import base64
import hashlib
import html
import io
import json
from collections.abc import Mapping

from IPython.display import HTML, display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

_PAGE = """<div class="began-slider" style="max-width: 100%">
<label for="{id}">{name}: <output id="{id}-value">{label}</output></label><br>
<input type="range" id="{id}" max="{last}" value="{at}" aria-valuetext="{label}" style="width: min(100%, 24rem)">
<div><img id="{id}-picture" src="{picture}" alt="{alt}" style="max-width: 100%"></div>
<script>
(() => {{
  const frames = {frames}, labels = {labels}, slider = document.getElementById("{id}");
  slider.addEventListener("input", () => {{
    document.getElementById("{id}-picture").src = frames[slider.value];
    document.getElementById("{id}-value").textContent = labels[slider.value];
    slider.setAttribute("aria-valuetext", labels[slider.value]);
  }});
}})();
</script>
</div>"""


def show_slider(name: str, figures: Mapping[str, Figure], alt: str, at: int = 0) -> None:
    """Show one of several figures, picked by a slider: `name` and the figure's label stand beside it.

    Plain HTML, so that it works in Jupyter, on Colab and in the built page alike. The figures are closed; `at` is the
    first to show. Raises ValueError for no figures.
    """
    if not figures:
        raise ValueError("figures must hold at least one figure, got none")
    frames, labels = [_encoded(figure) for figure in figures.values()], list(figures)
    text = {key: html.escape(value) for key, value in (("name", name), ("label", labels[at]), ("alt", alt))}
    page = _PAGE.format(
        **text,
        id="slider-" + hashlib.sha256(f"{name}{labels}{alt}".encode()).hexdigest()[:8],
        at=at,
        last=len(frames) - 1,
        picture=frames[at],
        frames=json.dumps(frames),
        labels=json.dumps(labels).replace("</", "<\\/"),
    )
    display(HTML(page))


def _encoded(figure: Figure) -> str:
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", dpi=100)
        plt.close(figure)
        return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
