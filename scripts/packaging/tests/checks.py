"""Counts what holds and what does not, and says so."""
import time


class Checks:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def that(self, condition, what, detail=""):
        """One promise. `detail` is shown when it is broken."""
        if condition:
            self.passed += 1
            print(f"ok      {what}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED  {what}", flush=True)
            if detail != "":
                print("        " + str(detail).strip().replace("\n", "\n        "), flush=True)
        return bool(condition)

    def equal(self, actual, expected, what):
        return self.that(actual == expected, what, f"got {actual!r}\nnot {expected!r}")

    def raised(self, what, error):
        self.that(False, what, f"{type(error).__name__}: {error}")


def wait_for(condition, seconds=20):
    """The condition's first true value, or its last one when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.02)
