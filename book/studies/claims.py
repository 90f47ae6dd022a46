"""What a chapter found of each claim that it tests, kept for the chapter that collects them."""

import dataclasses
import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from began.files import atomic_write
from began.runs.artifacts import artifacts_folder
from studies.tables import show_table

logger = logging.getLogger(__name__)
Verdict = Literal["reproduced", "differs", "not reproduced", "open"]


class Statement(NamedTuple):
    """A claim of the papers: in words, what was published for it, and where."""

    words: str
    published: str
    source: str


STATED = {
    "B1": Statement(
        "losses look normal, |m_1 - m_2| tracks W_1", "a statement, no number", "BEGAN 3.1, 3.2; the article"
    ),
    "B2": Statement("k_t holds L(G(z)) / L(x) at gamma", "a statement, no number", "BEGAN 3.3, 3.4"),
    "B3": Statement("lower gamma: less diverse, better", "samples at 0.3, 0.5 and 0.7", "BEGAN fig. 3; the article"),
    "B4": Statement("M falls as samples get better", "a curve and pictures of one run", "BEGAN 3.4.1"),
    "B5": Statement("both train at once, no turns, no batch norm", "a statement, no number", "BEGAN 3.4"),
    "B6": Statement("z* of real pictures interpolate smoothly", "a row of pictures each", "BEGAN fig. 4"),
    "B7": Statement("BEGAN beats EBGAN", "pictures, of other data", "BEGAN fig. 2; the article"),
    "C1": Statement(
        "BEGAN collapses, BEGAN-CS does not",
        "at epoch 23 to 25; stable past 100 (CelebA at 64x64, one run each)",
        "BEGAN-CS fig. 2, 4",
    ),
    "C2": Statement(
        "codes spread without end in BEGAN only",
        "Var(real) 4.2 to 268 in 41 epochs; 2.0 to 3.6 in 101",
        "BEGAN-CS fig. 2",
    ),
    "C3": Statement("k shows a collapse, M does not", "a remark on one run", "BEGAN-CS 4.2"),
    "C4": Statement("a tenth of the data: only CS goes on", "pictures at 128x128", "BEGAN-CS 4.3, fig. 6"),
    "C5": Statement("FID rises for BEGAN, stays low for CS", "a curve of one run each", "BEGAN-CS 4.4, fig. 5"),
    "C6": Statement(
        "G(Enc(x)) resembles x, without a search",
        "pictures; a search takes 10 000 iterations, 340 to 3 970 s",
        "BEGAN-CS 3.2, 4.5",
    ),
    "C7": Statement("one number of z moves one attribute", "pictures", "BEGAN-CS 3.3, 4.7, fig. 9, 10"),
    "C8": Statement("25 Gaussians: BEGAN-CS does best", "a picture of samples each", "BEGAN-CS 4.6, fig. 7"),
    "C9": Statement("CS copies faces better than ALI", "pictures", "BEGAN-CS fig. 8"),
}
SYMBOLS = {  # how chapters write a formula in a claim, and what it is in mathematics
    r"\|m_1 - m_2\|": r"\vert m_1 - m_2 \vert",
    r"L\(G\(z\)\) / L\(x\)": r"\mathcal{L}(G(z)) / \mathcal{L}(x)",
    r"G\(Enc\(x\)\)": r"G(\mathrm{Enc}(x))",
    r"L\(x\)": r"\mathcal{L}(x)",
    r"k <= p / p_g": r"k \leq p / p_g",
    r"z\*": "z^*",
    r"\bgamma\b": r"\gamma",
    r"\bW_1\b|\bk_t\b|\b[kMxz]\b": None,  # as it stands
}
FORMULA = re.compile("(" + "|".join(SYMBOLS) + ")")
OURS = "(ours)"  # marks a line that tests a statement of this book, not of the papers


