"""How good a detector of mode collapse is, against what samples cover; and how long runs survive."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from scipy import stats

from began.collapse import QUIET, Reading, dropped, suspicion
from studies.workers import Row

LOST = 0.1  # coverage below which a run has collapsed: 2 of 25 modes, or every tenth cell of attributes
EARLY = 1000  # steps by which an alarm may precede a collapse and still be meant for it
RISE = 1.1  # of M over its lowest, from which on somebody who watches M alone would worry
ONE_PICTURE = 1.0  # the scaled Frechet distance of a generator that draws the mean picture and nothing else


def coverage(row: Row) -> list[float]:
    """Return the share of the modes (toy), or of the attribute cells of real faces, that samples reach at each stop.

    ValueError for photographs, whose attributes nobody knows.
    """
    stops = row["stops"]
    if "modes" in stops:
        return [modes / 25 for modes in stops["modes"]]
    if "cells" in stops:
        return stops["cells"]
    raise ValueError(f"coverage is known of the toy and of rendered faces, got data {row['data']!r}")


def collapsed_at(row: Row) -> int | None:
    """Return the step from which on a run's coverage stays below `LOST` to its end, or None: the ground truth.

    Each coverage is the median of that stop and its two neighbours. A run that could not go on has collapsed.
    """
    seen = coverage(row)
    smooth = [median(seen[max(i - 1, 0) : i + 2]) for i in range(len(seen))]
    return _since(row, [value < LOST for value in smooth])


def lost_at(row: Row) -> int | None:
    """Return the step from which on samples are no nearer to pictures than one picture would be, or None.

    The Frechet distance of the pixels stays at `ONE_PICTURE` or more to the end. A run that could not go on is lost.
    Needs no attributes, so it also serves for photographs.
    """
    return _since(row, [not value < ONE_PICTURE for value in row["stops"]["pixel_frechet"]])


def _since(row: Row, bad: Sequence[bool]) -> int | None:
    """Return the step of the first of the bad stops at the end."""
    bad = [*bad[:-1], bad[-1] or bool(row.get("ended"))]
    good = [i for i, is_bad in enumerate(bad) if not is_bad]
    first = good[-1] + 1 if good else 0
    return row["stops"]["step"][first] if first < len(bad) else None


Detector = Callable[[Row], list[bool]]  # whether it raises an alarm, at each reading of a row


def readings(row: Row) -> list[Reading]:
    """Return what the monitor read off a run."""
    return [Reading(*values) for values in zip(*(row["readings"][name] for name in Reading._fields), strict=True)]


def monitor(row: Row) -> list[bool]:
    """Judge by the trainer's rule, `collapse.suspicion`."""
    seen = readings(row)
    return [suspicion(seen[: i + 1]) is not None for i in range(len(seen))]


def k_alone(row: Row) -> list[bool]:
    """Judge by a drop of k alone, as the monitor's rule has it (claim C3)."""
    seen = readings(row)
    return [i >= QUIET and dropped(seen[: i + 1]) for i in range(len(seen))]


def M_alone(row: Row) -> list[bool]:  # noqa: N802
    """Judge by M alone: the mean over the steps since the last reading is above `RISE` times its lowest so far."""
    every = row["readings"]["step"][0]
    M = _means(row["curve"]["step"], row["curve"]["M"], every)
    return [i >= QUIET and M[i] > RISE * min(M[: i + 1]) for i in range(len(M))]


def _means(steps: Sequence[int], values: Sequence[float], every: int) -> list[float]:
    """Return the means of a curve over windows of `every` steps."""
    points = every // steps[0]
    return [sum(values[i : i + points]) / points for i in range(0, len(values) - points + 1, points)]


DETECTORS: dict[str, Detector] = {"monitor": monitor, "k alone": k_alone, "M alone": M_alone}


@dataclass(frozen=True)
class Score:
    """How a detector did: `found` of `collapsed` runs, alarm minus collapse in steps for each found (`lags`), and
    `false_alarms` in `healthy_steps`.
    """

    collapsed: int
    lags: list[int]
    false_alarms: int
    healthy_steps: int

    @property
    def found(self) -> int:
        """The collapses found."""
        return len(self.lags)

    @property
    def rate(self) -> tuple[float, float, float]:
        """The share of collapses found, with the bounds of 95 % by Wilson."""
        test = stats.binomtest(self.found, self.collapsed)
        interval = test.proportion_ci(method="wilson")
        return self.found / self.collapsed, float(interval.low), float(interval.high)

    @property
    def lag(self) -> float:
        """The median of the lags: below 0 the alarm comes before the collapse."""
        return median(self.lags)

    @property
    def false_rate(self) -> float:
        """False alarms in 10 000 healthy steps."""
        return 1e4 * self.false_alarms / self.healthy_steps


def evaluate(rows: Iterable[Row], detector: Detector) -> Score:
    """Score a detector on runs whose coverage is known.

    The first alarm from `EARLY` steps before a collapse on is meant for it. Earlier ones, and all in runs that do not
    collapse, are false; one alarm lasts as long as every reading repeats it.
    """
    lags, false, healthy, collapsed = [], 0, 0, 0
    for row in rows:
        steps, alarms = row["readings"]["step"], detector(row)
        begins = [
            step for step, now, before in zip(steps, alarms, [False, *alarms], strict=False) if now and not before
        ]
        collapse = collapsed_at(row)
        limit = steps[-1] + 1 if collapse is None else collapse - EARLY
        false += sum(step < limit for step in begins)
        healthy += max(min(limit, steps[-1]), 0)
        if collapse is not None:
            collapsed += 1
            meant = [step for step, alarm in zip(steps, alarms, strict=True) if alarm and step >= limit]
            lags += [step - collapse for step in meant[:1]]
    return Score(collapsed, lags, false, healthy)


def survival(rows: Iterable[Row], event: Callable[[Row], int | None]) -> stats.CensoredData:
    """Return when runs were lost, those that were not as censored at their last step: for `scipy.stats.ecdf`."""
    rows = list(rows)
    at = [event(row) for row in rows]
    return stats.CensoredData.right_censored(
        [row["steps"] if step is None else step for row, step in zip(rows, at, strict=True)],
        [step is None for step in at],
    )
