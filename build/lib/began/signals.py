"""How a run hears that it is to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Yield a list that SIGINT and SIGTERM join instead of ending the program; only the main thread receives them."""
    stopped: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    previous = {number: signal.signal(number, lambda number, _: stopped.append(number)) for number in signals}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
