"""The training step as the popular ports of BEGAN order it, and the remedies that this package adds, one by one.

The ports keep PyTorch's defaults, upsample before they convolve, run D three times a step, and throw away the
gradients of D that G's loss leaves behind: G(z) goes through D for G's step, then x and G(z) again for D's; k lives
on the host. Here they have the papers' architecture, losses and noise, which not all of them do.
"""

from collections.abc import Set
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from began.config import TrainConfig
from began.devices.acceleration import Graphed
from began.losses import Norm, latent_constraint, reconstruction_loss
from began.networks import Layer, UpConv
from began.passes import Began, fast_pass

FEATURES = (
    "one pass",
    "folded upsampling",
    "in-place ELU",
    "channels last",
    "fused Adam",
    "k on the device",
    "bfloat16",
    "CUDA graph",
)


class PlainUpConv(UpConv):
    """Nearest-neighbour upsampling, then the 3x3 convolution."""

    def forward(self, input: Tensor) -> Tensor:
        """Upsample and convolve."""
        return self._conv_forward(F.interpolate(input, scale_factor=2), self.weight, self.bias)


class PlainLayer(Layer):
    """A convolution and an ELU that keeps its input."""

    def forward(self, x: Tensor, carry: Tensor | None = None) -> Tensor:
        """Apply the layer."""
        return F.elu(self.conv(x))


def plain(model: nn.Module, features: Set[str]) -> None:
    """Undo, in place, what the networks of this package do that the ports' do not, but for the features named."""
    for module in model.modules():
        if isinstance(module, UpConv) and "folded upsampling" not in features:
            module.__class__ = PlainUpConv
        if isinstance(module, Layer) and "in-place ELU" not in features:
            module.__class__ = PlainLayer


class PortsStep:
    """A step in the order of the ports, with some of `FEATURES`; "CUDA graph" needs "k on the device"."""

    def __init__(self, config: TrainConfig, device: torch.device, features: Set[str] = frozenset()):
        self.features = features
        self.model = Began(config, torch.Generator().manual_seed(0)).to(device)
        plain(self.model, features)
        self.format = torch.channels_last if "channels last" in features else torch.contiguous_format
        self.model.to(memory_format=self.format)
        self.rng = torch.Generator(device).manual_seed(0)
        settings = {
            "lr": config.lr,
            "betas": (config.beta1, 0.999),
            "fused": "fused Adam" in features or None,
            "capturable": "CUDA graph" in features,
        }
        self.adam_G = torch.optim.Adam(self.model.generator.parameters(), **settings)
        self.adam_D = torch.optim.Adam(self.model.discriminator.parameters(), **settings)
        self.precision = "bfloat16" if "bfloat16" in features else "float32"
        self.autocast = torch.autocast(device.type, torch.bfloat16) if "bfloat16" in features else nullcontext()
        self.k = config.k_0
        self.graph = Graphed(device, self.rng) if "CUDA graph" in features else None

    def __call__(self, x: Tensor) -> None:
        """Train on a batch."""
        if self.graph:
            self.graph(self.step, x)
        else:
            self.step(x)

    def step(self, x: Tensor) -> None:
        """Train on a batch, without a graph."""
        x = x.contiguous(memory_format=self.format)
        z = self.model.noise(len(x), self.rng)
        if "one pass" in self.features:
            with self.autocast:
                losses, backward = fast_pass(self.model, x, z)
            self.model.zero_grad()
            backward()
            self.adam_G.step()
            self.adam_D.step()
            L_x, L_v = losses.real, losses.fake
        else:
            L_x, L_v = self.three_passes(x, z)
        self.balance(L_x, L_v)

    def three_passes(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Train G, then D."""
        G, D, norm = self.model.generator, self.model.discriminator, self.model.norm
        with self.autocast:
            v = G(z)
            L_G = reconstruction_loss(v.to(x.dtype), D(v), norm).mean()
        self.model.zero_grad()
        L_G.backward()
        self.adam_G.step()
        v = v.detach().to(x.dtype)
        with self.autocast:
            L_x = reconstruction_loss(x, D(x), norm).mean()
            h_v = D.encode(v)
            L_v = reconstruction_loss(v, D.decode(h_v), norm).mean()
            k = self.model.equilibrium.k if "k on the device" in self.features else self.k
            L_D = L_x - k * L_v
            if self.model.alpha:
                L_D = L_D + self.model.alpha * latent_constraint(z, h_v, norm).mean()
        D.zero_grad()
        L_D.backward()
        self.adam_D.step()
        return L_x.detach(), L_v.detach()

    def balance(self, L_x: Tensor, L_v: Tensor) -> None:
        """Move k, on the host or on the device."""
        equilibrium = self.model.equilibrium
        if "k on the device" in self.features:
            equilibrium.update(L_x, L_v)
        else:
            error = equilibrium.gamma * L_x - L_v
            self.k = min(max(self.k + (equilibrium.lambda_k * error).item(), 0.0), 1.0)


class TorchganStep:
    """A step by torchgan's own training functions, on the networks of this package, folded upsampling included.

    It trains D, then G, each with a z of its own (Gaussian there), and reads three numbers on the host. torchgan is no
    dependency: `pip install --no-deps --target DIR torchgan`, with DIR on PYTHONPATH, measures beside it.
    """

    precision = "float32"

    def __init__(self, config: TrainConfig, device: torch.device):
        from torchgan.losses import (  # pyright: ignore[reportMissingImports]
            BoundaryEquilibriumDiscriminatorLoss,
            BoundaryEquilibriumGeneratorLoss,
        )

        model = Began(config, torch.Generator().manual_seed(0)).to(device)
        self.device, self.generator = device, model.generator
        vars(self.generator).update(label_type="none", encoding_dims=config.n_z)
        self.energy = Energy(model)
        self.loss_G = BoundaryEquilibriumGeneratorLoss()
        self.loss_D = BoundaryEquilibriumDiscriminatorLoss(init_k=config.k_0, lambd=config.lambda_k, gamma=config.gamma)
        rates = {"lr": config.lr, "betas": (config.beta1, 0.999)}
        self.adam_G = torch.optim.Adam(self.generator.parameters(), **rates)
        self.adam_D = torch.optim.Adam(self.energy.parameters(), **rates)

    def __call__(self, x: Tensor) -> None:
        """Train on a batch."""
        self.loss_D.train_ops(self.generator, self.energy, self.adam_D, x, self.device)
        self.loss_G.train_ops(self.generator, self.energy, self.adam_G, self.device, len(x))


class Energy(nn.Module):
    """D as torchgan has it: pictures to L(v), one number each."""

    label_type = "none"

    def __init__(self, model: Began):
        super().__init__()
        self.discriminator = model.discriminator
        self.norm: Norm = model.norm

    def forward(self, v: Tensor) -> Tensor:
        """Return L(v)."""
        return reconstruction_loss(v, self.discriminator(v), self.norm)
