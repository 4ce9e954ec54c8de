import pytest

from controlplane.telemetry.keys import ingest_key, workload_of

SECRET = b"a" * 64
WORKLOAD = "6b026854e98907151d486a70"


def test_a_key_names_its_workload():
    assert workload_of(SECRET, ingest_key(SECRET, WORKLOAD)) == WORKLOAD


def test_keys_of_another_installation_or_workload_are_none():
    key = ingest_key(SECRET, WORKLOAD)
    assert workload_of(b"b" * 64, key) is None
    other = WORKLOAD.replace("6b", "6c")
    assert workload_of(SECRET, key.replace(WORKLOAD, other)) is None


@pytest.mark.parametrize(
    "key",
    ["", "tgi_", f"tgi_{WORKLOAD}", f"tgi_{WORKLOAD}_", "tgi_x_y", "tg_token", f"tgi_{WORKLOAD}_é"],
)
def test_what_is_no_key_is_none(key):
    assert workload_of(SECRET, key) is None


def test_a_key_cannot_be_made_from_another_one():
    one, two = (ingest_key(SECRET, WORKLOAD[:-1] + digit) for digit in "12")
    assert one[-64:] != two[-64:]
