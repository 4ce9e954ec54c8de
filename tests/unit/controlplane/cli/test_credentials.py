import pytest

from controlplane.cli.credentials import (
    Credentials,
    credentials_path,
    find_credentials,
    load_credentials,
    normalise_url,
    save_credentials,
)
from controlplane.cli.datadir import DataDir, RunInfo
from controlplane.cli.errors import CliError

SAVED = Credentials(url="http://saved:1", token="tg_saved")


@pytest.fixture
def environ(tmp_path):
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def find(environ, tmp_path, **given):
    return find_credentials(
        url=given.get("url"), token=given.get("token"), environ=environ, data_dir=tmp_path / "d"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("http://a:1", "http://a:1", id="base"),
        pytest.param("http://a:1/", "http://a:1", id="slash"),
        pytest.param(" https://a/api/v2/ ", "https://a", id="with-the-path"),
        pytest.param("https://a/tide/api/v2", "https://a/tide", id="below-a-prefix"),
    ],
)
def test_urls_are_taken_as_people_type_them(text, expected):
    assert normalise_url(text) == expected


@pytest.mark.parametrize(
    "text", ["a:1", "ftp://a", "http://", "", "http://[", "http://a:99999", "http://:1"]
)
def test_what_is_no_url_is_refused(text):
    with pytest.raises(CliError, match="is not a URL"):
        normalise_url(text)


def test_flags_win_over_the_environment_and_that_over_the_file(environ, tmp_path):
    save_credentials(credentials_path(environ), SAVED)
    assert find(environ, tmp_path) == SAVED
    environ |= {"TIDEGATE_API_URL": "http://env:1", "TIDEGATE_TOKEN": "tg_env"}
    assert find(environ, tmp_path) == Credentials(url="http://env:1", token="tg_env")
    given = {"url": "http://flag:1", "token": "tg_flag"}
    assert find(environ, tmp_path, **given) == Credentials(**given)


@pytest.mark.parametrize("token", ["é", "a\nb"])
def test_what_is_no_token_is_refused_and_not_repeated(token, environ, tmp_path):
    with pytest.raises(CliError, match="characters that no token has") as caught:
        find(environ, tmp_path, url="http://a:1", token=token)
    assert "TIDEGATE_TOKEN" in caught.value.hint
    assert token not in f"{caught.value} {caught.value.hint}"


def test_a_saved_token_is_used_for_its_own_url_only(environ, tmp_path):
    save_credentials(credentials_path(environ), SAVED)
    assert find(environ, tmp_path, url="http://saved:1/api/v2/") == SAVED
    with pytest.raises(CliError, match="no token for http://other:1"):
        find(environ, tmp_path, url="http://other:1")


def test_a_running_installation_gives_the_url_as_the_last_resort(environ, tmp_path):
    environ["TIDEGATE_TOKEN"] = "tg_env"
    with pytest.raises(CliError, match="no API to talk to"):
        find(environ, tmp_path)
    with DataDir.claim(tmp_path / "d") as claimed:
        claimed.write_run(
            RunInfo(
                pid=1,
                started_at=0.0,
                data_dir="",
                api_url="http://run:1",
                gateway_url="",
                admin_urls=[],
                store_url="",
            )
        )
        assert find(environ, tmp_path).url == "http://run:1"


def test_the_file_is_private_and_a_broken_one_is_named(environ):
    path = credentials_path(environ)
    assert load_credentials(path) is None
    save_credentials(path, SAVED)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_credentials(path) == SAVED
    path.write_text("{")
    with pytest.raises(CliError, match=r"credentials\.json"):
        load_credentials(path)


def test_a_file_that_cannot_be_written_says_what_to_do_instead(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CliError) as caught:
        save_credentials(tmp_path / "file" / "credentials.json", SAVED)
    assert "TIDEGATE_TOKEN" in caught.value.hint


def test_without_xdg_the_home_directory_is_used():
    assert credentials_path({}).parts[-3:] == (".config", "tidegate", "credentials.json")
