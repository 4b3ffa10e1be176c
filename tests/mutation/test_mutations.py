"""Every safeguard is where the table says; the quick ones are taken away here. All: `make mutation`."""

from __future__ import annotations

import re

import pytest

from tests.mutation.__main__ import ROOT, SOURCES, is_missed
from tests.mutation.mutation import Mutation
from tests.mutation.mutations import ALL


@pytest.mark.parametrize("mutation", ALL, ids=lambda mutation: mutation.name)
def test_its_words_and_its_test_are_there(mutation: Mutation) -> None:
    """A safeguard that was rewritten has to be rewritten in the table, too."""
    assert (SOURCES / mutation.source).read_text().count(mutation.old) == 1
    assert mutation.old != mutation.new
    path, _, name = mutation.test.partition("[")[0].partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


@pytest.mark.parametrize("mutation", [m for m in ALL if m.quick], ids=lambda mutation: mutation.name)
def test_it_is_missed(mutation: Mutation) -> None:
    """Without it the named test fails."""
    assert is_missed(mutation)
