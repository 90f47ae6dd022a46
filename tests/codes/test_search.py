import math

import numpy as np
import pytest
import torch
from scipy.stats import special_ortho_group
from torch import Tensor, nn

from began.codes.search import best_start, disentanglement, importances, interpolate, move, regress, search, sweep

RNG = torch.Generator().manual_seed(0)


class Flat(nn.Module):
    """A generator that is linear: its z* is known."""

    def __init__(self, n_z: int = 3):
        super().__init__()
        self.map = nn.Linear(n_z, 12)
        nn.init.normal_(self.map.weight, generator=torch.Generator().manual_seed(1))

    def forward(self, z: Tensor) -> Tensor:
        return self.map(z).view(-1, 3, 2, 2)


def codes(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=RNG) * 2 - 1


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_search_finds_the_code_that_made_an_image(norm):
    G, z = Flat(), codes(4, 3)
    found = search(G, G(z).detach(), torch.zeros(4, 3), iterations=800, lr=0.02, norm=norm)
    assert torch.allclose(found.z, z, atol=0.05)
    assert found.error.max() < 0.05
    assert found.trace.shape == (801, 4)
    assert (found.trace.diff(dim=0) <= 0).all()
    assert torch.equal(found.trace[-1], found.error)
    error = (
        (G(found.z) - G(z)).abs().flatten(1).mean(1)
        if norm == "l1"
        else (G(found.z) - G(z)).square().flatten(1).mean(1).sqrt()
    )
    assert torch.allclose(error, found.error, atol=1e-6)


def test_restarts_and_images_descend_apart():
    G, x, starts = Flat(), torch.randn(3, 3, 2, 2, generator=RNG), codes(2, 3, 3)
    together = search(G, x, starts, iterations=20)
    for i in range(2):
        for j in range(3):
            alone = search(G, x[[j]], starts[i, [j]], iterations=20)
            assert torch.allclose(alone.z[0], together.z[i, j], atol=1e-5)
            assert torch.allclose(alone.trace[:, 0], together.trace[:, i, j], atol=1e-5)
    best = best_start(together)
    assert torch.equal(best.error, together.error.amin(0))
    assert torch.equal(best.trace[-1], best.error)
    assert torch.allclose((G(best.z) - x).abs().flatten(1).mean(1), best.error, atol=1e-6)


def test_a_bound_holds_codes_in_the_cube():
    G = Flat()
    x = G(torch.full((1, 3), 2.0)).detach()
    free = search(G, x, torch.zeros(1, 3), iterations=400)
    held = search(G, x, torch.zeros(1, 3), iterations=400, bound=1.0)
    assert free.z.abs().max() > 1.5
    assert held.z.abs().max() == 1
    assert held.error > free.error


def test_no_iteration_returns_the_start_and_weights_stay_without_gradients():
    G, start = Flat(), codes(2, 3)
    found = search(G, torch.zeros(2, 3, 2, 2), start, iterations=0)
    assert torch.equal(found.z, start)
    search(G, torch.zeros(2, 3, 2, 2), start, iterations=3)
    assert G.map.weight.grad is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"start": torch.zeros(3, 3)}, "start must be"),
        ({"start": torch.zeros(3)}, "start must be"),
        ({"iterations": -1}, "iterations must be at least 0, got -1"),
        ({"lr": 0.0}, "lr must be positive, got 0"),
        ({"bound": -1.0}, "bound must be positive, got -1"),
    ],
)
def test_search_refuses(arguments, named):
    given = {"start": torch.zeros(2, 3), **arguments}
    with pytest.raises(ValueError, match=named):
        search(Flat(), torch.zeros(2, 3, 2, 2), **given)


def test_a_line_and_an_arc():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    line, arc = interpolate(a, b, 3), interpolate(a, b, 3, spherical=True)
    assert torch.equal(line[:, 0], torch.tensor([[1.0, 0], [0.5, 1], [0, 2]]))
    root = math.sqrt(0.5)
    assert torch.allclose(arc[:, 0], torch.tensor([[1.0, 0], [root, 2 * root], [0, 2]]))
    unit = interpolate(a, b / 2, 9, spherical=True)[:, 0]
    assert torch.allclose(unit.norm(dim=1), torch.ones(9))
    steps = unit.diff(dim=0).norm(dim=1)
    assert torch.allclose(steps, steps[0].expand(8))


