"""The science of TumorLoop: cases, geometry, phantoms, the 3D U-Net, its training, prediction and evaluation.

Invariants that hold everywhere in this package:

- Arrays are ``(x, y, z)`` or ``(x, y, z, channel)``; channels are the modalities ``t1, t1ce, t2, flair``.
- Affines map voxel indices to RAS millimeters, as nibabel does.
- Labelmaps are ``uint8`` with the values of :mod:`training.labels`; 4 exists only in BraTS files.
- Nothing here knows of HTTP, MONAI Label or 3D Slicer, and importing the package loads no Keras backend.
"""

import os

# TensorFlow leaves oneDNN's convolutions off on processors without AVX-512, where they are four to six times as fast
# and take a quarter of the memory. It reads this once, at its import; who sets it himself decides.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"
