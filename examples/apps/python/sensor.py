# SPDX-License-Identifier: Apache-2.0
import signal
import sys
import threading
import time
from pathlib import Path

from cloud import Cloud, CloudError

LAST = Path("/data/last")


def check() -> int:
    """Healthy is who wrote a value in the last minute."""
    try:
        return int(time.time() - LAST.stat().st_mtime > 60)
    except OSError:
        return 1


def measure(cloud: Cloud) -> None:
    load = Path("/proc/loadavg").read_text().split()[0]
    LAST.write_text(f"{load}\n")
    print("load", load, flush=True)
    try:
        # It shows in `mbl device watch`.
        cloud.set("/3300/0/5700", float(load))
    except CloudError as error:
        # Where the device is not ready for it, the next one will do.
        print("not told:", error, file=sys.stderr, flush=True)


def main() -> None:
    # The first process of an app is not ended by a signal that it has no handler for.
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    cloud = Cloud()
    while not end.is_set():
        measure(cloud)
        end.wait(10)


if __name__ == "__main__":
    sys.exit(check() if sys.argv[1:] == ["--check"] else main())
