"""The science of TumorLoop: cases, geometry, phantoms, the 3D U-Net, its training, prediction and evaluation.

Invariants that hold everywhere in this package:

- Arrays are ``(x, y, z)`` or ``(x, y, z, channel)``; channels are the modalities ``t1, t1ce, t2, flair``.
- Affines map voxel indices to RAS millimeters, as nibabel does.
- Labelmaps are ``uint8`` with the values of :mod:`training.labels`; 4 exists only in BraTS files.
- Nothing here knows of HTTP, MONAI Label or 3D Slicer, and importing the package loads no Keras backend.
"""

__version__ = "0.1.0"
