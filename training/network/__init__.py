"""The 3D U-Net, its losses, and its batch normalization."""
