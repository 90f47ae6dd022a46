"""Measures how many faces are drawn in a second at each size: `python benchmarks/faces.py`."""

import statistics
import time

import torch

from began.images.faces import rendered_faces

COUNTS = {16: 16_384, 32: 8192, 64: 4096, 128: 1024, 256: 256}

if __name__ == "__main__":
    print(f"{torch.get_num_threads()} threads, median of 7, one warm-up")
    for size, count in COUNTS.items():
        seconds = []
        for _ in range(8):
            start = time.perf_counter()
            rendered_faces(count, size)
            seconds.append(time.perf_counter() - start)
        print(f"{size:4} pixels: {count / statistics.median(seconds[1:]):7.0f} images/s")
