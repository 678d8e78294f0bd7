"""Hardpoint: fault-tolerant systolic deep-learning accelerators, redundancy only where faults hurt."""

__version__ = "0.1.0"
