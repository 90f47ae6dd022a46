"""The loop: the same run again, resumed, stopped and broken off, and what is kept of it."""

import logging
import math
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torchvision.utils import save_image

from began import training
from began.checkpoints import CHECKPOINT, GOOD, good_files, load_checkpoint
from began.collapse import COUNT, CollapseError, Reading, take_reading
from began.config import TrainConfig
from began.images.sources import Files, Pictures, open_images
from began.rescue import RETURNS
from began.step import Update
from began.training import Trainer

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


@pytest.mark.parametrize("grain", [0.0, 0.2])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, grain: float):
    options = config(steps=23, ema=0.9, carry_steps=20, alpha=0.1, lr_patience=5, lr_drop=17, lr=5e-3, grain=grain)
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


def test_the_learning_rate_drops_once_after_its_step():
    trainer = Trainer(config(lr=1e-3, lr_drop=3, lr_patience=0), pictures())
    trainer.fit(3)
    assert trainer.lr == pytest.approx(2e-4)
    trainer.fit(8)
    assert trainer.lr == pytest.approx(2e-4)


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


@pytest.fixture
def told(monkeypatch):
    """Return a function that trains, sends signals after a step, and returns the trainer and what it raised."""
    update = Update.__call__

    def call(*numbers: int, at: int = 3, quiet_stop: bool = False, **options) -> tuple[Trainer, BaseException | None]:
        trainer = Trainer(config(), pictures(), **options)

        def one(self, x: torch.Tensor) -> None:
            update(self, x)
            if trainer.step + 1 == at:
                for number in numbers:
                    os.kill(os.getpid(), number)

        monkeypatch.setattr(Update, "__call__", one)
        try:
            trainer.fit(progress=False, quiet_stop=quiet_stop)
        except (KeyboardInterrupt, SystemExit) as error:
            return trainer, error
        return trainer, None

    return call


@pytest.mark.parametrize(
    ("number", "raised", "code"),
    [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 143), (signal.SIGHUP, SystemExit, 129)],
)
def test_a_signal_ends_the_loop_with_everything_saved(number: int, raised: type, code, told, tmp_path: Path):
    handler = signal.getsignal(number)
    trainer, error = told(number, out=tmp_path)
    assert type(error) is raised
    assert getattr(error, "code", None) == code
    assert (trainer.step, trainer.stopped_by) == (3, number)
    assert load_checkpoint(tmp_path / CHECKPOINT)["step"] == 3
    assert signal.getsignal(number) is handler
    resumed = Trainer.resume(tmp_path / CHECKPOINT, pictures(), out=tmp_path)
    resumed.fit()
    assert (resumed.step, resumed.stopped_by) == (12, None)


def test_ctrl_c_ends_a_loop_over_seeds():
    """Three seeds in a loop and one Ctrl-C: the others are not trained."""
    done = []

    def train() -> None:
        for seed in range(3):
            Trainer(config(steps=2000, seed=seed), pictures()).fit(progress=False)
            done.append(seed)

    threading.Thread(target=lambda: (time.sleep(1), os.kill(os.getpid(), signal.SIGINT))).start()
    with pytest.raises(KeyboardInterrupt):
        train()
    assert done == []


def test_a_quiet_stop_returns_and_tells_of_the_signal(told, tmp_path: Path):
    trainer, error = told(signal.SIGTERM, out=tmp_path, quiet_stop=True)
    assert error is None
    assert (trainer.step, trainer.stopped_by) == (3, signal.SIGTERM)
    assert load_checkpoint(tmp_path / CHECKPOINT)["step"] == 3


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_break_off_the_last_save(first: int, second: int, told, tmp_path: Path, monkeypatch):
    save = torch.save

    def slow(state: dict, file) -> None:
        os.kill(os.getpid(), second)
        save(state, file)

    monkeypatch.setattr(torch, "save", slow)
    trainer, error = told(first, out=tmp_path)
    assert load_checkpoint(tmp_path / CHECKPOINT)["step"] == trainer.step == 3
    assert (trainer.stopped_by, type(error)) == (first, KeyboardInterrupt if first == signal.SIGINT else SystemExit)


def test_a_signal_in_the_save_of_a_run_that_is_done_ends_what_would_come_next(told, tmp_path: Path):
    trainer, error = told(signal.SIGINT, at=12, out=tmp_path)
    assert (load_checkpoint(tmp_path / CHECKPOINT)["step"], type(error)) == (12, KeyboardInterrupt)
    assert trainer.stopped_by == signal.SIGINT


