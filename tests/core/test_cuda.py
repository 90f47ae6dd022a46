"""What only a GPU shows, and what of it a CPU can rehearse: the loop around a graph."""

import logging

import pytest
import torch

from began import training
from began.config import TrainConfig
from began.images.sources import Pictures
from began.step import Update
from began.training import Trainer

BOTH = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
SMALL = {"size": 16, "n": 4, "n_z": 8, "batch": 4, "log_every": 5, "steps": 40, "sample_every": 10**6}


def pictures() -> Pictures:
    rng = torch.Generator().manual_seed(7)
    return Pictures(torch.randint(0, 256, (32, 3, 16, 16), generator=rng, dtype=torch.uint8), "noise")


@BOTH
def test_the_monitor_reads_beside_a_graph_and_a_rollback_captures_it_anew(device, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "EVERY", 5)
    evidence = ["made up"]
    monkeypatch.setattr(
        training, "suspicion", lambda readings: evidence.pop() if len(readings) == 4 and evidence else None
    )
    config = TrainConfig(**SMALL, precision="float32", on_collapse="rollback")
    trainer = Trainer(config, pictures(), device=device, out=tmp_path)
    first = trainer.update
    history = trainer.fit(progress=False)
    assert [rollback["step"] for rollback in trainer.rescue.rollbacks] == [20]
    assert trainer.update is not first
    assert not trainer.update.without
    if device == "cuda":
        assert trainer.update._graph.graph is not None
    assert trainer.lr == pytest.approx(config.lr / 2)
    assert len(history.k) == 40
    assert torch.stack(history).isfinite().all()


class Waiting(Update):
    """An update that waits for the host where it is captured."""

    def _update(self, x: torch.Tensor) -> None:
        super()._update(x)
        if torch.cuda.is_current_stream_capturing():
            self.model.equilibrium.k.item()


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_on_cuda_a_capture_that_breaks_off_leaves_a_run_of_single_steps(precision, caplog):
    device = torch.device("cuda")
    config = TrainConfig(**{**SMALL, "log_every": 20}, precision=precision, ema=0.9, carry_steps=9)
    rng = torch.Generator().manual_seed(5)
    batches = [torch.rand(4, 3, 16, 16, generator=rng).to(device) * 2 - 1 for _ in range(12)]
    broken, plain = Waiting(config, device), Update(config, device, graph=False)
    with caplog.at_level(logging.WARNING):
        for x in batches:
            broken(x)
    for x in batches:
        plain(x)
    assert len(broken.without) == 1
    assert "CUDA graph does not work here" in caplog.text
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert torch.equal(broken.rng.get_state(), plain.rng.get_state())
    rtol = 1e-3 if precision == "float32" else 3e-2
    torch.testing.assert_close(broken.take_rows(), plain.take_rows(), rtol=rtol, atol=1e-4)


@pytest.mark.cuda
def test_a_run_says_that_cuda_did_its_steps_as_a_graph(tmp_path):
    trainer = Trainer(TrainConfig(**SMALL), pictures(), device="cuda", out=tmp_path)
    trainer.fit(10, progress=False)
    assert "one CUDA graph a step" in trainer.update.how
    assert not trainer.update.without
    resumed = Trainer.resume(tmp_path / "checkpoint.pt", pictures(), device="cuda", out=tmp_path)
    resumed.fit(20, progress=False)
    assert len(resumed.history.k) == 20
