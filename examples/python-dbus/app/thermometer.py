# SPDX-License-Identifier: Apache-2.0
"""A thermometer in the cloud. It has no sensor: how busy the device is serves as one."""

import json
import signal
from pathlib import Path

import dbus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

CLOUD, PATH = "com.mbl.Cloud1", "/com/mbl/Cloud1"
VALUE, LOWEST, HIGHEST, RESET, PLACE = (f"/3303/0/{number}" for number in (5700, 5601, 5602, 5605, 5750))
DEFINITION = {"3303": {"0": {"5700": {}, "5601": {}, "5602": {}, "5605": {}, "5750": {"value": "somewhere"}}}}


class Thermometer:
    def __init__(self, bus: dbus.Bus) -> None:
        self.cloud: dbus.Interface | None = None
        self.bus = bus
        self.lowest = self.highest = self.measure()
        bus.add_signal_receiver(self.written, "Written", CLOUD)
        bus.add_signal_receiver(self.executed, "Executed", CLOUD)
        # Called at once, and whenever the device's service comes or goes.
        bus.watch_name_owner(CLOUD, self.owner_changed)
        GLib.timeout_add_seconds(5, self.tell)

    def owner_changed(self, owner: str) -> None:
        self.cloud = None
        if owner:
            self.register()

    def register(self) -> bool:
        try:
            # It asks for the types of arguments: a number may have to be a variant.
            cloud = dbus.Interface(self.bus.get_object(CLOUD, PATH), CLOUD)
            known = cloud.Register(json.dumps(DEFINITION))
        except dbus.DBusException as error:
            # The device may need a moment to hear of a new app.
            print("not registered:", error.get_dbus_name(), flush=True)
            GLib.timeout_add_seconds(1, self.register)
            return False
        self.cloud = cloud
        print("registered as", known[PLACE], flush=True)
        self.tell()
        return False

    def measure(self) -> float:
        return 20 + float(Path("/proc/loadavg").read_text().split()[0])

    def tell(self) -> bool:
        value = self.measure()
        self.lowest, self.highest = min(self.lowest, value), max(self.highest, value)
        try:
            if self.cloud is not None:
                self.cloud.SetAll({VALUE: value, LOWEST: self.lowest, HIGHEST: self.highest})
        except dbus.DBusException as error:
            print("not told:", error.get_dbus_name(), flush=True)
        return True

    def written(self, path: str, value: object) -> None:
        print("written", path, value, flush=True)

    def executed(self, path: str, arguments: str) -> None:
        print("executed", path, arguments, flush=True)
        if path == RESET:
            self.lowest = self.highest = self.measure()
            self.tell()


def main() -> None:
    DBusGMainLoop(set_as_default=True)
    loop = GLib.MainLoop()
    # The first process of an app is not ended by a signal that it has no handler for.
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, loop.quit)
    thermometer = Thermometer(dbus.SystemBus())
    loop.run()
    del thermometer


main()
