"""Methods at equal search: what is drawn, how a run is read off, and what is said of the best of several settings."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from began.measure.distances import sharpness
from began.step import Update
from studies import rivals
from studies.image_gans import EBGAN, WGANGP
from studies.rivals import Contest, Lab, Null, Tried, draws, expected_best, gain, null_pictures, tried

CPU = torch.device("cpu")
LAB = Lab(n=4, rendered=64, held_out=24, count=20, few=10, nearest=2, shown=3)
ONE = Contest("best", "faces", "WGAN-GP", {"lr": 1e-3, "critic_steps": 5}, 3, 40, 2)
LIMITS = {
    "gamma": (0.3, 1.7),
    "lr": (2e-4, 3e-3),
    "grain": (0.05, 0.3),
    "multiple": (0.5, 5.0),
    "pull": (0.1, 0.1),
    "critic_steps": (1, 5),
    "beta1": (0.5, 0.5),
}
FOUND = {
    "BEGAN": [Tried(0.1, {"gamma": 1.2}), Tried(0.2, {"gamma": 0.9}), Tried(0.3, {"gamma": 0.5})],
    "EBGAN": [Tried(0.1, {"multiple": 2.0, "lr": 7e-4, "pull": 0.1})],
    "WGAN-GP": [Tried(0.1, {"lr": 1e-3})],
}
CHOICES = {"grain", "pull", "beta1"}  # nothing, or something


@pytest.mark.parametrize("model", rivals.SPACES)
def test_settings_are_drawn_from_ranges_and_few_are_the_first_of_many(model: str):
    many = draws(model, 2000)
    assert draws(model, 8) == many[:8]
    for name in many[0]:
        values = [setting[name] for setting in many]
        low, high = LIMITS[name]
        assert all(low <= value <= high for value in values if value or name not in CHOICES), name
        if name in CHOICES:
            assert 900 < sum(value == 0 for value in values) < 1100, name
    rates = np.log([setting["lr"] for setting in many])
    assert np.mean(rates) == pytest.approx(np.log(2e-4 * 15**0.5), abs=0.06), "log-uniform"


def test_no_method_has_the_luck_of_another():
    rates = [[setting["lr"] for setting in draws(model, 50)] for model in rivals.SPACES]
    for ours, theirs in itertools.combinations(rates, 2):
        assert abs(np.corrcoef(ours, theirs)[0, 1]) < 0.5


def test_all_methods_get_as_many_runs_and_what_is_reported_is_fresh():
    lab = Lab()
    search = rivals.searches(lab)
    rest = rivals.contests(FOUND, lab)
    for data, count in (("faces", 5), ("photographs", 5)):
        best = [one for one in rest if one.group == "best" and one.data == data]
        assert {model: sum(one.model == model for one in best) for model in rivals.SPACES} == dict.fromkeys(
            rivals.SPACES, count
        )
    assert {model: sum(one.model == model for one in search) for model in rivals.SPACES} == dict.fromkeys(
        rivals.SPACES, 16
    )
    assert {one.steps for one in search} == {800}
    assert not {one.seed for one in search} & {one.seed for one in rest}
    assert len({one.name for one in [*search, *rest]}) == len(search) + len(rest)
    data = [one.data for one in rest]
    assert "faces" not in data[data.index("photographs") :]


def test_without_faces_there_is_no_search_and_no_best():
    rest = rivals.contests({}, Lab())
    assert {one.group for one in rest} == {"first", "null"}


@pytest.mark.parametrize(
    ("model", "setting", "kind"),
    [
        ("BEGAN", {"gamma": 1.5, "lr": 1e-3, "grain": 0.1}, Update),
        ("EBGAN", {"multiple": 2.0, "lr": 1e-3, "pull": 0.1}, EBGAN),
        ("WGAN-GP", {"lr": 1e-3, "critic_steps": 1, "beta1": 0.0}, WGANGP),
    ],
)
def test_a_method_plays_with_its_setting(model: str, setting: dict, kind: type):
    play = rivals.begin(replace(ONE, model=model, setting=setting), LAB, CPU)
    assert type(play) is kind
    assert play.config.lr == 1e-3
    assert (play.config.seed, play.config.steps) == (3, 40)
    if isinstance(play, Update):
        assert play.model.equilibrium.gamma.item() == 1.5
        assert play.config.grain == 0.1
    elif isinstance(play, EBGAN):
        assert play.knob == {"margin": 0.14, "pull": 0.1}
        elsewhere = rivals.begin(replace(ONE, data="photographs", model=model, setting=setting), LAB, CPU)
        assert isinstance(elsewhere, EBGAN)
        assert elsewhere.knob["margin"] == 0.24, "as many times as large as losses are"
    else:
        assert play.config.beta1 == 0


def test_the_papers_gammas_have_a_best_of_their_own():
    runs = rivals.contests(FOUND, Lab())
    assert {one.setting["gamma"] for one in runs if one.group == "best" and one.model == "BEGAN"} == {1.2}
    assert {one.setting["gamma"] for one in runs if one.group == "within"} == {0.9}


def test_what_holds_the_ratio_is_compared_at_one_rate_and_without_pulling():
    runs = rivals.contests(FOUND, Lab())
    (alone,) = {tuple(one.setting.items()) for one in runs if one.group == "alone"}
    assert dict(alone) == {"multiple": 2.0, "lr": 7e-4, "pull": 0.0}
    assert {one.setting["lr"] for one in runs if one.group == "above"} == {7e-4}


def test_a_run_leaves_its_readings_its_cost_and_faces(photographs: Path):
    row = {}
    for data in ("faces", "photographs"):
        made = replace(ONE, data=data).carry_out(replace(LAB, photographs=photographs), Path(), CPU, lambda _: None)
        (row,) = made.rows
        assert row["readings"]["step"] == [20, 40]
        assert row["final"]["pixel_frechet"] == pytest.approx(row["readings"]["pixel_frechet"][-1], rel=1e-4)
        assert row["final"]["updates"] == 8, "G moved once in five steps"
        assert row["final"]["seconds"] > 0
        assert "ratio" not in row["final"]
        if data == "faces":
            (name,) = made.tensors["samples"]
            assert name == f"best/{row['key']}"
            assert made.tensors["samples"][name].shape == (3, 3, 16, 16)
        else:
            assert made.tensors == {}


def test_only_a_controller_has_a_k():
    ends = {}
    for model, setting in (("BEGAN", {"gamma": 1.0, "grain": 0.0}), ("EBGAN", {"multiple": 2.0})):
        run = replace(ONE, group="search", model=model, setting=setting)
        ends[model] = run.carry_out(LAB, Path(), CPU, lambda _: None).rows[0]["final"]
    assert ends["BEGAN"].keys() - ends["EBGAN"].keys() == {"k", "M", "saturated"}
    assert "nearest_face" not in ends["BEGAN"], "a search looks at one distance"


def test_the_best_setting_is_nearest_on_average_over_the_seeds():
    def row(lr: float, seed: int, distance: float) -> dict:
        return {"model": "EBGAN", "setting": {"lr": lr}, "seed": seed, "final": {"reader_frechet": distance}}

    rows = [row(1, 0, 0.1), row(2, 0, 0.4), row(1, 1, 0.9), row(2, 1, 0.2)]
    assert tried(rows) == {"EBGAN": [(pytest.approx(0.3), {"lr": 2}), (pytest.approx(0.5), {"lr": 1})]}


def test_the_expected_best_of_n_is_the_mean_over_all_ways_to_draw_n():
    values = [3.0, 1.0, 8.0, 2.0]
    found = expected_best(values)
    for n, best in enumerate(found, 1):
        ends = [min(drawn) for drawn in itertools.product(values, repeat=n)]
        assert best.n == n
        assert best.expected == pytest.approx(np.mean(ends))
        assert (best.low, best.high) == tuple(np.quantile(ends, (0.05, 0.95), method="inverted_cdf"))


def rows_of(values: list[float]) -> list[dict]:
    return [{"seed": seed, "final": {"d": value}} for seed, value in enumerate(values)]


def test_a_gain_is_positive_where_we_are_nearer_and_its_null_knows_no_names():
    found = gain(rows_of([1, 1, 1, 1, 1]), rows_of([2, 3, 2, 3, 2])[::-1], "d")
    assert (found.mean, found.seeds) == (pytest.approx(1.4), 5)
    assert found.low > 0
    assert found.null == 0
    assert found.null_low == pytest.approx(-found.null_high)
    assert 0 < found.null_high < found.mean
    assert gain(rows_of([2, 3]), rows_of([1, 1]), "d").mean == pytest.approx(-1.5)
    with pytest.raises(ValueError, match="seeds must be the same"):
        gain(rows_of([1, 2]), rows_of([1]), "d")


def test_what_cannot_draw_is_what_its_name_says():
    images, config = LAB.pictures("faces")[0], LAB.config("faces", seed=1)
    found = {kind: null_pictures(kind, images, config, 20) for kind in ("untrained", "one", "ten", "blurred", "noise")}
    real = null_pictures("real", images, config, 20)
    assert {some.dtype for some in found.values()} == {torch.uint8}
    assert {tuple(some.shape) for some in found.values()} == {(20, 3, 16, 16)}
    different = {kind: len(some.unique(dim=0)) for kind, some in found.items()}
    assert different == {"untrained": 20, "one": 1, "ten": 10, "blurred": 20, "noise": 20}
    assert all((images.pixels == one).flatten(1).all(1).any() for one in real), "real pictures, of those trained on"
    assert sharpness(found["blurred"].float()) < 0.7 * sharpness(real.float())
    assert (found["noise"] == real).flatten(1).all(1).sum() == 15
    (row,) = Null("null", "faces", "one", {}, 1, 0).carry_out(LAB, Path(), CPU, lambda _: None).rows
    assert row["final"]["pixel_std"] == 0


def test_the_best_of_the_search_are_run_again():
    plan, third = rivals.plan(Lab()), {model: draws(model, 3)[2] for model in rivals.SPACES}
    rows = [
        {
            "model": one.model,
            "setting": one.setting,
            "final": {"reader_frechet": float(one.setting != third[one.model])},
        }
        for one in next(plan)
        if isinstance(one, Contest)
    ]
    runs = [one for one in plan.send(rows) if isinstance(one, Contest)]
    assert {one.model: one.setting for one in runs if one.group == "best"} == third
    above = [one.setting for one in runs if one.group == "above" and one.seed == rivals.FRESH]
    assert [setting["gamma"] for setting in above] == list(rivals.ABOVE)
    assert {setting["lr"] for setting in above} == {third["EBGAN"]["lr"]}


def test_what_is_committed_is_what_the_search_chose():
    search, lab = rivals.load("search"), Lab()
    settings = {model: {str(row["setting"]) for row in search if row["model"] == model} for model in rivals.SPACES}
    assert settings == {model: {str(setting) for setting in draws(model, lab.draws)} for model in rivals.SPACES}
    runs = [one for one in rivals.contests(tried(search), lab) if one.data == "faces"]
    rows = [row for some in rivals.standings("faces").values() for row in some]
    assert {f"{row['group']}/{row['key']}" for row in rows} == {one.name for one in runs}
    assert rivals.load_samples().keys() == {one.name for one in runs if isinstance(one, Contest)}
    assert list(rivals.standings("photographs"))[:3] == list(rivals.SPACES)
    assert not any("photographs" in name for name in rivals.load_samples())
