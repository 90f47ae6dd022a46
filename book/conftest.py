"""What nbval compares of a chapter: all but its figures, which change with the library that draws them."""

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Adds drawings to the pictures that nbval leaves out."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("image/svg+xml",)
