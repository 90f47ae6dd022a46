"""Many runs as one program: each is the run it would be alone, and its optimizer is Adam."""

import contextlib
import logging

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from began.devices.acceleration import WARM_UP
from studies.toy.ensemble import BLOCK, COMMON, Ensemble, stream
from studies.toy.gans import GAN, WGAN, ExperienceReplay
from studies.toy.methods import METHODS
from studies.toy.mixtures import SAMPLES, grid
from studies.toy.perceptrons import Adam, Perceptrons

SMALL = {"width": 6, "batch": 8, "n_z": 2}
OWN = {"lr_g": (1e-3, 1e-2, 3e-3), "lr_d": (3e-3, 1e-3, 1e-2), "beta_1": (0.0, 0.5, 0.9), "gain_g": (1.0, 1.7, 0.5)}
SEEDS = (5, 7, 5)


@pytest.fixture(autouse=True)
def _float64():
    """What differs by rounding alone then agrees to many digits."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def settings(name: str) -> list[dict[str, float]]:
    """Return three settings that differ in all numbers that may differ."""
    knobs = {**OWN, "decay": (0.0, 0.5, 1.0), "ema": (0.0, 0.5, 0.9), "grain": (0.0, 0.3, 0.1)}
    knobs |= {key: knob.choices for key, knob in METHODS[name].knobs.items() if isinstance(knob.default, float)}
    return [{**SMALL, **{key: values[e % len(values)] for key, values in knobs.items()}} for e in range(3)]


def ensemble(name: str, members: list[int], steps: int, device: str = "cpu") -> Ensemble:
    given = settings(name)
    return Ensemble(METHODS[name], grid(), [given[e] for e in members], [SEEDS[e] for e in members], steps, device)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_perceptrons_are_sequences_of_linear_layers():
    networks = Perceptrons(3, 5, 4, 2)
    theta = networks.initial(torch.tensor([0.5, 1.0])[:, None, None], [stream(seed, 0) for seed in (1, 2)])
    theta = [part + random(*part.shape) for part in theta]  # biases too
    x = random(2, 7, 3)
    for e in range(2):
        layers = []
        for weight, bias in zip(theta[::2], theta[1::2], strict=True):
            linear = nn.Linear(*weight.shape[1:])
            linear.load_state_dict({"weight": weight[e].T, "bias": bias[e, 0]})
            layers += [linear, nn.ReLU()]
        expected = nn.Sequential(*layers[:-1])
        torch.testing.assert_close(networks(theta, x)[e], expected(x[e]))
        torch.testing.assert_close(networks.hidden(theta, x)[e], expected[:-1](x[e]))


def test_weights_start_uniform_with_variance_gain_squared_over_inputs():
    gains = (1.0, 3**0.5)  # the latter is that of BEGAN-CS 4.6: bounds of sqrt(9 / n)
    theta = Perceptrons(400, 100, 50).initial(torch.tensor(gains)[:, None, None], [stream(s, 0) for s in (0, 1)])
    for weight, bias in zip(theta[::2], theta[1::2], strict=True):
        assert not bias.any()
        for gain, mine in zip(gains, weight, strict=True):
            n = len(mine)
            assert mine.var().item() == pytest.approx(gain**2 / n, rel=0.05)
            assert mine.mean().item() == pytest.approx(0, abs=4 * gain / (n * mine.numel()) ** 0.5)
            bound = gain * (3 / n) ** 0.5
            assert 0.99 * bound < mine.abs().max().item() <= bound


LR, BETA_1 = (1e-3, 1e-2, 0.1), (0.0, 0.5, 0.9)


def adam(theta: list[torch.Tensor]) -> Adam:
    return Adam(theta, *(torch.tensor(values)[:, None, None] for values in (LR, BETA_1)))


def parameters() -> list[torch.Tensor]:
    return [random(3, 4, 5), random(3, 1, 5, seed=1)]


def slopes(step: int) -> list[torch.Tensor]:
    return [random(3, 4, 5, seed=10 + step), random(3, 1, 5, seed=20 + step)]


def test_adam_is_torchs_with_rates_of_each_runs_own():
    theta = parameters()
    ours = adam(theta)
    reference = [[part[e].clone().requires_grad_() for part in theta] for e in range(3)]
    theirs = [
        torch.optim.Adam(mine, lr=lr, betas=(beta_1, 0.999))
        for mine, lr, beta_1 in zip(reference, LR, BETA_1, strict=True)
    ]
    for step in range(6):
        ours.step(theta, slopes(step))
        for e in range(3):
            for part, slope in zip(reference[e], slopes(step), strict=True):
                part.grad = slope[e]
            theirs[e].step()
            for mine, part in zip(theta, reference[e], strict=True):
                torch.testing.assert_close(mine[e], part.detach(), rtol=0, atol=1e-5 * LR[e])


def test_a_share_of_the_learning_rate_scales_the_step_and_not_the_moments():
    share = torch.tensor([1.0, 0.25, 0.0])[:, None, None]
    whole, part = parameters(), parameters()
    of_whole, of_part = adam(whole), adam(part)
    of_whole.step(whole, slopes(0))
    of_part.step(part, slopes(0), share)
    for before, a, b in zip(parameters(), whole, part, strict=True):
        torch.testing.assert_close(b - before, share * (a - before))
    for a, b in zip(of_whole.moments.first, of_part.moments.first, strict=True):
        assert torch.equal(a, b)


def test_a_step_that_can_be_differentiated_is_the_same_step():
    theta, moved = parameters(), parameters()
    stepping, ours = adam(theta), adam(moved)
    moments = ours.moments
    for step in range(4):
        given = [*moved, *moments.first, *moments.second, moments.steps]
        kept = [part.clone() for part in given]
        moved, moments = ours.moved(moved, slopes(step), moments)
        assert all(torch.equal(a, b) for a, b in zip(given, kept, strict=True)), "nothing is changed in place"
        stepping.step(theta, slopes(step))
        ends = [*stepping.moments.first, *stepping.moments.second, stepping.moments.steps]
        for a, b in zip((*moved, *moments.first, *moments.second, moments.steps), (*theta, *ends), strict=True):
            torch.testing.assert_close(a, b)


def test_the_gradient_of_a_step_is_that_of_finite_differences():
    """Through two steps, the second with gradients that depend on where the first one went."""
    ours = adam(parameters()[:1])

    def two_steps(theta, slope):
        (once,), moments = ours.moved([theta], [slope], ours.moments)
        (twice,), _ = ours.moved([once], [once.sin() * slope], moments)
        return twice

    inputs = [parameters()[0].requires_grad_(), slopes(0)[0].requires_grad_()]
    assert torch.autograd.gradcheck(two_steps, inputs)


def test_the_gradient_of_a_step_is_finite_where_a_unit_is_dead():
    slope = torch.zeros(3, 4, 5, requires_grad=True)
    ours = adam(parameters()[:1])
    (moved,), _ = ours.moved(parameters()[:1], [slope], ours.moments)
    (gradient,) = torch.autograd.grad(moved.sum(), slope)
    assert gradient.isfinite().all()


def same_as_alone(name: str, steps: int) -> None:
    together = ensemble(name, [0, 1, 2], steps)
    together.run(steps)
    for e in range(3):
        alone = ensemble(name, [e], steps)
        alone.run(steps)
        torch.testing.assert_close(together.samples(20)[e], alone.samples(20)[0], rtol=1e-6, atol=1e-7)
        for network, theta in alone.method.theta.items():
            for ours, part in zip(together.method.theta[network], theta, strict=True):
                torch.testing.assert_close(ours[e], part[0], rtol=1e-6, atol=1e-7)
        for reading, value in alone.method.noted.items():
            torch.testing.assert_close(together.method.noted[reading][e], value[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", METHODS)
def test_a_member_is_the_run_it_would_be_alone(name):
    same_as_alone(name, steps=5)


@pytest.mark.parametrize("name", ["began_cs", "wgan_gp", "unrolled_gan", "experience_replay"])
def test_a_member_is_the_run_it_would_be_alone_beyond_a_block_of_noise(name):
    same_as_alone(name, steps=BLOCK + 4)


def test_every_block_brings_new_noise_and_every_seed_its_own():
    run = Ensemble(GAN, grid(), [SMALL] * 3, [1, 2, 1], 2 * BLOCK)
    seen = []
    step = run.method.step
    run.method.step = lambda batches: (seen.append([part.clone() for part in batches]), step(batches))
    run.run(BLOCK + 1)
    x, z, u = (torch.stack(part) for part in zip(*seen, strict=True))
    assert (x.shape, z.shape, u.shape) == tuple((BLOCK + 1, 1, 3, 8, size) for size in (2, 2, 1))
    for part in (x, z, u):
        assert part.transpose(0, 2)[0].flatten(1).unique(dim=0).shape[0] == 1
        assert torch.equal(part[:, :, 0], part[:, :, 2]), "the seed alone decides"
        assert not torch.isclose(part[:, :, 0], part[:, :, 1]).any()
        assert part.unique().numel() == part[:, :, :2].numel(), "no number comes twice, the next block included"
    nearest = torch.cdist(x.flatten(0, 3) * 4, grid().means.to(x)).min(1).values
    assert nearest.max() < 6 * 0.05
    assert nearest.mean().item() == pytest.approx(0.05 * (torch.pi / 2) ** 0.5, rel=0.05)
    assert (-1 < z.min() < -0.99, 0.99 < z.max() < 1) == (True, True)
    assert (0 < u.min() < 0.01, 0.99 < u.max() < 1) == (True, True)


def test_grain_is_white_noise_on_x_of_each_runs_own_strength_and_stream():
    """x + grain xi; z, u and a run without grain are what they are where nobody has any."""
    seen = {}
    for grains in ((0.0, 0.0, 0.0), (0.0, 0.3, 0.1)):
        given = [{**SMALL, "grain": grain} for grain in grains]
        run = Ensemble(METHODS["began"], grid(), given, SEEDS, 2 * BLOCK)
        step, parts = run.method.step, []
        run.method.step = lambda batches, parts=parts, step=step: (
            parts.append([part.clone() for part in batches]),
            step(batches),
        )
        run.run(2 * BLOCK)
        seen[grains] = [torch.stack(part) for part in zip(*parts, strict=True)]
    (clean, *others), (grainy, *same) = seen.values()
    for part, other in zip(others, same, strict=True):
        assert torch.equal(part, other)
    assert torch.equal(grainy[:, :, 0], clean[:, :, 0])
    for e, grain in ((1, 0.3), (2, 0.1)):
        rng = stream(SEEDS[e], 2)
        xi = torch.cat([torch.randn(BLOCK, 1, SMALL["batch"], 2, generator=rng) for _ in range(2)])
        torch.testing.assert_close(grainy[:, :, e], clean[:, :, e] + grain * xi)


def test_the_critic_sees_a_batch_of_its_own_for_each_step():
    run = Ensemble(WGAN, grid(), [{**SMALL, "critic_steps": 3}], [0], 10)
    seen = []
    loss = run.method.critic_loss
    run.method.critic_loss = lambda batch, v: (seen.append(batch.x), loss(batch, v))[1]
    run.run(2)
    assert len(seen) == 6
    assert torch.stack(seen).unique().numel() == 6 * 8 * 2


def test_learning_rates_fall_to_0_in_the_last_share_of_the_steps():
    decays = [{**SMALL, "decay": decay} for decay in (0.0, 0.5, 1.0)]
    run = Ensemble(GAN, grid(), decays, [0, 0, 0], 10)
    shares = []
    for _ in range(10):
        run.run(1)
        shares.append(run.method.share.flatten())
    expected = [[1.0] * 10, [1.0] * 6 + [0.8, 0.6, 0.4, 0.2], [1 - t / 10 for t in range(10)]]
    torch.testing.assert_close(torch.stack(shares, 1), torch.tensor(expected))
    plain = Ensemble(GAN, grid(), decays, [0, 0, 0], 10)
    plain.run(9)
    before = plain.method.theta["G"][0].detach().clone()
    plain.run(1)
    moved = (plain.method.theta["G"][0] - before).abs().amax((1, 2))
    assert moved[1] < 0.5 * moved[0]
    assert 0 < moved[2] < 0.5 * moved[0]


def test_a_run_beyond_its_steps_breaks_nothing():
    """It may refuse, and it may go on or stand still: but not end in weights that are not numbers."""
    run = Ensemble(GAN, grid(), [{**SMALL, "decay": decay} for decay in (0.0, 0.5)], [0, 0], 10)
    run.run(10)
    with contextlib.suppress(ValueError):
        run.run(1)
    assert all(part.isfinite().all() for part in run.method.theta["G"])


def test_the_moving_average_is_sampled():
    run = Ensemble(GAN, grid(), [{**SMALL, "ema": ema} for ema in (0.0, 0.75)], [0, 0], 10)
    expected = run.method.theta["G"][0][1].detach().clone()
    for _ in range(5):
        run.run(1)
        expected = 0.75 * expected + 0.25 * run.method.theta["G"][0][1].detach()
    torch.testing.assert_close(run.average[0][0], run.method.theta["G"][0][0].detach())
    torch.testing.assert_close(run.average[0][1], expected)
    assert not torch.equal(run.samples(5)[0], run.samples(5)[1])
    run.average[-1].add_(1)
    run.average[-2].zero_()
    torch.testing.assert_close(run.samples(5)[1], run.average[-1][1].expand(5, 2) * grid().scale)


def test_samples_are_in_the_mixtures_units_at_the_same_z_for_all_runs():
    run = Ensemble(GAN, grid(), [SMALL] * 3, SEEDS, 10)
    points = run.samples()
    assert points.shape == (3, SAMPLES, 2)
    assert torch.equal(points, run.samples())
    assert torch.equal(points[0], points[2]), "the same seed, the same run"
    assert not torch.allclose(points[0], points[1])
    assert not torch.allclose(points, run.samples(seed=1))
    z = torch.rand(SAMPLES, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(points, grid().scale * run.method.net("G", z.expand(3, -1, -1)).detach())


class NoHostReads(TorchDispatchMode):
    """Fails on any operation that hands a number of a tensor to Python: a CUDA graph can't hold it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise AssertionError(f"{func} waits for the host")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", METHODS)
