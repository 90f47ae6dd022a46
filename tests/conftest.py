"""What all tests share."""

import torch

torch.set_num_threads(1)  # two test processes share two cores, and waiting threads of torch keep a core busy
