"""Each method's losses and gradients against its paper's equations, written out for one run with torch's own parts."""

import copy
import math
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity, logsigmoid

from studies.toy.ensemble import Batch, Ensemble, Method
from studies.toy.methods import METHODS
from studies.toy.mixtures import grid
from studies.toy.perceptrons import Adam

RUNS = range(3)
B = 6
EPS = 1e-13  # for Adam: ours has it within the root, torch's beside it, and at the usual 1e-8 that shows
SHAPE = {"width": 5, "batch": B, "n_z": 3, "code": 3, "memory": 3, "kernels": 4, "dimensions": 2}
VALUES = {  # far enough apart and large enough that each term shows in the loss
    "lr_g": (0.01, 0.03, 0.1),
    "lr_d": (0.03, 0.1, 0.01),
    "beta_1": (0.0, 0.5, 0.9),
    "target": (0.7, 0.8, 0.9),
    "history": (1.0, 10.0, 30.0),
    "clip": (0.05, 0.2, 0.5),
    "penalty": (0.1, 1.0, 10.0),
    "margin": (0.1, 0.5, 2.0),
    "pull": (0.1, 1.0, 3.0),
    "reconstruction": (0.3, 1.0, 3.0),
    "gamma": (0.5, 1.0, 2.5),
    "lambda_k": (0.1, 0.02, 0.3),
    "k_0": (0.0, 0.3, 0.9),
    "alpha": (0.1, 0.5, 2.0),
}


@pytest.fixture(autouse=True)
def _float64(monkeypatch):
    monkeypatch.setattr(Adam, "EPS", EPS)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def build(name: str, seeds: tuple[int, ...] = (0, 1, 2), **changes: float | tuple[float, ...]) -> Method:
    """Return three runs that differ in each knob of VALUES which the method has."""
    knobs = METHODS[name].all_knobs()
    values = {**{key: (value,) * 3 for key, value in SHAPE.items()}, **VALUES}
    values |= {key: value if isinstance(value, tuple) else (value,) * 3 for key, value in changes.items()}
    settings = [{key: value[e] for key, value in values.items() if key in knobs} for e in RUNS]
    return METHODS[name](settings, seeds, "cpu")


def drawn(method: Method, seed: int) -> Batch:
    """Return the batches of a step, x off the mixture so that no method has learnt it."""
    rng = torch.Generator().manual_seed(seed)
    shape = (method.batches, 3, B)
    z = 2 * torch.rand(*shape, method.knob.n_z, generator=rng) - 1
    return Batch(torch.randn(*shape, 2, generator=rng), z, torch.rand(*shape, 1, generator=rng))


def one(batches: Batch, i: int = 0) -> Batch:
    return Batch(*(part[i] for part in batches))


def weights(method: Method) -> dict[str, list[Tensor]]:
    return {name: [part.detach().clone() for part in theta] for name, theta in method.theta.items()}


def trained(name: str, steps: int = 3, **changes: float | tuple[float, ...]) -> tuple[Method, list]:
    """Return a method after some steps, and the weights at their start and after each."""
    method = build(name, **changes)
    past = [weights(method)]
    for step in range(steps):
        method.step(drawn(method, step))
        past.append(weights(method))
    return method, past


def sequential(theta: list[Tensor], e: int) -> nn.Sequential:
    """Return the network of one run."""
    layers: list[nn.Module] = []
    for weight, bias in zip(theta[::2], theta[1::2], strict=True):
        linear = nn.Linear(*weight.shape[1:])
        linear.load_state_dict({"weight": weight[e].T, "bias": bias[e, 0]})
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def networks(method: Method, e: int) -> SimpleNamespace:
    return SimpleNamespace(**{name: sequential(theta, e) for name, theta in weights(method).items()})


