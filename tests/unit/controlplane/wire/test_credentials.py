import pytest

from controlplane.model.credentials import TYPES
from controlplane.model.people import Credential
from controlplane.wire.credentials import (
    MAX_VALUE,
    VALUES,
    CredentialFormatted,
    CredentialInput,
    CredentialPatch,
)
from tests.unit.controlplane.wire.refusals import refused

BASIC = {"credentialType": "basic", "name": "db", "user": "alice", "password": "secret"}


def test_the_fields_are_the_values_of_all_types():
    assert {name for known in TYPES.values() for name in known.all} == VALUES


def test_what_a_client_sent_is_told_by_its_own_names():
    body = BASIC | {"awsSessionToken": None}
    assert CredentialInput.model_validate(body).values() == {
        "user": "alice",
        "password": "secret",
        "awsSessionToken": None,
    }
    assert CredentialPatch.model_validate({"name": "x"}).values() == {}


@pytest.mark.parametrize(
    ("sent", "kept"), [({"a": 1}, '{"a": 1}'), ('{"a":1}', '{"a":1}'), ("text", "text")]
)
def test_googles_key_is_an_object_or_its_text(sent, kept):
    assert CredentialPatch.model_validate({"gcpKey": sent}).values() == {"gcpKey": kept}


@pytest.mark.parametrize("value", ["", "a\0b", 7, ["x"], {"a": 1}, "x" * (MAX_VALUE + 1)])
@pytest.mark.parametrize("name", sorted(VALUES - {"gcpKey"}))
def test_a_value_is_text_that_an_environment_can_hold(name, value):
    assert [place for place, _ in refused(CredentialPatch, {name: value})] == [name]


@pytest.mark.parametrize("value", ["", "a\0b", 7, ["x"]])
def test_googles_key_is_text_that_an_environment_can_hold(value):
    assert [place for place, _ in refused(CredentialPatch, {"gcpKey": value})] == ["gcpKey"]


@pytest.mark.parametrize("kind", ["", "S3", "magic", 7, None])
def test_a_type_is_one_of_the_contracts(kind):
    places = [place for place, _ in refused(CredentialInput, BASIC | {"credentialType": kind})]
    assert places == ["credentialType"]


def test_no_answer_has_a_field_for_a_value():
    record = Credential(
        id="1" * 24,
        name="db",
        type="basic",
        keys=("user", "password"),
        sealed="sealed-text",
        user_id="u",
        created_at=1.0,
        updated_at=2.0,
    )
    shown = CredentialFormatted.of(record).model_dump(mode="json")
    assert VALUES.isdisjoint(shown)
    assert "sealed-text" not in str(shown)
    assert (shown["id"], shown["credentialId"]) == ("1" * 24, "1" * 24)
