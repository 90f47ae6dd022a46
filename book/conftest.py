"""What nbval compares of a chapter: all but its figures, which change with the library that draws them."""

import pytest
from nbval.plugin import IPyNbFile


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Adds drawings to the pictures that nbval leaves out."""
    if isinstance(collector, IPyNbFile):
        collector.skip_compare += ("image/svg+xml",)  # pyright: ignore[reportAttributeAccessIssue]