def assert_same(ours: list[Tensor], network: nn.Module, values: list[Tensor], e: int, **tolerance: float) -> None:
    """Compare tensors like theta with those like a module's parameters: there a weight is `(outputs, inputs)`."""
    assert len(ours) == len(values) == len(list(network.parameters()))
    for a, b in zip(ours, values, strict=True):
        torch.testing.assert_close(a[e].squeeze(0) if b.dim() == 1 else a[e], b.T if b.dim() == 2 else b, **tolerance)


# The equations. n: networks; x, z, u, v: one run's batch and G(z); c: its knobs, and what the run remembers.


def bce(logits: Tensor, target: float) -> Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def gan(n, x, z, u, v, c):
    return bce(n.D(x), 1) + bce(n.D(v), 0)


def non_saturating(n, x, z, u, v, c):
    return bce(n.D(v), 1)


def minimax(n, x, z, u, v, c):
    return torch.log(1 - n.D(v).sigmoid()).mean()


def smoothed(n, x, z, u, v, c):
    return bce(n.D(x), c.target) + bce(n.D(v), 0)


def feature_matching(n, x, z, u, v, c):
    f = n.D[:-1]
    return (f(x).mean(0) - f(v).mean(0)).square().sum()


def with_neighbours(n, v, c):
    """Return the logits of minibatch discrimination: sample by sample, kernel by kernel."""
    f, T = n.D[:-1](v), n.D[-1].weight.T
    M = [(row @ T).view(c.kernels, c.dimensions) for row in f]
    logits = []
    for i in range(len(v)):
        o = [sum(torch.exp(-(M[i][b] - M[j][b]).abs().sum()) for j in range(len(v))) for b in range(c.kernels)]
        logits.append(n.Head(torch.cat([f[i], torch.stack(o)])))
    return torch.stack(logits)


def neighbours_critic(n, x, z, u, v, c):
    return bce(with_neighbours(n, x, c), 1) + bce(with_neighbours(n, v, c), 0)


def neighbours_generator(n, x, z, u, v, c):
    return bce(with_neighbours(n, v, c), 1)


def from_past(network, name, c):
    """Return |theta - mean of past theta|^2, the weights at the start among the past."""
    squares = []
    for i, parameter in enumerate(network.parameters()):
        mean = sum(then[name][i][c.e] for then in c.past) / len(c.past)
        squares.append((parameter - mean.T.view_as(parameter)).square().sum())
    return sum(squares)


def historical_critic(n, x, z, u, v, c):
    return gan(n, x, z, u, v, c) + c.history * from_past(n.D, "D", c)


def historical_generator(n, x, z, u, v, c):
    return non_saturating(n, x, z, u, v, c) + c.history * from_past(n.G, "G", c)


def replay_critic(n, x, z, u, v, c):
    return bce(n.D(x), 1) + bce(n.D(c.shown), 0)  # a test of its own looks at what was shown


def lsgan_critic(n, x, z, u, v, c):
    return 0.5 * ((n.D(x) - 1) ** 2).mean() + 0.5 * (n.D(v) ** 2).mean()


def lsgan_generator(n, x, z, u, v, c):
    return 0.5 * ((n.D(v) - 1) ** 2).mean()


def wgan_critic(n, x, z, u, v, c):
    return n.D(v).mean() - n.D(x).mean()


def wgan_generator(n, x, z, u, v, c):
    return -n.D(v).mean()


def penalised(n, x, z, u, v, c):
    slope = vmap(grad(lambda point: n.D(point).squeeze()))((1 - u) * x + u * v)
    return wgan_critic(n, x, z, u, v, c) + c.penalty * ((slope.norm(dim=1) - 1) ** 2).mean()


def relativistic_critic(n, x, z, u, v, c):
    return -logsigmoid(n.D(x) - n.D(v)).mean()


def relativistic_generator(n, x, z, u, v, c):
    return -logsigmoid(n.D(v) - n.D(x)).mean()


def average_critic(n, x, z, u, v, c):
    return bce(n.D(x) - n.D(v).mean(), 1) + bce(n.D(v) - n.D(x).mean(), 0)


