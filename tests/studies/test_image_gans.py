"""Games whose players move one after the other: who moves, against whom, by what loss."""

import pytest
import torch
from torch import nn

from began.config import TrainConfig
from began.losses import reconstruction_loss
from began.step import Update
from studies.image_gans import ALI, EBGAN, WGANGP, AlternatingBEGAN, Turns

GAMES = [AlternatingBEGAN, EBGAN, WGANGP]


def config(**changes) -> TrainConfig:
    small = {"size": 16, "n": 4, "n_z": 8, "batch": 6, "gamma": 0.7, "lambda_k": 0.1, "k_0": 0.3, "lr": 1e-2}
    return TrainConfig(**{**small, **changes})


def batch(seed: int = 2, count: int = 6) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def copies(parameters) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def moved(parameters, before) -> list[bool]:
    return [not torch.equal(now, old) for now, old in zip(parameters, before, strict=True)]


def energies(game: Turns, v: torch.Tensor) -> torch.Tensor:
    return reconstruction_loss(v, game.model.discriminator(v))


@pytest.mark.parametrize("kind", GAMES)
def test_each_player_moves_alone(kind: type[Turns]):
    game = kind(config())
    G, D = copies(game.theta_G), copies(game.theta_D)
    game.move_critic(batch())
    assert not any(moved(game.theta_G, G))
    weights = [parameter.dim() > 1 for parameter in game.theta_D]
    assert all(m for m, weight in zip(moved(game.theta_D, D), weights, strict=True) if weight)
    D = copies(game.theta_D)
    game.move_generator(6)
    assert all(moved(game.theta_G, G))
    assert not any(moved(game.theta_D, D))