def test_a_signal_that_is_ignored_stays_ignored(told, monkeypatch):
    """As nohup ignores SIGHUP, and a shell SIGINT for what it runs in the background."""
    for number in (signal.SIGHUP, signal.SIGINT):
        before = signal.signal(number, signal.SIG_IGN)
        try:
            trainer, error = told(number)
        finally:
            signal.signal(number, before)
        assert (trainer.step, error) == (12, None)


def made_on_cuda(path: Path, **changes) -> dict:
    """Rewrite a checkpoint as a CUDA device would have written it."""
    state = load_checkpoint(path)
    (group,) = state["optimizer"]["param_groups"]
    group["capturable"] = True
    seed_and_offset = torch.tensor([7, 0]).view(torch.uint8)
    state |= {"device": "cuda", "rng": seed_and_offset, "config": state["config"] | changes}
    torch.save(state, path)
    return state


def test_a_checkpoint_of_another_device_goes_on_here(tmp_path: Path, caplog):
    Trainer(config(ema=0.9), pictures(), out=tmp_path).fit(6)
    state = made_on_cuda(tmp_path / CHECKPOINT)
    runs = [Trainer.resume(tmp_path / CHECKPOINT, pictures()) for _ in range(2)]
    line = f"{tmp_path / CHECKPOINT} is from cuda: the run goes on on cpu, but not bit for bit as there"
    assert [record.getMessage() for record in caplog.records] == [line] * 2
    for trainer in runs:
        torch.testing.assert_close(trainer.model.state_dict(), state["model"], rtol=0, atol=0)
        trainer.fit(progress=False)
        assert trainer.step == 12
    histories = [torch.stack(trainer.history) for trainer in runs]
    assert torch.equal(*histories)
    assert torch.equal(histories[0][:, :6], state["history"])
    runs[0].save(tmp_path / "again.pt")
    caplog.clear()
    Trainer.resume(tmp_path / "again.pt", pictures())
    assert load_checkpoint(tmp_path / "again.pt")["device"] == "cpu"
    assert not caplog.records


def test_noise_goes_on_from_a_stream_of_its_own_where_the_device_changes(tmp_path: Path):
    """Not from the first z again, which another kind of generator would have drawn differently anyway."""
    found = [Trainer(config(), pictures())]
    for step in (0, 6):
        Trainer(config(), pictures(), out=tmp_path).fit(step)
        made_on_cuda(tmp_path / CHECKPOINT)
        found.append(Trainer.resume(tmp_path / CHECKPOINT, pictures()))
    first, *others = (trainer.model.noise(4, trainer.update.rng) for trainer in found)
    assert not any(torch.equal(first, other) for other in others)
    assert not torch.equal(*others)


def test_a_precision_that_the_device_lacks_gives_way(tmp_path: Path, caplog, monkeypatch):
    options = config(on_collapse="rollback", checkpoint_every=4)
    Trainer(options, pictures(), out=tmp_path).fit(6)
    for path in (tmp_path / CHECKPOINT, tmp_path / GOOD / "000000.pt"):
        made_on_cuda(path, precision="bfloat16")
    kept = Trainer.resume(tmp_path / CHECKPOINT, pictures(), out=tmp_path)
    assert kept.config.precision == "bfloat16", "a CPU has it"
    monkeypatch.setattr("began.step.precisions", lambda device: ("float32",))
    monkeypatch.setattr(training, "EVERY", 5)
    readings = iter(["made up"])
    monkeypatch.setattr(training, "suspicion", lambda _: next(readings, None))
    trainer = Trainer.resume(tmp_path / CHECKPOINT, pictures(), out=tmp_path)
    assert trainer.config.precision == "float32"
    assert any("precision bfloat16 can't be had" in record.getMessage() for record in caplog.records)
    trainer.fit(progress=False)
    assert [(back["step"], back["to"]) for back in trainer.rescue.rollbacks] == [(10, 0)], "to one of before"
    assert trainer.step == 12