@pytest.mark.parametrize("factor", [1.0, 3.0, -1.0])
def test_an_arc_between_codes_in_line_is_the_line(factor):
    a = torch.tensor([1.0, 2.0, -1.0])
    arc = interpolate(a, factor * a, 5, spherical=True)
    assert torch.allclose(arc, interpolate(a, factor * a, 5), atol=1e-6)
    with pytest.raises(ValueError, match="count must be at least 2, got 1"):
        interpolate(a, a, 1)


def test_a_sweep_sets_one_number_and_leaves_the_rest():
    z, values = codes(4, 5), torch.tensor([-5.0, 0.0, 5.0])
    swept = sweep(z, torch.eye(5)[2], values)
    assert swept.shape == (3, 4, 5)
    for value, part in zip(values, swept, strict=True):
        wanted = z.clone()
        wanted[:, 2] = value
        assert torch.allclose(part, wanted, atol=1e-6)
    turned = sweep(z, torch.tensor([3.0, 4.0, 0, 0, 0]), values)
    assert torch.allclose(turned @ torch.tensor([0.6, 0.8, 0, 0, 0]), values[:, None].expand(3, 4), atol=1e-5)
    assert torch.allclose(turned[..., 2:], z[:, 2:].expand(3, 4, 3))
    with pytest.raises(ValueError, match="direction must not be 0"):
        sweep(z, torch.zeros(5), values)


def test_regression_finds_slopes_and_what_cannot_be_read():
    z, A = codes(400, 4), torch.randn(2, 4, generator=RNG)
    values = torch.cat([z @ A.T + 3, torch.randn(400, 1, generator=RNG)], 1)
    slopes, r2 = regress(z, values)
    assert torch.allclose(slopes[:2], A, atol=1e-4)
    assert r2[:2].min() > 0.999
    assert r2[2] < 0.05
    for bad in (z[:4], z[:300]):
        with pytest.raises(ValueError, match=r"z and values must be \(N, N_z\)"):
            regress(bad, values[:4])


def test_a_move_changes_what_is_asked_and_holds_the_rest():
    A = torch.randn(3, 6, generator=RNG)
    asked = torch.tensor([0.5, 0.0, 0.0])
    held = move(A, asked)
    assert torch.allclose(A @ held, asked, atol=1e-5)
    alone = move(A[:1], asked[:1])
    assert torch.allclose(alone, 0.5 * A[0] / A[0].square().sum(), atol=1e-6)
    assert alone.norm() <= held.norm()  # the others cost length


def test_disentanglement_of_known_importances():
    assert disentanglement(torch.eye(4)) == pytest.approx((1, 1))
    assert disentanglement(torch.ones(5, 3)) == pytest.approx((0, 0), abs=1e-6)
    # two dimensions for one attribute: each is about one thing, but the attribute is not complete
    doubled = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 0]])
    score = disentanglement(doubled)
    assert score.disentanglement == pytest.approx(1)
    assert score.completeness == pytest.approx((1 - math.log(2) / math.log(4) + 1) / 2)
    assert disentanglement(torch.zeros(3, 2)) == pytest.approx((0, 0))


def test_a_turn_of_the_codes_lowers_the_score():
    z = codes(500, 6)
    values = z[:, :3] * torch.tensor([1.0, 5.0, 0.2]) + 0.05 * torch.randn(500, 3, generator=RNG)
    turn = torch.from_numpy(special_ortho_group(6, seed=np.random.default_rng(0)).rvs()).float()
    straight, turned = (disentanglement(importances(codes, values)) for codes in (z, z @ turn))
    assert straight.disentanglement > 0.9
    assert straight.completeness > 0.9
    assert turned.disentanglement < 0.5
