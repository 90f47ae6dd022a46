"""The step: three ways to the same gradients, who moves whom, precision, and what a GPU adds."""

import logging
import math
import weakref
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from began import step as module
from began import tuning
from began.config import TrainConfig
from began.devices.parallel import Ranks
from began.passes import Began, fast_pass, float16_pass, reference_pass
from began.step import Record, Update
from began.tuning import seconds_a_step, settled

CPU = torch.device("cpu")


def config(**changes) -> TrainConfig:
    small = {
        "size": 16,
        "n": 4,
        "gamma": 0.5,
        "lambda_k": 1e-3,
        "n_z": 8,
        "batch": 4,
        "log_every": 5,
        "steps": 12,
        "grain": 0.0,
        "ema": 0.0,
    }
    return TrainConfig(**{**small, "precision": "float32", **changes})


def model_and_batch(**changes) -> tuple[Began, torch.Tensor, torch.Tensor]:
    model = Began(config(**changes), torch.Generator().manual_seed(1)).double()
    size = changes.get("size", 16)
    x = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2 - 1
    return model, x, model.noise(4, torch.Generator().manual_seed(3))


def reference(model, x, z):
    return reference_pass(model, x, z, z)


def scaled(model, x, z):
    return float16_pass(model, x, z, lambda loss: loss * 1.0)


def gradients(model, way, x, z) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the gradients, G's first, and the losses of a pass."""
    model.zero_grad()
    losses, backward = way(model, x, z)
    backward()
    return [parameter.grad.clone() for parameter in model.parameters()], torch.stack(losses)


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("k", [0, 1e-9, 0.3, 1])
@pytest.mark.parametrize("options", [{}, {"skip": True, "carry_steps": 10}, {"size": 32}], ids=str)
@pytest.mark.parametrize("way", [fast_pass, scaled])
def test_the_gradients_are_those_of_the_equations(way, norm, alpha, k, options):
    model, x, z = model_and_batch(norm=norm, alpha=alpha, **options)
    model.equilibrium.k.fill_(k)
    for stack in model.stacks():
        if stack.carry is not None:
            stack.carry.fill_(0.6)
    exact, exact_losses = gradients(model, reference, x, z)
    ours, losses = gradients(model, way, x, z)
    for a, b in zip(ours, exact, strict=True):
        assert torch.linalg.norm(a - b) <= 1e-11 * torch.linalg.norm(b)
    torch.testing.assert_close(losses, exact_losses, rtol=1e-13, atol=0)


def test_the_scale_of_float16_reaches_all_gradients_alike():
    model, x, z = model_and_batch(alpha=0.1)
    model.equilibrium.k.fill_(0.3)
    plain, losses = gradients(model, scaled, x, z)
    larger, same_losses = gradients(model, lambda *given: float16_pass(*given, lambda loss: loss * 1024), x, z)
    for a, b in zip(plain, larger, strict=True):
        torch.testing.assert_close(1024 * a, b)
    assert torch.equal(losses, same_losses)


@pytest.mark.parametrize("way", [fast_pass, scaled, reference])
def test_no_loss_moves_the_other_player(way):
    """L_G leaves theta_D alone, L_D and L_c leave theta_G alone: each gradient is that of its own loss."""
    model, x, z = model_and_batch()
    of_G = len(list(model.generator.parameters()))
    of_Enc = len(list(model.discriminator.encode.parameters()))
    model.equilibrium.k.fill_(0.3)
    plain, _ = gradients(model, way, x, z)
    model.alpha = 0.7
    constrained, _ = gradients(model, way, x, z)
    for before, after in zip(plain[:of_G], constrained[:of_G], strict=True):
        torch.testing.assert_close(before, after, rtol=1e-12, atol=1e-15)
    same = [torch.equal(a, b) for a, b in zip(plain[of_G:], constrained[of_G:], strict=True)]
    assert not any(same[:of_Enc]), "L_c must reach every parameter of Enc"

    model.alpha = 0.0
    model.equilibrium.k.fill_(0.0)
    without_fake, _ = gradients(model, way, x, z)
    model.zero_grad()
    (x - model.discriminator(x)).abs().mean().backward()
    for a, b in zip(without_fake[of_G:], model.discriminator.parameters(), strict=True):
        torch.testing.assert_close(a, b.grad, rtol=1e-10, atol=1e-15)