@dataclass(frozen=True)
class Claim:
    """One claim: what the paper says, what was measured, and between which 95 % bounds.

    `claim` is its id in the book, `paper` the published figure in words, `data` what it was measured on, `section`
    where to read of it; `null` is the same measure, with its bounds, of something that can't have the property. Raises
    ValueError for an unknown verdict and for a number outside its own bounds.
    """

    claim: str
    paper: str
    ours: float
    low: float
    high: float
    unit: str
    seeds: int
    data: str
    verdict: Verdict
    section: str
    null: float | None = None
    null_low: float | None = None
    null_high: float | None = None

    def __post_init__(self) -> None:
        """Check the verdict and the bounds."""
        if self.verdict not in get_args(Verdict):
            raise ValueError(f"verdict must be one of {', '.join(get_args(Verdict))}, got {self.verdict!r}")
        for name, number, low, high in (
            ("ours", self.ours, self.low, self.high),
            ("null", self.null or 0, self.null_low or 0, self.null_high or 0),
        ):
            if not low <= number <= high or not math.isfinite(high - low):
                raise ValueError(f"{name} must lie in [low, high] = [{low}, {high}], got {number}")


class Entry(NamedTuple):
    """A line, and the number of the chapter that left it."""

    chapter: int
    claim: Claim

    @property
    def link(self) -> str:
        """Where the chapter's section is, from another page of the book."""
        return f"{notebook(self.chapter).name}#{anchor(heading(self.chapter, self.claim.section) or '')}"


def claims_folder() -> Path:
    """Return data/claims, beside the artifacts."""
    return artifacts_folder().parent / "claims"


def save_claims(chapter: int, claims: Sequence[Claim]) -> Path:
    """Write data/claims/NN.json, numbers to four significant digits, and return its path.

    Where it can't be written, a line in the log says so, and what is there stays: the chapter is read all the same.
    """
    lines = [
        {
            name: float(f"{value:.4g}") if isinstance(value, float) else value
            for name, value in dataclasses.asdict(claim).items()
            if value is not None
        }
        for claim in claims
    ]
    path = claims_folder() / f"{chapter:02}.json"
    try:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(lines, indent=1) + "\n")
    except OSError as error:
        logger.warning("the claims of chapter %d are not kept: %s", chapter, error)
    return path


def keep(chapter: int, claims: Sequence[Claim]) -> None:
    """Save the claims of a chapter, and show them beside what the papers say, and their nulls if they have any."""
    save_claims(chapter, claims)
    columns = {
        "claim": [f"{formulas(claim.paper)} ({claim.claim})" for claim in claims],
        "published": [formulas(STATED[claim.claim].published) if claim.claim in STATED else "" for claim in claims],
        "here, with 95 %": [
            f"{_number(claim.ours, claim.low, claim.high)} {formulas(claim.unit)}; {plain(claim.data)}, "
            f"{claim.seeds} seeds"
            for claim in claims
        ],
        "null": [_number(claim.null, claim.null_low, claim.null_high) for claim in claims],
        "verdict": [claim.verdict for claim in claims],
    }
    if not any(columns["null"]):
        del columns["null"]
    show_table(columns)


def _number(mean: float | None, low: float | None, high: float | None) -> str:
    """Return a number with its bounds in Markdown, nothing where there is none."""
    if mean is None or low is None or high is None:
        return ""
    return f"**{shown(mean)}** [{shown(low)}, {shown(high)}]"


def load_claims(folder: Path | None = None) -> list[Entry]:
    """Read what all chapters left in data/claims, or in `folder`; ValueError names a line that is no `Claim`."""
    entries = []
    for path in sorted((folder or claims_folder()).glob("[0-9][0-9].json")):
        for number, line in enumerate(json.loads(path.read_text()), 1):
            try:
                entries.append(Entry(int(path.stem), Claim(**line)))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path.name}, line {number} is no claim: {error}") from error
    return entries


