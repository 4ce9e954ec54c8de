import pytest
from pydantic import TypeAdapter, ValidationError

from controlplane.model.kinds import Tag
from controlplane.wire.tags import TagsInput, tag_shapes, wanted_tags

TAGS = TypeAdapter(TagsInput)


def test_spaces_around_names_and_values_are_taken_away():
    sent = TAGS.validate_python([{"name": " a ", "value": " b c "}, {"name": "d"}])
    assert wanted_tags(sent) == {"a": "b c", "d": ""}
    assert wanted_tags(None) is None


def test_what_goes_out_comes_in_again():
    shown = tag_shapes([Tag(id="1", name="a", value="b")])
    again = TAGS.validate_python([tag.model_dump(mode="json") for tag in shown])
    assert wanted_tags(again) == {"a": "b"}


@pytest.mark.parametrize(
    "tags",
    [
        [{"name": ""}],
        [{"name": " "}],
        [{"name": 1}],
        [{"value": "x"}],
        [{"name": "x" * 201}],
        [{"name": "a", "value": "x" * 201}],
        [{"name": "a"}, {"name": " a"}],
        [{"name": "a", "key": "b"}],
        [{"name": f"n{n}"} for n in range(51)],
        {"a": "b"},
    ],
)
def test_tags_that_cannot_be_are_refused(tags):
    with pytest.raises(ValidationError):
        TAGS.validate_python(tags)
