"""The named mutants are those of the code as it is."""

from __future__ import annotations

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place(mutant: Mutant) -> None:
    code = (ROOT / "sansio_gradio" / mutant.file).read_text("utf-8")
    assert code.count(mutant.old) == 1
    assert (ROOT / mutant.tests).is_file()
