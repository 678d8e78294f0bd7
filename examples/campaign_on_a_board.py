"""A fault-injection campaign through the driver: `campaign_on_a_board.py bitstreams/NAME.json` on a board, as root.

Without a manifest it runs on the stand-in: the same driver and the same registers, the accelerator behind them emulated.
Either way every image is compared with the emulator, and the campaign survives a device that hangs.
"""

import sys

import numpy as np

from hardpoint.array import Array, Guard
from hardpoint.draw import draw
from hardpoint.fixed import Fixed
from hardpoint.host.campaign import run_campaign
from hardpoint.host.driver import Driver
from hardpoint.host.emulated import EmulatedDevice
from hardpoint.host.equality import compare
from hardpoint.host.overlay import open_board
from hardpoint.host.recovery import Surviving
from hardpoint.layers import Dense
from hardpoint.network import Network

if len(sys.argv) > 1:
    device, built = open_board(sys.argv[1])
    driver = Driver(device, built.array, limits=built.limits, core=built.core)
else:
    array = Array.columns_hardened(4, 4, Guard.parse("14+drain"), 2)
    driver = Driver(EmulatedDevice(array), array)

rng = np.random.default_rng(0)
hidden = Dense("hidden", "input", rng.integers(-90, 90, (32, 16)), rng.integers(-900, 900, 16), 8, Fixed.parse("u8.4"), Fixed.parse("s8.7"), relu=True)  # fmt: skip
scores = Dense("scores", "hidden", rng.integers(-90, 90, (16, 10)), rng.integers(-900, 900, 10), 5, Fixed.parse("s16.6"), Fixed.parse("s8.7"))
network = Network((32,), Fixed.parse("u8.7"), (hidden, scores))
x = rng.integers(0, 256, (32, 32))
labels = network(x).argmax(axis=1)

engine = Surviving(driver, network, x[:4])
faults = draw(driver.array, network, len(x), 1e-4, seed=1)
equal, _, _ = compare(engine, x, faults)
print(f"{len(faults)} faults on {len(x)} images;", *equal.lines())
for row in run_campaign(engine, x, labels, points=(1e-5, 1e-4), trials=4).rows:
    print(f"BER {row.point:g}: as without faults {row.accuracy.mean:.4f} [{row.accuracy.low:.4f}, {row.accuracy.high:.4f}], DUE {row.due.mean:.4f}")
