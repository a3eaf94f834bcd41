"""The app of :mod:`benchmarks.peers.monai_label`."""