def average_generator(n, x, z, u, v, c):
    return bce(n.D(v) - n.D(x).mean(), 1) + bce(n.D(x) - n.D(v).mean(), 0)


def unrolled(n, x, z, u, v, c):
    """Five steps of Adam written out, from the state that D's optimizer is in."""
    theta = dict(n.D.named_parameters())
    first, second = (
        {name: moment[c.e].T.view_as(theta[name]) for name, moment in zip(theta, moments, strict=True)}
        for moments in (c.moments.first, c.moments.second)
    )

    def logits(points):
        return functional_call(n.D, theta, points)

    done = int(c.moments.steps)
    for t in range(done + 1, done + 6):
        gradients = torch.autograd.grad(bce(logits(x), 1) + bce(logits(v), 0), theta.values(), create_graph=True)
        for name, g in zip(theta, gradients, strict=True):
            first[name] = c.beta_1 * first[name] + (1 - c.beta_1) * g
            second[name] = 0.999 * second[name] + 0.001 * g**2
            m, s = first[name] / (1 - c.beta_1**t), second[name] / (1 - 0.999**t)
            theta = {**theta, name: theta[name] - c.lr_d * m / (s + EPS**2).sqrt()}
    return bce(logits(v), 1)


def energy(n, v):
    return (v - n.Dec(n.Enc(v))).norm(dim=1) / math.sqrt(2)


def ebgan_critic(n, x, z, u, v, c):
    return energy(n, x).mean() + torch.clamp(c.margin - energy(n, v), min=0).mean()


def ebgan_generator(n, x, z, u, v, c):
    return energy(n, v).mean()


def pulling_away(n, x, z, u, v, c):
    h = n.Enc(v)
    terms = [cosine_similarity(h[i], h[j], 0) ** 2 for i in range(B) for j in range(B) if i != j]
    return ebgan_generator(n, x, z, u, v, c) + c.pull * sum(terms) / (B * (B - 1))


def pairs(n, x, z, v):
    return n.D(torch.cat([x, n.F(x)], 1)), n.D(torch.cat([v, z], 1))


def ali_critic(n, x, z, u, v, c):
    inferred, generated = pairs(n, x, z, v)
    return bce(inferred, 1) + bce(generated, 0)


def ali_generator(n, x, z, u, v, c):
    inferred, generated = pairs(n, x, z, v)
    return bce(inferred, 0) + bce(generated, 1)


def veegan_generator(n, x, z, u, v, c):
    ratio = -n.D(torch.cat([v, z], 1))  # the paper's D is the log-ratio of generated to inferred
    return ratio.mean() + c.reconstruction * (z - n.F(v)).square().sum(1).mean()


EQUATIONS = {
    "gan": (gan, non_saturating),
    "gan_minimax": (gan, minimax),
    "label_smoothing": (smoothed, non_saturating),
    "feature_matching": (gan, feature_matching),
    "minibatch_discrimination": (neighbours_critic, neighbours_generator),
    "historical_averaging": (historical_critic, historical_generator),
    "experience_replay": (replay_critic, non_saturating),
    "lsgan": (lsgan_critic, lsgan_generator),
    "wgan": (wgan_critic, wgan_generator),
    "wgan_gp": (penalised, wgan_generator),
    "rgan": (relativistic_critic, relativistic_generator),
    "ragan": (average_critic, average_generator),
    "unrolled_gan": (gan, unrolled),
    "ebgan": (ebgan_critic, ebgan_generator),
    "ebgan_pt": (ebgan_critic, pulling_away),
    "ali": (ali_critic, ali_generator),
    "veegan": (ali_critic, veegan_generator),
}
AT_ONCE = ("began", "began_cs")  # their step is one pass, and below their equations are a whole step