def test_a_run_can_be_made_to_stream(tmp_path: Path):
    for index in range(8):
        save_image(torch.rand(3, 16, 16), tmp_path / f"{index}.png")
    histories = []
    for stream in (False, True):
        trainer = Trainer(config(), open_images(f"folder:{tmp_path}", size=16), out=tmp_path, stream=stream)
        assert isinstance(trainer.batches.images, Files if stream else Pictures)
        trainer.fit(6, progress=False)
        resumed = Trainer.resume(tmp_path / CHECKPOINT, trainer.batches.images, stream=stream)
        assert isinstance(resumed.batches.images, Files if stream else Pictures)
        histories.append(torch.stack(trainer.history))
    assert torch.equal(*histories)


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


@pytest.fixture
def collapses(monkeypatch) -> set[int]:
    """Return the readings, counted over all takings of them, at which a collapse is suspected; every 5 steps one."""
    at, taken = set(), []

    def suspicion(readings):
        taken.append(None)
        return "made up" if len(taken) in at else None

    monkeypatch.setattr(training, "EVERY", 5)
    monkeypatch.setattr(training, "suspicion", suspicion)
    monkeypatch.setattr(training, "healthy", lambda readings: True)
    return at


def state(trainer: Trainer) -> dict:
    return {**trainer.model.state_dict(), "history": torch.stack(trainer.history)}


def test_readings_are_taken_and_change_nothing(monkeypatch):
    unwatched = Trainer(config(steps=20), pictures())
    unwatched.fit()
    assert unwatched.readings == []
    monkeypatch.setattr(training, "EVERY", 5)
    watched = Trainer(config(steps=20), pictures())
    watched.fit()
    assert len(watched.readings) == 4
    torch.testing.assert_close(state(watched), state(unwatched), rtol=0, atol=0)
    assert watched.readings[-1].k == watched.history.k[-1]
    assert all(0 < reading.spread < 10 and 0 < reading.top <= 1 for reading in watched.readings)


def test_readings_are_of_pictures_without_their_grain(monkeypatch):
    """They follow from the networks and the pictures as they are, and no noise is drawn for them."""
    monkeypatch.setattr(training, "EVERY", 20)
    trainer = Trainer(config(steps=20, grain=1.0), pictures())
    before = trainer.watched.clone()
    trainer.fit()
    assert torch.equal(trainer.watched, before)
    assert ((trainer.watched >= -1) & (trainer.watched <= 1)).all()
    with torch.no_grad():
        G, Enc = trainer.model.generator, trainer.model.discriminator.encode
        x, v = trainer.watched, G(trainer.update.sample_z[:COUNT])
        expected = take_reading(trainer.model.equilibrium.k, x.flatten(1), v.flatten(1), Enc(x), Enc(v))
    assert trainer.readings == [Reading(*expected.tolist())]


def test_few_pictures_are_watched_all_many_from_all_over_the_set():
    assert len(Trainer(config(), pictures(8)).watched) == 8
    many = Pictures(torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1).expand(100, 3, 16, 16), "sorted")
    values = Trainer(config(), many).watched[:, 0, 0, 0]
    assert 20 <= len(values) <= 32
    assert (values.min(), values.max() > -1 + 90 / 127.5) == (-1, True)


def test_a_suspicion_is_logged_once_as_long_as_it_lasts(collapses: set[int], caplog):
    collapses |= {2, 3, 4, 6}
    Trainer(config(steps=40), pictures()).fit(progress=False)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [("step 10" in line, "step 30" in line) for line in warnings] == [(True, False), (False, True)]
    assert "made up" in warnings[0]


def test_a_collapse_stops_the_run_with_everything_saved(collapses: set[int], tmp_path: Path):
    collapses.add(3)
    trainer = Trainer(config(steps=40, on_collapse="stop"), pictures(), out=tmp_path)
    with pytest.raises(CollapseError, match="suspected at step 15: made up"):
        trainer.fit()
    assert load_checkpoint(tmp_path / CHECKPOINT)["step"] == 15
    assert not (tmp_path / GOOD).exists()


def test_a_run_goes_back_to_its_last_good_checkpoint_with_half_the_learning_rate(collapses: set[int], tmp_path: Path):
    collapses.add(4)
    options = config(steps=24, on_collapse="rollback", checkpoint_every=8, ema=0.9, lr_patience=0)
    trainer = Trainer(options, pictures(), out=tmp_path / "run")
    trainer.fit(17)
    (tmp_path / "kept.pt").write_bytes((tmp_path / f"run/{GOOD}/000016.pt").read_bytes())
    trainer.fit()
    (rollback,) = trainer.rescue.rollbacks
    assert (rollback["step"], rollback["to"], rollback["alpha"]) == (20, 16, 0)
    assert "step 20: made up" in rollback["evidence"]
    assert rollback["lr"] == pytest.approx(options.lr / 2)
    assert (trainer.step, len(trainer.history.k), len(trainer.readings)) == (24, 24, 4)
    assert trainer.lr == pytest.approx(options.lr / 2)
    by_hand = Trainer.resume(tmp_path / "kept.pt", pictures(), out=tmp_path / "hand")
    by_hand.update.lr = options.lr / 2
    by_hand.fit()
    torch.testing.assert_close(state(trainer), state(by_hand), rtol=0, atol=0)
    torch.testing.assert_close(trainer.sample(), by_hand.sample(), rtol=0, atol=0)


