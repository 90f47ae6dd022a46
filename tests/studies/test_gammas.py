"""Trials: what is trained, how it is read off, and what is kept of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from began.config import TrainConfig
from began.equilibrium import Equilibrium
from began.images.batches import Batches
from began.images.faces import rendered_faces
from began.images.sources import Pictures
from began.measure import distances
from began.step import Update
from studies import gammas
from studies.gammas import BASE, SCALE_FREE, SEARCHED, SEEDS, Rescaled, Trial, game, measured
from studies.image_gans import EBGAN, WGANGP, AlternatingBEGAN

CPU = torch.device("cpu")
NOWHERE = Path("no photographs")
SEARCH = [
    {"model": trial.model, "setting": trial.setting, "final": {"reader_frechet": abs(place - 6.2)}}
    for place, trial in enumerate(gammas.searches())
]


def trial(**changes) -> Trial:
    return Trial("group", "faces", "BEGAN", {"gamma": 0.7}, 3, 40, 2)._replace(**changes)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch):
    """A few pictures, a few samples, and a short search for the nearest face."""
    few = Pictures(rendered_faces(64, 16), "faces"), rendered_faces(24, 16, seed=1)
    monkeypatch.setattr(gammas, "pictures", lambda *_: few)
    monkeypatch.setattr(gammas, "COUNT", 20)
    monkeypatch.setattr(distances, "NEAREST", 2)


def places(todo: list[Trial], folder: Path) -> dict[tuple[str, str], Path]:
    return {(one.group, one.key): gammas.place(one, folder, NOWHERE) for one in todo}


def carried_out(one: Trial, folder: Path) -> dict:
    (row,) = gammas.carried_out(one, folder, NOWHERE, CPU, lambda _: None)
    return row


def test_every_trial_has_a_name_of_its_own_and_photographs_come_last():
    todo = gammas.searches() + gammas.trials(SEARCH)
    assert len({(one.group, one.key) for one in todo}) == len(todo)
    data = [one.data for one in todo]
    assert "photographs" not in data[: data.index("photographs")]
    assert set(data[data.index("photographs") :]) == {"photographs"}
    for group, count in {"gamma": 7, "order": 2, "rivals": 2, "scale": 3}.items():
        runs = [one for one in todo if one.group == group and one.data == "faces"]
        assert len(runs) == count * len(SEEDS)
        assert {one.seed for one in runs} == set(SEEDS)
    assert not {one.seed for one in gammas.searches()} & set(SEEDS)


def test_rivals_have_the_setting_that_came_nearest_to_the_real_faces():
    settings = {one.model: one.setting for one in gammas.trials(SEARCH) if one.group == "rivals"}
    (knobs, choices), (others, values) = SEARCHED["EBGAN"], SEARCHED["WGAN-GP"]
    assert settings["EBGAN"] == dict(zip(knobs, choices[4], strict=True))
    assert settings["WGAN-GP"] == dict(zip(others, values[1], strict=True))


def test_stops_are_denser_at_the_start_and_end_with_the_run():
    stops = trial(steps=2000, checkpoints=16).stops
    gaps = [after - before for before, after in zip([0, *stops], stops, strict=False)]
    assert len(stops) == 16
    assert stops[-1] == 2000
    assert gaps[0] < gaps[-1] / 3
    assert trial(checkpoints=0).stops == []


@pytest.mark.parametrize(
    ("model", "setting", "kind"),
    [
        ("BEGAN", {"lambda_k": 3.0}, Update),
        ("BEGAN", {"generator_first": 1}, AlternatingBEGAN),
        ("EBGAN", {"margin": 0.2, "pull": 0.1}, EBGAN),
        ("WGAN-GP", {"lr": 1e-3, "critic_steps": 1}, WGANGP),
    ],
)
def test_a_game_has_the_fields_of_the_base_and_what_the_setting_changes(model, setting, kind):
    play = game(trial(model=model, setting=setting), CPU)
    assert type(play) is kind
    knobs = getattr(play, "knob", {})
    expected = {**BASE, **{name: value for name, value in setting.items() if name not in knobs}, "seed": 3}
    config = play.config.to_dict()
    assert {name: config[name] for name in expected} == expected
    assert {name: knobs[name] for name in setting if name in knobs} == {
        name: value for name, value in setting.items() if name in knobs
    }


def test_digits_are_grey_and_a_rule_may_be_scale_free():
    play = game(trial(data="digits", setting=SCALE_FREE), CPU)
    assert play.config.channels == 1
    assert play.config.scale_free is True
    assert isinstance(play.model.equilibrium, Rescaled)


def steps_of_k(scale: float, **changes) -> list[float]:
    config = TrainConfig(gamma=0.8, **{"lambda_k": 0.02, **changes})
    controller = Rescaled(config, scale)
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
    play, scaled = (game(trial(setting={**SCALE_FREE, "loss_scale": scale}), CPU) for scale in (1.0, 0.01))
    x = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for _ in range(3):
        play(x)
        scaled(x)
    for ours, theirs in zip(play.model.parameters(), scaled.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_trial_leaves_numbers_that_agree_with_its_run(small, tmp_path):
    row = carried_out(trial(), tmp_path)
    config = replace(TrainConfig.from_dict(BASE), gamma=0.7, seed=3, log_every=20, steps=40)
    update = Update(config, CPU)
    batches = Batches(gammas.pictures()[0], 16, seed=3).starting_at(0)
    history = []
    for _ in range(2):
        for _ in range(20):
            update(next(batches))
        history.append(update.read())
    assert row["curve"]["step"] == [20, 40]
    assert row["curve"]["k"] == pytest.approx([part[:, 3].mean().item() for part in history], rel=1e-3)
    assert row["final"]["loss_real"] == pytest.approx(history[1][-4:, 0].mean().item(), rel=1e-3)
    assert row["readings"]["step"] == trial().stops
    for name, values in row["readings"].items():
        assert len(values) == 2, name
    assert row["readings"]["w1"][1] >= abs(row["readings"]["gap"][1]) > 0
    assert 0 < row["final"]["pixel_std"] < 1
    assert row["key"] == "faces-BEGAN-gamma=0.7-3"
    assert {"commit", "device", "date", "versions"} <= row.keys()


def test_a_trial_is_carried_out_once_and_measured_again_where_only_the_row_is_gone(small, tmp_path, monkeypatch):
    row = carried_out(trial(), tmp_path)
    monkeypatch.setattr(gammas, "train_trial", lambda *_: pytest.fail("trained twice"))
    place = gammas.place(trial(), tmp_path, NOWHERE)
    (place / "row.json").unlink()
    assert carried_out(trial(), tmp_path) == row
    monkeypatch.setattr(gammas, "measured", lambda *_: pytest.fail("measured twice"))
    assert carried_out(trial(), tmp_path) == row


def test_without_checkpoints_only_the_losses_are_read_off(small, tmp_path):
    row = carried_out(trial(checkpoints=0), tmp_path)
    assert row["readings"] == {"step": []}
    assert row["final"].keys() == {"loss_real", "loss_fake", "ratio", "k", "M", "saturated"}


def test_a_critic_that_is_no_autoencoder_has_no_losses_to_compare(small, tmp_path):
    row = carried_out(trial(model="WGAN-GP", setting={"critic_steps": 5}), tmp_path)
    assert "w1" not in row["readings"]
    assert "reader_frechet" in row["readings"]


def test_saturation_is_the_share_of_the_last_tenth_that_the_clip_holds(small, tmp_path):
    place = gammas.place(trial(), tmp_path, NOWHERE)
    carried_out(trial(), tmp_path)
    tensors = load_file(place / "losses.safetensors")
    tensors["history"][3] = 0.5
    tensors["history"][3, -3:] = torch.tensor([0.0, 1.0, 0.0])
    tensors["history"][3, 0] = 0.0
    save_file(tensors, place / "losses.safetensors")
    assert measured(trial(), place, NOWHERE)["final"]["saturated"] == 0.75


def test_what_is_kept_holds_no_picture_of_photographs(small, tmp_path, monkeypatch):
    todo = [trial(), trial(data="photographs")]
    rows = [carried_out(one, tmp_path / "work") for one in todo]
    out = tmp_path / "trials"
    gammas.keep(rows, out, places(todo, tmp_path / "work"))
    monkeypatch.setattr(gammas, "artifacts_folder", lambda: tmp_path)
    assert gammas.load_trials("group") == rows
    assert gammas.load_trials("gamma") == []
    histories, samples = gammas.load_histories("group"), gammas.load_samples("group")
    assert histories.keys() == {one.key for one in todo}
    assert samples.keys() == {trial().key}
    assert histories[trial().key].shape == (3, 40)
    assert samples[trial().key].dtype == torch.uint8

    other = tmp_path / "elsewhere"  # a machine without the photographs keeps their numbers
    carried_out(trial(), other)
    before = (out / "rows.jsonl").read_text(), (out / "histories.safetensors").read_bytes()
    gammas.keep(rows, out, places([trial()], other))
    assert json.loads(before[0].splitlines()[0]) == rows[0]
    assert (out / "rows.jsonl").read_text() == before[0]
    assert (out / "histories.safetensors").read_bytes() == before[1]
