"""What guards cost and what they save: LUTs from Yosys' synthesis beside accuracy at one bit error rate.

The network is made by hand, without Keras: scores are the inner products of an image with the mean image of each class.
"""

import numpy as np

from hardpoint.array import Array, Guard
from hardpoint.fixed import Fixed
from hardpoint.hls.cost import array_cost
from hardpoint.host.campaign import run_campaign
from hardpoint.host.emulator import Emulator
from hardpoint.layers import Dense
from hardpoint.network import Network
from hardpoint.training.data import digits

BER, LISTS = 3e-6, 20

data = digits()
images = data.train.x.reshape(len(data.train), -1)
means = np.stack([images[data.train.y == label].mean(axis=0) for label in range(10)])
weights = np.round(means / 2).astype(int)  # codes of s8.7
bias = np.round(-(means**2).sum(axis=1) / 4).astype(int)  # |x - mean|^2 is least where x mean - |mean|^2 / 2 is greatest
scores = Dense("scores", "input", weights.T, bias, 5, Fixed.parse("s16.9"), Fixed.parse("s8.7"))
network = Network((64,), data.format, (scores,))

x = data.test.x.reshape(len(data.test), -1)
print(f"without faults: accuracy {(network(x).argmax(axis=1) == data.test.y).mean():.4f}; BER {BER:g}, {LISTS} fault lists")
print(f"{'guard':>18} {'LUT':>7} {'accuracy':>25} {'SDC-critical':>25}")
for text in ("none", "16", "14", "12", "12+operand+drain", "rpr12", "0", "0+operand+drain"):
    array = Array.columns_hardened(8, 8, Guard.parse(text), 8)
    (row,) = run_campaign(Emulator(network, array), x, data.test.y, [BER], LISTS).rows
    cells = [f"{rate.mean:.4f} [{rate.low:.4f}, {rate.high:.4f}]" for rate in (row.accuracy, row.critical)]
    print(f"{text:>18} {array_cost(array).lut:7,.0f} {cells[0]:>25} {cells[1]:>25}")
