"""The step: fast against word by word, who moves whom, and what is kept of a run."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.utils import save_image

from began.config import TrainConfig
from began.datasets import Pictures, open_images
from began.training import (
    CHECKPOINT,
    Began,
    DivergenceError,
    Trainer,
    fast_gradients,
    load_checkpoint,
    reference_gradients,
    train_step,
)

SMALL = {"size": 16, "n": 4, "gamma": 0.5, "lambda_k": 1e-3, "n_z": 8, "batch": 4, "log_every": 5, "steps": 12}


def config(**changes) -> TrainConfig:
    return TrainConfig(**{**SMALL, **changes})


def pictures(count: int = 16, size: int = 16, channels: int = 3) -> Pictures:
    rng = torch.Generator().manual_seed(7)
    return Pictures(torch.randint(0, 256, (count, channels, size, size), generator=rng, dtype=torch.uint8), "noise")


def model_and_batch(**changes) -> tuple[Began, torch.Tensor, torch.Tensor]:
    model = Began(config(**changes), torch.Generator().manual_seed(1)).double()
    rng = torch.Generator().manual_seed(2)
    x = torch.rand(4, 3, 16, 16, generator=rng, dtype=torch.float64) * 2 - 1
    return model, x, model.noise(4, rng)


def gradients(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.grad.clone() for parameter in module.parameters()]


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("k", [0, 1e-9, 0.3, 1])
@pytest.mark.parametrize("options", [{}, {"skip": True, "carry_steps": 10}, {"size": 32}], ids=str)
def test_the_fast_gradients_are_those_of_the_equations(norm, alpha, k, options):
    model, x, z = model_and_batch(norm=norm, alpha=alpha, **options)
    if options.get("size") == 32:
        x = torch.nn.functional.interpolate(x, scale_factor=2)
    model.equilibrium.k.fill_(k)
    for stack in model.stacks():
        if stack.carry is not None:
            stack.carry.fill_(0.6)
    fast = fast_gradients(model, x, z)
    ours = gradients(model)
    reference = reference_gradients(model, x, z, z)
    for mine, exact in zip(ours, gradients(model), strict=True):
        assert torch.linalg.norm(mine - exact) <= 1e-11 * torch.linalg.norm(exact)
    torch.testing.assert_close(torch.stack(fast), torch.stack(reference), rtol=1e-13, atol=0)


@pytest.mark.parametrize("step", [fast_gradients, lambda m, x, z: reference_gradients(m, x, z, z)])
def test_no_loss_moves_the_other_player(step):
    """L_G leaves theta_D alone, L_D and L_c leave theta_G alone: each gradient is that of its own loss."""
    model, x, z = model_and_batch(alpha=0.0)
    model.equilibrium.k.fill_(0.3)
    step(model, x, z)
    plain_G, plain_D = gradients(model.generator), gradients(model.discriminator)

    model.alpha = 0.7
    step(model, x, z)
    for before, after in zip(plain_G, gradients(model.generator), strict=True):
        torch.testing.assert_close(before, after, rtol=1e-12, atol=1e-15)
    moved = [torch.equal(a, b) for a, b in zip(plain_D, gradients(model.discriminator), strict=True)]
    n_encoder = len(list(model.discriminator.encode.parameters()))
    assert not any(moved[:n_encoder]), "L_c must reach every parameter of Enc"

    model.alpha = 0.0
    model.equilibrium.k.fill_(0.0)
    step(model, x, z)
    without_fake = gradients(model.discriminator)
    model.zero_grad()
    (x - model.discriminator(x)).abs().mean().backward()
    for a, b in zip(without_fake, gradients(model.discriminator), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-15)


def test_a_fast_step_ends_where_a_reference_step_does():
    """Adam included, in the memory layout of a run: gradients laid out otherwise would move the wrong weights."""
    ends = []
    for gradients_of in (fast_gradients, lambda m, x, z: reference_gradients(m, x, z, z)):
        trainer = Trainer(config(alpha=0.1, k_0=0.3), pictures())
        model = trainer.model.double()
        x = next(trainer.batches.starting_at(0)).double().contiguous(memory_format=torch.channels_last)
        gradients_of(model, x, model.noise(4, torch.Generator().manual_seed(0)))
        trainer.optimizer.step()
        ends.append([parameter.clone() for parameter in model.parameters()])
    for fast, reference in zip(*ends, strict=True):
        torch.testing.assert_close(fast, reference, rtol=0, atol=1e-6)  # a step is 5e-4


def test_a_step_moves_both_players_and_k():
    model, x, _ = model_and_batch()
    before = [parameter.clone() for parameter in model.parameters()]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    record = train_step(model, optimizer, x, torch.Generator().manual_seed(0))
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    expected = (1e-3 * (0.5 * record.loss_real - record.loss_fake)).clamp(0, 1)
    torch.testing.assert_close(model.equilibrium.k, expected)


class NoHostReads(TorchDispatchMode):
    """Fails on any operation that hands a number of a tensor to Python, which would stall a GPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise AssertionError(f"{func} waits for the host")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", ["fast", "reference"])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_no_step_waits_for_the_host(mode, alpha):
    trainer = Trainer(config(alpha=alpha, carry_steps=10, ema=0.9), pictures())
    x = next(trainer.batches.starting_at(0))
    with NoHostReads():
        train_step(trainer.model, trainer.optimizer, x, trainer.rng, reference=mode == "reference")
        with pytest.raises(AssertionError, match="waits for the host"):
            trainer.model.equilibrium.k.item()


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("mode", ["fast", "reference"])
def test_the_same_seed_gives_the_same_run_and_another_seed_another(alpha, mode):
    run = Trainer(config(alpha=alpha, mode=mode), pictures())
    same = Trainer(config(alpha=alpha, mode=mode), pictures())
    other = Trainer(config(alpha=alpha, mode=mode, seed=1), pictures())
    histories = [torch.stack(trainer.fit()) for trainer in (run, same, other)]
    assert torch.equal(histories[0], histories[1])
    assert torch.equal(run.sample(), same.sample())
    assert not torch.equal(histories[0], histories[2])
    k = histories[0][3]
    assert ((k >= 0) & (k <= 1)).all()


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path):
    options = config(steps=23, ema=0.9, carry_steps=20, alpha=0.1, lr_patience=5, lr=5e-3)
    whole = Trainer(options, pictures())
    whole.fit()
    first = Trainer(options, pictures(), out=tmp_path)
    first.fit(13)  # between two readings of the history
    resumed = Trainer.resume(tmp_path / CHECKPOINT, pictures())
    resumed.fit()
    assert resumed.step == 23
    assert torch.equal(torch.stack(resumed.history), torch.stack(whole.history))
    assert whole.lr == resumed.lr
    for a, b in zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(resumed.sample(), whole.sample())


