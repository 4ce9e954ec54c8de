import httpx2
import pytest

from controlplane.cli.client import Api
from controlplane.cli.credentials import Credentials
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.user import find_user, standing

ANN = {"id": "a" * 24, "username": "ann"}
ANNA = {"id": "b" * 24, "username": "anna"}


def api():
    """An API with two users, which searches by name and id."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        wanted = request.url.params["search"]
        found = [u for u in (ANNA, ANN) if wanted in u["username"] or wanted in u["id"]]
        return httpx2.Response(200, json={"data": found, "next": None})

    return Api(Credentials(url="http://api", token="t"), transport=httpx2.MockTransport(answer))


@pytest.mark.parametrize("named", ["ann", "a" * 24])
def test_a_user_is_found_by_name_or_id_and_never_by_a_part(named):
    assert find_user(api(), named) == ANN


@pytest.mark.parametrize(("named", "what"), [("an", "name"), ("c" * 24, "id")])
def test_who_does_not_exist_is_not_found(named, what):
    with pytest.raises(CliError, match=f"no user has the {what}") as raised:
        find_user(api(), named)
    assert raised.value.code is ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    ("admin", "disabled", "word"),
    [
        (False, False, "user"),
        (True, False, "admin"),
        (False, True, "disabled"),
        (True, True, "admin disabled"),
    ],
)
def test_the_standing_of_a_user(admin, disabled, word):
    assert standing({"admin": admin, "disabled": disabled}) == word
