"""The reference pages: every name once, docstrings as one scans them, and the fields of a run as they are."""

import dataclasses
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import began
from began.config import TrainConfig, option

ROOT = Path(__file__).resolve().parents[2]
API = (ROOT / "book/api.md").read_text()


@pytest.fixture
def extension(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "book/_ext")
    sys.modules.pop(request.param, None)
    return importlib.import_module(request.param)


def test_the_pages_list_every_module_once():
    listed = re.findall(r"automodule:: ([\w.]+)", API + (ROOT / "book/studies_api.md").read_text())
    modules = [
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for folder, package in ((ROOT, "began"), (ROOT / "book", "studies"))
        for path in (folder / package).rglob("*.py")
        if not path.stem.startswith("__") and path.parent.name != "cli"
    ]
    assert sorted(listed) == sorted([*modules, "began.cli"])


def test_the_first_page_shows_every_public_name_once_and_before_the_rooms():
    shown = re.findall(r"auto(?:function|class|exception):: began\.(\w+)", API)
    assert sorted(shown) == began.__all__
    assert API.index("automodule") > API.rindex(f":: began.{shown[-1]}")


@pytest.mark.parametrize("extension", ["plain_docstrings"], indirect=True)
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Return L(x). Shapes: `(B, d)` to\n`(B,)`.", "Return L(x).\n\n:Shapes: `(B, d)` to `(B,)`."),
        (
            "Shape: `(B,)`. Raises\nValueError for |x_|.",
            r":Shape: `(B,)`." + "\n" + r":Raises: ValueError for \|x\_\|.",
        ),
        ("Shapes live in a square. Nothing raises.", "Shapes live in a square. Nothing raises."),
        (">>> f(1)  # Raises nothing\n2", ">>> f(1)  # Raises nothing\n2"),
        ("lfw    some_\n       faces\na:DIR  more", "`lfw`\n    some\\_ faces\n\n`a:DIR`\n    more"),
        ("    p <- p + a c,   a = 1", "::\n\n        p <- p + a c,   a = 1"),
    ],
)
def test_a_docstring_is_shown_as_it_stands_but_for_its_shapes_and_errors(extension: ModuleType, text: str, shown: str):
    assert extension.to_markup(text) == shown


@pytest.mark.parametrize("extension", ["plain_docstrings"], indirect=True)
def test_a_room_leaves_out_what_the_face_shows_and_nothing_else(extension: ModuleType):
    def skipped(what: str, name: str, thing: object) -> bool | None:
        return extension.skip_member(None, what, name, thing, False, None)

    assert skipped("module", "TrainConfig", TrainConfig)
    assert skipped("module", "load", lambda: "another load") is None
    assert skipped("class", "train", began.train) is None
    assert skipped("module", "option", option) is None


@pytest.mark.parametrize("extension", ["config_table"], indirect=True)
def test_the_table_has_every_field_with_its_default_range_and_meaning(extension: ModuleType):
    table = {name: rest for name, *rest in extension.rows()}
    assert list(table) == [field.name for field in dataclasses.fields(TrainConfig)]
    for field in dataclasses.fields(TrainConfig):
        default, _, meaning = table[field.name]
        assert default == repr(field.default)
        assert meaning.startswith(field.metadata["help"])
    assert table["alpha"][2].endswith("; 0.1 in began_cs")
    assert [
        table[name][1]
        for name in ("flip", "grain", "norm", "gamma", "channels", "log_every", "n", "lr", "seed", "data")
    ] == [
        "True, False",
        "0 to 2",
        "l1, l2",
        "0 to 1",
        "1, 3",
        "1 to 1 000 000",
        "1 or more",
        "above 0",
        "0 to 1.8e+19",
        "",
    ]
