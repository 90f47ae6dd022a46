"""The built pages in a browser, at two widths, light and dark: whole, readable, and with no need of a network."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from began.config import TrainConfig

sync_api = pytest.importorskip("playwright.sync_api")

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WIDTHS = {"desktop": 1280, "phone": 390}
THEMES = ("light", "dark")

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(entry["file"] for part in TOC["parts"] for entry in part["chapters"])]
CHAPTERS = [name for name in PAGES if (ROOT / f"{name}.ipynb").exists()]
OTHERS = ["search", "genindex", "py-modindex", "_modules/began/losses"]  # made by Sphinx
ARTICLE = ":is(article, .bd-search-container)"
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
ADDRESS = REPOSITORY["url"]

# What is too pale for its background, as WCAG 2.2 defines contrast: the text, its colours and their ratio.
PALE = """() => {
  const grounds = new Map(), pale = new Map();
  const parse = colour => { const c = colour.match(/[\\d.]+/g).map(Number); return c.length < 4 ? [...c, 1] : c; };
  const over = (top, below) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * below[i]);
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = c => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => sum + weight * linear(c[i] / 255), 0);
  const ground = element => {
    if (!element) return [255, 255, 255];
    if (!grounds.has(element)) {
      const own = parse(getComputedStyle(element).backgroundColor);
      grounds.set(element, own[3] === 1 ? own.slice(0, 3) : over(own, ground(element.parentElement)));
    }
    return grounds.get(element);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim(), element = texts.currentNode.parentElement;
    if (!text || element.closest("script, style, noscript, .visually-hidden, mjx-assistive-mml")) continue;
    if (!element.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    const behind = ground(element), front = over(parse(getComputedStyle(element).color), behind);
    const [low, high] = [front, behind].map(luminance).sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    const kind = `${element.tagName} ${element.className}: ${front} on ${behind}`;
    if (ratio < 4.5) pale.set(kind, `${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return Object.fromEntries(pale);
}"""


# What a knob of a slider says to a screen reader and to the eye, the width of the picture, and which picture it is: a
# file in base64 ends with its checksums.
STATE = """async knob => {
  const picture = knob.closest(".began-slider").querySelector("img");
  await picture.decode();
  const spoken = knob.querySelector("input").getAttribute("aria-valuetext");
  return [spoken, knob.querySelector("output").innerText, picture.naturalWidth, picture.src.slice(-60)];
}"""


# What is wider than the column that it stands in, unless it scrolls inside itself on a phone; and what is cut off.
WIDER = """phone => {
  const column = document.querySelector("article").getBoundingClientRect().right + 1;
  const scrolls = element => element.closest("figure, .pst-scrollable-table-container, pre, .math") !== null;
  return [...document.querySelectorAll("article *:not(mjx-assistive-mml, mjx-assistive-mml *, .tip, .tip *)")]
    .filter(element => element.getBoundingClientRect().right > column && !(phone && scrolls(element)))
    .map(element => `${element.tagName} ${element.className} ${element.textContent.trim().slice(0, 40)}`);
}"""
CUT = """() => [...document.querySelectorAll("article :is(pre, table, figure, .pst-scrollable-table-container)")]
  .filter(element => element.scrollWidth > element.clientWidth + 1).map(element => element.textContent.slice(0, 60))"""


class Loaded(HTMLParser):
    """Collects what a page loads: scripts, styles, pictures, fonts; not the links that a reader may follow."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.addresses += [names.get("src") or "", names.get("srcset") or "", names.get("data") or ""]
        if tag == "link" and names.get("rel") not in ("next", "prev", "index", "search", "canonical", "author"):
            self.addresses.append(names.get("href") or "")


def without_network() -> list[str]:
    """What makes a command run without a network, where the system allows it."""
    prefix = ["unshare", "--net", "--map-root-user"]
    allowed = (
        shutil.which("unshare") and not subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode
    )
    return prefix if allowed else []


@pytest.fixture(scope="session")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book, built as `make book` builds it, and without a network where that can be had."""
    out = tmp_path_factory.mktemp("book")
    build = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--path-output", out]
    result = subprocess.run(
        [*without_network(), *build, "-q", "-W", "-n", "--keep-going"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return out / "_build/html"


@pytest.fixture(scope="session")
def browser() -> Iterator[sync_api.Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def troubles() -> list[str]:
    """What the console and the network of a page say that should not be said."""
    return []


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest) -> int:
    return WIDTHS[request.param]


@pytest.fixture
def tab(browser: sync_api.Browser, troubles: list[str]) -> Iterator[sync_api.Page]:
    page = browser.new_page(viewport={"width": WIDTHS["desktop"], "height": 844}, reduced_motion="reduce")
    page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
    page.on(
        "request",
        lambda request: request.url.startswith("http") and troubles.append(f"external: {request.url}"),
    )
    yield page
    page.close()


def test_pages_load_nothing_from_elsewhere(html: Path):
    loaded = {page: Loaded(page.read_text()).addresses for page in html.rglob("*.html")}
    for page in PAGES:
        assert any("book.css" in address for address in loaded[html / f"{page}.html"]), "the parser sees nothing"
    for page, addresses in loaded.items():
        assert [address for address in addresses if re.match(r"(https?:)?//", address)] == [], page
    for style in html.rglob("*.css"):
        assert not re.findall(r"""(?:@import|url\()\s*["']?(?:https?:)?//[^)]*""", style.read_text()), style


def test_make_offline_takes_the_environment_as_it_is(tmp_path: Path):
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "constraints.txt"):
        shutil.copyfile(ROOT / name, tmp_path / name)

    def make(*arguments: str) -> subprocess.CompletedProcess[str]:
        alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
        return subprocess.run(
            ["make", *arguments], cwd=tmp_path, env=alone, capture_output=True, text=True, check=False
        )

    without = make("book", "OFFLINE=1")
    assert without.returncode != 0
    assert "making one needs the network" in without.stdout
    ready = tmp_path / ".venv/.ready"
    ready.parent.mkdir()
    ready.touch()
    os.utime(ready, (0, 0))  # older than the rest, as after a pull
    assert "pip install" in make("--dry-run", "book").stdout
    assert make("--dry-run", "book", "OFFLINE=1").stdout.split()[:2] == [".venv/bin/jupyter-book", "build"]


def test_first_page_leads_to_the_introduction(html: Path, tab: sync_api.Page):
    tab.goto((html / "index.html").as_uri())
    tab.wait_for_url("**/book/intro.html")
    assert tab.locator("article h1").inner_text().startswith("The BEGAN book")


@pytest.mark.parametrize("name", [*PAGES, *OTHERS])
def test_page(html: Path, tab: sync_api.Page, width: int, troubles: list[str], name: str):
    tab.set_viewport_size({"width": width, "height": 844})
    tab.goto((html / f"{name}.html").as_uri())
    if tab.locator(".math").count():
        tab.wait_for_function("window.MathJax?.startup?.promise")
        tab.evaluate("MathJax.startup.promise")
    assert troubles == []
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")  # solutions

    text = tab.locator(ARTICLE).inner_text()
    for raw in ("$$", r"\(", r"\[", r"\begin"):
        assert raw not in text
    assert tab.locator(".math").count() == tab.locator(".math mjx-container").count()
    assert tab.locator("mjx-merror").count() == 0

    overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"the page is {overflow} pixels wider than the screen"

    if name not in OTHERS:
        assert tab.evaluate(WIDER, width == WIDTHS["phone"]) == []
        assert width == WIDTHS["phone"] or tab.evaluate(CUT) == []

    levels = tab.locator(f"{ARTICLE} :is(h1, h2, h3, h4, h5, h6)").evaluate_all(
        "all => all.map(heading => +heading.tagName[1])"
    )
    assert levels[:1] == [1] or name in OTHERS
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))

    pictures = tab.locator(f"{ARTICLE} img").evaluate_all(
        "all => all.map(i => [i.getAttribute('src').slice(-80), i.alt, i.complete && i.naturalWidth > 0])"
    )
    for source, alt, whole in pictures:
        assert whole, f"{source} is broken"
        assert alt, f"{source} has no alt text"
        assert not source.endswith(alt), f"the alt text of {source} is its address"
    if name in CHAPTERS:
        captions = tab.locator("article figure.chapter-figure:has(img) > figcaption").all_inner_texts()
        numbers = [f"{int(name.removeprefix('book/')[:2])}.{at}" for at in range(1, len(captions) + 1)]
        assert [caption.split(". ")[0] for caption in captions] == [f"Figure {number}" for number in numbers]
        assert len(captions) == tab.locator("article div.cell_output img").count()
    heads = tab.locator("article th").evaluate_all("all => all.map(head => head.scope)")
    assert set(heads) <= {"col"}

    for theme in THEMES:  # as the reader's system is set
        tab.emulate_media(color_scheme=theme)
        tab.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)
        assert tab.evaluate(PALE) == {}, theme
    papers = tab.locator(f"{ARTICLE} img").evaluate_all("all => all.map(i => getComputedStyle(i).backgroundColor)")
    assert set(papers) <= {"rgb(255, 255, 255)"}, "black lettering on transparent ground does not show in the dark"


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_opens_with_its_question_and_the_figure_that_answers_it(html: Path, tab: sync_api.Page, name: str):
    for width, height in ((1280, 800), (390, 844)):
        tab.set_viewport_size({"width": width, "height": height})
        tab.goto((html / f"{name}.html").as_uri())
        tab.wait_for_function("window.MathJax?.startup?.promise")
        tab.evaluate("MathJax.startup.promise")
        figure = tab.locator("article figure").first
        box = figure.locator("img").first.bounding_box()
        assert box
        assert box["y"] + box["height"] <= height, f"the first figure ends below a screen of {width}x{height}"
        assert tab.locator("article strong", has_text="?").first.bounding_box()["y"] < box["y"]  # pyright: ignore


def test_a_term_explains_itself_on_hover_and_by_keyboard(html: Path, tab: sync_api.Page):
    tab.goto((html / "book/04_equilibrium.html").as_uri())
    term = tab.locator("article .term").first
    tip = term.locator(".tip")
    sync_api.expect(tip).to_be_hidden()
    term.hover()
    sync_api.expect(tip).to_be_visible()
    tab.mouse.move(0, 0)
    sync_api.expect(tip).to_be_hidden()
    term.focus()
    sync_api.expect(tip).to_be_visible()
    assert tip.locator("a").get_attribute("href").startswith("terms.html#term-")  # pyright: ignore


def test_answers_and_numbers_can_be_tried_by_keyboard(html: Path, tab: sync_api.Page):
    tab.goto((html / "book/04_equilibrium.html").as_uri())
    answer = tab.locator("article details:not(.set-up):not(.hide) > summary").first
    answer.focus()
    tab.keyboard.press("Enter")
    assert answer.evaluate("summary => summary.parentElement.open")
    field = tab.locator("form.check").first
    right, within = (float(field.get_attribute(f"data-{name}") or "") for name in ("answer", "within"))
    for given, said in (
        (right + 3 * within, "less"),
        (right - 3 * within, "more"),
        (right, "Right"),
        ("x", "One number"),
    ):
        field.locator("input").fill(str(given))
        tab.keyboard.press("Enter")
        assert said in field.locator("output").inner_text()


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_page_lead_on_and_to_the_repository(html: Path, name: str):
    """Read from the file: that each page opens is tested above."""
    page = (html / f"{name}.html").read_text()
    at = PAGES.index(name)
    folder = (html / name).parent
    for way, target in (("left-prev", PAGES[:at][-1:]), ("right-next", PAGES[at + 1 : at + 2])):
        links = re.findall(rf'<a class="{way}"\s+href="([^"]*)"', page)
        assert [(folder / link).resolve() for link in links] == [(html / f"{one}.html").resolve() for one in target]
    links = re.findall(r'<a href="(https://(?:github\.com|colab\.[\w.]+)/[^"]*)"[^>]*\n?[^>]*class="btn', page)
    chapter = (ROOT / f"{name}.ipynb").exists()
    path = ADDRESS.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{path}/blob/{REPOSITORY['branch']}/{name}.ipynb"
    assert [link for link in links if not link.startswith(ADDRESS)] == [colab] * chapter
    assert ADDRESS in links


def test_the_reference_shows_every_field_of_a_run_whole_on_a_phone_too(html: Path, tab: sync_api.Page, width: int):
    tab.set_viewport_size({"width": width, "height": 844})
    tab.goto((html / "book/api.html").as_uri())
    names = tab.locator("table.config-fields td:first-child").all_inner_texts()
    assert names == [field.name for field in dataclasses.fields(TrainConfig)]
    ends = tab.locator("table.config-fields td:last-child").evaluate_all(
        "all => all.map(cell => cell.getBoundingClientRect().right)"
    )
    assert max(ends) <= width


def test_search_finds_the_chapter_about_wasserstein(html: Path, tab: sync_api.Page, troubles: list[str]):
    tab.goto((html / "book/intro.html").as_uri())
    tab.get_by_role("button", name="Search").first.click()
    tab.keyboard.type("Wasserstein")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=Wasserstein")
    tab.locator("#search-results a", has_text="The Wasserstein approximation").first.click()
    tab.wait_for_url("**/book/03_wasserstein.html*")
    assert troubles == []


def test_sliders_move_by_keyboard_and_pointer_and_show_another_picture(html: Path, tab: sync_api.Page):
    found = [name for name in PAGES if "began-slider" in (html / f"{name}.html").read_text()]
    assert found
    for name in found:
        tab.goto((html / f"{name}.html").as_uri())
        for box in tab.locator(".began-slider").all():
            picture, everything = box.locator("img"), set()
            assert picture.get_attribute("alt")
            for knob in box.locator("div:has(> input)").all():
                slider, seen = knob.locator("input[type=range]"), []
                slider.focus()
                tab.keyboard.press("Home")
                for _ in range(int(slider.get_attribute("max") or 0) + 1):
                    spoken, written, width, shown = knob.evaluate(STATE)
                    assert spoken == written
                    assert width > 100
                    seen.append(shown)
                    tab.keyboard.press("ArrowRight")
                assert all(before != after for before, after in pairwise(seen)), "each step shows another picture"
                everything.update(seen)
                for end in (0, -1):
                    drag(tab, slider, end)
                    assert knob.evaluate(STATE)[-1] == seen[end]
            assert len(everything) > 3, "as many pictures as steps"
            for button in box.locator("button").all():
                before = picture.get_attribute("src")
                button.click()
                sync_api.expect(picture).not_to_have_attribute("src", before)
                assert button.inner_text() == "Pause"
                button.click()
                assert button.inner_text() == "Play"


def drag(page: sync_api.Page, slider: sync_api.Locator, end: int) -> None:
    """Drags the knob of a slider from one end to the other: its first (0) or its last (-1)."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    left, right, height = box["x"] + 8, box["x"] + box["width"] - 8, box["y"] + box["height"] / 2
    page.mouse.move(left if end else right, height)
    page.mouse.down()
    page.mouse.move(right if end else left, height, steps=4)
    page.mouse.up()
