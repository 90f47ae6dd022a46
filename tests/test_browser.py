"""The built pages in a browser, at two widths: whole, readable, and with no need of a network."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

sync_api = pytest.importorskip("playwright.sync_api")

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WIDTHS = {"desktop": 1280, "phone": 390}

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(entry["file"] for part in TOC["parts"] for entry in part["chapters"])]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="session")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book, built as `make book` builds it."""
    out = tmp_path_factory.mktemp("book")
    build = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--path-output", out]
    result = subprocess.run(
        [*build, "-q", "-W", "-n", "--keep-going"],
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
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS)
def tab(request: pytest.FixtureRequest, browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    page = browser.new_page(viewport={"width": WIDTHS[request.param], "height": 844})
    yield page
    page.close()


def test_first_page_leads_to_the_introduction(html: Path, browser: sync_api.Browser):
    page = browser.new_page()
    page.goto((html / "index.html").as_uri())
    page.wait_for_url("**/book/intro.html")
    assert page.locator("article h1").inner_text().startswith("The BEGAN book")
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_page(html: Path, tab: sync_api.Page, name: str):
    troubles: list[str] = []
    tab.on("console", lambda message: message.type == "error" and troubles.append(message.text))
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
    tab.on(
        "request",
        lambda request: request.url.startswith("http") and troubles.append(f"external: {request.url}"),
    )
    tab.goto((html / f"{name}.html").as_uri())
    if tab.locator(".math").count():
        tab.wait_for_function("window.MathJax?.startup?.promise")
        tab.evaluate("MathJax.startup.promise")
    assert troubles == []

    text = tab.locator("article").inner_text()
    for raw in ("$$", r"\(", r"\[", r"\begin"):
        assert raw not in text
    assert tab.locator(".math").count() == tab.locator(".math mjx-container").count()
    assert tab.locator("mjx-merror").count() == 0

    overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"the page is {overflow} pixels wider than the screen"

    levels = tab.locator("article :is(h1, h2, h3, h4, h5, h6)").evaluate_all(
        "all => all.map(heading => +heading.tagName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))

    pictures = tab.locator("article img").evaluate_all(
        "all => all.map(i => [i.getAttribute('src').slice(-80), i.alt, i.complete && i.naturalWidth > 0])"
    )
    for source, alt, whole in pictures:
        assert whole, f"{source} is broken"
        assert alt, f"{source} has no alt text"
        assert not source.endswith(alt), f"the alt text of {source} is its address"


def test_sliders_move_by_keyboard_and_show_another_picture(html: Path, browser: sync_api.Browser):
    found = [name for name in PAGES if "began-slider" in (html / f"{name}.html").read_text()]
    assert found
    page = browser.new_page()
    for name in found:
        page.goto((html / f"{name}.html").as_uri())
        for box in page.locator(".began-slider").all():
            picture, everything = box.locator("img"), set()
            assert picture.get_attribute("alt")
            for knob in box.locator("div:has(> input)").all():
                slider, seen = knob.locator("input[type=range]"), []
                slider.focus()
                page.keyboard.press("Home")
                for _ in range(int(slider.get_attribute("max") or 0) + 1):
                    assert slider.get_attribute("aria-valuetext") == knob.locator("output").inner_text()
                    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
                    seen.append(picture.get_attribute("src"))
                    page.keyboard.press("ArrowRight")
                assert all(before != after for before, after in pairwise(seen)), "each step shows another picture"
                everything.update(seen)
            assert len(everything) > 3, "as many pictures as steps"
            for button in box.locator("button").all():
                before = picture.get_attribute("src")
                button.click()
                sync_api.expect(picture).not_to_have_attribute("src", before)
                assert button.inner_text() == "Pause"
                button.click()
                assert button.inner_text() == "Play"
    page.close()
