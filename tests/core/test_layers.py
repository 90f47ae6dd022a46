"""The rooms of the house: which may import which, how large each may grow, and what training never loads.

Read the imports, those inside functions too, with `ast`: nothing is run, and a line that breaks a rule is named.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FACE = "began"  # offers names of all rooms, and may import them
FLOOR = {"began.errors"}  # and what stands on it, without the rest of the package
CORE = FLOOR | {"began", "began.images", "began.devices"}
PACKAGE = CORE | {"began.runs", "began.measure", "began.codes", "began.cli"}
GROUND = {"studies.workers", "studies.statistics", "studies.objectives"}  # of the studies
ROOMS = {  # a module is in the room with the longest name that begins its own; a room may import itself and these
    "began.errors": set(),
    "began.images": FLOOR,
    "began.devices": FLOOR,
    "began": CORE,
    "began.runs": CORE,
    "began.measure": CORE | {"began.runs"},
    "began.codes": CORE | {"began.runs", "began.measure"},
    "began.cli": PACKAGE,
    "studies.workers": CORE | {"began.runs"},
    "studies.statistics": CORE | {"began.runs"},
    "studies.objectives": CORE,
    "studies.toy": PACKAGE | GROUND,
    "studies.runner": PACKAGE | GROUND | {"studies.toy"},
    "studies": PACKAGE | GROUND | {"studies.toy", "studies.runner"},
    "studies.figures": PACKAGE | GROUND | {"studies.toy", "studies"},
    "studies.readings": PACKAGE | GROUND | {"studies.toy", "studies.runner", "studies"},
}
ORDER = (  # of the core: each imports earlier ones only
    *("losses", "equilibrium", "networks", "config", "files", "collapse", "passes"),
    *("step", "tuning", "checkpoints", "signals", "rescue", "state", "training"),
)
LINES = {
    "began.errors": 20,
    "began.devices": 350,
    "began": 2050,
    "began.runs": 400,
    "began.images": 1350,
    "began.measure": 800,
    "began.codes": 320,
    "began.cli": 750,
    "studies.workers": 100,
    "studies.statistics": 100,
    "studies.objectives": 100,
    "studies.runner": 400,
    "studies.toy": 1250,
    "studies": 4400,
    "studies.figures": 1600,
    "studies.readings": 2600,
}


def modules(root: Path) -> dict[str, Path]:
    """All modules of the package and of the studies, by name."""
    found = {}
    for folder, package in ((root, "began"), (root / "book", "studies")):
        for path in sorted((folder / package).rglob("*.py")):
            name = ".".join(path.relative_to(folder).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def room(module: str) -> str:
    """The room that a module is in."""
    return max((name for name in ROOMS if f"{module}.".startswith(f"{name}.")), key=len)


def place(module: str) -> int:
    """Where a module of the core stands in the order."""
    return ORDER.index(module.removeprefix("began.")) if module != "began" else -1


def imports(path: Path, names: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """The line and the name of each module of ours that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            given = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports by dots: say where from"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            given = [name if name in names else str(node.module) for name in inside]
        else:
            continue
        yield from ((node.lineno, name) for name in given if name.partition(".")[0] in ("began", "studies"))


def broken(root: Path) -> list[str]:
    """What breaks the rules in a tree, a line each: the file, the line, and the rule."""
    names = modules(root)
    said = []
    for module, path in names.items():
        where, here = path.relative_to(root), room(module)
        for line, name in imports(path, names) if module != FACE else ():
            there = room(name)
            if there != here and there not in ROOMS[here]:
                said.append(f"{where}:{line} imports {name}, which {here} may not")
            if here == there == "began" and place(name) >= place(module):
                said.append(f"{where}:{line} imports {name}, which comes later than {module}")
    sizes: dict[str, int] = dict.fromkeys(LINES, 0)
    for module, path in names.items():
        sizes[room(module)] += len(path.read_text().splitlines())
    said += [
        f"{name} has {size} lines, more than its {LINES[name]}" for name, size in sizes.items() if size > LINES[name]
    ]
    return said


def test_the_rooms_hold():
    assert broken(ROOT) == []


def test_git_ignores_no_module():
    """A room may have the name of a folder that runs write to."""
    git = ["git", "check-ignore", "--no-index", *map(str, modules(ROOT).values())]
    assert subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False).stdout == ""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of all modules."""
    for path in modules(ROOT).values():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "rule"),
    [
        ("began/step.py", "from studies import style", "imports studies.style, which began may not"),
        ("began/losses.py", "from began.step import Update", "imports began.step, which comes later than began.losses"),
        ("began/images/pixels.py", "import began.files", "imports began.files, which began.images may not"),
        ("began/runs/saving.py", "from began import cli", "imports began.cli, which began.runs may not"),
        ("book/studies/toy/gans.py", "from studies import style", "imports studies.style, which studies.toy may not"),
    ],
)
def test_a_line_that_breaks_a_rule_is_named(file: str, line: str, rule: str, tree: Path):
    lines = (tree / file).read_text().splitlines()
    (tree / file).write_text("\n".join([*lines, line]) + "\n")
    assert broken(tree) == [f"{file}:{len(lines) + 1} {rule}"]


def test_a_room_that_outgrows_its_budget_is_named(tree: Path):
    (tree / "began/losses.py").write_text((tree / "began/losses.py").read_text() + "\n" * 300)
    (found,) = broken(tree)
    assert found.startswith("began has ")
    assert found.endswith("lines, more than its 2050")


HEAVY = ("ot", "scipy", "sklearn", "matplotlib", "IPython", "ipywidgets", "studies")


@pytest.mark.parametrize("given", [[], ["train", "--steps=2", "--size=16", "--n=4", "--count=8", "--batch=4"]])
def test_training_loads_nothing_of_the_books(given: list[str], tmp_path: Path):
    code = f"""
import sys
import began
if {given}:
    from began.cli import main
    main({given}, standalone_mode=False)
print("loaded:", [name for name in {HEAVY} if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("loaded: []\n")
