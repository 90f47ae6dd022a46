"""The networks: the upsampling identity, shapes, filters, and the options of the paper."""

import pytest
import torch
from torch.nn import functional as F

from began.networks import SIZES, Autoencoder, Decoder, Encoder, Layer, UpConv, conv


@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (1, 1)])
def test_upconv_is_upsampling_and_a_3x3_convolution_borders_included(shape):
    layer = UpConv(3, 4).double()
    x = torch.randn(2, 3, *shape, dtype=torch.float64, requires_grad=True)
    upsampled = F.interpolate(x, scale_factor=2, mode="nearest")
    expected = F.conv2d(upsampled, layer.weight, layer.bias, padding=1)
    actual = layer(x)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)
    weights = torch.randn_like(expected)
    ours = torch.autograd.grad((actual * weights).sum(), [x, layer.weight, layer.bias])
    theirs = torch.autograd.grad((expected * weights).sum(), [x, layer.weight, layer.bias])
    for mine, exact in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, exact, rtol=0, atol=1e-12 * shape[0] * shape[1])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("skip", [False, True])
def test_shapes(size, channels, skip):
    encoder, decoder = Encoder(size, channels, 2, 5), Decoder(size, channels, 2, 5, skip=skip)
    x = torch.randn(2, channels, size, size)
    assert encoder(x).shape == (2, 5)
    assert Autoencoder(encoder, decoder)(x).shape == x.shape


def test_filters_grow_linearly_in_the_encoder_and_stay_in_the_decoder():
    n = 4
    encoder, decoder = Encoder(64, 3, n, 8), Decoder(64, 3, n, 8)
    assert [layer.conv.out_channels for layer in encoder.seconds] == [n, 2 * n, 3 * n, 4 * n]
    assert {layer.conv.out_channels for layer in [*decoder.firsts, *decoder.seconds]} == {n}
    assert encoder.to_code.in_features == 4 * n * 64
    kinds = {type(module).__name__ for network in (encoder, decoder) for module in network.modules()}
    assert kinds == {"Encoder", "Decoder", "Layer", "ModuleList", "Conv2d", "UpConv", "Linear"}, "no batch norm"


def test_the_skip_connection_carries_the_first_tensor_to_every_resolution():
    decoder = Decoder(32, 3, 2, 5, skip=True)
    decoder.initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in (decoder.firsts[0], *decoder.seconds[:1]):
            layer.conv.weight.zero_()  # closes the ordinary way
        first = decoder(torch.zeros(1, 5))
        second = decoder(torch.ones(1, 5))
    assert not torch.equal(first, second)


def test_a_carry_of_1_passes_the_input_and_of_0_the_layer():
    layer, x = Layer(conv(3, 3)), torch.randn(2, 3, 8, 8)
    assert torch.equal(layer(x, torch.tensor(1.0)), x)
    torch.testing.assert_close(layer(x, torch.tensor(0.0)), layer(x))
    torch.testing.assert_close(layer(x, torch.tensor(0.25)), 0.75 * F.elu(layer.conv(x)) + 0.25 * x)


def test_a_network_without_residuals_has_no_carry():
    assert "carry" not in Encoder(16, 3, 2, 5).state_dict()
    assert Encoder(16, 3, 2, 5, carry_steps=10).state_dict()["carry"] == 1


def test_the_initialisation_keeps_the_scale_and_follows_the_generator():
    one, two = Decoder(64, 3, 16, 64), Decoder(64, 3, 16, 64)
    one.initialise(torch.Generator().manual_seed(3))
    two.initialise(torch.Generator().manual_seed(3))
    z = torch.rand(16, 64) * 2 - 1
    assert torch.equal(one(z), two(z))
    assert 0.05 < one(z).std() < 1.5
    assert all(not m.bias.any() for m in one.modules() if getattr(m, "bias", None) is not None)