@pytest.mark.parametrize("kind", GAMES)
def test_the_networks_start_where_those_of_began_start(kind: type[Turns]):
    model = Update(config(seed=3), torch.device("cpu")).model
    game = kind(config(seed=3))
    for ours, theirs in zip(game.model.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(game.model.noise(4, game.rng), model.noise(4, Update(config(seed=3), torch.device("cpu")).rng))


@pytest.mark.parametrize("kind", GAMES)
def test_the_same_seed_gives_the_same_run_and_the_record_holds_every_step(kind: type[Turns]):
    one, two, other = kind(config()), kind(config()), kind(config(seed=1))
    for step in range(3):
        for game in (one, two, other):
            game(batch(step))
    assert torch.equal(torch.stack(one.rows), torch.stack(two.rows))
    assert not torch.equal(torch.stack(one.rows), torch.stack(other.rows))
    assert one.take_rows().shape == (3, 5)
    one(batch())
    assert one.take_rows().shape == (1, 5)


@pytest.mark.parametrize("generator_first", [0, 1])
def test_the_second_to_move_meets_the_new_weights_of_the_first(generator_first: int):
    """Written out once more: two optimizers, two losses, in order."""
    game, twin = AlternatingBEGAN(config(), generator_first=generator_first), AlternatingBEGAN(config())
    G, D, x = twin.model.generator, twin.model.discriminator, batch()
    adams = {net: torch.optim.Adam(net.parameters(), lr=1e-2, betas=(0.5, 0.999)) for net in (G, D)}
    found = {}

    def move(net: nn.Module) -> None:
        v = G(twin.model.noise(6, twin.rng))
        if net is D:
            found["real"] = energies(twin, x).mean()
            loss = found["real"] - 0.3 * energies(twin, v.detach()).mean()
        else:
            found["fake"] = loss = energies(twin, v).mean()
        adams[net].zero_grad()
        loss.backward(inputs=list(net.parameters()))
        adams[net].step()

    for net in (G, D) if generator_first else (D, G):
        move(net)
    game(x)
    for ours, theirs in zip(game.model.parameters(), twin.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    ((loss_real, loss_fake, _, k, M),) = game.take_rows().tolist()
    real, fake = found["real"].item(), found["fake"].item()
    assert (loss_real, loss_fake) == pytest.approx((real, fake), rel=1e-4)
    assert k == pytest.approx(0.3 + 0.1 * (0.7 * real - fake), rel=1e-4)
    assert pytest.approx(real + abs(0.7 * real - fake), rel=1e-4) == M


def test_the_margin_of_ebgan_lets_go_of_each_image_beyond_it():
    x, v = batch(), batch(3)
    game = EBGAN(config(), margin=0.0)
    energy = energies(game, v).detach()
    middle = energy.sort().values[2:4].mean().item()
    game.knob["margin"] = middle
    loss, real, fake = game.critic_loss(x, v)
    expected = sum(max(0.0, middle - e) for e in energy.tolist()) / 6
    assert (loss - real).item() == pytest.approx(expected, rel=1e-4)
    assert expected > 0
    assert fake.item() == pytest.approx(energy.mean().item(), rel=1e-5), "the record holds the energy itself"


def test_the_pull_of_ebgan_is_the_mean_squared_cosine_between_codes():
    game, v = EBGAN(config(), pull=0.5), batch()
    codes = game.model.discriminator.encode(v)
    cosines = [
        torch.cosine_similarity(a, b, 0) ** 2 for i, a in enumerate(codes) for j, b in enumerate(codes) if i != j
    ]
    expected = energies(game, v).mean() + 0.5 * sum(cosines) / 30
    torch.testing.assert_close(game.generator_loss(v), expected)
    game.knob["pull"] = 0.0
    torch.testing.assert_close(game.generator_loss(v), energies(game, v).mean())


class Line(nn.Module):
    """f(v) = slope * the sum of v: a critic whose gradient has the norm slope sqrt(768) everywhere."""

    def __init__(self, slope: float):
        super().__init__()
        self.slope = slope

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        return self.slope * v.flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_the_penalty_of_wgan_gp_on_a_critic_with_a_known_slope(norm: float):
    game, x, v = WGANGP(config(), penalty=7.0), batch(), batch(3)
    game.critic = Line(norm / 768**0.5)
    loss, real, fake = game.critic_loss(x, v)
    f = {name: norm / 768**0.5 * images.flatten(1).sum(1).mean().item() for name, images in (("x", x), ("v", v))}
    assert (real.item(), fake.item()) == pytest.approx((-f["x"], -f["v"]), rel=1e-3, abs=1e-5)
    assert loss.item() == pytest.approx(f["v"] - f["x"] + 7 * (norm - 1) ** 2, rel=1e-3, abs=1e-4)
    assert game.generator_loss(v).item() == pytest.approx(-f["v"], rel=1e-3, abs=1e-5)


def test_the_gradient_through_the_penalty_agrees_with_finite_differences():
    """ELU works in place here, and the penalty goes back through it twice."""
    game, x, v = WGANGP(config(), penalty=10.0), batch().double(), batch(3).double()
    game.critic.double()

    def loss() -> torch.Tensor:
        game.rng.manual_seed(1)
        return game.critic_loss(x, v)[0]

    gradients = torch.autograd.grad(loss(), game.theta_D)
    for parameter, gradient in zip(game.theta_D, gradients, strict=True):
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        start, values = parameter.detach().clone(), []
        for move in (1e-6, -1e-6):
            parameter.data = start + move * direction
            values.append(loss().item())
        parameter.data = start
        slope = (values[0] - values[1]) / 2e-6
        assert (gradient * direction).sum().item() == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_wgan_gp_moves_g_once_in_so_many_steps_and_its_critic_is_the_encoder():
    game = WGANGP(config(), critic_steps=3)
    assert sum(p.numel() for p in game.critic.parameters()) < sum(p.numel() for p in game.model.parameters())
    assert game.critic(batch()).shape == (6, 1)
    turns = []
    for step in range(6):
        G = copies(game.theta_G)
        game(batch(step))
        turns.append(any(moved(game.theta_G, G)))
    assert turns == [False, False, True] * 2


@pytest.mark.cuda
@pytest.mark.parametrize("kind", GAMES)
def test_games_play_on_cuda(kind: type[Turns]):
    game = kind(config(), "cuda")
    for step in range(5):
        game(batch(step).cuda())
    assert game.take_rows().isfinite().all()
    assert {parameter.device.type for parameter in (*game.theta_D, *game.theta_G)} == {"cuda"}


@pytest.mark.parametrize("kind", GAMES)
def test_an_unknown_knob_is_named(kind: type[Turns]):
    with pytest.raises(ValueError, match=rf"{kind.__name__} has no temperature; it has "):
        kind(config(), temperature=2.0)


@pytest.mark.parametrize("tanh", [0, 1])
def test_ali_plays_its_two_losses_and_moves_g_with_enc(tanh: int):
    game, x = ALI(config(lr=1e-12), tanh=tanh), batch()
    rng = torch.Generator()
    rng.set_state(game.rng.get_state())
    z = game.model.noise(6, rng)
    v, h = game.model.generator(z), game.model.discriminator.encode(x)
    assert (game.model.discriminator.encode(100 * x).abs().max() <= 1) == bool(tanh)
    real, fake = torch.sigmoid(game.critic(x, h)), torch.sigmoid(game.critic(v, z))
    wanted = (-real.log().mean(), -(1 - fake).log().mean())
    record = game.move(x)
    torch.testing.assert_close((record.loss_real, record.loss_fake), wanted)

    # with steps too small to matter, the gradients left are those of the two losses as they are written
    theta_D = torch.autograd.grad(sum(wanted), game.theta_D, retain_graph=True)
    theta_G = torch.autograd.grad(-(1 - real).log().mean() - fake.log().mean(), game.theta_G)
    for player, gradients in ((game.theta_D, theta_D), (game.theta_G, theta_G)):
        for parameter, gradient in zip(player, gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)