def test_all_rows_of_the_comparison_are_there_and_tested():
    """SPEC 6: 17 rows, GAN in two forms and EBGAN in two."""
    rows = "gan label_smoothing feature_matching minibatch_discrimination historical_averaging experience_replay lsgan "
    rows += "wgan wgan_gp rgan ragan unrolled_gan ebgan ali veegan began began_cs"
    assert len(rows.split()) == 17
    assert METHODS.keys() == {*rows.split(), "gan_minimax", "ebgan_pt"}
    assert METHODS.keys() == {*EQUATIONS, *AT_ONCE}
    assert len({method.title for method in METHODS.values()}) == len(METHODS)


def memory(method: Method, past: list, e: int) -> SimpleNamespace:
    """Return the knobs of one run as numbers, and what it remembers."""
    knobs = {key: v[e].item() if isinstance(v, Tensor) else v for key, v in vars(method.knob).items()}
    return SimpleNamespace(**knobs, e=e, past=past)


def watched(method: Method, name: str) -> list[Tensor]:
    """Return the list that a network's inputs will be added to."""
    seen, net = [], method.net

    def watching(called: str, v: Tensor) -> Tensor:
        if called == name:
            seen.append(v.detach().clone())
        return net(called, v)

    method.net = watching
    return seen


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_critics_loss_and_its_gradient_are_those_of_the_paper(name):
    method, past = trained(name)
    batch = one(drawn(method, 9))
    shown = watched(method, "D")
    v = method.net("G", batch.z).detach()
    loss = method.critic_loss(batch, v)
    gradients = torch.autograd.grad(loss.sum(), method.weights(method.critic))
    assert loss.shape == (3,)
    for e in RUNS:
        n, c = networks(method, e), memory(method, past, e)
        c.shown = shown[-1][e] if shown else None
        expected = EQUATIONS[name][0](n, *(part[e] for part in batch), v[e], c)
        torch.testing.assert_close(loss[e], expected)
        compare(method, method.critic, gradients, n, expected, e)


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_generators_loss_and_its_gradient_are_those_of_the_paper(name):
    method, past = trained(name)
    batch = one(drawn(method, 9))
    loss = method.generator_loss(batch, method.net("G", batch.z))
    gradients = torch.autograd.grad(loss.sum(), method.weights(method.generator))
    assert loss.shape == (3,)
    for e in RUNS:
        n, c = networks(method, e), memory(method, past, e)
        c.moments = method.adam[method.critic[0]].moments
        expected = EQUATIONS[name][1](n, *(part[e] for part in batch), n.G(batch.z[e]), c)
        torch.testing.assert_close(loss[e], expected)
        compare(method, method.generator, gradients, n, expected, e)


