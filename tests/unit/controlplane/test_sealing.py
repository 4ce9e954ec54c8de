import os

import pytest

from controlplane.model.people import Credential
from controlplane.model.sections import ApiSettings, Settings, UpSettings
from controlplane.sealing import (
    KeyFile,
    KeyRing,
    SealingError,
    key_path,
    make_key_file,
    new_key,
    open_values,
    read_keys,
    replace_keys,
    seal_values,
    sealing_key,
)

A, B = b"a" * 32, b"b" * 32


def ring(*keys):
    return KeyRing(keys, origin="the key file")


def credential(sealed, credential_id="1" * 24):
    return Credential(
        id=credential_id,
        name="db",
        type="basic",
        keys=("user",),
        sealed=sealed,
        user_id="u",
        created_at=1,
        updated_at=1,
    )


# -- sealing ----------------------------------------------------------------------------------


def test_what_was_sealed_opens_and_is_not_readable():
    sealed = ring(A).seal(b"hunter2", about="credential:1")
    assert "hunter2" not in sealed
    assert ring(A).open(sealed, about="credential:1") == b"hunter2"


def test_the_same_secret_is_sealed_differently_each_time():
    assert ring(A).seal(b"x", about="y") != ring(A).seal(b"x", about="y")


def test_the_first_key_seals_and_every_key_opens():
    old = ring(A).seal(b"x", about="y")
    both = ring(B, A)
    assert both.open(old, about="y") == b"x"
    assert sealing_key(both.seal(b"x", about="y")) == ring(B).ids[0] != sealing_key(old)


def test_a_key_that_is_missing_is_named_with_the_remedy():
    sealed = ring(A).seal(b"x", about="y")
    with pytest.raises(SealingError) as raised:
        ring(B).open(sealed, about="y")
    assert ring(A).ids[0] in str(raised.value)
    assert "the key file" in str(raised.value)
    assert "Put that key back" in str(raised.value)


@pytest.mark.parametrize("damaged", ["", "1", "2.aa.bb", "text"])
def test_what_is_no_sealed_text_has_no_known_key(damaged):
    with pytest.raises(SealingError, match="which is not in"):
        ring(A).open(damaged, about="y")


def test_every_changed_character_is_noticed():
    sealed = ring(A).seal(b"secret", about="y")
    head, _, body = sealed.rpartition(".")
    for at in range(len(body) - 4):  # the last ones carry bits that mean nothing
        other = "A" if body[at] != "A" else "B"
        with pytest.raises(SealingError, match="damaged"):
            ring(A).open(f"{head}.{body[:at]}{other}{body[at + 1 :]}", about="y")


@pytest.mark.parametrize("body", ["", "A", "AAAA", "*"])
def test_a_body_that_is_too_short_is_damaged(body):
    with pytest.raises(SealingError, match="damaged"):
        ring(A).open(f"1.{ring(A).ids[0]}.{body}", about="y")


def test_a_sealed_text_does_not_open_in_another_record():
    sealed = seal_values(ring(A), "1" * 24, {"user": "alice"})
    assert open_values(ring(A), credential(sealed)) == {"user": "alice"}
    with pytest.raises(SealingError, match=r"Credential 'db' \(2222.*copied from elsewhere"):
        open_values(ring(A), credential(sealed, "2" * 24))


# -- the file ---------------------------------------------------------------------------------


def test_the_file_is_made_once_for_its_owner_only(tmp_path):
    path = tmp_path / "credentials.key"
    assert make_key_file(path)
    keys = read_keys(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not make_key_file(path)
    assert read_keys(path) == keys
    assert os.listdir(tmp_path) == ["credentials.key"]


def test_two_files_hold_different_keys(tmp_path):
    make_key_file(tmp_path / "a")
    make_key_file(tmp_path / "b")
    assert read_keys(tmp_path / "a") != read_keys(tmp_path / "b")


def test_notes_and_empty_lines_are_skipped(tmp_path):
    path = tmp_path / "k"
    path.write_text(f"# of 2026\n\n{new_key()}\n  {new_key()}  \n")
    assert len(read_keys(path)) == 2


@pytest.mark.parametrize("line", ["short", "A" * 43, "not base64 at all!", "QUJD"])
def test_a_line_that_is_no_key_is_named_by_its_number(tmp_path, line):
    path = tmp_path / "k"
    path.write_text(f"{new_key()}\n{line}\n")
    with pytest.raises(SealingError, match="Line 2"):
        read_keys(path)


def test_a_file_without_keys_is_refused(tmp_path):
    path = tmp_path / "k"
    path.write_text("# nothing\n")
    with pytest.raises(SealingError, match="holds no key"):
        KeyFile(path).ring()


def test_a_file_that_is_not_there_is_named_with_the_remedy(tmp_path):
    with pytest.raises(SealingError, match=r"gone.*api\.credentials_key_file"):
        KeyFile(tmp_path / "gone").ring()


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(tmp_path):
    path = tmp_path / "k"
    make_key_file(path)
    keys = KeyFile(path)
    first = keys.ring()
    assert keys.ring() is first
    replace_keys(path, [A, B])
    assert keys.ring().ids == ring(A, B).ids
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_is_in_the_data_directory_unless_a_setting_names_another():
    up = UpSettings(data_dir="/data")
    assert str(key_path(Settings(up=up))) == "/data/credentials.key"
    named = ApiSettings(credentials_key_file="/secrets/keys")
    assert str(key_path(Settings(up=up, api=named))) == "/secrets/keys"
