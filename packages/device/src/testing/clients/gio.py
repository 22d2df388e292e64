# SPDX-License-Identifier: Apache-2.0
"""The documented interface by GDBus (Gio). Says for each step what was answered: a value, or the name of an error."""

import json
import sys

from gi.repository import Gio, GLib

CLOUD, DEVICE, PROPERTIES = "com.mbl.Cloud1", "com.mbl.Device1", "org.freedesktop.DBus.Properties"
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)


def call(name: str, member: str, arguments: GLib.Variant | None = None, interface: str | None = None) -> object:
    path = "/" + name.replace(".", "/")
    answer = bus.call_sync(name, path, interface or name, member, arguments, None, 0, 60_000, None)
    return answer.unpack()


def attempt(what: str, *words: object) -> None:
    try:
        print(what, json.dumps(call(*words)), flush=True)
    except GLib.Error as error:
        print(what, Gio.DBusError.get_remote_error(error), flush=True)


def register(definition: object) -> GLib.Variant:
    return GLib.Variant("(s)", [definition if isinstance(definition, str) else json.dumps(definition)])


def value(kind: str, path: str, it: object) -> GLib.Variant:
    return GLib.Variant("(sv)", [path, GLib.Variant(kind, it)])


def values(texts: list[str]) -> GLib.Variant:
    return GLib.Variant("(a{sv})", [{f"/26300/0/{i}": GLib.Variant("s", text) for i, text in enumerate(texts)}])


def talk() -> None:
    thermometer = {"3303": {"0": {"5700": {}, "5605": {}, "5750": {"value": "gio"}}}}
    attempt("register", CLOUD, "Register", register(thermometer))
    attempt("set", CLOUD, "Set", value("d", "/3303/0/5700", 21.5))
    attempt("get", CLOUD, "Get", GLib.Variant("(s)", ["/3303/0/5700"]))
    attempt("set an integer", CLOUD, "Set", value("i", "/3303/0/5700", 22))
    attempt("all", CLOUD, "GetAll")
    attempt("state", CLOUD, "Get", GLib.Variant("(ss)", [CLOUD, "ConnectionState"]), PROPERTIES)
    attempt("time", DEVICE, "GetTime")
    attempt("network", DEVICE, "GetNetwork")
    attempt("defer", DEVICE, "DeferRestart", GLib.Variant("(us)", [30, "a test"]))
    attempt("no longer", DEVICE, "DeferRestart", GLib.Variant("(us)", [0, ""]))
    attempt("device", DEVICE, "GetAll", GLib.Variant("(s)", [DEVICE]), PROPERTIES)


def hear() -> None:
    """Until somebody wrote and executed."""
    loop, heard = GLib.MainLoop(), set()

    def signal(*words: object) -> None:
        member, arguments = words[4], words[5]
        print(member, json.dumps(arguments.unpack()), flush=True)
        heard.add(member)
        if heard == {"Written", "Executed"}:
            loop.quit()

    bus.signal_subscribe(CLOUD, CLOUD, None, None, None, 0, signal)
    GLib.timeout_add_seconds(200, loop.quit)
    loop.run()


def limits() -> None:
    attempt("unlisted", CLOUD, "Register", register({"3303": {"0": {"5701": {}}}}))
    attempt("bad definition", CLOUD, "Register", register("{"))
    attempt("device's own", CLOUD, "Register", register({"3": {"0": {"0": {}}}}))
    attempt("count", CLOUD, "Register", register({"26300": {"0": {str(i): {} for i in range(257)}}}))
    attempt("many", CLOUD, "Register", register({"26300": {"0": {str(i): {} for i in range(256)}}}))
    attempt("not registered", CLOUD, "Get", GLib.Variant("(s)", ["/3303/0/5700"]))
    attempt("no value", CLOUD, "Get", GLib.Variant("(s)", ["/26300/0/0"]))
    attempt("type", CLOUD, "Set", value("b", "/26300/0/0", True))
    attempt("arguments", CLOUD, "Set", GLib.Variant("(s)", ["/26300/0/0"]))
    attempt("method", CLOUD, "Reset")
    attempt("value", CLOUD, "Set", value("s", "/26300/0/0", "x" * 8193))
    attempt("values", CLOUD, "SetAll", values(["x" * 8192] * 8))
    attempt("size", CLOUD, "SetAll", values(["x" * 8192] * 9))
    attempt("message", CLOUD, "Set", value("s", "/26300/0/0", "x" * (132 << 10)))
    rate()


def rate() -> None:
    """Long calls without a pause, until there are too many for a second."""
    loop, told = GLib.MainLoop(), set()
    waiting = 0

    def ended(_: object, result: Gio.AsyncResult) -> None:
        nonlocal waiting
        waiting -= 1
        try:
            bus.call_finish(result)
        except GLib.Error as error:
            told.add(Gio.DBusError.get_remote_error(error))
        if "org.freedesktop.DBus.Error.LimitsExceeded" not in told:
            more()
        elif waiting == 0:
            loop.quit()

    def more() -> None:
        nonlocal waiting
        while waiting < 20:
            waiting += 1
            path = "/" + CLOUD.replace(".", "/")
            bus.call(CLOUD, path, CLOUD, "Set", value("s", "/26300/0/0", "x" * (100 << 10)), None, 0, 60_000, None, ended)

    more()
    GLib.timeout_add_seconds(200, loop.quit)
    loop.run()
    print("rate", *sorted(told), flush=True)


{"talk": talk, "limits": limits}[sys.argv[1]]()
if sys.argv[1] == "talk":
    hear()
