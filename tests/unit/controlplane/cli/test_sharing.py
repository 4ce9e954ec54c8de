import pytest

from controlplane.cli.sharing import changed
from controlplane.model.states import EVERYBODY


def role(name, role, kind="user"):
    return {"id": f"id of {name}", "name": name, "role": role, "shareRecipientType": kind}


def by_id(name, role, kind="user"):
    who = EVERYBODY if kind == "organization" else f"id of {name}"
    return {"shareRecipientType": kind, "id": who, "role": role}


def by_name(name, role):
    return {"shareRecipientType": "user", "username": name, "role": role}


EVERYONE = role("Everybody", "CONSUMER", "organization") | {"id": EVERYBODY}
ROLES = [role("ann", "OWNER"), role("bob", "USER"), EVERYONE]


@pytest.mark.parametrize(
    ("changes", "everybody", "expected"),
    [
        pytest.param(
            {"cid": "USER"},
            None,
            [
                by_id("ann", "OWNER"),
                by_id("bob", "USER"),
                by_id("", "CONSUMER", "organization"),
                by_name("cid", "USER"),
            ],
            id="who-is-new-comes-to-those-there-are",
        ),
        pytest.param(
            {"bob": "OWNER", "ann": None},
            None,
            [by_id("", "CONSUMER", "organization"), by_name("bob", "OWNER")],
            id="who-is-named-changes-or-goes",
        ),
        pytest.param(
            {}, "none", [by_id("ann", "OWNER"), by_id("bob", "USER")], id="everybody-goes"
        ),
        pytest.param(
            {},
            "user",
            [by_id("ann", "OWNER"), by_id("bob", "USER"), by_id("", "USER", "organization")],
            id="everybody-changes",
        ),
    ],
)
def test_the_list_that_replaces_the_old_one_keeps_whom_nobody_named(changes, everybody, expected):
    assert list(changed(ROLES, changes, everybody)) == expected


def test_a_user_called_like_all_users_is_still_a_user():
    assert list(changed([EVERYONE], {"Everybody": None}, None)) == [
        by_id("", "CONSUMER", "organization")
    ]
