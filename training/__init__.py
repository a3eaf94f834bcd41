"""Images, phantoms, the 3D U-Net, its training, prediction and evaluation: TumorLoop without server and viewer.

Invariants that hold everywhere in this package:

- Arrays are ``(x, y, z)`` or ``(x, y, z, channel)``; channels are the modalities ``t1, t1ce, t2, flair``.
- Affines map voxel indices to RAS millimeters, as nibabel does.
- Labelmaps are ``uint8`` with the values of :mod:`training.labels`; 4 exists only in BraTS files.
- Nothing here depends on HTTP, MONAI Label or 3D Slicer, and importing the package loads no Keras backend.
"""

import os

# TensorFlow disables oneDNN on processors without AVX-512, although its convolutions are four to six times as fast
# there and take a quarter of the memory. The variable is read once, at the import of TensorFlow; an existing value is
# kept.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"
