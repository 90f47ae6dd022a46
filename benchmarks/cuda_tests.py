"""Runs the tests of a file that need CUDA: `python benchmarks/cuda_tests.py PATH`, pytest's exit code.

Whoever reads of a failure has no GPU: tracebacks are whole, with the local variables, and tensors by shape and device.
"""

import os
import sys
from typing import Any

import pytest
import torch
from machine import facts, save
from torch import Tensor


def shape(tensor: Tensor) -> str:
    """Return what a tensor is; its numbers would have to be read from a device that may be broken."""
    return f"<{tensor.dtype} {tuple(tensor.shape)} on {tensor.device}, strides {tensor.stride()}>"


class Outcomes:
    """Collects what became of each test."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that ran, or did not get as far."""
        if report.when == "call" or report.outcome != "passed":
            row = {"test": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 2)}
            self.rows.append(row | ({"why": report.longreprtext[-4000:]} if report.failed else {}))


def main(path: str) -> int:
    """Run the tests and write what became of each."""
    seen = Outcomes()
    # The options of the project name plugins that a bare machine lacks, and make errors of other versions' warnings
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    bare = ["-o", "addopts=", "-o", "filterwarnings=default", "-p", "no:cacheprovider"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "__repr__", shape)
        code = pytest.main([*bare, path, "-k", "cuda or graph", "-v", "--tb=long", "--showlocals", "-rA"], [seen])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result = facts("tests", device)
    save(f"tests-{result['machine']}", {**result, "rows": seen.rows})
    return code


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