def batch(size: int = 16, count: int = 4, device: torch.device = CPU) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(5)).to(device) * 2 - 1


def test_a_fast_step_ends_where_a_reference_step_does():
    """Adam included, in the memory layout of a run: gradients laid out otherwise would move the wrong weights."""
    ends = []
    for way in (fast_pass, scaled, reference):
        update = Update(config(alpha=0.1, k_0=0.3), CPU)
        model = update.model.double()
        x = batch().double().contiguous(memory_format=torch.channels_last)
        gradients(model, way, x, model.noise(4, torch.Generator().manual_seed(0)))
        update.optimizer.step()
        ends.append([parameter.clone() for parameter in model.parameters()])
    for other in ends[:-1]:
        for ours, exact in zip(other, ends[-1], strict=True):
            torch.testing.assert_close(ours, exact, rtol=0, atol=1e-6)  # a step is 5e-4


GRAIN = 0.3


def seen_by(update: Update, x: torch.Tensor, monkeypatch) -> torch.Tensor:
    """What the pass is handed in one update."""
    seen, forward = [], update._forward
    with monkeypatch.context() as patched:
        patched.setattr(update, "_forward", lambda x, z: (seen.append(x.clone()), forward(x, z))[1])
        update(x)
    return seen[0]


def grainy(x: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """The equation x + grain xi, xi ~ N(0, 1), with the numbers that a generator draws next."""
    return x + GRAIN * torch.randn(x.shape, generator=rng, dtype=x.dtype)


def ahead(update: Update) -> torch.Generator:
    """A generator that draws what the update is about to draw."""
    rng = torch.Generator()
    rng.set_state(update.rng.get_state())
    return rng


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("mode", ["fast", "reference"])
def test_grain_is_white_noise_on_the_real_pictures_alone(mode, alpha):
    """Losses and gradients of two steps are those of the equations at x + grain xi, in float64; x stays as it was."""
    update = Update(config(mode=mode, alpha=alpha, grain=GRAIN, k_0=0.3, lr=1e-12), CPU)
    update.model.double()
    rng, x = ahead(update), batch().double()
    before = x.clone()
    for _ in range(2):
        noisy = grainy(x, rng)
        z_D = update.model.noise(4, rng)
        z_G = update.model.noise(4, rng) if mode == "reference" else z_D
        expected, losses = gradients(update.model, lambda m, x, _, z=(z_D, z_G): reference_pass(m, x, *z), noisy, None)
        update(x)
        for ours, exact in zip(update.model.parameters(), expected, strict=True):
            assert torch.linalg.norm(ours.grad - exact) <= 1e-9 * torch.linalg.norm(exact)
        torch.testing.assert_close(update.take_rows()[0, :3].double(), losses, rtol=1e-6, atol=1e-7)
    assert torch.equal(x, before)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_every_pass_sees_the_same_grain_and_nobody_clips_it(precision, monkeypatch):
    """White and black pictures too: what they become is as often above as below."""
    update = Update(config(grain=GRAIN, precision=precision), CPU)
    x = batch().sign()
    expected = grainy(x, ahead(update))
    seen = seen_by(update, x, monkeypatch)
    torch.testing.assert_close(seen, expected)
    assert seen.dtype == torch.float32
    assert seen.is_contiguous(memory_format=torch.channels_last)
    assert ((seen.abs() > 1).float().mean() - 0.5).abs() < 0.05
    assert (seen - x).std().item() == pytest.approx(GRAIN, rel=0.05)
    assert not torch.equal(seen_by(update, x, monkeypatch), seen)


def test_a_rule_of_ones_own_sees_the_grain():
    seen = []
    update = Update(config(grain=GRAIN), CPU, rule=lambda m, x, z: (seen.append(x), fast_pass(m, x, z))[1])
    expected = grainy(batch(), ahead(update))
    update(batch())
    torch.testing.assert_close(seen[0], expected)


def test_ranks_take_their_parts_of_one_grain(monkeypatch):
    """Together they see what a process alone sees with all of the batch; z is shared out behind it."""
    whole, x = Update(config(grain=GRAIN), CPU), batch()
    alone = seen_by(whole, x, monkeypatch)
    for rank in (0, 1):
        ranks = Ranks(rank, 2)
        monkeypatch.setattr(Ranks, "parallel", lambda _, model: model)
        monkeypatch.setattr(Ranks, "mean", lambda _, values: values)
        part = Update(config(grain=GRAIN), CPU, ranks)
        assert torch.equal(seen_by(part, x[2 * rank :][:2], monkeypatch), alone[2 * rank :][:2])
        assert torch.equal(part.rng.get_state(), whole.rng.get_state())


def test_without_grain_nothing_is_drawn_for_it():
    """The generator has drawn z alone: old runs stay what they were, bit for bit."""
    update = Update(config(), CPU)
    rng = ahead(update)
    update(batch())
    update.model.noise(4, rng)
    assert torch.equal(rng.get_state(), update.rng.get_state())


@pytest.mark.parametrize("mode", ["fast", "reference"])
def test_an_update_moves_both_players_and_k_and_keeps_its_row(mode):
    update = Update(config(mode=mode, gamma=1.0), CPU)
    before = [parameter.clone() for parameter in update.model.parameters()]
    update(batch())
    assert all(not torch.equal(a, b) for a, b in zip(before, update.model.parameters(), strict=True))
    update(batch())
    rows = update.take_rows()
    assert rows.shape == (2, 5)
    record = Record(*rows.T)
    gain = 1e-3 * (record.loss_real - record.loss_fake)
    torch.testing.assert_close(record.k[0], gain[0].clamp(0, 1))
    torch.testing.assert_close(record.k[1], (record.k[0] + gain[1]).clamp(0, 1))
    torch.testing.assert_close(record.M, record.loss_real + (record.loss_real - record.loss_fake).abs())
    assert len(update.take_rows()) == 0
    before = rows.clone()
    update(batch())
    assert torch.equal(update.take_rows()[0, 3], update.model.equilibrium.k)
    assert torch.equal(rows, before)


def test_the_moving_average_follows_the_weights_and_the_carry():
    update = Update(config(ema=0.75, carry_steps=4), CPU)
    first = update.model.generator.from_code.weight.clone()
    update(batch())
    expected = 0.75 * first + 0.25 * update.model.generator.from_code.weight
    torch.testing.assert_close(update.average.from_code.weight, expected)
    assert update.average.carry == update.model.generator.carry == 0.75


def test_an_update_is_freed_with_its_last_name():
    """A cycle would keep the memory of a graph until the garbage is collected."""
    update = Update(config(), CPU)
    weights = weakref.ref(update.model)
    del update
    assert weights() is None


def test_rows_that_nobody_reads_are_not_overwritten():
    update = Update(config(log_every=2), CPU)
    update(batch())
    update(batch())
    with pytest.raises(ValueError, match="2 rows are unread"):
        update(batch())


class NoHostReads(TorchDispatchMode):
    """Fails on any operation that hands a number of a tensor to Python, which would stall a GPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise AssertionError(f"{func} waits for the host")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("mode", "precision"), [("fast", "float32"), ("reference", "float32"), ("fast", "float16"), ("fast", "bfloat16")]
)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_no_step_waits_for_the_host(mode, alpha, precision):
    update = Update(config(alpha=alpha, carry_steps=10, ema=0.9, mode=mode, precision=precision, grain=0.1), CPU)
    with NoHostReads():
        update(batch())
        with pytest.raises(AssertionError, match="waits for the host"):
            update.model.equilibrium.k.item()


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize(("mode", "precision"), [("fast", "bfloat16"), ("reference", "bfloat16"), ("fast", "float16")])
def test_lower_precision_stays_close_and_keeps_losses_and_weights_in_float32(precision, mode, alpha):
    """The gradients, all of them, point where those of float32 do, at a k far below what float16 holds."""
    options = config(alpha=alpha, mode=mode, k_0=1e-6, carry_steps=10, skip=True, ema=0.9)
    ends = []
    for name in ("float32", precision):
        update = Update(replace(options, precision=name), CPU)
        for stack in update.model.stacks():
            stack.carry.fill_(0.5)
        update(batch())
        scale = update.scaler.get_scale()
        ends.append(([p.grad / scale for p in update.model.parameters()], update.take_rows()))
        assert all(parameter.dtype == torch.float32 for parameter in update.model.parameters())
        assert update.model.equilibrium.k.dtype == torch.float32
    (exact, exact_rows), (lower, rows) = ends
    torch.testing.assert_close(rows, exact_rows, rtol=0.02, atol=1e-7)
    cosines = [torch.cosine_similarity(a.flatten(), b.flatten(), 0).item() for a, b in zip(exact, lower, strict=True)]
    assert min(cosines) > (0.9 if precision == "bfloat16" else 0.98)


def test_a_float16_step_whose_gradients_overflow_is_left_out():
    update = Update(config(precision="float16"), CPU)
    update.scaler.scale(torch.ones(()))  # makes the scale
    update.scaler.update(1e30)
    before = [parameter.clone() for parameter in update.model.parameters()]
    update(batch())
    assert all(torch.equal(a, b) for a, b in zip(before, update.model.parameters(), strict=True))
    assert update.scaler.get_scale() < 1e30
    assert update.take_rows().isfinite().all()


def test_what_a_run_computes_in(monkeypatch, caplog):
    def on(*available: str, asked: str = "auto", device: str = "cuda") -> str:
        monkeypatch.setattr(module, "precisions", lambda _: available)
        return settled(config(precision=asked), torch.device(device)).precision

    assert on("float32", "bfloat16", "float16") == "bfloat16"
    assert on("float32", "bfloat16", "float16", asked="float16") == "float16"
    assert on("float32") == "float32"
    assert on("float32", "bfloat16", "float16", device="cpu") == "float32"
    assert on("float32", "bfloat16", device="cpu", asked="bfloat16") == "bfloat16"
    for faster in ("float32", "float16"):
        monkeypatch.setattr(tuning, "seconds_a_step", lambda c, _, faster=faster: 1 if c.precision == faster else 2)
        assert on("float32", "float16") == faster
    monkeypatch.setattr(tuning, "seconds_a_step", lambda c, _: 1 if c.precision == "float32" else math.inf)
    assert on("float32", "float16") == "float32"
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert on("float32", "float16", asked="bfloat16") == "float32"
    assert "precision bfloat16 can't be had (on cuda, mode fast, processes: 1): going on with float32" in caplog.text
    assert len(caplog.records) == 1
    for alone in (config(precision="float16", mode="reference"), config(precision="float16")):
        ranks = Ranks(0, 1 if alone.mode == "reference" else 2)
        assert settled(alone, CPU, ranks).precision == "float32"


def test_an_update_decides_its_precision():
    update = Update(config(precision="auto"), CPU)
    assert update.config.precision == "float32"
    assert update.how == "float32 on cpu"


def test_a_trial_times_the_step_and_finds_what_is_not_finite(monkeypatch):
    assert 0 < seconds_a_step(config(), CPU, steps=2) < 60
    monkeypatch.setattr(module.Update, "take_rows", lambda _: torch.tensor([math.nan]))
    assert seconds_a_step(config(), CPU, steps=2) == math.inf


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own, as it traces
@pytest.mark.filterwarnings("ignore:Skipping serialization")  # of torch 2.6
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_compiled_step_is_the_same_step(alpha):
    if module.compile_failure(CPU):
        pytest.skip("no C++ compiler")
    ends = []
    for compiled in (False, True):
        update = Update(config(alpha=alpha, compile=compiled, k_0=0.2), CPU)
        update(batch())
        first = [parameter.grad.clone() for parameter in update.model.parameters()]
        update(batch())
        update(batch())
        ends.append((first, update.take_rows()))
        if compiled:
            assert update.model.generator._compiled_call_impl is not None
    for plain, other in zip(ends[0][0], ends[1][0], strict=True):
        assert (plain - other).norm() < 1e-4 * plain.norm()
    torch.testing.assert_close(ends[0][1], ends[1][1], rtol=1e-2, atol=1e-4)  # Adam enlarges the least of gradients


# What fails, a run goes on without


class BrokenGraph:
    """A graph whose capture or first replay fails, having done some of the step, or all of it."""

    def __init__(self, parts: int):
        self.calls, self.parts = 0, parts

    def __call__(self, function, x):
        if self.calls == module.WARM_UP:
            with Breaking(self.parts):
                function(x)
            raise RuntimeError("the capture failed\nand a long trace")
        function(x)
        self.calls += 1


class Breaking(TorchDispatchMode):
    """Fails at the operation of that number."""

    def __init__(self, number: int):
        super().__init__()
        self.left = number

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.left -= 1
        if not self.left:
            raise NotImplementedError(f"{func} is not implemented here\nand a long trace")
        return func(*args, **(kwargs or {}))


def state_after(update: Update, steps: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Train, and return all that has moved, the rows, and the state of the noise."""
    for t in range(steps):
        update(batch() * (1 - t / 20))
    adam = [value for state in update.optimizer.state.values() for value in state.values()]
    moved = [*update.model.state_dict().values(), *adam, *update.average.state_dict().values()]
    return [part.clone() for part in moved], update.take_rows(), update.rng.get_state()


def assert_same(ours, theirs) -> None:
    assert len(ours[0]) == len(theirs[0])
    assert all(torch.equal(a, b) for a, b in zip(ours[0], theirs[0], strict=True))
    assert torch.equal(ours[1], theirs[1])
    assert torch.equal(ours[2], theirs[2])


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("parts", [1, 200, 10**6])
def test_where_a_graph_fails_the_run_goes_on_by_single_steps(parts, precision, caplog):
    """The same to the last bit, wherever the capture broke off: between two players, or when all had moved."""
    options = config(alpha=0.1, ema=0.9, carry_steps=9, log_every=9, precision=precision, grain=0.2)
    update = Update(options, CPU)
    update._graph = BrokenGraph(parts)
    assert "one CUDA graph a step" in update.how
    with caplog.at_level(logging.WARNING):
        ours = state_after(update, 7)
    assert_same(ours, state_after(Update(options, CPU), 7))
    (record,) = caplog.records
    reason = "the capture failed" if parts == 10**6 else "is not implemented here"
    assert "CUDA graph does not work here" in record.message
    assert reason in record.message
    assert "long trace" not in record.message
    assert update._graph is None
    assert update.how.startswith(f"{precision} on cpu; without CUDA graph (")


def test_a_graph_that_fails_between_adam_and_the_scale_of_float16_leaves_both_whole(monkeypatch):
    options = config(ema=0.9, carry_steps=9, log_every=9, precision="float16")
    update = Update(options, CPU)
    update._graph = BrokenGraph(10**6)
    for t in range(3):
        update(batch() * (1 - t / 20))
    monkeypatch.setattr(update.scaler, "update", lambda: 1 / 0)
    update(batch())
    update(batch())
    assert update.without == ["CUDA graph (division by zero)"]
    assert len(update.take_rows()) == 5


def test_an_error_after_the_graph_is_up_is_an_error():
    update = Update(config(log_every=9), CPU)
    update._graph = BrokenGraph(1)
    update._graph.calls = module.WARM_UP + 1
    update(batch())
    with Breaking(5), pytest.raises(NotImplementedError):
        update(batch())
    assert not update.without


class NotIn(TorchDispatchMode):
    """A device that lacks the convolution in one precision."""

    def __init__(self, dtype: torch.dtype):
        super().__init__()
        self.dtype = dtype

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution_backward.default and args[0].dtype == self.dtype:
            raise RuntimeError(f"not implemented for {self.dtype}")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_where_a_lower_precision_lacks_an_operation_the_run_goes_on_in_float32(precision, caplog):
    options = config(ema=0.9, carry_steps=9)
    update = Update(replace(options, precision=precision), CPU)
    with NotIn(module.DTYPES[precision]), caplog.at_level(logging.WARNING):
        ours = state_after(update, 3)
    assert_same(ours, state_after(Update(options, CPU), 3))
    assert len(caplog.records) == 1
    assert update.how == f"float32 on cpu; without {precision} (not implemented for torch.{precision})"
    resumed = Update(replace(options, precision=precision), CPU)
    resumed.load_state_dict(update.state_dict())
    assert torch.equal(resumed.rng.get_state(), update.rng.get_state())


def test_what_no_way_of_a_step_can_do_is_an_error_and_so_is_a_lack_of_memory():
    update = Update(config(precision="bfloat16"), CPU)
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        update(torch.zeros(4, 2, 16, 16))
    full = Update(config(precision="bfloat16"), CPU)
    full._run = lambda _: (_ for _ in ()).throw(torch.OutOfMemoryError("full"))
    with pytest.raises(torch.OutOfMemoryError):
        full(batch())
    assert not full.without


def test_where_compile_does_not_work_the_run_goes_on(monkeypatch, caplog):
    def broken(*_args, **_kwargs):
        raise RuntimeError("no compiler\nand a long trace")

    monkeypatch.setattr(torch, "compile", broken)
    with caplog.at_level(logging.WARNING):
        update = Update(config(compile=True), CPU)
    assert "torch.compile does not work here (no compiler)" in caplog.text
    assert update.how == "float32 on cpu; without torch.compile (no compiler)"
    update(batch())
    assert update.take_rows().isfinite().all()


def test_where_compile_fails_only_at_the_networks_the_run_goes_on(monkeypatch, caplog):
    def broken(*_args, **_kwargs):
        raise RuntimeError("no kernel for this")

    monkeypatch.setattr(torch, "compile", lambda function, **_: broken)
    monkeypatch.setattr(module, "compile_failure", lambda _: None)
    options = config(ema=0.9, carry_steps=9)
    update = Update(replace(options, compile=True), CPU)
    assert update.how == "float32 on cpu, compiled"
    with caplog.at_level(logging.WARNING):
        ours = state_after(update, 3)
    assert_same(ours, state_after(Update(options, CPU), 3))
    assert len(caplog.records) == 1
    assert update.how == "float32 on cpu; without torch.compile (no kernel for this)"


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("mode", "precision"), [("fast", "float32"), ("reference", "float32"), ("fast", "float16"), ("fast", "bfloat16")]
)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_graph_replays_the_step(alpha, mode, precision):
    """Noise, both players, k, the carries, the moving average and the learning rate go on as in single calls."""
    device = torch.device("cuda")
    options = config(alpha=alpha, mode=mode, precision=precision, carry_steps=20, ema=0.9, log_every=12, grain=0.2)
    ends = []
    for graph in (False, True):
        update = Update(options, device, graph=graph)
        for t in range(10):
            if t == 7:
                update.lr = 1e-3
            update(batch(device=device) * (1 - t / 20))
        ends.append((update.take_rows(), update.rng.get_state(), [p.clone() for p in update.average.parameters()]))
    rtol = 1e-3 if precision == "float32" else 3e-2
    torch.testing.assert_close(ends[0][0], ends[1][0], rtol=rtol, atol=1e-4)
    assert torch.equal(ends[0][1], ends[1][1])
    for a, b in zip(ends[0][2], ends[1][2], strict=True):
        torch.testing.assert_close(a, b, rtol=0.1, atol=5e-3)


@pytest.mark.cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("graph", [False, True])
def test_cuda_never_waits_for_the_host_between_readings(graph):
    device = torch.device("cuda")
    update = Update(config(ema=0.9, carry_steps=9, log_every=20), device, graph=graph)
    x = batch(device=device)
    for _ in range(6):
        update(x)
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(6):
            update(x)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(update.take_rows()) == 12