def compare(method: Method, players: tuple[str, ...], gradients, n: SimpleNamespace, loss: Tensor, e: int) -> None:
    """Compare gradients of `method.weights(players)` with those of one run's loss, which must reach each network."""
    rest = list(gradients)
    for player in players:
        network = getattr(n, player)
        expected = torch.autograd.grad(
            loss, list(network.parameters()), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        ours, rest = rest[: len(expected)], rest[len(expected) :]
        assert_same(ours, network, list(expected), e, rtol=1e-6, atol=1e-9)
        assert any(part.abs().max() > 1e-6 for part in expected)
    assert not rest


@pytest.mark.parametrize("name", METHODS)
def test_a_step_moves_each_network_in_its_players_turn_alone(name):
    method = build(name)
    turns, move = [], method.move

    def noting(players, gradients):
        before = weights(method)
        move(players, gradients)
        moved = {
            network: torch.stack([(a - b).flatten(1).abs().amax(1) > 0 for a, b in zip(theta, old, strict=True)]).any(0)
            for (network, theta), old in zip(method.theta.items(), before.values(), strict=True)
        }
        assert all(runs.all() or not runs.any() for runs in moved.values())
        turns.append((players, {network for network, runs in moved.items() if runs.all()}))

    method.move = noting
    method.step(drawn(method, 0))
    assert all(set(players) == moved for players, moved in turns)
    expected = [method.critic] * method.batches + [method.generator]
    assert sorted(players for players, _ in turns) == sorted(expected)
    if name not in AT_ONCE:
        assert turns[-1][0] == method.generator
    assert {*method.critic, *method.generator} == method.networks.keys()
    assert not {*method.critic} & {*method.generator}


@pytest.mark.parametrize("name", METHODS)
def test_runs_train_without_blowing_up_and_all_their_networks_move(name):
    run = Ensemble(METHODS[name], grid(), [{"width": 16}, {"width": 16, "lr_g": 3e-3}], [0, 1], 10)
    before = weights(run.method)
    run.run(10)
    for network, theta in weights(run.method).items():
        for part, old in zip(theta[::2], before[network][::2], strict=True):
            assert part.isfinite().all()
            assert ((part - old).flatten(1).abs().amax(1) > 1e-3).all()
    assert run.samples(100).isfinite().all()


def test_clipping_bounds_the_critics_weights_and_biases_and_leaves_g():
    method, _ = trained("wgan")
    for e, bound in enumerate(VALUES["clip"]):
        largest = [part[e].abs().max().item() for part in method.theta["D"]]
        assert max(largest) == pytest.approx(bound)
        assert all(value <= bound * (1 + 1e-9) for value in largest)
        assert max(part[e].abs().max().item() for part in method.theta["G"]) > bound
    method, _ = trained("wgan_gp")
    assert "clip" not in method.all_knobs()
    assert max(part.abs().max() for part in method.theta["D"]) > 1


def test_half_of_what_the_critic_sees_in_replay_an_earlier_step_made():
    """Whole rows of this step's v, and whole halves of one earlier step's, not all the last one's."""
    method = build("experience_replay", seeds=(0, 0, 0), lr_g=0.1)
    shown = watched(method, "D")
    made: list[Tensor] = []
    ages = []
    for step in range(12):
        batches = drawn(method, step)
        v = method.net("G", batches.z[0]).detach()
        shown.clear()
        method.step(batches)
        _, fake, _ = shown  # x, what stands for G's samples, and v for G's own loss
        for e in RUNS:
            fresh = [row for row in fake[e] if (row == v[e]).all(1).any()]
            old = [row for row in fake[e] if not (row == v[e]).all(1).any()]
            if step == 0:
                continue  # nothing to replay yet
            assert (len(fresh), len(old)) == (B // 2, B // 2)
            assert torch.stack(fresh).unique(dim=0).shape[0] == B // 2
            (age,) = [step - t for t, then in enumerate(made) if all((row == then[e]).all(1).any() for row in old)]
            ages.append(age)
        made.append(v)
    assert set(ages) == set(range(1, SHAPE["memory"] + 1)), "each of the kept halves is drawn, and none older"


def adam(parameters: Iterable[nn.Parameter], lr: float, beta_1: float) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr, (beta_1, 0.999), EPS)


def looking_ahead(method: Method, e: int, batch: Batch) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Return G, D, and D after five more steps of torch's own Adam on this batch, for one run."""
    n = networks(method, e)
    D, moments = copy.deepcopy(n.D), method.adam["D"].moments
    knob = method.knob
    optimizer = adam(D.parameters(), knob.lr_d[e].item(), knob.beta_1[e].item())
    for parameter, m, s in zip(D.parameters(), moments.first, moments.second, strict=True):
        state = {"exp_avg": m[e].T.reshape(parameter.shape).clone(), "exp_avg_sq": s[e].T.reshape(parameter.shape)}
        optimizer.state[parameter] = {"step": moments.steps.clone(), **{k: t.clone() for k, t in state.items()}}
    v = n.G(batch.z[e]).detach()
    for _ in range(5):
        optimizer.zero_grad()
        (bce(D(batch.x[e]), 1) + bce(D(v), 0)).backward()
        optimizer.step()
    return n.G, n.D, D


def test_unrolled_g_learns_how_d_will_answer():
    """Its gradient is the slope of the loss at the end of a literal look-ahead, and not the first-order one."""
    method, _ = trained("unrolled_gan", lr_d=0.01)
    batch = one(drawn(method, 9))
    before = weights(method)
    moments = [part.clone() for part in (*method.adam["D"].moments.first, *method.adam["D"].moments.second)]
    loss = method.generator_loss(batch, method.net("G", batch.z))
    gradients = torch.autograd.grad(loss.sum(), method.theta["G"])
    for e in RUNS:
        G, _, D = looking_ahead(method, e, batch)
        value = bce(D(G(batch.z[e])), 1)
        torch.testing.assert_close(loss[e], value, rtol=1e-5, atol=0)
        first_order = [part if part.dim() == 1 else part.T for part in torch.autograd.grad(value, G.parameters())]
        ours = [part[e].squeeze(0) if part.shape[1] == 1 else part[e] for part in gradients]
        difference = torch.cat([(a - b).flatten() for a, b in zip(ours, first_order, strict=True)])
        assert difference.norm() > 0.02 * torch.cat([part.flatten() for part in ours]).norm()

    direction = [torch.randn(part.shape, generator=torch.Generator().manual_seed(3)) for part in method.theta["G"]]
    ends, h = [], 1e-6
    for sign in (1, -1):
        with torch.no_grad():
            for part, start, way in zip(method.theta["G"], before["G"], direction, strict=True):
                part.copy_(start + sign * h * way)
        values = []
        for e in RUNS:
            G, _, D = looking_ahead(method, e, batch)
            values.append(bce(D(G(batch.z[e])), 1).detach())
        ends.append(torch.stack(values))
    slope = torch.stack([(g * way).flatten(1).sum(1) for g, way in zip(gradients, direction, strict=True)]).sum(0)
    torch.testing.assert_close(slope, (ends[0] - ends[1]) / (2 * h), rtol=1e-3, atol=1e-6)

    now = weights(method)["D"]
    assert all(torch.equal(a, b) for a, b in zip(now, before["D"], strict=True)), "looking ahead leaves D where it is"
    after = (*method.adam["D"].moments.first, *method.adam["D"].moments.second)
    assert all(torch.equal(a, b) for a, b in zip(after, moments, strict=True))


def test_looking_ahead_takes_the_steps_that_d_would_take_at_its_full_rate():
    method, _ = trained("unrolled_gan")
    method.share = torch.tensor([1.0, 0.3, 0.05])[:, None, None]
    batch = one(drawn(method, 9))
    loss = method.generator_loss(batch, method.net("G", batch.z)).detach()
    v = method.net("G", batch.z).detach()
    method.share = 1.0
    for _ in range(5):
        method.descend(("D",), method.critic_loss(batch, v))
    expected = torch.stack([bce(networks(method, e).D(v[e]), 1) for e in RUNS])
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=0)


