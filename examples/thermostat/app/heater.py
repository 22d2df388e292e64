# SPDX-License-Identifier: Apache-2.0
"""Heats where more than 20 degrees are wanted. What was written while it was away comes with the answer of Register."""

import json

from part import Part

WANTED, HEATS = "/3308/0/5900", "/3306/0/5850"


def heat(wanted: float) -> None:
    print("wanted", float(wanted), flush=True)
    part.set(HEATS, bool(wanted > 20))


part = Part(
    json.dumps({"3308": {"0": {"5900": {"value": 18}}}, "3306": {"0": {"5850": {}}}}),
    lambda known: heat(known[WANTED]),
    lambda path, value: heat(value) if path == WANTED else None,
)
part.run()
