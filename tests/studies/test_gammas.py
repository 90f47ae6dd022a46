"""Trials: what is trained, how it is read off, and what is kept of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from began.config import TrainConfig
from began.equilibrium import Equilibrium
from began.images.batches import Batches
from began.step import Update
from studies import gammas, runner
from studies.gammas import SCALE_FREE, Lab, Real, Trial, begin, measure_run
from studies.image_gans import AlternatingBEGAN

CPU = torch.device("cpu")
LAB = Lab(rendered=64, held_out=24, count=20, nearest=2)  # a few pictures, and a short search for the nearest face
ONE = Trial("group", "faces", "BEGAN", {"gamma": 0.7}, 3, 40, 2)


def carry_out(one: runner.Run, work: Path, lab: Lab = LAB) -> dict:
    """Do a job, or find it done, and return its row."""
    place = runner.place_of(one, lab, work)
    runner.carry_out_job(one, lab, place, 0, CPU, lambda _: None)
    (row,) = runner.read(place).rows
    return row


def test_every_trial_has_a_name_of_its_own_and_photographs_come_last():
    lab = Lab()
    todo = gammas.trials(lab)
    assert len({(one.group, one.key) for one in todo}) == len(todo)
    data = [one.data for one in todo]
    assert "photographs" not in data[: data.index("photographs")]
    assert set(data[data.index("photographs") :]) == {"photographs"}
    for group, count in {"gamma": 7, "order": 2, "scale": 3}.items():
        runs = [one for one in todo if one.group == group and one.data == "faces"]
        assert len(runs) == count * 5
        assert {one.seed for one in runs} == set(range(5))


def test_a_scale_is_that_of_every_trial():
    lab = Lab(size=32, n=8, batch=4, lr=1e-4, steps=700, seeds=2)
    todo = gammas.trials(lab)
    assert {one.steps for one in todo} == {700}
    assert {one.seed for one in todo} == {0, 1}
    config, _ = gammas.resolve(todo[-1], lab)
    assert (config.size, config.n, config.batch, config.lr, config.steps) == (32, 8, 4, 1e-4, 700)


def test_stops_are_denser_at_the_start_and_end_with_the_run():
    stops = replace(ONE, steps=2000, checkpoints=16).stops
    gaps = [after - before for before, after in zip([0, *stops], stops, strict=False)]
    assert len(stops) == 16
    assert stops[-1] == 2000
    assert gaps[0] < gaps[-1] / 3
    assert replace(ONE, checkpoints=0).stops == []


@pytest.mark.parametrize(("setting", "kind"), [({"lambda_k": 3.0}, Update), ({"generator_first": 1}, AlternatingBEGAN)])
def test_a_game_has_the_fields_of_the_base_and_what_the_setting_changes(setting, kind):
    play = begin(replace(ONE, setting=setting), LAB, CPU)
    assert type(play) is kind
    knobs = getattr(play, "knob", {})
    changes = {name: value for name, value in setting.items() if name not in knobs}
    expected = LAB.config("faces", **changes, seed=3, steps=40, log_every=20)
    assert replace(play.config, precision="auto") == expected
    assert {name: knobs[name] for name in setting if name in knobs} == {
        name: value for name, value in setting.items() if name in knobs
    }


def test_digits_are_grey_and_a_rule_may_be_scale_free():
    play = begin(replace(ONE, data="digits", setting=SCALE_FREE), LAB, CPU)
    assert play.config.channels == 1
    assert play.config.scale_free is True
    assert isinstance(play.model.equilibrium, gammas.Rescaled)


def steps_of_k(scale: float, **changes) -> list[float]:
    config = TrainConfig(gamma=0.8, **{"lambda_k": 0.02, **changes})
    controller = gammas.Rescaled(config, scale)
    path = []
    for step in range(20):
        controller.update(torch.tensor(0.1), torch.tensor(0.05 + 0.002 * step))
        path.append(controller.k.item())
    return path


def test_a_scale_of_the_losses_acts_like_one_of_lambda_unless_the_rule_is_scale_free():
    assert steps_of_k(0.01) == pytest.approx(steps_of_k(1.0, lambda_k=0.0002), rel=1e-4)
    assert steps_of_k(0.01) != pytest.approx(steps_of_k(1.0), rel=0.5)
    assert steps_of_k(0.01, scale_free=True) == pytest.approx(steps_of_k(1.0, scale_free=True), rel=1e-4)


def test_without_a_factor_a_rescaled_controller_is_the_papers():
    controller = Equilibrium(0.8, 0.02)
    for step in range(20):
        controller.update(torch.tensor(0.1), torch.tensor(0.05 + 0.002 * step))
    assert steps_of_k(1.0)[-1] == controller.k.item()


def test_a_scale_of_all_losses_leaves_a_scale_free_run_as_it_is():
    """The claim behind running the scale-free rule at one scale: D and G don't see it either, as Adam has no scale."""
    play, scaled = (begin(replace(ONE, setting={**SCALE_FREE, "loss_scale": scale}), LAB, CPU) for scale in (1.0, 0.01))
    x = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for _ in range(3):
        play(x)
        scaled(x)
    for ours, theirs in zip(play.model.parameters(), scaled.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_trial_leaves_numbers_that_agree_with_its_run(tmp_path):
    row = carry_out(ONE, tmp_path)
    update = Update(LAB.config("faces", gamma=0.7, seed=3, log_every=20, steps=40), CPU)
    batches = Batches(LAB.pictures("faces")[0], 16, seed=3).starting_at(0)
    history = []
    for _ in range(2):
        for _ in range(20):
            update(next(batches))
        history.append(update.take_rows())
    assert row["curve"]["step"] == [20, 40]
    assert row["curve"]["k"] == pytest.approx([part[:, 3].mean().item() for part in history], rel=1e-3)
    assert row["final"]["loss_real"] == pytest.approx(history[1][-4:, 0].mean().item(), rel=1e-3)
    assert row["readings"]["step"] == ONE.stops
    for name, values in row["readings"].items():
        assert len(values) == 2, name
    assert row["readings"]["w1"][1] >= abs(row["readings"]["gap"][1]) > 0
    assert 0 < row["final"]["pixel_std"] < 1
    assert row["key"] == "faces-BEGAN-gamma=0.7-3"
    assert {"commit", "device", "date", "versions"} <= row.keys()


def test_a_trial_is_carried_out_once_and_measured_again_where_only_the_row_is_gone(tmp_path, monkeypatch):
    row = carry_out(ONE, tmp_path)
    monkeypatch.setattr(gammas, "train", lambda *_: pytest.fail("trained twice"))
    (runner.place_of(ONE, LAB, tmp_path) / runner.ROWS).unlink()
    assert carry_out(ONE, tmp_path) == row
    monkeypatch.setattr(gammas, "measure_run", lambda *_: pytest.fail("measured twice"))
    assert carry_out(ONE, tmp_path) == row


def test_without_checkpoints_only_the_losses_are_read_off(tmp_path):
    row = carry_out(replace(ONE, checkpoints=0), tmp_path)
    assert row["readings"] == {"step": []}
    assert row["final"].keys() == {"loss_real", "loss_fake", "ratio", "k", "M", "saturated"}


def test_real_pictures_are_measured_as_samples_are(tmp_path):
    row = carry_out(Real("real", "faces", "real", {}, 1, 0), tmp_path)
    names = {name: value for name, value in row.items() if name != "final"}
    assert names == {"group": "real", "key": "faces-real-1", "data": "faces", "model": "real", "seed": 1}
    assert row["final"].keys() > {"pixel_std", "reader_frechet", "nearest_face"}
    assert row["final"]["pixel_frechet"] < carry_out(ONE, tmp_path)["final"]["pixel_frechet"]


def test_saturation_is_the_share_of_the_last_tenth_that_the_clip_holds(tmp_path):
    carry_out(ONE, tmp_path)
    place = runner.place_of(ONE, LAB, tmp_path) / "run"
    tensors = load_file(place / "left.safetensors")
    tensors["history"][3] = 0.5
    tensors["history"][3, -3:] = torch.tensor([0.0, 1.0, 0.0])
    tensors["history"][3, 0] = 0.0
    save_file(tensors, place / "left.safetensors")
    assert measure_run(ONE, LAB, place)["final"]["saturated"] == 0.75


def test_what_is_kept_holds_no_picture_of_photographs(photographs, tmp_path, monkeypatch):
    lab = replace(LAB, photographs=photographs)
    todo = [ONE, replace(ONE, data="photographs")]
    rows = [carry_out(one, tmp_path / "work", lab) for one in todo]
    out = tmp_path / "data/artifacts/trials"
    runner.keep(runner.united(runner.read(runner.place_of(one, lab, tmp_path / "work")) for one in todo), out, lab)
    monkeypatch.chdir(tmp_path)
    assert gammas.load_trials("group") == rows
    assert gammas.load_trials("gamma") == []
    histories = gammas.load_histories("group")
    assert histories.keys() == {one.key for one in todo}
    assert histories[ONE.key].shape == (3, 40)
    assert {path.name for path in out.iterdir()} == {"rows.jsonl", "histories.safetensors"}, "and no picture at all"
