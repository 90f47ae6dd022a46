"""How the ratio answers to k: a linear plant fitted to recorded runs, and the loop that the controller closes."""

import copy
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from began.config import TrainConfig
from began.equilibrium import Equilibrium
from began.files import atomic_write
from began.images.batches import Batches
from began.images.faces import rendered_faces
from began.images.sources import Pictures
from began.losses import convergence_measure
from began.runs.artifacts import Options, artifacts_folder
from began.runs.saving import provenance
from began.step import Update
from studies.gammas import BASE
from studies.keys import fingerprint
from studies.toy.autoencoders import BEGAN
from studies.toy.ensemble import Ensemble
from studies.toy.mixtures import PROBLEMS
from studies.workers import Workers

SEEDS = range(5)
WARM_UP = 500  # steps of BASE, after which every branch of a recording starts from the same networks
TOY = {"gamma": 1.0, "lambda_k": 0.03, "code": 1, "width": 64, "batch": 128}  # a code of one number keeps k off 0
TOY_WARM_UP = 500
STILL = 0.05  # share of steps at the clip from which on a loop is called unstable
DITHER, HOLD = 0.4, 25  # k's swing, a share of its value, and the mean steps between two changes
LAMBDAS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0)
TOY_GAINS = (0.06, 0.125, 0.25, 0.5, 1.0, 2.0)  # lambda of the scale-free rule


class Branch(NamedTuple):
    """How training goes on after the warm-up: gamma at each step, and lambda; or `swing` moves k instead of them."""

    lambda_k: float
    gamma: tuple[float, ...]
    wind_up: bool = False
    swing: tuple[float, ...] = ()


def swings() -> NDArray:
    """Return what k is multiplied by at each step of a dither: up or down, changing at random."""
    changes = np.random.default_rng(0).random(900) < 1 / HOLD
    return 1 + DITHER * np.cumprod(np.where(changes, -1, 1))


def branches() -> dict[str, Branch]:
    """Name the branches of a recording: k swung by itself, each lambda, a step of gamma, and one out of reach."""
    swing = tuple(swings().tolist())
    out_of_reach = (0.3,) * 100 + (0.9,) * 200
    return {
        "dither": Branch(1.0, (0.9,) * len(swing), swing=swing),
        **{f"lambda {value:g}": Branch(value, (0.9,) * 240) for value in LAMBDAS},
        "step": Branch(0.5, (0.75,) * 160),
        "clip": Branch(0.3, out_of_reach),
        "wind-up": Branch(0.3, out_of_reach, wind_up=True),
    }


class WindUp(Equilibrium):
    """The controller with its sum left unclipped: only k, which D gets, is clipped."""

    def __init__(self, start: Equilibrium):
        super().__init__(start.gamma, start.lambda_k, start.k)
        self.sum = self.k.clone()

    @torch.no_grad()
    def update(self, loss_real: Tensor, loss_fake: Tensor) -> Tensor:
        """Move the sum and k, and return M."""
        self.sum.add_(self.lambda_k * (self.gamma * loss_real - loss_fake))
        self.k.copy_(self.sum.clamp(0, 1))
        return convergence_measure(loss_real, loss_fake, self.gamma)


class Recording(NamedTuple):
    """The warm-up of one seed and all branches after it."""

    seed: int

    @property
    def work(self) -> int:
        """The steps in it."""
        return WARM_UP + sum(len(branch.gamma) for branch in branches().values())


def record(
    job: Recording, folder: Path, device: torch.device, advance: Callable[[int], object] = lambda _: None
) -> list[Path]:
    """Train one seed's recording and leave L(x), L(G(z)) and the k of each step, `(3, steps)` a branch, in a file."""
    config = TrainConfig(seed=job.seed, log_every=1, **BASE)
    depends = {"config": config.to_dict(), "warm_up": WARM_UP, "branches": branches()}
    path = folder / f"{job.seed}-{fingerprint(depends)}.safetensors"
    if path.exists():
        advance(job.work)
        return [path]
    images = Pictures(rendered_faces(8192, config.size, seed=0), "faces")
    batches = Batches(images, config.batch, device=device, seed=job.seed)

    def run(update: Update, first: int, branch: Branch) -> Tensor:
        equilibrium, rows = update.model.equilibrium, []
        swing = equilibrium.k.item() * np.array(branch.swing)
        equilibrium.lambda_k.fill_(branch.lambda_k)
        for t, x in enumerate(itertools.islice(batches.starting_at(first), len(branch.gamma))):
            equilibrium.gamma.fill_(branch.gamma[t])
            if branch.swing:
                equilibrium.k.fill_(swing[t])
            k = equilibrium.k.clone()
            update(x)
            (row,) = update.read()
            rows.append(torch.stack([row[0], row[1], k.cpu()]))
        advance(len(rows))
        return torch.stack(rows, 1)

    update = Update(config, device)
    found = {"warm-up": run(update, 0, Branch(config.lambda_k, (config.gamma,) * WARM_UP))}
    state = copy.deepcopy(update.state_dict())
    for name, branch in branches().items():
        update = Update(config, device)
        update.load_state_dict(copy.deepcopy(state))
        if branch.wind_up:
            update.model.equilibrium = WindUp(update.model.equilibrium)
        found[name] = run(update, WARM_UP, branch)
    with atomic_write(path) as temporary:
        save_file(found, temporary)
    return [path]


