"""The TumorLoop server: an app for MONAI Label around :mod:`training`. It holds no numerics of its own."""
