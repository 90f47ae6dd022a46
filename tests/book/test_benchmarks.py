"""What the speed is compared with: the ports' step trains the same model, and its features change no result."""

import json
import os
from dataclasses import replace

import ensembles
import hotspots
import machine
import monitor
import ports
import pytest
import step as benchmark
import torch

from began.config import TrainConfig
from began.passes import Began, reference_pass

CPU = torch.device("cpu")
CONFIG = TrainConfig(size=16, n=4, n_z=8, batch=4, k_0=0.3, alpha=0.1, lr=1e-3, precision="float32")
X = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(3)) * 2 - 1


def weights(step: ports.PortsStep) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in step.model.parameters()])


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_the_ports_step_has_the_losses_and_the_gradients_of_the_equations(alpha):
    config = replace(CONFIG, alpha=alpha)
    step = ports.PortsStep(config, CPU)
    model = Began(config, torch.Generator().manual_seed(0))
    z = model.noise(4, torch.Generator().manual_seed(0))
    expected, backward = reference_pass(model, X, z, z)
    backward()
    step.adam_G.step = lambda: None  # G stays, so that both losses are those of the same G
    L_x, L_v = step.three_passes(X, z)
    torch.testing.assert_close(torch.stack([L_x, L_v]), torch.stack(expected[:2]))
    for ours, theirs in zip(model.discriminator.parameters(), step.model.discriminator.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad, ours.grad, rtol=1e-3, atol=1e-6)
    for ours, theirs in zip(model.generator.parameters(), step.model.generator.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad, ours.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("feature", [f for f in ports.FEATURES if f not in ("bfloat16", "CUDA graph", "one pass")])
def test_a_feature_changes_no_result(feature):
    plain, other = ports.PortsStep(CONFIG, CPU), ports.PortsStep(CONFIG, CPU, {feature})
    before = weights(plain)
    for step in (plain, other):
        step(X)
    moved = (weights(plain) - before).norm()
    assert (weights(plain) - weights(other)).norm() < 0.01 * moved
    assert plain.k == pytest.approx(float(other.model.equilibrium.k) if "device" in feature else other.k)
    assert plain.k != CONFIG.k_0


def test_the_ports_read_k_back_and_began_reads_nothing():
    ways = benchmark.ways(CONFIG, CPU, remedies=True)
    reads = {name: benchmark.host_reads(make(), X) for name, make in ways.items()}
    assert reads["ports"] == reads["ports + fused Adam"] == 1
    assert reads["ports + k on the device"] == reads["reference"] == reads["began"] == 0


def test_operations_are_those_counted_by_hand():
    """Three forward passes' worth for each pass of G, and of D on x and on G(z); of the input's gradient, nothing."""
    config = TrainConfig(size=16, n=4, n_z=8, batch=2)
    conv = lambda i, o, pixels: 2 * 9 * i * o * pixels  # noqa: E731
    linear = lambda i, o: 2 * i * o  # noqa: E731
    up = 2 * 16 * 4 * 4 * 64  # 16 multiplications for each of the 8x8 inputs of a folded upsampling
    dec = linear(8, 256) + 2 * conv(4, 4, 64) + up + conv(4, 4, 256) + conv(4, 3, 256)
    enc = conv(3, 4, 256) + 2 * conv(4, 4, 256) + conv(4, 8, 64) + 2 * conv(8, 8, 64) + linear(512, 8)
    step = 2 * 3 * dec + 4 * 3 * (enc + dec)
    not_needed = 2 * linear(8, 256)  # the gradient of z
    assert benchmark.flops(config) == step - not_needed
    constrained = benchmark.flops(replace(config, alpha=0.1))
    assert 1.02 * step < constrained < 1.15 * step


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="Linux counts the peak")
def test_memory_is_that_of_the_activations_at_least():
    config = TrainConfig(size=64, n=16, batch=16, precision="float32")
    activations = 3 * 16 * 16 * 64 * 64 * 4 / 2**20  # G's three layers at the full resolution, float32
    peak = benchmark.peak_mib(lambda: benchmark.Reading(config, CPU), config, CPU, "began")
    assert activations < peak < 50 * activations


def test_a_run_writes_its_table_and_keeps_what_was_there(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path)
    monkeypatch.setattr(benchmark, "SLICE", 0)
    monkeypatch.setattr(benchmark, "peak_mib", lambda *_: 1.0)
    monkeypatch.setattr(benchmark, "matrix_rates", lambda _: {"float32": 1e12, "bfloat16": 2e12})
    for size in (16, 32):
        benchmark.main(["--device", "cpu", "--shape", str(size), "2", "4"])
    (path,) = tmp_path.glob("*.json")
    written = json.loads(path.read_text())
    assert {"machine", "device", "date", "commit", "torch", "matrix_tflops"} <= written.keys()
    rows = written["rows"]
    ways = {"ports", "reference", "began", "began, bfloat16"}
    assert {(row["mode"], row["model"], row["size"]) for row in rows} == {
        (way, model, size) for way in ways for model in ("BEGAN", "BEGAN-CS") for size in (16, 32)
    }
    assert all(row["ratio_low"] <= row["ratio"] <= row["ratio_high"] for row in rows)
    assert all(row["ratio"] == 1 for row in rows if row["mode"] == "ports")
    assert all(row["images_per_s"] > 0 and row["floor_share"] > 0 for row in rows)


def test_the_operations_that_take_the_time_of_a_step_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    hotspots.main(["--device", "cpu", "--shape", "16", "8", "4"])
    (path,) = tmp_path.glob("hotspots-*.json")
    rows = json.loads(path.read_text())["rows"]
    shares = [row["share"] for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert 0.8 < sum(shares) <= 1.001
    assert any("convolution" in row["operation"] for row in rows[:10])


def test_ensembles_are_compared_with_one_run_after_another(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    ensembles.main(["--members", "1", "2", "--steps=1"])
    (path,) = tmp_path.glob("*.json")
    rows = json.loads(path.read_text())["rows"]
    assert [(row["model"], row["mode"], row["members"]) for row in rows] == [
        (model, mode, members)
        for model in ("gan", "began_cs")
        for mode, members in (("plain", 1), ("ensemble", 1), ("ensemble", 2))
    ]
    assert all(row["ratio_low"] <= row["ratio"] <= row["ratio_high"] for row in rows)
    assert all(row["ratio"] == 1 for row in rows if row["mode"] == "plain")


def test_a_reading_of_the_monitor_is_compared_with_the_steps_between_two(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(monitor, "ROUNDS", 2)
    monkeypatch.setattr(monitor, "SECONDS", 0.1)
    monitor.main(["--shape", "16", "4", "4"])
    (path,) = tmp_path.glob("monitor-*.json")
    rows = json.loads(path.read_text())["rows"]
    assert [row["model"] for row in rows] == ["began", "began_cs"]
    for row in rows:
        assert 0 < row["share_low"] <= row["share"] <= row["share_high"]
        assert row["share_low"] < row["reading_s"] / (100 * row["step_s"]) < row["share_high"] * 1.01
        assert row["kept_s"] > 0
