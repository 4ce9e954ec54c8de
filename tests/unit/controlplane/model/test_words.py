"""What was meant by a word that is not known."""

import pytest

from controlplane.model.words import MAX_CHARS, did_you_mean


@pytest.mark.parametrize(
    ("word", "said"),
    [
        pytest.param("tar-get", ", did you mean 'target'?", id="like-one"),
        pytest.param("colour", "", id="like-none"),
        pytest.param("", "", id="nothing"),
        pytest.param("name" * MAX_CHARS, "", id="too-long-to-compare"),
    ],
)
def test_a_word_is_compared_with_those_that_are_known(word, said):
    assert did_you_mean(word, ["name", "target"]) == said
