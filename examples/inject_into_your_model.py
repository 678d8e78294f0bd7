"""Bit flips in an accelerator that runs your own QKeras model: its accuracy against the bit error rate."""

from hardpoint.array import Array, Guard
from hardpoint.hls.frontend import convert, gate1
from hardpoint.hls.keras_env import keras, qkeras
from hardpoint.host.campaign import run_campaign
from hardpoint.host.emulator import Emulator
from hardpoint.training.data import digits

data, layers, q = digits(), keras().layers, qkeras()
eight = {"kernel_quantizer": "quantized_bits(8,0,alpha=1)", "bias_quantizer": "quantized_bits(8,0,alpha=1)"}
model = keras().Sequential([layers.Input((8, 8, 1)), q.QConv2D(12, 3, name="conv", **eight), q.QActivation("quantized_relu(8,2)"), layers.Flatten()])  # fmt: skip
model.add(q.QDense(10, name="scores", **eight))
model.add(q.QActivation("quantized_bits(16,7,alpha=1)"))
model.compile("adam", keras().losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(data.train.x / 128, data.train.y, epochs=12, verbose=0)

network = convert(model, data.format)  # integers; refused by name where they cannot express the model
print(f"{gate1(model, network, data.test.x):,} outputs of the model and of the integers compared: equal")
for guard in ("none", "14+drain"):
    engine = Emulator(network, Array.columns_hardened(8, 8, Guard.parse(guard), 8))
    for row in run_campaign(engine, data.test.x, data.test.y, points=(1e-6, 1e-5), trials=20).rows:
        print(f"guard {guard:9} BER {row.point:g}: accuracy {row.accuracy.mean:.4f} [{row.accuracy.low:.4f}, {row.accuracy.high:.4f}]")
