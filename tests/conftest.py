"""What all tests share."""

import torch

torch.set_num_threads(1)  # two test processes share two cores; torch's threads wait in a loop where they outnumber these