def test_a_learning_rate_that_dropped_drops_once_when_a_run_goes_back_to_before(collapses: set[int], tmp_path: Path):
    collapses.add(4)
    options = config(steps=24, on_collapse="rollback", checkpoint_every=8, lr_patience=0, lr_drop=18)
    trainer = Trainer(options, pictures(), out=tmp_path)
    trainer.fit()
    (rollback,) = trainer.rescue.rollbacks
    assert (rollback["step"], rollback["to"]) == (20, 16)
    assert trainer.lr == pytest.approx(options.lr / 5 / 2)


def test_a_run_goes_back_with_a_raised_alpha(collapses: set[int], tmp_path: Path):
    collapses |= {2, 3}
    options = config(steps=12, on_collapse="rollback", remedy="alpha")
    trainer = Trainer(options, pictures(), out=tmp_path)
    trainer.fit()
    assert [rollback["alpha"] for rollback in trainer.rescue.rollbacks] == [0.1, 0.2]
    assert trainer.lr == pytest.approx(options.lr)
    assert trainer.config.alpha == trainer.model.alpha == 0.2
    assert Trainer.resume(tmp_path / CHECKPOINT, pictures(), out=tmp_path).config.alpha == 0.2


def test_a_checkpoint_that_did_not_help_is_not_gone_back_to_again(collapses: set[int], tmp_path: Path):
    collapses |= {4, 5}
    trainer = Trainer(config(steps=40, on_collapse="rollback", checkpoint_every=8), pictures(), out=tmp_path)
    trainer.fit(23)
    assert [rollback["to"] for rollback in trainer.rescue.rollbacks] == [16, 8]
    assert trainer.rescue.good == [0, 16], "8 was used up, 16 is a new one"
    assert good_files(tmp_path) == [tmp_path / GOOD / "000000.pt", tmp_path / GOOD / "000016.pt"]
    assert trainer.lr == pytest.approx(trainer.config.lr / 4)
    collapses |= set(range(8, 100))
    with pytest.raises(CollapseError, match=rf"made up; going back {RETURNS} times did not help"):
        trainer.fit()
    assert [rollback["to"] for rollback in trainer.rescue.rollbacks[2:]] == [24, 16, *[0] * (RETURNS - 2)]
    assert load_checkpoint(tmp_path / CHECKPOINT)["step"] == trainer.step


def test_a_used_up_checkpoint_is_gone_and_not_recommended(collapses: set[int], tmp_path: Path):
    collapses.add(4)
    trainer = Trainer(config(steps=22, on_collapse="rollback", checkpoint_every=8), pictures(), out=tmp_path)
    trainer.fit()
    assert [rollback["to"] for rollback in trainer.rescue.rollbacks] == [16]
    assert trainer.rescue.good == [0, 8]
    assert sorted(path.name for path in (tmp_path / GOOD).iterdir()) == ["000000.pt", "000008.pt"]
    (tmp_path / CHECKPOINT).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"copy .*good/000008\.pt over it, or start anew"):
        load_checkpoint(tmp_path / CHECKPOINT)


def test_the_last_good_checkpoint_is_that_of_the_most_steps(tmp_path: Path):
    (tmp_path / GOOD).mkdir()
    for name in ("000000.pt", "999000.pt", "1000000.pt", "mine.pt"):
        (tmp_path / GOOD / name).touch()
    (tmp_path / CHECKPOINT).touch()
    with pytest.raises(ValueError, match=r"copy .*good/1000000\.pt over it"):
        load_checkpoint(tmp_path / CHECKPOINT)


