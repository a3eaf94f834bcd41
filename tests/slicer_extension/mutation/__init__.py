"""Seeded faults in copies of the extension, to see whether its tests notice.

``python -m tests.slicer_extension.mutation`` runs them all; it takes some minutes and is no part of ``make test``. Each
:class:`~tests.slicer_extension.mutation.mutant.Mutant` is a small mistake that a programmer could make. The run copies
the extension, makes the mistake, and runs the few tests that should notice. A mistake that no test notices is a hole in
the suite.
"""
