# SPDX-License-Identifier: Apache-2.0
"""Tells how warm it is. It has no sensor: how busy the device is serves as one."""

from pathlib import Path

from gi.repository import GLib
from part import Part


def tell() -> bool:
    part.set("/3303/0/5700", 20 + float(Path("/proc/loadavg").read_text().split()[0]))
    return True


part = Part("", lambda _: tell(), lambda *_: None)
GLib.timeout_add_seconds(10, tell)
part.run()
