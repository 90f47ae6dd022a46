"""Structure and texture: D alone learns what it says, and known texture is found again."""

import math
from dataclasses import replace

import pytest
import torch

from began.config import TrainConfig
from began.images.sources import Files, Pictures, open_images
from began.measure.structure import Critic, Room, room, spoilt

CONFIG = TrainConfig(size=16, n=4, n_z=8, batch=8, lr=1e-3, seed=3)


@pytest.fixture(scope="module")
def faces() -> Pictures | Files:
    return open_images("faces", size=16, count=320)


def test_a_critic_descends_on_the_loss_of_grainy_pictures_alone():
    """One step of torch's own Adam on |x + sigma xi - D(x + sigma xi)|, with the numbers of its own generator."""
    critic, twin = (Critic(replace(CONFIG, grain=0.3), 5) for _ in range(2))
    x = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    xi = torch.randn(x.shape, generator=twin.rng)
    adam = torch.optim.Adam(twin.D.parameters(), lr=1e-3, betas=(CONFIG.beta1, 0.999))
    grainy = x + 0.3 * xi
    (grainy - twin.D(grainy)).abs().mean().backward()
    adam.step()
    critic(x)
    for ours, theirs in zip(critic.D.parameters(), twin.D.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert critic.loss(x) == pytest.approx((x - twin.D(x)).abs().mean().item(), rel=1e-3)


def test_spoiling_adds_white_noise_of_its_strength():
    x = torch.zeros(4, 3, 16, 16)
    noise = spoilt(x, 0.2, torch.Generator().manual_seed(0))
    assert noise.std().item() == pytest.approx(0.2, rel=0.05)
    assert torch.equal(spoilt(x, 0.0, torch.Generator()), x)


def test_room_is_a_ratio_of_losses_and_grain_makes_it():
    found = Room(grain=0.0, whole=0.2, clean=0.2, copies=0.1)
    assert found.gammas == pytest.approx((0.5, 1.0))
    assert found.grains_for(1.0) == (0, 0)
    for gamma in (0.3, 0.5, 0.8):
        for s, grain in zip((0.1, 0.2), found.grains_for(gamma), strict=True):
            whole = math.sqrt(0.2**2 + 2 / math.pi * grain**2)
            assert s / whole == pytest.approx(min(gamma, s / 0.2))
    assert found.grains_for(0.8)[0] == 0, "copies have room already"


def test_grain_that_was_added_is_found_again(faces):
    """By the law of squares, from losses alone; plain addition would be far off."""
    none, much = (room(faces, replace(CONFIG, grain=grain), steps=200) for grain in (0.0, 0.2))
    assert none.whole == none.clean
    assert 0 < none.copies < none.whole
    found = math.sqrt((much.whole**2 - none.whole**2) * math.pi / 2)
    assert found == pytest.approx(0.2, rel=0.15)
    assert (much.whole - none.whole) * math.sqrt(math.pi / 2) < 0.75 * 0.2
    assert much.gammas[0] < none.gammas[0]
    assert much.gammas[1] < none.gammas[1] == 1


def test_what_is_found_depends_on_seed_and_pictures_alone(faces):
    assert room(faces, CONFIG, steps=3) == room(faces, CONFIG, steps=3)
    assert room(faces, CONFIG, steps=3) != room(faces, replace(CONFIG, seed=4), steps=3)


def test_pictures_in_files_are_read(tmp_path):
    for i, picture in enumerate(open_images("faces", size=16, count=30)):
        from PIL import Image

        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(tmp_path / f"{i:02}.png")
    files = open_images(f"folder:{tmp_path}", size=16)
    assert isinstance(files, Files)
    found = room(files, CONFIG, steps=2)
    memory = room(Pictures(torch.stack([files[i] for i in range(30)]), "the same"), CONFIG, steps=2)
    assert found == memory


def test_too_few_pictures_are_refused(faces):
    with pytest.raises(ValueError, match="must hold at least 10 pictures, got 9"):
        room(Pictures(torch.stack([faces[i] for i in range(9)]), "few"), CONFIG)
