"""The cross-layer search and the report; the only home of scikit-optimize."""