def test_the_margin_lets_samples_of_high_energy_be():
    method, _ = trained("ebgan")
    batch = one(drawn(method, 9))
    v = method.net("G", batch.z).detach()
    fake = method.energy(v)
    middle = fake[1].median().item()
    method.knob.margin = torch.tensor([1e-6, middle, 1e6])[:, None, None]
    loss = method.critic_loss(batch, v) - method.energy(batch.x).mean(1)
    below = sum(middle - energy for energy in fake[1].tolist() if energy < middle) / B
    assert below > 0
    torch.testing.assert_close(loss, torch.tensor([0, below, 1e6 - fake[2].mean().item()]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", AT_ONCE)
def test_began_moves_as_its_equations_say(name):
    """Two losses, two backward passes and torch's Adam: D, G and k start each step from the same pass."""
    method = build(name)
    runs = []
    for e in RUNS:
        n, c = networks(method, e), memory(method, [], e)
        of_G = adam(n.G.parameters(), c.lr_g, c.beta_1)
        of_D = adam([*n.Enc.parameters(), *n.Dec.parameters()], c.lr_d, c.beta_1)
        runs.append(SimpleNamespace(n=n, c=c, of_G=of_G, of_D=of_D, k=c.k_0))
    for step in range(4):
        batches = drawn(method, step)
        method.step(batches)
        for e, run in enumerate(runs):
            began_step(run, one(batches).x[e], one(batches).z[e])
            for reading, value in run.noted.items():
                assert method.noted[reading][e].item() == pytest.approx(value, rel=1e-6, abs=1e-9), reading
            for network in ("G", "Enc", "Dec"):
                module = getattr(run.n, network)
                assert_same(method.theta[network], module, list(module.parameters()), e, rtol=1e-6, atol=1e-9)
    assert len({round(run.k, 6) for run in runs} - {0, 1}) >= 2, "k moves between its bounds, in each run its own way"


def began_step(run: SimpleNamespace, x: Tensor, z: Tensor) -> None:
    n, c = run.n, run.c
    L_x, L_v = energy(n, x).mean(), energy(n, n.G(z).detach()).mean()
    L_c = ((z - n.Enc(n.G(z).detach())).norm(dim=1) / math.sqrt(3)).mean()
    L_D = L_x - run.k * L_v + getattr(c, "alpha", 0.0) * L_c
    L_G = energy(n, n.G(z)).mean()
    for optimizer in (run.of_G, run.of_D):
        optimizer.zero_grad()
    downhill_G = torch.autograd.grad(L_G, list(n.G.parameters()))
    L_D.backward()
    for parameter, gradient in zip(n.G.parameters(), downhill_G, strict=True):
        parameter.grad = gradient
    run.of_D.step()
    run.of_G.step()
    error = c.gamma * L_x.item() - L_v.item()
    run.k = min(max(run.k + c.lambda_k * error / L_x.item(), 0.0), 1.0)
    run.noted = {"loss_real": L_x.item(), "loss_fake": L_v.item(), "k": run.k, "M": L_x.item() + abs(error)}


def test_alpha_turns_the_encoders_gradient_and_no_other():
    method = build("began_cs", seeds=(4, 4, 4), alpha=(0.0, 0.1, 2.0), k_0=0.3)
    gradients = {}
    method.move = lambda players, given: gradients.update({players: given})
    batches = drawn(method, 0)
    same = Batch(*(part[:, :1].expand_as(part) for part in batches))
    method.step(same)
    of_D, of_G = gradients[method.critic], gradients[method.generator]
    encoder = len(method.theta["Enc"])
    for part in (*of_G, *of_D[encoder:]):  # Dec is no part of |z - Enc(G(z))|
        torch.testing.assert_close(part[1:], part[:1].expand_as(part[1:]), rtol=1e-10, atol=1e-13)
        assert part.any()
    for part in of_D[:encoder]:
        small, large = (part[1] - part[0], part[2] - part[0])
        assert small.abs().max() > 1e-6
        torch.testing.assert_close(large, 20 * small, rtol=1e-8, atol=1e-12)


def test_without_its_constraint_began_cs_is_began():
    shared = {"lr_g": 0.01, "lr_d": 0.01, "beta_1": 0.5, "gamma": 1.0, "lambda_k": 0.1, "k_0": 0.2}
    plain, constrained = build("began", **shared), build("began_cs", alpha=0.0, **shared)
    for step in range(3):
        plain.step(drawn(plain, step))
        constrained.step(drawn(constrained, step))
    for network, theta in plain.theta.items():
        for a, b in zip(theta, constrained.theta[network], strict=True):
            torch.testing.assert_close(a, b)


def test_the_constraint_needs_a_code_as_long_as_z():
    with pytest.raises(ValueError, match="code must equal n_z = 3 for the constraint, got 2"):
        build("began_cs", code=2)
    assert build("began", code=2).theta["Enc"][-1].shape == (3, 1, 2)
