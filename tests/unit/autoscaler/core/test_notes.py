"""Sentences that are made only when somebody reads them."""

from autoscaler.core.notes import said


def test_a_note_is_a_sentence_or_becomes_one():
    assert said("its owner stopped it") == "its owner stopped it"
    assert said(("ceil(%.4g / %g) = %d", 31.24999, 10.0, 4)) == "ceil(31.25 / 10) = 4"


def test_a_sentence_that_is_ready_is_taken_as_it_is():
    assert said("50% of 60% is used") == "50% of 60% is used"
