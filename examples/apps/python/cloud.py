# SPDX-License-Identifier: Apache-2.0
"""The app's resources in the cloud, by D-Bus and nothing but Python: docs/reference/app-bus.md, and the D-Bus specification."""

import os
import socket
import struct

CALL, ANSWER, ERROR = 1, 2, 3
DRIVER = ("org.freedesktop.DBus", "/org/freedesktop/DBus")
CLOUD = ("com.mbl.Cloud1", "/com/mbl/Cloud1")


class CloudError(Exception):
    """What the device answered instead, or that it is not there (yet): try again later."""


class Writer:
    """Values as D-Bus marshals them, little-endian: each begins at a multiple of its size."""

    def __init__(self) -> None:
        self.bytes = bytearray()

    def align(self, size: int) -> None:
        self.bytes += bytes(-len(self.bytes) % size)

    def put(self, code: str, value: float) -> None:
        self.align(struct.calcsize(code))
        self.bytes += struct.pack("<" + code, value)

    def string(self, text: str) -> None:
        data = text.encode()
        self.put("I", len(data))
        self.bytes += data + b"\0"

    def signature(self, text: str) -> None:
        self.bytes += bytes([len(text)]) + text.encode() + b"\0"

    def variant(self, value: object) -> None:
        if isinstance(value, bool):
            self.signature("b")
            self.put("I", value)
        elif isinstance(value, int):
            self.signature("x")
            self.put("q", value)
        elif isinstance(value, float):
            self.signature("d")
            self.put("d", value)
        else:
            self.signature("s")
            self.string(str(value))


class Cloud:
    """`cloud = Cloud(); cloud.set("/3300/0/5700", 0.5)`. It connects at the first call, and again after an error."""

    def __init__(self, path: str = "/run/dbus/system_bus_socket") -> None:
        self.path = path
        self.socket: socket.socket | None = None
        self.serial = 0

    def set(self, path: str, value: bool | int | float | str) -> None:
        """Sets a resource that app.yaml lists. Raises CloudError."""
        try:
            if self.socket is None:
                self.connect()
            body = Writer()
            body.string(path)
            body.variant(value)
            self.call(CLOUD, "Set", "sv", body)
        except (OSError, CloudError) as error:
            self.close()
            raise CloudError(str(error)) from error

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def connect(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(self.path)
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.read(1)
        if not line.startswith(b"OK "):
            raise CloudError("the bus does not know this user")
        self.socket.sendall(b"BEGIN\r\n")
        self.call(DRIVER, "Hello", "", Writer())
        body = Writer()
        # All resources of app.yaml.
        body.string("")
        self.call(CLOUD, "Register", "s", body)

    def call(self, to: tuple[str, str], member: str, signature: str, body: Writer) -> None:
        name, path = to
        self.serial += 1
        fields = Writer()
        for code, kind, value in (
            (1, "o", path),
            (2, "s", name),
            (3, "s", member),
            (6, "s", name),
            (8, "g", signature),
        ):
            if value == "":
                continue
            fields.align(8)
            fields.put("B", code)
            fields.signature(kind)
            if kind == "g":
                fields.signature(value)
            else:
                fields.string(value)
        head = struct.pack("<cBBBIII", b"l", CALL, 0, 1, len(body.bytes), self.serial, len(fields.bytes))
        fields.align(8)
        assert self.socket is not None
        self.socket.sendall(head + fields.bytes + body.bytes)
        while True:
            kind, said = self.receive()
            if kind == ERROR:
                raise CloudError(f"{member}: {said}")
            if kind == ANSWER:
                return

    def receive(self) -> tuple[int, str]:
        """One message: its type, and of an error the text. Signals come here too."""
        _, kind, _, _, size, _, fields = struct.unpack("<cBBBIII", self.read(16))
        self.read(-(-fields // 8) * 8)
        body = self.read(size)
        return kind, body[4:-1].decode(errors="replace") if kind == ERROR else ""

    def read(self, size: int) -> bytes:
        assert self.socket is not None
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise CloudError("the bus ended the connection")
            data += more
        return data
