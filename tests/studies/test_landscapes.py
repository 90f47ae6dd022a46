"""What G's samples feel: arrows, landscapes, and a held G."""

import pytest
import torch
from torch.testing import assert_close

from studies import landscapes
from studies.toy.ensemble import Ensemble
from studies.toy.methods import METHODS
from studies.toy.mixtures import ring

CIRCLE = ring()
LOCAL = [name for name, method in METHODS.items() if method in landscapes.LOSSES]


def trained(name: str, steps: int = 3) -> Ensemble:
    run = Ensemble(METHODS[name], CIRCLE, [{"width": 16, "batch": 8}] * 2, [0, 1], 100)
    run.run(steps)
    return run


def test_a_bunch_lies_where_it_is_put():
    run = trained("gan")
    landscapes.place(run, (0.5, -1.0), 0.05)
    v = run.samples() / CIRCLE.scale
    assert_close(v.mean(1), torch.tensor([0.5, -1.0]).expand(2, 2), atol=0.01, rtol=0)
    assert_close(v.std(1), torch.full((2, 2), 0.05), atol=0.005, rtol=0)


@pytest.mark.parametrize("name", ["gan", "veegan", "began_cs"])
def test_a_held_generator_stays_while_the_rest_moves_and_goes_on_afterwards(name: str):
    run = trained(name)
    before = {key: [part.detach().clone() for part in theta] for key, theta in run.method.theta.items()}
    landscapes.train_critic(run, 2)
    for key, theta in run.method.theta.items():
        same = all(torch.equal(*pair) for pair in zip(theta, before[key], strict=True))
        assert same == (key == "G"), key
    run.run(1)
    assert not torch.equal(run.method.theta["G"][0], before["G"][0])


def test_a_generator_is_held_on_the_cpu_only():
    run = trained("gan")
    run.graphed = object()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match="CPU"):
        landscapes.train_critic(run, 1)


@pytest.mark.parametrize(
    "name", sorted(METHODS.keys() - {"historical_averaging"})
)  # whose loss has another term in theta_G
def test_arrows_carried_through_the_generator_are_its_gradient(name: str):
    run = trained(name)
    batch, theta = landscapes.draw(run, 8), run.method.theta["G"]
    v = run.method.net("G", batch.z)
    expected = torch.autograd.grad(run.method.generator_loss(batch, v).sum(), theta, retain_graph=True)
    carried = torch.autograd.grad(v, theta, -landscapes.pull(run.method, batch, v) / 8)
    assert_close(carried, expected, rtol=1e-4, atol=1e-6)


def test_historical_averaging_has_the_arrows_of_gan():
    run, plain = trained("historical_averaging"), trained("gan")
    run.method.theta["D"] = plain.method.theta["D"]
    batch, v = landscapes.draw(run, 8), torch.rand(2, 8, 2)
    assert_close(landscapes.pull(run.method, batch, v), landscapes.pull(plain.method, batch, v))


@pytest.mark.parametrize("name", LOCAL)
def test_losses_of_the_critics_output_are_those_of_the_methods(name: str):
    run = trained(name)
    batch = landscapes.draw(run, 8)
    v = run.method.net("G", batch.z).detach()
    expected = run.method.generator_loss(batch, v).detach()
    if name == "historical_averaging":
        expected = expected - run.method.knob.history.flatten() * run.method.distance("G").detach()  # pyright: ignore
    assert_close(landscapes.landscape(run.method, batch, v, v).mean(1), expected)


@pytest.mark.parametrize(
    "name", ["wgan", "began_cs", "feature_matching", "minibatch_discrimination", "ragan", "veegan"]
)
def test_landscapes_are_the_loss_with_the_first_sample_moved(name: str):
    run = trained(name)
    batch, points = landscapes.draw(run, 8), torch.rand(2, 3, 2)
    v = run.method.net("G", batch.z).detach()
    heights = landscapes.landscape(run.method, batch, v, points)
    expected = []
    for i in range(3):
        moved = v.clone()
        moved[:, 0] = points[:, i]
        expected.append(8 * run.method.generator_loss(batch, moved).detach())
    assert_close(heights[:, 1:] - heights[:, :1], torch.stack(expected[1:], 1) - expected[0][:, None])


def test_critics_answer_with_one_number_a_point():
    points = torch.rand(2, 5, 2)
    for name in METHODS.keys() - {"minibatch_discrimination"}:
        assert landscapes.critic(trained(name).method, points).shape == (2, 5), name
    with pytest.raises(ValueError, match="minibatch"):
        landscapes.critic(trained("minibatch_discrimination").method, points)


def test_spreading_and_unison_of_known_arrows():
    v = torch.tensor([[[-1.0, 0.0], [1.0, 0.0]]]) + 3
    away = v - v.mean(1, keepdim=True)
    for arrows, spread, together in ((away, 1, 0), (-2 * away, -1, 0), (torch.ones_like(v), 0, 1)):
        assert_close(landscapes.spreading(v, arrows), torch.tensor([float(spread)]))
        assert_close(landscapes.unison(arrows), torch.tensor([float(together)]))


def test_views_put_x_along_columns_and_y_along_rows():
    run = trained("wgan_gp")
    with torch.no_grad():  # f(v) = x everywhere
        for part in run.method.theta["D"]:
            part.zero_()
        first, _, second, _, last, _ = run.method.theta["D"]
        first[:, 0, 0] = second[:, 0, 0] = last[:, 0, 0] = 1
    view = landscapes.views(run, middle=(3, 0), reach=1, size=3)[0]
    assert_close(view.surface, torch.tensor([[-2.0, -3.0, -4.0]] * 3))