def notebook(chapter: int) -> Path:
    """Return the notebook of a chapter."""
    book = artifacts_folder().parent.parent / "book"
    found = list(book.glob(f"{chapter:02}_*.ipynb"))
    if len(found) != 1:
        raise FileNotFoundError(f"there are {len(found)} chapters {chapter:02} in {book}")
    return found[0]


def heading(chapter: int, section: str) -> str | None:
    """Return the heading of the section whose name begins so, or None where the chapter has none."""
    return next((title for title in _headings(notebook(chapter)) if section and title.startswith(section)), None)


@cache
def _headings(path: Path) -> list[str]:
    """Return the headings of a notebook's sections; it is large, and read once."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.findall(r"^##+ (.+)$", text, re.MULTILINE)


def anchor(title: str) -> str:
    """Return the anchor that the book gives a heading: formulas left out, spaces to hyphens, no punctuation."""
    return re.sub(r"[^\w\- ]", "", re.sub(r"\$.+?\$", "", title).lower().replace(" ", "-"))


def gaps(entries: Iterable[Entry], find: Callable[[int, str], str | None] = heading) -> list[str]:
    """Say what is missing: a claim of `STATED` without a line of its own, a line whose section is not there."""
    entries = list(entries)
    known = {claim.claim for _, claim in entries if OURS not in claim.paper}
    found = [f"{name}: no number" for name in STATED if name not in known]
    for chapter, claim in entries:
        if not find(chapter, claim.section):
            found.append(f"{claim.claim}: chapter {chapter:02} has no section {claim.section!r}")
    return found


def overall(claims: Iterable[Claim]) -> Verdict:
    """Return the verdict on a claim from its lines, those marked as `OURS` left out.

    Lines that are open decide nothing. Lines of one wording, on several data, are a part of the claim: the verdict of
    its decided lines if they agree, 'differs' if not, 'open' without any. The claim has the verdict of its parts if
    they agree, and 'differs' if not; but parts that are open leave a claim open of which no part differs or failed.
    """
    parts: dict[str, set[Verdict]] = {}
    for claim in claims:
        if OURS not in claim.paper:
            part = parts.setdefault(claim.paper, set())
            if claim.verdict != "open":
                part.add(claim.verdict)
    verdicts: set[Verdict] = {_agreed(part) for part in parts.values()}
    decided: set[Verdict] = verdicts - {"open"}
    return "open" if "open" in verdicts and decided <= {"reproduced"} else _agreed(decided)


def verdicts(entries: Iterable[Entry], without: str = "") -> dict[str, Verdict]:
    """Return the verdict on each claim of the papers; lines on data of whose name `without` is a part are left out."""
    kept = [claim for _, claim in entries if not without or without not in claim.data]
    return {name: overall(claim for claim in kept if claim.claim == name) for name in STATED}


def _agreed(verdicts: set[Verdict]) -> Verdict:
    """Return the one verdict of a set, 'differs' where there are several, 'open' where there is none."""
    return next(iter(verdicts)) if len(verdicts) == 1 else "differs" if verdicts else "open"


def formulas(text: str, words: Callable[[str], str] | None = None) -> str:
    """Return a claim's text with its formulas as mathematics, and the rest as `words` or `plain` makes it."""
    parts = FORMULA.split(text)  # words and formulas in turn
    for at in range(1, len(parts), 2):
        meant = next(new for old, new in SYMBOLS.items() if re.fullmatch(old, parts[at]))
        parts[at] = f"${meant or parts[at]}$"
    return "".join(part if at % 2 else (words or plain)(part) for at, part in enumerate(parts))


def plain(text: str) -> str:
    """Return text as Markdown that shows it as it stands, in a cell of a table too."""
    return re.sub(r"([\\`*_|<>\[\]$])", r"\\\1", text)


def shown(number: float) -> str:
    """Return a number for a reader: three significant digits, or whole from 100 on; small ones as a power of ten."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"