def test_the_learning_rate_halves_when_m_stalls():
    trainer = Trainer(config(steps=60, lr=1e-9, lr_patience=10), pictures())  # nothing is learned at 1e-9
    trainer.fit()
    assert trainer.lr in {1e-9 * 0.5**i for i in range(1, 6)}
    constant = Trainer(config(steps=60, lr=1e-9, lr_patience=0), pictures())
    constant.fit()
    assert constant.lr == 1e-9


def test_the_moving_average_is_sampled():
    trainer = Trainer(config(ema=0.5, steps=1), pictures())
    start = [p.clone() for p in trainer.model.generator.parameters()]
    trainer.fit(2)
    averaged = trainer.average.module.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(trainer.model.generator.parameters(), averaged, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(start, trainer.sampler.parameters(), strict=True))
    assert trainer.sampler is trainer.average.module


def test_the_carry_fades_over_its_steps():
    trainer = Trainer(config(carry_steps=4, steps=6), pictures())
    carries = []
    for step in range(1, 7):
        trainer.fit(step)
        carries.append([round(stack.carry.item(), 6) for stack in trainer.model.stacks()])
    assert carries == [[c] * 3 for c in (0.75, 0.5, 0.25, 0, 0, 0)]


def test_sigint_ends_the_loop_with_everything_saved(tmp_path: Path):
    trainer = Trainer(config(steps=100_000), pictures(), out=tmp_path)
    handler = signal.getsignal(signal.SIGINT)
    threading.Thread(target=lambda: (time.sleep(1), os.kill(os.getpid(), signal.SIGINT))).start()
    trainer.fit()
    assert 0 < trainer.step < 100_000
    assert load_checkpoint(tmp_path / CHECKPOINT)["step"] == trainer.step
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(tmp_path: Path):
    trainer = Trainer(config(steps=20, checkpoint_every=5, sample_every=5), pictures(), out=tmp_path)
    trainer.fit(7)
    with torch.no_grad():
        next(trainer.model.generator.parameters()).fill_(float("nan"))
    with pytest.raises(DivergenceError, match="step 8"):
        trainer.fit()
    assert load_checkpoint(tmp_path / CHECKPOINT)["step"] == 7
    assert (tmp_path / "samples/000005.png").stat().st_size > 0


