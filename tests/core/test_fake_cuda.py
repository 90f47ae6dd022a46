"""CUDA without a GPU: the step traced on tensors that have a CUDA device and no numbers.

A mix of devices and a number that the host asks for both raise there. What the networks' own backward passes do is
torch's: it needs a device, so gradients appear here as empty tensors where autograd would leave them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode

from began import step, training
from began.config import TrainConfig
from began.devices import acceleration
from began.devices.acceleration import usable
from began.images import batches
from began.images.sources import Pictures
from began.step import Update
from began.training import Trainer

CUDA = torch.device("cuda", 0)
OPTIONS = {"size": 16, "n": 4, "n_z": 8, "batch": 4, "log_every": 5, "steps": 12, "skip": True, "ema": 0.9}
ALL = {**OPTIONS, "carry_steps": 10, "scale_free": True, "grain": 0.1}
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")


WHERE: dict[torch.Generator, torch.device] = {}
STREAM = torch.Generator


class Generator:
    """What stands in for torch's: makes a stream on the CPU and notes where it should be."""

    def __new__(cls, device: torch.device | str = "cpu"):
        made = STREAM()
        WHERE[made] = torch.device(device)
        return made


class Adam(torch.optim.Adam):
    """Adam that is given its learning rate late: at the start torch reads it, once."""

    def __init__(self, params, lr, **settings):
        super().__init__(params, lr=1e-3, **settings)
        for group in self.param_groups:
            group["lr"] = lr


def moved(module: nn.Module, change) -> nn.Module:
    """Move a module; torch's own way exchanges tensors in place, which those without numbers do not bear."""
    for child in module.children():
        moved(child, change)
    for name, parameter in module._parameters.items():
        module._parameters[name] = nn.Parameter(change(parameter.detach()))
    for name, buffer in module._buffers.items():
        module._buffers[name] = change(buffer)
    return module


def leaves(tensor: Tensor) -> set[Tensor]:
    """Return what a tensor was computed from that takes a gradient."""
    found, nodes, seen = set(), [tensor.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [before for before, _ in node.next_functions]
            found |= {node.variable} if hasattr(node, "variable") else set()
    return found


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None):
    tensors = [tensors] if isinstance(tensors, Tensor) else tensors
    given = [grad_tensors] if grad_tensors is None or isinstance(grad_tensors, Tensor) else grad_tensors
    for tensor, gradient in zip(tensors, given * len(tensors) if len(given) == 1 else given, strict=True):
        assert gradient is None or (gradient.device, gradient.shape, gradient.dtype) == (
            tensor.device,
            tensor.shape,
            tensor.dtype,
        )
        for leaf in leaves(tensor) if inputs is None else inputs:
            leaf.grad = torch.empty_like(leaf) if leaf.grad is None else leaf.grad + torch.empty_like(leaf)


def grad(outputs, inputs, grad_outputs=None, **_):
    assert grad_outputs is None or grad_outputs.device == outputs.device
    return tuple(torch.empty_like(part) for part in ([inputs] if isinstance(inputs, Tensor) else inputs))


def fused_adam(*lists, **options) -> None:
    """Check what torch's one kernel for all tensors is given; it has no form without numbers."""
    given = [*(part for parts in lists for part in parts), *(part for part in options.values() if part is not None)]
    assert {part.device for part in given if isinstance(part, Tensor)} == {CUDA}


@pytest.fixture
def gpu(monkeypatch) -> Iterator[None]:
    """A GPU without numbers, of any capability."""
    rand = torch.rand

    def there(*shape, generator, device, **options):
        assert WHERE[generator] == torch.device(device), "a stream of one device draws on another"
        return rand(*shape, device=device, **options)

    monkeypatch.setattr(torch, "rand", there)
    monkeypatch.setattr(torch, "Generator", Generator)
    monkeypatch.setattr(torch.optim, "Adam", Adam)
    monkeypatch.setattr(nn.Module, "_apply", moved)
    monkeypatch.setattr(torch.autograd, "backward", backward)
    monkeypatch.setattr(torch.autograd, "grad", grad)
    # torch's own copies would copy the mode too
    monkeypatch.setattr(nn.Parameter, "__deepcopy__", lambda self, _: nn.Parameter(self.detach().clone()))
    monkeypatch.setattr(FakeTensor, "__deepcopy__", lambda self, _: self.detach().clone())
    monkeypatch.setattr(torch, "_fused_adam_", fused_adam)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a GPU")
    monkeypatch.setattr(step, "precisions", lambda _: tuple(acceleration.DTYPES))
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 12) and not torch.cuda.is_available():
        pytest.skip("tried with torch 2.15; 2.6 asks for a driver")
    try:
        mode = FakeTensorMode(allow_fallback_kernels=False)
        mode.cache_enabled = False  # it has crashed the interpreter
        with mode:
            torch.empty(2, device=CUDA).add(1)
    except (RuntimeError, AssertionError) as error:
        pytest.skip(f"this torch traces no CUDA tensors without a driver ({error})")
    with mode:
        yield


