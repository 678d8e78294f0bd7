"""The front end: QKeras models in, proven networks of integers out.

`convert` turns a model into a `Network` through hls4ml's graph (conversion.py, with the quantisers' meaning in
quantisers.py); `gate1` compares the two in every output (gate1.py). TensorFlow and hls4ml are imported on first use
(keras_env.py).
"""

from hardpoint.hls.conversion import Conversion, conversion, convert
from hardpoint.hls.gate1 import gate1, inexact_layers
from hardpoint.hls.keras_env import load_model

__all__ = ["Conversion", "conversion", "convert", "gate1", "inexact_layers", "load_model"]
