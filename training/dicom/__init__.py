"""DICOM: the series of a study, found, checked, recognized and read; and DICOM SEG, written.

pydicom and highdicom are imported here only, and inside functions: the next MONAI Label needs pydicom 3.
"""