def test_a_loss_that_is_not_finite_is_seen_between_readings_too(tmp_path: Path):
    trainer = Trainer(config(log_every=100, steps=3), pictures(), out=tmp_path)
    trainer.fit(1, progress=False)
    with torch.no_grad():
        next(trainer.model.generator.parameters()).fill_(float("nan"))
    with pytest.raises(DivergenceError, match="step 2"):
        trainer.fit(progress=False)
    assert load_checkpoint(tmp_path / CHECKPOINT)["step"] == 1


def test_a_run_stays_on_its_kind_of_device(tmp_path: Path):
    Trainer(config(), pictures(), out=tmp_path).fit(1)
    state = load_checkpoint(tmp_path / CHECKPOINT)
    torch.save({**state, "device": "cuda"}, tmp_path / "cuda.pt")
    with pytest.raises(ValueError, match="device must be cuda, where the run was, got cpu"):
        Trainer.resume(tmp_path / "cuda.pt", pictures())


def test_a_broken_first_picture_can_be_skipped(tmp_path: Path):
    for index in range(5):
        save_image(torch.rand(3, 16, 16), tmp_path / f"{index}.png")
    (tmp_path / "0.png").write_bytes(b"broken")
    trainer = Trainer(config(steps=2), open_images(f"folder:{tmp_path}", size=16, broken="skip"))
    assert len(trainer.batches.images) == 4
    assert len(trainer.fit(progress=False).k) == 2


def test_weights_noise_and_sample_grid_are_independent():
    trainers = [Trainer(config(seed=seed), pictures()) for seed in (0, 1)]
    first_noise = [trainer.model.noise(64, trainer.rng) for trainer in trainers]
    assert not torch.equal(trainers[0].sample_z, first_noise[1])
    weights = trainers[0].model.generator.from_code.weight[:64]
    correlation = torch.corrcoef(torch.stack([weights.flatten(), first_noise[0][: len(weights)].flatten()]))[0, 1]
    assert abs(correlation) < 0.3


def test_pictures_that_do_not_fit_the_config_are_refused():
    with pytest.raises(ValueError, match=r"images must have the shape \(3, 16, 16\).*got \(3, 32, 32\)"):
        Trainer(config(), pictures(size=32))
    with pytest.raises(ValueError, match=r"got \(1, 16, 16\)"):
        Trainer(config(), pictures(channels=1))


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_files_that_are_no_checkpoints_are_refused_and_run_no_code(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.pt is not a checkpoint"):
        load_checkpoint(tmp_path / "text.pt")
    torch.save({"step": 1}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt is not a checkpoint"):
        load_checkpoint(tmp_path / "other.pt")
    torch.save(Trap(tmp_path / "ran"), tmp_path / "trap.pt")
    with pytest.raises(ValueError, match=r"trap\.pt is not a checkpoint"):
        load_checkpoint(tmp_path / "trap.pt")
    assert not (tmp_path / "ran").exists()
    Trainer(config(), pictures(), out=tmp_path).fit(1)
    whole = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"half\.pt is not a checkpoint"):
        load_checkpoint(tmp_path / "half.pt")
