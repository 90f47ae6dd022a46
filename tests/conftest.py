"""What all tests share."""

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch

torch.set_num_threads(1)  # two test processes share two cores, and waiting threads of torch keep a core busy


@pytest.fixture
def figures() -> Iterator[None]:
    """Figures that nobody sees, closed afterwards, and matplotlib as it was."""
    backend = mpl.get_backend()
    plt.switch_backend("agg")
    with mpl.rc_context():
        yield
    plt.close("all")
    plt.switch_backend(backend)
