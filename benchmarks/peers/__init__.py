"""What others do for the same purpose, in their own settings, to be measured in a process of its own.

Weights are random: they change neither time nor memory. torch and MONAI come with MONAI Label.
"""