def test_no_step_waits_for_the_host(name):
    run = ensemble(name, [0, 1], steps=9)
    run.run(1)
    with NoHostReads():
        run.run(2)
        with pytest.raises(AssertionError, match="waits for the host"):
            run.clock.item()


def test_where_a_graph_fails_an_ensemble_goes_on_by_single_steps(caplog):
    class Broken:
        calls = 0

        def __call__(self, function, x):
            if self.calls == WARM_UP:
                raise RuntimeError("the capture failed")
            function(x)
            self.calls += 1

    run, plain = (ensemble("gan", [0, 1], steps=6) for _ in range(2))
    run.graphed = Broken()
    with caplog.at_level(logging.WARNING):
        run.run(6)
    plain.run(6)
    assert run.graphed is None
    assert torch.equal(run.samples(20), plain.samples(20))
    assert [record.message for record in caplog.records] == [
        "CUDA graph does not work here (the capture failed): going on without it"
    ]


@pytest.mark.cuda
@pytest.mark.parametrize("name", METHODS)
def test_a_graph_replays_the_steps(name):
    """Beyond a block of noise, with learning rates that fall, a moving average and all that a method remembers."""
    graphed, plain = (ensemble(name, [0, 1, 2], BLOCK + 6, "cuda") for _ in range(2))
    plain.graphed = None
    for run in (graphed, plain):
        run.run(BLOCK + 6)
    assert graphed.graphed.graph is not None
    torch.testing.assert_close(graphed.samples(20), plain.samples(20), rtol=1e-4, atol=1e-5)
    for network, theta in plain.method.theta.items():
        for ours, part in zip(graphed.method.theta[network], theta, strict=True):
            torch.testing.assert_close(ours, part, rtol=1e-4, atol=1e-5)
    for reading, value in plain.method.noted.items():
        torch.testing.assert_close(graphed.method.noted[reading], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{"lr": 1.0}], "there is no knob lr; there are lr_g, lr_d"),
        ([{"memory": 3}, {"clip": 0.1, "gamma": 1.0}], "there is no knob clip, gamma"),
        ([{"width": 6}, {"width": 8}], r"width must be one whole number in all runs, got \[6, 8\]"),
        ([{"width": 6}, {}], r"width must be one whole number in all runs, got \[6, 128\]"),
        ([{"batch": 2.5}], r"batch must be one whole number in all runs, got \[2.5\]"),
        ([{"layers": 0}], r"layers must lie in \[1, inf\], got 0"),
        ([{"lr_g": 1.0}, {"lr_g": float("nan")}], r"lr_g must lie in \[0, inf\], got nan"),
        ([{"beta_1": float("inf")}], r"beta_1 must lie in \[0, 0.999\], got inf"),
        ([{"width": float("inf")}], r"width must lie in \[1, inf\], got inf"),
        ([{"width": float("nan")}], r"width must lie in \[1, inf\], got nan"),
    ],
)
def test_settings_that_cannot_be_run_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        Ensemble(ExperienceReplay, grid(), given, range(len(given)), 10)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_the_knobs_of_a_method_add_to_those_of_all(method):
    knobs = method.all_knobs()
    assert knobs.keys() == COMMON.keys() | method.knobs.keys()
    for knob in knobs.values():
        assert {type(choice) for choice in knob.choices} == {type(knob.default)}
        assert len(set(knob.choices)) == len(knob.choices)
