"""The image networks: an encoder and a decoder of 3x3 convolutions and ELU, from which D and G are made."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZES = (16, 32, 64, 128, 256)
BASE = 8  # the coarsest resolution, at which the linear layers sit


class UpConv(nn.Conv2d):
    """Nearest-neighbour upsampling by 2 followed by a 3x3 convolution, as one transposed convolution.

    Along one axis the 3-tap kernel (w0, w1, w2) after upsampling equals the 4-tap kernel
    (w2, w2 + w1, w1 + w0, w0) of a transposed convolution with stride 2, borders included:
    16 multiplications a pixel of the input instead of 36. The parameters stay those of the 3x3 convolution.

    Shapes: `(B, in_channels, H, W)` to `(B, out_channels, 2H, 2W)`.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        """Upsample and convolve."""
        kernel = _folded(_folded(self.weight.transpose(0, 1), 2), 3)
        return F.conv_transpose2d(input, kernel, self.bias, stride=2, padding=1)


def _folded(kernel: Tensor, axis: int) -> Tensor:
    w0, w1, w2 = kernel.unbind(axis)
    return torch.stack([w2, w2 + w1, w1 + w0, w0], axis)


class Layer(nn.Module):
    """A convolution and its ELU, optionally blended with its own input.

    `y = carry x + (1 - carry) ELU(conv(x))`: the vanishing residual of BEGAN 3.6, whose carry decays from 1 to 0.
    Without a carry it is `ELU(conv(x))`.
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, carry: Tensor | None = None) -> Tensor:
        """Apply the layer; a carry needs a layer that keeps the shape of x."""
        y = F.elu(self.conv(x), inplace=True)  # its gradient needs the result alone, that of the convolution neither
        return y if carry is None else torch.lerp(y, x, carry.to(y.dtype))


def conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the resolution at stride 1 and halves it at stride 2."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)


class Stack(nn.Module):
    """What encoder and decoder share: the carry of the vanishing residuals, and the initialisation.

    Weights are drawn from U(-sqrt(3/fan_in), sqrt(3/fan_in)), which keeps the variance of a signal from layer to layer;
    biases start at 0. `carry_steps = 0` means no residuals.
    """

    carry: Tensor | None

    def __init__(self, carry_steps: int):
        super().__init__()
        self.carry_steps = carry_steps
        self.register_buffer("carry", torch.ones(()) if carry_steps else None)

    @torch.no_grad()
    def initialise(self, rng: torch.Generator | None = None) -> None:
        """Draw all weights anew from `rng` (torch's default generator if None)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="linear", generator=rng)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def decay_carry(self) -> None:
        """Lower the carry by one step of its `carry_steps` from 1 to 0, on the device."""
        if self.carry is not None:
            self.carry.sub_(1 / self.carry_steps).clamp_(min=0)


class Encoder(Stack):
    """Enc: images to codes h, without a nonlinearity at the end (BEGAN 3.6).

    Two layers a resolution with n, 2n, 3n, ... filters, a stride-2 convolution between resolutions down to 8x8,
    then a linear layer. Shapes: `(B, channels, size, size)` to `(B, n_h)`.
    """

    def __init__(self, size: int, channels: int, n: int, n_h: int, carry_steps: int = 0):
        super().__init__(carry_steps)
        levels = int(math.log2(size // BASE)) + 1
        self.stem = Layer(conv(channels, n))
        self.firsts = nn.ModuleList(Layer(conv(i * n, i * n)) for i in range(1, levels + 1))
        self.seconds = nn.ModuleList(Layer(conv(i * n, i * n)) for i in range(1, levels + 1))
        self.downs = nn.ModuleList(Layer(conv(i * n, (i + 1) * n, stride=2)) for i in range(1, levels))
        self.to_code = nn.Linear(levels * n * BASE**2, n_h)

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch of images."""
        x = self.stem(x)
        for i, (first, second) in enumerate(zip(self.firsts, self.seconds, strict=True)):
            if i:
                x = self.downs[i - 1](x)
            x = second(first(x, self.carry), self.carry)
        return self.to_code(x.flatten(1))


class Decoder(Stack):
    """Dec, and G: codes to images, n filters at every resolution, no nonlinearity at the end (BEGAN 3.6).

    A linear layer to 8x8xn, two layers a resolution, nearest-neighbour upsampling between them and a last convolution.
    With `skip`, the 8x8xn tensor is upsampled and concatenated at each later resolution.
    Shapes: `(B, n_z)` to `(B, channels, size, size)`.
    """

    def __init__(self, size: int, channels: int, n: int, n_z: int, skip: bool = False, carry_steps: int = 0):
        super().__init__(carry_steps)
        self.skip = skip
        self.levels = int(math.log2(size // BASE)) + 1
        self.from_code = nn.Linear(n_z, n * BASE**2)
        self.firsts = nn.ModuleList([Layer(conv(n, n))])
        self.firsts.extend(Layer(UpConv(2 * n if skip else n, n)) for _ in range(1, self.levels))
        self.seconds = nn.ModuleList(Layer(conv(n, n)) for _ in range(self.levels))
        self.to_image = conv(n, channels)

    def forward(self, code: Tensor) -> Tensor:
        """Decode a batch of codes."""
        base = self.from_code(code).unflatten(1, (-1, BASE, BASE))
        if self.to_image.weight.is_contiguous(memory_format=torch.channels_last):
            base = base.contiguous(memory_format=torch.channels_last)
        x = base
        for i, (first, second) in enumerate(zip(self.firsts, self.seconds, strict=True)):
            if i and self.skip:  # the layer upsamples both halves
                x = torch.cat([x, F.interpolate(base, x.shape[-2:])], 1)
            x = first(x, None if i else self.carry)
            x = second(x, self.carry)
        return self.to_image(x)


class Autoencoder(nn.Module):
    """D: an autoencoder, D(v) = Dec(Enc(v)).

    Shapes: `(B, channels, size, size)` to the same; `encode` gives the code h, `(B, n_h)`.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encode = encoder
        self.decode = decoder

    def forward(self, v: Tensor) -> Tensor:
        """Reconstruct a batch."""
        return self.decode(self.encode(v))
