"""What pages make of plain Markdown, built from a page and a notebook made here."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = """# Balance

It is held ([Berthelot et al., 2017](references.bib#began)), say [Berthelot et al. (2017)](references.bib#began).
**How?**
"""
THEORY = r"""## Theory

By a saturation of (1.2) and of (1.7), see Figure 1.1 and Figure 9.9; a saturation again.

$$
a = b \tag{1.1}
$$

$$
\begin{aligned} a &= b \\ c &= d \end{aligned} \tag{1.2}
$$

> **Takeaway.** It *holds*.
>
> Twice.

> An ordinary quotation.

<details><summary>Because $k$ is 0.</summary>

No: it is *not*.

</details>

<!-- check: 0.66 0.01 -->
"""
TERMS = """# Terms

```{glossary}
saturation
  Where $k$ rests at 0. First in [1, Theory](01_balance.ipynb#theory).
```
"""
CONF = """
extensions = ["myst_nb", "sphinxcontrib.bibtex", "plain_markdown", "cells", "term_tips"]
html_static_path = ["book/_static"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
bibtex_bibfiles = ["book/references.bib"]
bibtex_reference_style = "author_year"
math_numfig = False
numfig = True
"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'


def shown(**data: str) -> nbformat.NotebookNode:
    return new_output("display_data", data={name.replace("_", "/"): text for name, text in data.items()})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a chapter, as HTML."""
    root = tmp_path_factory.mktemp("sphinx")
    (root / "book/_static").mkdir(parents=True)
    (root / "conf.py").write_text(CONF)
    (root / "book/references.bib").write_text((ROOT / "book/references.bib").read_text())
    (root / "index.md").write_text("# Index\n\n```{toctree}\nbook/01_balance\nbook/terms\nbook/bibliography\n```\n")
    (root / "book/terms.md").write_text(TERMS)
    (root / "book/bibliography.md").write_text("# Bibliography\n\n```{bibliography}\n```\n")
    hero = new_code_cell("draw()", metadata={"tags": ["hero"], "mystnb": {"image": {"alt": "a line"}}})
    hero.outputs = [
        new_output("display_data", data={"image/svg+xml": SVG, "text/plain": "<Figure 1.1>"}),
        shown(text_markdown="**Figure 1.1.** A line for $k$."),
    ]
    table = new_code_cell("table()", outputs=[shown(text_markdown="| $k$ |\n| --: |\n| 0.5 |")])
    cells = [
        new_markdown_cell(CHAPTER),
        new_code_cell("import began", metadata={"tags": ["set-up"]}),
        hero,
        new_markdown_cell(THEORY),
        table,
    ]
    metadata = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), root / "book/01_balance.ipynb")
    environment = {"PYTHONPATH": str(ROOT / "book/_ext"), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(root), str(root / "out")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    html = (root / "out/book/01_balance.html").read_text()
    return html[html.index("<h1") :]


def test_links_to_works_are_citations(page: str):
    assert page.count('href="bibliography.html#') == 2
    said = re.sub("<.*?>", "", page)
    assert "It is held (Berthelot et al., 2017), say Berthelot et al. (2017)." in said


def test_equations_keep_their_numbers_and_are_led_to(page: str):
    assert re.findall(r'class="eqno">\(([\d.]+)\)', page) == ["1.1", "1.2"]
    assert r"\tag" not in page
    assert '<a class="reference internal" href="#eq-1-2">(1.2)</a>' in page
    assert "and of (1.7)," in page, "what has that number is not there, and stays text"
    assert page.count('id="eq-1-2"') == 1


def test_a_picture_and_its_caption_are_a_figure_that_is_led_to(page: str):
    (figure,) = re.findall(r"<figure .*?</figure>", page, re.DOTALL)
    assert 'id="figure-1-1"' in figure
    assert 'alt="a line"' in figure
    assert "<strong>Figure 1.1.</strong>" in figure
    assert "math" in figure
    assert page.count('id="figure-1-1"') == 1
    assert '<a class="reference internal" href="#figure-1-1">Figure 1.1</a>' in page
    assert "and Figure 9.9;" in page


def test_a_page_opens_with_the_figure_and_folds_the_set_up_below_it(page: str):
    assert page.index("How?") < page.index("<figure") < page.index('<details class="set-up"') < page.index("Theory")
    fold = page[page.index('<details class="set-up"') :]
    assert fold.index(">began<") < fold.index(">draw<") < fold.index("</details>")


def test_a_quotation_with_a_name_is_a_box_and_any_other_stays_one(page: str):
    (box,) = re.findall(r'<div class="[^"]*admonition.*?</div>', page, re.DOTALL)
    assert 'admonition-title">Takeaway</p>' in box
    assert "It <em>holds</em>." in box
    assert "Twice." in box
    assert page.count("<blockquote>") == 1


def test_a_term_brings_up_its_meaning_once(page: str):
    assert page.count('<span class="term"') == 1
    tip = page[page.index('<span class="term"') :]
    assert "Where" in tip[: tip.index("index of terms")]
    assert "First in" not in tip[: tip.index("index of terms")]
    assert 'href="terms.html#term-saturation"' in tip


def test_an_answer_has_its_formulas(page: str):
    assert r'<summary>Because <span class="math notranslate nohighlight">\(k\)</span> is 0.</summary>' in page
    assert "<p>No: it is <em>not</em>.</p>" in page


def test_a_check_is_a_field_that_knows_the_answer(page: str):
    assert '<form class="check" data-answer="0.66" data-within="0.01">' in page
    assert "check.js" in page or (ROOT / "book/_static/check.js").exists()


def test_head_cells_of_a_table_are_those_of_columns(page: str):
    assert re.search(r'<th scope="col" class="head[^"]*"', page)
