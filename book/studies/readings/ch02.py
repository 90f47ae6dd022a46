"""What chapter 2 reads from its critics and arrows: the columns of its tables."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from torch import Tensor

from studies.tables import over_seeds

FAINT = 0.01  # of the longest arrow of a run
LOSS = r"$\mathcal{L}(G(z))$"


def each_over_seeds(methods: Mapping[str, Tensor], spec: str = ".2f") -> list[str]:
    """Return `over_seeds` of each method, in their order."""
    return [over_seeds(values, spec) for values in methods.values()]


def middle(lengths: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return by method the median over samples: `(E, samples, T)` to `(E, T)`."""
    return {method: values.median(1).values for method, values in lengths.items()}


def fall(medians: Tensor) -> Tensor:
    """Return by which factor the median arrow is shorter at the end than at its longest: `(E, T)` to `(E,)`."""
    return medians.amax(1) / medians[:, -1]


def faint(lengths: Tensor) -> Tensor:
    """Return the share of samples that hear next to nothing at the end: `(E, samples, T)` to `(E,)`.

    Next to nothing is an arrow below `FAINT` of the longest that any sample of the run has had so far.
    """
    longest = lengths.amax((1, 2))[:, None]
    return (lengths[..., -1] < FAINT * longest).float().mean(1)


def silence(lengths: Mapping[str, Tensor], updates: Sequence[int]) -> dict[str, list[str]]:
    """Return by method how long the median arrow is at the first and the last update, and how many are faint."""
    medians = middle(lengths)
    return {
        "method": list(lengths),
        f"median arrow after {updates[0]} updates": [over_seeds(values[:, 0]) for values in medians.values()],
        f"after {updates[-1]}": [over_seeds(values[:, -1], ".3g") for values in medians.values()],
        "samples below 1 % of the longest": [over_seeds(faint(values), ".0%") for values in lengths.values()],
    }


def thresholds(k: Sequence[float], energy: Tensor, spread: Tensor) -> dict[str, list[str]]:
    """Return by held k the loss of the samples and their spreading, `(len(k), E)` each."""
    return {
        "$k$": [str(Fraction(value)) for value in k],
        LOSS: [_large(values) for values in energy],
        "spreading": [over_seeds(values) for values in spread],
    }


def _large(values: Tensor) -> str:
    """Return `over_seeds`, in millions where that is what they are."""
    return f"{over_seeds(values / 1e6, '.1f')} million" if values.amin() > 1e5 else over_seeds(values)


def remedies(
    spreads: Mapping[str, Tensor], together: Mapping[str, Tensor], reached: Mapping[str, Tensor]
) -> dict[str, list[str]]:
    """Return by method the spreading, the unison and the modes reached, `(E,)` each."""
    return {
        "method": list(spreads),
        "spreading": each_over_seeds(spreads),
        "unison": each_over_seeds(together),
        "modes reached, of 8": each_over_seeds(reached, ".1f"),
    }


def fewer_than(reached: Mapping[str, Tensor], base: str) -> list[str]:
    """Return the methods whose median lies below that of `base`."""
    least = reached[base].median()
    return [method for method, values in reached.items() if values.median() < least]


def beside(medians: Mapping[str, Tensor], near: Tensor, off: Tensor, together: Mapping[str, Tensor]) -> dict[str, list]:
    """Return what was measured of six statements, beside who made them.

    `near` is the share of WGAN-GP's arrows of length about 1, `off` by how much its gap differs from W_1, `(E,)` each.
    """
    shrunk = {name: over_seeds(fall(medians[name]), ".0f") for name in ("GAN, minimax", "LSGAN")}
    span = medians["BEGAN"].amax(1) / medians["BEGAN"].amin(1)
    alone, batch = (over_seeds(together[name]) for name in ("GAN", "minibatch discrimination"))
    rows = [
        (
            r"$\log(1 - D)$ saturates when the critic rejects with confidence (Goodfellow et al., 2014)",
            f"factor $e^s$, exact; the median arrow falls by a factor of {shrunk['GAN, minimax']}",
            "reproduced",
        ),
        (
            "least squares keep a gradient for samples far from the target (Mao et al., 2017)",
            f"of the loss yes; but the critic flattens, and the median arrow falls by a factor of {shrunk['LSGAN']}",
            "differs",
        ),
        (
            "the best critic's slope is 1 (Gulrajani et al., 2017)",
            f"share of arrows within a quarter of 1: {over_seeds(near)}; the gap is off $W_1$ by {over_seeds(off)}",
            "reproduced",
        ),
        (
            "a critic of one sample at a time tells all the same (Salimans et al., 2016)",
            f"unison {alone}, for a bunch so narrow that any smooth critic comes near 1",
            "reproduced, of a narrow bunch",
        ),
        (
            "minibatch discrimination breaks that (Salimans et al., 2016)",
            f"unison {batch}; whether samples part or meet depends on the seed",
            "differs",
        ),
        (
            "BEGAN needs no bound on the critic (Berthelot et al., 2017)",
            f"the median arrow stays within a factor of {over_seeds(span, '.1f')}; where $k > p / p_g$ the loss of "
            "the samples grows for as long as $D$ is trained, and the controller must prevent it",
            "differs",
        ),
    ]
    claims, ours, verdicts = zip(*rows, strict=True)
    return {
        "claim": list(claims),
        "here, five seeds": list(ours),
        "verdict": list(verdicts),
    }
