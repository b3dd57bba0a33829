"""Waiting for conditions, never for time. A wait that fails says what it waited for."""

import time


class NotYet(AssertionError):
    pass


def until(condition, what, timeout=20.0, every=0.01):
    """Calls condition() until it returns something true, and returns that. Errors it raises are kept for the message."""
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            answer = condition()
            if answer:
                return answer
            last = answer
        except (OSError, AssertionError, LookupError) as error:
            last = error
        if time.monotonic() >= deadline:
            text = what() if callable(what) else what
            raise NotYet(f"after {timeout} s still waiting for: {text} (last: {last!r})")
        time.sleep(every)


def stays(condition, what, during=0.3, every=0.02):
    """The opposite: condition() must hold at every look for a while. For "nothing happens" there is no event to wait for."""
    deadline = time.monotonic() + during
    while time.monotonic() < deadline:
        assert condition(), what
        time.sleep(every)
