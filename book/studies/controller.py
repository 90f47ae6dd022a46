"""How the ratio answers to k: a linear plant fitted to recorded runs, and the loop that the controller closes."""

import copy
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from began.config import TrainConfig
from began.equilibrium import Equilibrium
from began.images.batches import Batches
from began.losses import convergence_measure
from began.runs.artifacts import Options
from began.runs.saving import provenance
from began.step import Update
from studies import runner
from studies.runner import Advance, Job, Made, Plan, choice, toy_depends
from studies.toy.autoencoders import BEGAN
from studies.toy.ensemble import Ensemble
from studies.toy.mixtures import PROBLEMS

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


@dataclass(frozen=True, kw_only=True)
class Lab(runner.Lab):
    """The scale of the recordings: `steps` of a warm-up, after which every branch starts from the same networks.

    On the toy they are `toy_steps`, and `swing` and `toy_gains` are what follows.
    """

    steps: int = choice(500)
    window: int = 1
    branches: Mapping[str, Branch] = field(default_factory=branches)
    swing: Sequence[float] = field(default_factory=lambda: swings().tolist())
    toy_steps: int = TOY_WARM_UP
    toy_gains: Sequence[float] = TOY_GAINS
    data: tuple[str, ...] = choice(("faces", "grid"))


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


@dataclass(frozen=True)
class Recording(Job):
    """The warm-up of one seed on rendered faces and all branches after it: L(x), L(G(z)) and k."""

    seed: int
    steps: int
    data: str = "faces"

    def work(self, lab: Lab) -> int:
        """Return the steps in it."""
        return self.steps + sum(len(branch.gamma) for branch in lab.branches.values())

    @property
    def name(self) -> str:
        """Where its results lie among those of the study."""
        return str(self.seed)

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return its config."""
        return {"config": self.config(lab).to_dict()}

    def config(self, lab: Lab) -> TrainConfig:
        """Return what the warm-up is trained with."""
        return lab.config(self.data, seed=self.seed, log_every=lab.window)

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Train it."""
        config = self.config(lab)
        images, _ = lab.pictures(self.data)
        batches = Batches(images, config.batch, device=device, seed=self.seed)

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
                (row,) = update.take_rows()
                rows.append(torch.stack([row[0], row[1], k.cpu()]))
            advance(len(rows))
            return torch.stack(rows, 1)

        update = Update(config, device)
        found = {"warm-up": run(update, 0, Branch(config.lambda_k, (config.gamma,) * self.steps))}
        state = copy.deepcopy(update.state_dict())
        for name, branch in lab.branches.items():
            update = Update(config, device)
            update.load_state_dict(copy.deepcopy(state))
            if branch.wind_up:
                update.model.equilibrium = WindUp(update.model.equilibrium)
            found[name] = run(update, self.steps, branch)
        return Made([], {"recordings": {f"{self.seed}/{name}": part for name, part in found.items()}})


@dataclass(frozen=True)
class ToyRecordings(Job):
    """The dither and each lambda of the scale-free rule on the 25 Gaussians, all seeds side by side."""

    seeds: int
    data: str = "grid"

    def work(self, lab: Lab) -> int:
        """Return the steps in it."""
        return lab.toy_steps + len(lab.swing)

    @property
    def name(self) -> str:
        """Where its results lie among those of the study."""
        return "toy"

    def depends(self, lab: Lab) -> Mapping[str, Any]:
        """Return what a run on the toy depends on."""
        return {"toy": toy_depends(BEGAN), "setting": TOY}

    def carry_out(self, lab: Lab, place: Path, device: torch.device, advance: Advance) -> Made:
        """Train them, on the CPU."""
        names = ["dither", *map(str, lab.toy_gains)]
        ensemble = toy_warmed_up(list(range(self.seeds)) * len(names), len(lab.swing), lab.toy_steps)
        assert isinstance(ensemble.method, BEGAN)
        lambdas = torch.tensor([1.0, *lab.toy_gains])
        ensemble.method.equilibrium.lambda_k.copy_(lambdas.repeat_interleave(self.seeds))
        rows = follow(ensemble, np.array(lab.swing), self.seeds)
        advance(self.work(lab))
        keys = [f"{seed}/toy {name}" for name in names for seed in range(self.seeds)]
        return Made([], {"recordings": dict(zip(keys, rows, strict=True))})


def toy_warmed_up(seeds: Sequence[int], steps: int, warm_up: int = TOY_WARM_UP) -> Ensemble:
    """Return BEGAN on the 25 Gaussians after its warm-up, a run a seed, with `steps` to go."""
    ensemble = Ensemble(BEGAN, PROBLEMS["grid"], [TOY] * len(seeds), seeds, warm_up + steps)
    ensemble.run(warm_up)
    return ensemble


def follow(ensemble: Ensemble, swing: NDArray, swung: int) -> Tensor:
    """Let BEGAN's runs go on, and return L(x), L(G(z)) and the k of each step, `(E, 3, steps)`.

    The first `swung` of them get their k of now times `swing`, `(steps,)`; the others get their controller's.
    """
    assert isinstance(ensemble.method, BEGAN)
    k, noted, rows = ensemble.method.equilibrium.k, ensemble.method.noted, []
    settled = k[:swung].clone()
    for factor in swing:
        k[:swung] = float(factor) * settled
        used = k.clone()
        ensemble.run(1)
        rows.append(torch.stack([noted["loss_real"], noted["loss_fake"], used], 1))
    return torch.stack(rows, 2)


def largest_stable(lambdas: Sequence[float], clipped: Sequence[float]) -> float:
    """Return the largest lambda that leaves k alone: up to it, k is at the clip in fewer than `STILL` of the steps.

    `clipped` has that share for each of `lambdas`, which rise. Raises ValueError where the least lambda is too large.
    """
    first = next((i for i, share in enumerate(clipped) if share >= STILL), len(lambdas))
    if first == 0:
        raise ValueError(f"clipped must begin below {STILL}, got {clipped[0]}")
    return lambdas[first - 1]


def plan(lab: Lab) -> Plan:
    """Record all seeds."""
    yield [*(Recording(seed, lab.steps) for seed in range(lab.seeds)), ToyRecordings(lab.seeds)]


def make(out: Path, work: Path, device: torch.device, options: Options) -> None:
    """Make the artifact: record all seeds in `work`, and put them together in `out`. A stopped call goes on."""
    record(options.applied(Lab()), out, work, device)


def record(lab: Lab, out: Path, work: Path, device: torch.device) -> None:
    """Make the artifact on a scale."""
    found: dict[str, list[Tensor]] = {}
    for key, part in runner.carry_out([plan(lab)], lab, work, device).tensors["recordings"].items():
        found.setdefault(key.partition("/")[2], []).append(part)
    runner.save_tensors(out / "recordings.safetensors", {name: torch.stack(parts) for name, parts in found.items()})
    origin = {"config": lab.config("faces").to_dict(), "seeds": list(range(lab.seeds)), **provenance(device)}
    runner.save_text(out / "record.json", json.dumps(origin, indent=1) + "\n")


def load_recordings() -> dict[str, Tensor]:
    """Return L(x), L(G(z)) and k at each step, `(seeds, 3, steps)`, by name.

    On 16x16 faces: "warm-up" and those of `branches`. On the 25 Gaussians: "toy dither", and "toy 0.5" for a lambda.
    """
    return runner.committed_tensors("controller", "recordings")
