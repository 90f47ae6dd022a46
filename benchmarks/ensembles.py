"""Measures how much faster many runs on the toy go side by side than one after another.

`python benchmarks/ensembles.py` times, in turn and round after round: a plain training loop of one run, as one would
write it with torch.nn and torch.optim; an `Ensemble` of one; and ensembles of more. Ratios are of run-steps a second.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from machine import facts, save, significant
from torch import Tensor, nn
from torch.nn.functional import softplus
from tqdm import tqdm

from studies.toy.ensemble import Ensemble
from studies.toy.methods import METHODS
from studies.toy.mixtures import PROBLEMS

ROUNDS = 7
BATCH, WIDTH = 64, 128


class Plain:
    """One run in the plain form: modules, one optimizer a network, the literal losses, k on the host."""

    def __init__(self, method: str, device: torch.device):
        def network(*sizes: int) -> nn.Sequential:
            layers = [nn.Linear(sizes[0], WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()]
            return nn.Sequential(*layers, nn.Linear(WIDTH, sizes[1])).to(device)

        self.method, self.device, self.mixture, self.k = method, device, PROBLEMS["grid"], 0.0
        self.G = network(2, 2)
        if method == "began_cs":
            self.enc, self.dec = network(2, 2), network(2, 2)
            critic = [*self.enc.parameters(), *self.dec.parameters()]
        else:
            self.D = network(2, 1)
            critic = [*self.D.parameters()]
        self.adam_G = torch.optim.Adam(self.G.parameters(), 1e-4, (0.5, 0.999))
        self.adam_D = torch.optim.Adam(critic, 1e-4, (0.5, 0.999))

    def run(self, steps: int) -> None:
        """Train for some steps."""
        for _ in range(steps):
            mode, noise = torch.rand(BATCH, device=self.device), torch.randn(BATCH, 2, device=self.device)
            x = self.mixture.draw(mode, noise) / self.mixture.scale
            z = 2 * torch.rand(BATCH, 2, device=self.device) - 1
            if self.method == "began_cs":
                self._began_cs(x, z)
            else:
                self._gan(x, z)

    def _gan(self, x: Tensor, z: Tensor) -> None:
        loss = softplus(-self.D(x)).mean() + softplus(self.D(self.G(z).detach())).mean()
        self.adam_D.zero_grad()
        loss.backward()
        self.adam_D.step()
        loss = softplus(-self.D(self.G(z))).mean()
        self.adam_G.zero_grad()
        loss.backward()
        self.adam_G.step()

    def _began_cs(self, x: Tensor, z: Tensor) -> None:
        v = self.G(z)
        fake = (v - self.dec(self.enc(v))).norm(dim=1).mean()
        self.adam_G.zero_grad()
        fake.backward()
        self.adam_G.step()
        v = v.detach()
        code = self.enc(v)
        real = (x - self.dec(self.enc(x))).norm(dim=1).mean()
        fake = (v - self.dec(code)).norm(dim=1).mean()
        loss = real - self.k * fake + 0.1 * (z - code).norm(dim=1).mean()
        self.adam_D.zero_grad()
        loss.backward()
        self.adam_D.step()
        self.k = min(max(self.k + 1e-3 * (real.item() - fake.item()), 0), 1)


def seconds(run: Callable[[int], None], steps: int, device: torch.device) -> float:
    """Return how long some steps take."""
    start = time.perf_counter()
    run(steps)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def main(arguments: list[str] | None = None) -> None:
    """Measure and write benchmarks/results/ensembles-MACHINE.json."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--members", type=int, nargs="+", default=(1, 4, 16, 64))
    parser.add_argument("--steps", type=int, default=100, help="in each round")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    members, steps = given.members, given.steps
    torch.set_num_threads(given.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result, rows = facts("ensembles", device), []
    for method in ("gan", "began_cs"):
        plain: dict[int, Callable[[int], None]] = {0: Plain(method, device).run}
        ways = plain | {
            count: Ensemble(METHODS[method], PROBLEMS["grid"], [{}] * count, range(count), 10**6, device).run
            for count in members
        }
        times: dict[int, list[float]] = {count: [] for count in ways}
        for run in ways.values():
            run(20)
        for _ in tqdm(range(ROUNDS), disable=None, desc=method):
            for count, run in ways.items():
                times[count].append(seconds(run, steps, device) / max(count, 1))
        for count, taken in times.items():
            ratios = {
                other: [a / b for a, b in zip(times[other], taken, strict=True)] for other in (0, 1) if other in times
            }
            row = {"model": method, "mode": "ensemble" if count else "plain", "members": max(count, 1), "batch": BATCH}
            row["run_steps_per_s"] = significant(steps / statistics.median(taken))
            for other, name in ((0, "ratio"), (1, "ratio_to_alone")):
                if other in ratios:
                    row[name] = significant(statistics.median(ratios[other]))
                    row[f"{name}_low"], row[f"{name}_high"] = (significant(f(ratios[other])) for f in (min, max))
            rows.append(row)
            print(row)
    print(save(f"ensembles-{result['machine']}", {**result, "rows": rows}))


if __name__ == "__main__":
    main()
