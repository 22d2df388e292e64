# SPDX-License-Identifier: Apache-2.0
"""What both apps of the product do: register, register again when the device's service was started anew, end when told."""

import signal
from collections.abc import Callable

import dbus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

CLOUD, PATH = "com.mbl.Cloud1", "/com/mbl/Cloud1"


class Part:
    def __init__(self, definition: str, registered: Callable[[dict], None], written: Callable[[str, object], None]) -> None:
        DBusGMainLoop(set_as_default=True)
        self.definition, self.registered = definition, registered
        self.loop = GLib.MainLoop()
        self.bus = dbus.SystemBus()
        self.cloud: dbus.Interface | None = None
        self.bus.add_signal_receiver(written, "Written", CLOUD)

    def owner_changed(self, owner: str) -> None:
        self.cloud = None
        if owner:
            self.register()

    def register(self) -> bool:
        try:
            # It asks for the types of arguments: a number may have to be a variant.
            cloud = dbus.Interface(self.bus.get_object(CLOUD, PATH), CLOUD)
            known = cloud.Register(self.definition)
        except dbus.DBusException as error:
            # The device may need a moment to hear of a new app.
            print("not registered:", error.get_dbus_name(), flush=True)
            GLib.timeout_add_seconds(1, self.register)
            return False
        self.cloud = cloud
        self.registered(known)
        return False

    def set(self, path: str, value: object) -> None:
        try:
            if self.cloud is not None:
                self.cloud.Set(path, value)
        except dbus.DBusException as error:
            print("not told:", error.get_dbus_name(), flush=True)

    def run(self) -> None:
        # Called at once, and whenever the service comes or goes.
        self.bus.watch_name_owner(CLOUD, self.owner_changed)
        # The first process of an app is not ended by a signal that it has no handler for.
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, self.loop.quit)
        self.loop.run()