def batch() -> Tensor:
    return torch.empty(4, 3, 16, 16, device=CUDA)


MODES = [("fast", "float32"), ("reference", "float32"), ("fast", "float16"), ("fast", "bfloat16")]


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("mode", "precision"), MODES)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_step_stays_on_its_device_and_asks_for_no_number(mode, precision, alpha):
    update = Update(TrainConfig(**ALL, mode=mode, precision=precision, alpha=alpha), CUDA, graph=False)
    update._works = True  # the first call keeps a copy on the host, in case it fails
    for _ in range(3):
        update(batch())
    assert update.scaler.is_enabled() == (precision == "float16")
    adam = [part for state in update.optimizer.state.values() for part in state.values()]
    assert len(adam) == 3 * len(list(update.model.parameters()))
    everything = [*update.model.state_dict().values(), *update.average.state_dict().values(), *adam]
    everything += [update.sample_z, update._rows, update._cursor, *(part.grad for part in update.model.parameters())]
    assert {part.device for part in everything} == {CUDA}
    assert update.how == f"{precision} on a GPU"


@pytest.mark.usefixtures("gpu")
def test_a_step_that_asks_for_a_number_or_mixes_devices_is_found():
    update = Update(TrainConfig(**ALL, precision="float32"), CUDA, graph=False)
    with pytest.raises(DataDependentOutputException):
        update.model.equilibrium.k.item()
    with pytest.raises((RuntimeError, AssertionError), match=r"(?i)device"):
        update._update(torch.empty(4, 3, 16, 16))
    update.rng = Generator()
    with pytest.raises(AssertionError, match="draws on another"):
        update._update(batch())


@pytest.mark.usefixtures("gpu")
def test_the_monitor_reads_on_the_device(monkeypatch):
    monkeypatch.setattr("began.state.usable", torch.device)
    monkeypatch.setattr(batches, "_free_bytes", lambda _: 2**30)
    monkeypatch.setattr(step, "Graphed", lambda *_: None)
    pictures = Pictures(torch.zeros(40, 3, 16, 16, dtype=torch.uint8), "black")
    trainer = Trainer(TrainConfig(**ALL, precision="bfloat16"), pictures, device=CUDA)
    assert trainer.watched.device == trainer.batches.images.pixels.device == CUDA
    rows = []
    real = training.take_reading

    def read(*given):
        rows.append(real(*given))
        raise InterruptedError  # the next thing is to read it, the one wait that there is

    monkeypatch.setattr(training, "take_reading", read)
    monkeypatch.setattr(Tensor, "__bool__", lambda _: False)  # whether all pictures are one, asked before a reading
    with pytest.raises(InterruptedError):
        trainer._watch()
    assert rows[0].device == CUDA
    assert rows[0].shape == (5,)


# Devices that can't be used


@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda", 7)])
def test_without_a_gpu_a_device_string_says_so(device, monkeypatch):
    if torch.cuda.is_available():
        monkeypatch.setattr(torch, "zeros", no_device)
    with pytest.raises(ValueError, match=rf"device '{device}' can't be used here \(.+\); cpu always can"):
        usable(device)


@pytest.mark.slow
def test_where_the_gpus_are_hidden_the_command_line_takes_the_cpu_and_says_why_not_cuda():
    train = [sys.executable, "-m", "began.cli", "train", "--dry-run", "--size=16", "--n=2", "--count=16"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    ways = [
        subprocess.Popen([*train, *more], env=environment, stdout=-1, stderr=-2, text=True)
        for more in ([], ["--device=cuda"])
    ]
    default, asked = (way.communicate()[0] for way in ways)
    assert [way.returncode for way in ways] == [0, 2]
    assert default.startswith("20 steps in float32 on cpu")
    assert "device 'cuda' can't be used here (" in asked
    assert "Traceback" not in asked


def no_device(*_args, **_kwargs):
    raise RuntimeError("CUDA error: invalid device ordinal\nCUDA kernel errors might be asynchronously reported")


def test_a_number_that_no_gpu_has_is_named_without_the_advice_to_programmers(monkeypatch):
    monkeypatch.setattr(torch, "zeros", no_device)
    with pytest.raises(ValueError, match=r"^device 'cuda:1' can't be used here \(CUDA error: invalid device ordinal\)"):
        usable("cuda:1")


def test_a_gpu_that_others_have_filled_is_named(monkeypatch):
    def full(*_args, **_kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB. GPU 0 has 1 MiB free.")

    monkeypatch.setattr(torch, "zeros", full)
    with pytest.raises(ValueError, match=r"'cuda:0' can't be used here \(CUDA out of memory\. .* 1 MiB free\.\)"):
        usable("cuda:0")