def record_toy() -> dict[str, Tensor]:
    """Return the dither and each lambda of the scale-free rule on the 25 Gaussians, as `load_recordings` does."""
    names, seeds, swing = ["dither", *map(str, TOY_GAINS)], len(SEEDS), swings()
    ensemble = toy_warmed_up(list(SEEDS) * len(names), len(swing))
    assert isinstance(ensemble.method, BEGAN)
    ensemble.method.equilibrium.lambda_k.copy_(torch.tensor([1.0, *TOY_GAINS]).repeat_interleave(seeds))
    rows = follow(ensemble, swing, seeds).unflatten(0, (len(names), seeds))
    return {f"toy {name}": part.clone() for name, part in zip(names, rows, strict=True)}


def toy_warmed_up(seeds: Sequence[int], steps: int) -> Ensemble:
    """Return BEGAN on the 25 Gaussians after its warm-up, a run a seed, with `steps` to go."""
    ensemble = Ensemble(BEGAN, PROBLEMS["grid"], [TOY] * len(seeds), seeds, TOY_WARM_UP + steps)
    ensemble.run(TOY_WARM_UP)
    return ensemble


def follow(ensemble: Ensemble, swing: NDArray, swung: int) -> Tensor:
    """Let BEGAN's runs go on, and return L(x), L(G(z)) and the k of each step, `(E, 3, steps)`.

    The first `swung` of them get their k of now times `swing`, `(steps,)`; the others get their controller's.
    """
    assert isinstance(ensemble.method, BEGAN)
    k, readings, rows = ensemble.method.equilibrium.k, ensemble.method.readings, []
    settled = k[:swung].clone()
    for factor in swing:
        k[:swung] = float(factor) * settled
        used = k.clone()
        ensemble.run(1)
        rows.append(torch.stack([readings["loss_real"], readings["loss_fake"], used], 1))
    return torch.stack(rows, 2)


def largest_stable(lambdas: Sequence[float], clipped: Sequence[float]) -> float:
    """Return the largest lambda that leaves k alone: up to it, k is at the clip in fewer than `STILL` of the steps.

    `clipped` has that share for each of `lambdas`, which rise. Raises ValueError where the least lambda is too large.
    """
    first = next((i for i, share in enumerate(clipped) if share >= STILL), len(lambdas))
    if first == 0:
        raise ValueError(f"clipped must begin below {STILL}, got {clipped[0]}")
    return lambdas[first - 1]


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact: record all seeds in `work`, and put them together in `out`. A stopped call goes on."""
    with Workers(device) as workers:
        for seed in SEEDS:
            workers.call(record, Recording(seed), work)
        paths = sorted(path for found in workers.finished() for path in found)
    runs = [load_file(path) for path in paths]
    together = {name: torch.stack([run[name] for run in runs]) for name in runs[0]} | record_toy()
    with atomic_write(out / "recordings.safetensors") as temporary:
        save_file(together, temporary)
    origin = {"config": TrainConfig(**BASE).to_dict(), "seeds": list(SEEDS), **provenance(device)}
    with atomic_write(out / "record.json") as temporary:
        temporary.write_text(json.dumps(origin, indent=1) + "\n")


def load_recordings() -> dict[str, Tensor]:
    """Return L(x), L(G(z)) and k at each step, `(seeds, 3, steps)`, by name.

    On 16x16 faces: "warm-up" and those of `branches`. On the 25 Gaussians: "toy dither", and "toy 0.5" for a lambda.
    """
    return load_file(artifacts_folder() / "controller/recordings.safetensors")
