"""Bit-constrained QKeras models: data, builders, training and vulnerability; the only home of TensorFlow."""
