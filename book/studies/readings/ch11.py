"""What all chapters found, as chapter 11 shows it: a verdict and a sentence a claim, and the lines behind it."""

from collections import Counter
from collections.abc import Iterable, Sequence

from studies.claims import OURS, STATED, Claim, Entry, Verdict, formulas, heading, overall, plain, shown, verdicts
from studies.tables import markdown

SAID: dict[str, tuple[Verdict, str]] = {  # what was found, in a sentence, and the verdict that it was written for
    "B1": (
        "differs",
        "The difference of means tracks $W_1$ at a low $\\gamma$, less well near 1; losses are not normal.",
    ),
    "B2": ("reproduced", "Held closely on both data, wherever $k$ is not at its limits."),
    "B3": (
        "open",
        "On photographs a lower $\\gamma$ costs diversity, which comes back when it is raised; no measure that blur "
        "does not fool finds the samples better.",
    ),
    "B4": (
        "differs",
        "Within a run $M$ follows quality on photographs and not on faces; between runs of different $\\gamma$ it says "
        "the reverse.",
    ),
    "B5": ("reproduced", "Both at once do no worse than turns, as far as a wide interval can tell."),
    "B6": (
        "reproduced",
        "On both data the way between two $z^*$ is even, and half-way pictures are sharper than a blend.",
    ),
    "B7": (
        "open",
        "After equal search EBGAN is nearer to faces and to photographs by Fréchet distance; five seeds leave it open.",
    ),
    "C1": ("not reproduced", "At 16x16 no setting was found in which BEGAN-CS outlives BEGAN."),
    "C2": ("differs", "Codes of BEGAN vary more than those of BEGAN-CS, but they go on growing only on 100 faces."),
    "C3": ("differs", "On faces $k$ shows a collapse that $M$ does not show; on the 25 Gaussians both do."),
    "C4": ("open", "BEGAN is not clearly lost earlier; BEGAN-CS goes on improving on faces, open on photographs."),
    "C5": ("not reproduced", "At 16x16 five seeds show no difference at the end, on either data."),
    "C6": (
        "differs",
        "One shot is as fast as claimed and resembles photographs. On faces it keeps no attribute well, and a search "
        "needs far fewer steps than claimed.",
    ),
    "C7": ("differs", "One number moves several attributes at once; small moves add up, large ones do not."),
    "C8": (
        "differs",
        "VEEGAN does what the picture shows; BEGAN and BEGAN-CS stay behind, after the same search for all.",
    ),
    "C9": ("differs", "Pictures are copied better than by ALI, and hair colour is; skin tone is not."),
}


def labels() -> dict[str, str]:
    """Return the claims of the papers as a figure names them."""
    return {name: f"{formulas(said.words, str)}   {name}" for name, said in STATED.items()}


def verdict_on(*lines: str) -> Verdict:
    """Return the verdict on a claim of such lines, each 'wording: verdict'."""
    said = (line.rsplit(": ", 1) for line in lines)
    return overall(Claim("", words, 1.0, 1.0, 1.0, "", 5, "", verdict, "") for words, verdict in said)  # pyright: ignore[reportArgumentType]


def stale(entries: Iterable[Entry]) -> list[str]:
    """Return the claims whose verdict is not the one that their sentence was written for."""
    return [name for name, verdict in verdicts(entries).items() if verdict != SAID[name][0]]


def counts(entries: Iterable[Entry]) -> dict[str, list]:
    """Return the columns of how many claims have which verdict, the commonest first."""
    found = verdicts(entries)
    common = Counter(found.values()).most_common()
    return {
        "verdict": [verdict for verdict, _ in common],
        "claims": [count for _, count in common],
        "which": [", ".join(name for name in found if found[name] == verdict) for verdict, _ in common],
    }


def summary(entries: Sequence[Entry], letter: str) -> dict[str, list[str]]:
    """Return the columns of the claims of a paper: what it says, the verdict with its lines, and what was found."""
    found = {name: verdict for name, verdict in verdicts(entries).items() if name.startswith(letter)}
    said = {name: [c.verdict for _, c in entries if c.claim == name and OURS not in c.paper] for name in found}
    return {
        "claim": [f"**{name}** {formulas(STATED[name].words)}" for name in found],
        "verdict": [f"**{verdict}** ({_counted(said[name])})" for name, verdict in found.items()],
        "what was found": [SAID[name][1] for name in found],
    }


def _counted(verdicts: Sequence[str]) -> str:
    """Return how many lines say what, '3 lines' where they agree."""
    counted = Counter(verdicts).most_common()
    if len(counted) == 1:
        return f"{len(verdicts)} lines" if len(verdicts) > 1 else "1 line"
    return ", ".join(f"{count} {verdict}" for verdict, count in counted)


def line_by_line(entries: Iterable[Entry], names: Iterable[str]) -> str:
    """Return the lines of claims as Markdown, each claim's folded below its name."""
    entries, folds = list(entries), []
    for name in names:
        own = [entry for entry in entries if entry.claim.claim == name]
        published = ""
        if name in STATED:
            said = STATED[name]
            published = f"Published: {formulas(said.published)} ({said.source}).\n\n"
        folds.append(
            f'<details id="claim-{name.lower()}"><summary>{name}, line by line: {len(own)}</summary>\n\n'
            f"{published}{line_table(own)}\n\n</details>"
        )
    return "\n".join(folds)


def line_table(entries: Sequence[Entry]) -> str:
    """Return lines as a Markdown table of three columns, which a phone can show."""
    claims = [entry.claim for entry in entries]
    places = [f"[{entry.chapter}, {heading(entry.chapter, entry.claim.section)}]({entry.link})" for entry in entries]
    columns = {
        "claimed, and where to look": [
            f"{formulas(c.paper)}: {place}" for c, place in zip(claims, places, strict=True)
        ],
        "here, with 95 %": [
            f"**{shown(c.ours)}** [{shown(c.low)}, {shown(c.high)}] {formulas(c.unit)}; {plain(c.data)}, "
            f"$n$\u00a0=\u00a0{c.seeds}"
            for c in claims
        ],
        "verdict": [c.verdict for c in claims],
    }
    return markdown(columns, [""] * len(columns))


def undecided(entries: Iterable[Entry]) -> dict[str, list]:
    """Return the columns of the claims that have open lines, and of those with an interval of no width."""
    lines = [claim for _, claim in entries if claim.claim in STATED and OURS not in claim.paper]
    names = [name for name in STATED if any(c.claim == name and _says_little(c) for c in lines)]
    of = {name: [c for c in lines if c.claim == name] for name in names}
    return {
        "claim": names,
        "lines": [len(of[name]) for name in names],
        "open": [sum(c.verdict == "open" for c in of[name]) for name in names],
        "of no width": [sum(c.low == c.high for c in of[name]) for name in names],
    }


def _says_little(claim: Claim) -> bool:
    return claim.verdict == "open" or claim.low == claim.high


def changed(entries: Sequence[Entry], without: str) -> dict[str, list[str]]:
    """Return the columns of the claims whose verdict is another one without some data."""
    every, rest = verdicts(entries), verdicts(entries, without)
    names = [name for name in every if every[name] != rest[name]]
    return {
        "claim": names,
        "verdict": [every[name] for name in names],
        f"without {without}": [rest[name] for name in names],
    }
