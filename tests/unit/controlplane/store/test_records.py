"""Stored values, keys, and commits that are refused before they are sent."""

import pytest

from controlplane.model.people import User
from controlplane.store.errors import StoreError
from controlplane.store.records import Keys, Versioned, decode


def test_keys_share_one_cluster_slot():
    keys = Keys("prod")
    assert keys["meta"] == "{prod}:meta"
    assert keys.of_kind("user") == ("{prod}:rec:user", "{prod}:chg:user", "{prod}:gone:user")


def test_a_stored_value_is_version_and_json():
    value = b'12:{"id":"%s","username":"a:b","email":"e","created_at":1}' % (b"0" * 24)
    user = User(id="0" * 24, username="a:b", email="e", created_at=1)
    assert decode(User, value) == Versioned(user, 12)


def test_fields_of_a_newer_version_are_ignored():
    value = b'1:{"id":"1","username":"a","email":"e","created_at":1,"shoe_size":43}'
    assert decode(User, value).record.username == "a"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"x:{}", id="version-no-number"),
        pytest.param(b"1:{", id="json-cut-off"),
        pytest.param(b'1:{"id":"1"}', id="field-missing"),
    ],
)
def test_a_value_that_is_no_record_is_an_error_that_names_the_kind(value):
    with pytest.raises(StoreError, match="a user in the store cannot be read"):
        decode(User, value)
