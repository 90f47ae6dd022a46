"""The figures of 25 Gaussians: samples over their mixture, and methods in rows."""

import torch

from studies.figures import ch09
from studies.toy.mixtures import PROBLEMS, grid


def line(method: str, modes: float, search: str = "search") -> dict[str, float | str]:
    values = {"modes": modes, "modes_low": modes - 2, "modes_high": modes + 3}
    shares = {key.replace("modes", "high_quality"): value / 100 for key, value in values.items()}
    return {"method": method, "search": search, **values, **shares}


def test_samples_are_drawn_over_the_means_of_their_mixture(check_figure):
    panels = check_figure(ch09.show_mixtures(PROBLEMS.values(), count=50))
    for panel, (name, mixture) in zip(panels, PROBLEMS.items(), strict=True):
        assert panel.title == name
        assert panel.curve(*mixture.means.T)
        assert panel.curve(*mixture.sample(50).T)
    a, b = torch.rand(2, 2, 30, 2)
    panels = check_figure(ch09.show_samples({"a": a, "b": b}, grid(), count=20))
    assert [panel.axes.get_ylabel() for panel in panels] == ["a", "", "b", ""]
    for panel, points in zip(panels, [*a, *b], strict=True):
        assert panel.curve(*grid().means.T)
        assert panel.curve(*points[:20].T)
    check_figure(ch09.show_mixtures([grid()], count=1))
    check_figure(ch09.show_samples({"GAN": torch.zeros(1, 1, 2)}, grid()))


def test_a_plane_has_intervals_nulls_and_published_figures(check_figure):
    lines = [line("gan", 20), line("ragan", 8), line("began_cs", 12), line("began_cs", 15, "wide")]
    noise = line("noise", 23)
    (panel,) = check_figure(
        ch09.show_plane(lines, [line("perfect", 25), noise], {"gan": (3.3, 0.005), "ragan": (9, 0.1)})
    )
    names = {20: "GAN", 8: "another method", 12: "BEGAN-CS", 25: "perfect", 23: "noise"}
    for modes, name in names.items():
        assert panel.at(modes, modes).name == name, "per cent"
        assert panel.level(modes, modes)
        assert panel.upright(modes, modes)
    assert panel.has([18, 23], 20)
    assert panel.at(15, 15)
    assert panel.has([3.3, 9], [0.5, 10])


def test_every_setting_tried_is_drawn_beside_what_the_best_reached(check_figure):
    merits, reported = {"GAN": [0.1, 0.2, 0.3], "BEGAN": [0.0]}, {"GAN": 0.25, "BEGAN": 0.15}
    (panel,) = check_figure(ch09.show_searches(merits, reported))
    assert panel.rows == list(merits)
    for y, name in enumerate(merits):
        assert panel.has([*merits[name], reported[name]], y)


def test_k_is_drawn_beside_its_bound(check_figure):
    (panel,) = check_figure(ch09.show_coverage([0.2, 0.4], [0.1, 0.3], [0.2, 0.5]))
    assert panel.curve([0.2, 0.4], [0.2, 0.5]).name == "$m / 25$"
    assert panel.curve([0.2, 0.4], [0.1, 0.3]).name == "$k$, a run each"
    (panel,) = check_figure(ch09.show_meter({"BEGAN": ([0.5], [0.1]), "BEGAN-CS": ([0.2], [0.3])}))
    assert panel.at(0.5, 0.1).name == "BEGAN"
    assert panel.at(0.2, 0.3).name == "BEGAN-CS"
    assert any(len(one.points) > 1 and (one.points[:, 0] == one.points[:, 1]).all() for one in panel.series)


def test_settings_of_the_longer_search_are_points_in_per_cent(check_figure):
    (panel,) = check_figure(ch09.show_wide({"BEGAN": ([1, 20], [1.0, 0.1]), "BEGAN-CS": ([5], [0.5])}))
    assert panel.curve([1, 20], [100, 10]).name == "BEGAN"
    assert panel.at(5, 50).name == "BEGAN-CS"
    assert panel.level(90)
