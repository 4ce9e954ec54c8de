from controlplane.lifecycle.plans import Held
from controlplane.lifecycle.tags import tag_repository, tagged
from controlplane.model.kinds import Tag
from tests.unit.controlplane.lifecycle import worlds

RED = Tag(id="1", name="colour", value="red")
BIG = Tag(id="2", name="size", value="big")


def test_a_name_keeps_its_id_and_new_names_get_one():
    made = tagged((RED, BIG), {"team": "a", "colour": "blue"}, new_id=lambda: "3")
    assert made == (
        Tag(id="3", name="team", value="a"),
        Tag(id="1", name="colour", value="blue"),
    )


def test_a_repository_gets_exactly_the_tags_that_are_asked_for():
    held = Held(worlds.repository(tags=(RED, BIG)), 4)
    plan = tag_repository(held, {"size": "big"}, stamp=worlds.stamp())
    assert plan.subject.tags == (BIG,)
    assert plan.subject.updated_at == worlds.NOW
    assert plan.writes[0].expected == 4


def test_the_same_tags_again_write_nothing():
    held = Held(worlds.repository(tags=(RED,)), 4)
    assert tag_repository(held, {"colour": "red"}, stamp=worlds.stamp()).writes == ()
