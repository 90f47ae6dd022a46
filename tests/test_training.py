"""The loop: the same run again, resumed, stopped and broken off, and what is kept of it."""

import math
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from torchvision.utils import save_image

from began.config import TrainConfig
from began.datasets import Pictures, open_images
from began.training import CHECKPOINT, DivergenceError, Trainer, load_checkpoint

SMALL = {"size": 16, "n": 4, "gamma": 0.5, "lambda_k": 1e-3, "n_z": 8, "batch": 4, "log_every": 5, "steps": 12}


def config(**changes) -> TrainConfig:
    return TrainConfig(**{**SMALL, **changes})


def pictures(count: int = 16, size: int = 16, channels: int = 3) -> Pictures:
    rng = torch.Generator().manual_seed(7)
    return Pictures(torch.randint(0, 256, (count, channels, size, size), generator=rng, dtype=torch.uint8), "noise")


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
    halvings = math.log2(1e-9 / trainer.lr)
    assert halvings == pytest.approx(round(halvings), abs=1e-5)
    assert 1 <= round(halvings) <= 5
    constant = Trainer(config(steps=60, lr=1e-9, lr_patience=0), pictures())
    constant.fit()
    assert constant.lr == pytest.approx(1e-9)


def test_the_moving_average_is_sampled():
    trainer = Trainer(config(ema=0.5, steps=1), pictures())
    start = [p.clone() for p in trainer.model.generator.parameters()]
    trainer.fit(2)
    averaged = trainer.update.average.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(trainer.model.generator.parameters(), averaged, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(start, trainer.sampler.parameters(), strict=True))
    assert trainer.sampler is trainer.update.average


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
    first_noise = [trainer.model.noise(64, trainer.update.rng) for trainer in trainers]
    assert not torch.equal(trainers[0].update.sample_z, first_noise[1])
    weights = trainers[0].model.generator.from_code.weight[:64]
    correlation = torch.corrcoef(torch.stack([weights.flatten(), first_noise[0][: len(weights)].flatten()]))[0, 1]
    assert abs(correlation) < 0.3


def test_pictures_that_do_not_fit_the_config_are_refused():
    with pytest.raises(ValueError, match=r"images must have the shape \(3, 16, 16\).*got \(3, 32, 32\)"):
        Trainer(config(), pictures(size=32))
    with pytest.raises(ValueError, match=r"got \(1, 16, 16\)"):
        Trainer(config(), pictures(channels=1))


def test_pictures_are_mirrored_where_the_config_says_so():
    runs = [Trainer(config(flip=flip), pictures()) for flip in (False, True)]
    plain, flipped = (next(trainer.batches.starting_at(0)) for trainer in runs)
    same = [torch.equal(a, b) for a, b in zip(plain, flipped, strict=True)]
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(plain, flipped, strict=True)]
    assert all(a or b for a, b in zip(same, mirrored, strict=True))
    assert any(mirrored)


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
