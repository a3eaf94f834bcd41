"""All mutants."""

from __future__ import annotations

from tests.slicer_extension.mutation import panel, pure, scene
from tests.slicer_extension.mutation.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*pure.MUTANTS, *scene.MUTANTS, *panel.MUTANTS)
