"""How a run hears that it is to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Yield a list that Ctrl-C, SIGTERM and SIGHUP join instead of ending the program, each time that they come.

    Only the main thread receives them. One that is ignored, as nohup ignores SIGHUP, stays so.
    """
    stopped: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    heard = [number for number in SIGNALS if main and signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, lambda number, _: stopped.append(number)) for number in heard}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