def test_a_run_killed_after_a_good_checkpoint_goes_on_like_one_that_was_not(collapses: set[int], tmp_path: Path):
    """The checkpoint is written before it is a good one, and does not know."""
    collapses |= {4, 5}
    options = config(steps=24, on_collapse="rollback", checkpoint_every=8)
    whole = Trainer(options, pictures(), out=tmp_path / "whole")
    whole.fit(17)
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path / "whole", killed)
    shutil.copyfile(killed / GOOD / "000016.pt", killed / CHECKPOINT)
    resumed = Trainer.resume(killed / CHECKPOINT, pictures(), out=killed)
    assert resumed.rescue.good == whole.rescue.good == [0, 8, 16]
    collapses -= {4, 5}
    resumed.fit()
    whole.fit()
    torch.testing.assert_close(state(resumed), state(whole), rtol=0, atol=0)


def test_good_checkpoints_fit_on_the_disk_and_the_first_stays(collapses: set[int], tmp_path: Path, monkeypatch):
    trainer = Trainer(config(steps=20, on_collapse="rollback", checkpoint_every=4), pictures(), out=tmp_path)
    monkeypatch.setattr(type(trainer.update), "nbytes", 2**20 * 400)  # of 1024 MiB
    trainer.fit()
    assert trainer.rescue.good == [0, 16, 20]
    assert sorted(path.name for path in (tmp_path / GOOD).iterdir()) == ["000000.pt", "000016.pt", "000020.pt"]
    assert load_checkpoint(tmp_path / GOOD / "000016.pt")["step"] == 16


def test_a_state_takes_about_what_the_trainer_thinks(tmp_path: Path):
    trainer = Trainer(config(n=16, ema=0.9), pictures(), out=tmp_path)
    trainer.fit(2)
    assert (tmp_path / CHECKPOINT).stat().st_size == pytest.approx(trainer.update.nbytes, rel=0.1)


def test_only_healthy_checkpoints_are_good(collapses: set[int], tmp_path: Path, monkeypatch):
    monkeypatch.setattr(training, "healthy", lambda readings: len(readings) > 2)
    trainer = Trainer(config(steps=20, on_collapse="rollback", checkpoint_every=8), pictures(), out=tmp_path)
    trainer.fit()
    assert trainer.rescue.good == [0, 16]


def test_a_loss_that_is_not_finite_is_gone_back_from(collapses: set[int], tmp_path: Path):
    trainer = Trainer(config(steps=20, on_collapse="rollback", checkpoint_every=8), pictures(), out=tmp_path)
    trainer.fit(9)
    with torch.no_grad():
        next(trainer.model.generator.parameters()).fill_(float("nan"))
    trainer.fit()
    assert trainer.history.M.isfinite().all()
    assert [rollback["to"] for rollback in trainer.rescue.rollbacks] == [8]
    assert "not finite at step 10" in trainer.rescue.rollbacks[0]["evidence"]


def test_what_a_run_went_back_from_survives_a_stop(collapses: set[int], tmp_path: Path):
    collapses.add(4)
    options = config(steps=24, on_collapse="rollback", checkpoint_every=8)
    trainer = Trainer(options, pictures(), out=tmp_path)
    trainer.fit(22)
    resumed = Trainer.resume(tmp_path / CHECKPOINT, pictures(), out=tmp_path)
    assert (resumed.rescue.rollbacks, resumed.rescue.good, resumed.readings) == (
        trainer.rescue.rollbacks,
        trainer.rescue.good,
        trainer.readings,
    )
    assert resumed.lr == pytest.approx(options.lr / 2)
    elsewhere = Trainer.resume(tmp_path / CHECKPOINT, pictures(), out=tmp_path / "elsewhere")
    assert elsewhere.rescue.good == []


def test_a_stopped_run_can_go_on_with_rollbacks(collapses: set[int], tmp_path: Path):
    collapses |= {2, 3}
    options = config(steps=20, on_collapse="stop")
    trainer = Trainer(options, pictures(), out=tmp_path)
    with pytest.raises(CollapseError, match="step 10"):
        trainer.fit()
    changed = replace(options, on_collapse="rollback", precision="auto")
    resumed = Trainer.resume(tmp_path / CHECKPOINT, pictures(), config=changed, out=tmp_path)
    resumed.fit()
    assert [(rollback["step"], rollback["to"]) for rollback in resumed.rescue.rollbacks] == [(15, 10)]


def test_rollbacks_need_a_place():
    with pytest.raises(ValueError, match="on_collapse='rollback' needs out"):
        Trainer(config(on_collapse="rollback"), pictures())
