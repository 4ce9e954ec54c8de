"""Error replies of the server, as errors that say what to do."""

import pytest

from controlplane.store.errors import (
    StoreError,
    StoreFullError,
    StoreSettingsError,
    StoreUnavailableError,
    WrongTypeError,
)
from controlplane.store.replies import MovedError, NoScriptError, error_from_reply


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("MISCONF Errors writing to the AOF file: x", StoreFullError, id="misconf"),
        pytest.param("OOM command not allowed", StoreFullError, id="memory"),
        pytest.param("ERR write: No space left on device", StoreFullError, id="disk"),
        pytest.param("LOADING Redis is loading", StoreUnavailableError, id="loading"),
        pytest.param("READONLY You can't write", StoreUnavailableError, id="replica"),
        pytest.param("BUSY Redis is busy", StoreUnavailableError, id="busy"),
        pytest.param("CLUSTERDOWN Hash slot not served", StoreUnavailableError, id="cluster"),
        pytest.param("NOAUTH Authentication required.", StoreSettingsError, id="no-password"),
        pytest.param("WRONGPASS invalid", StoreSettingsError, id="wrong-password"),
        pytest.param("NOPERM no permissions", StoreSettingsError, id="no-rights"),
        pytest.param("ERR ACL failure in script: x", StoreSettingsError, id="no-rights-in-script"),
        pytest.param("NOSCRIPT No matching script.", NoScriptError, id="script-flushed"),
        pytest.param("WRONGTYPE Operation against a key", WrongTypeError, id="wrong-type"),
        pytest.param("ERR unknown command 'X'", StoreError, id="anything-else"),
    ],
)
def test_error_replies_become_errors_that_say_what_to_do(text, kind):
    error = error_from_reply(text)
    assert type(error) is kind
    assert text in str(error)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        pytest.param("MOVED 866 10.0.0.2:7001", "10.0.0.2", 7001, id="address"),
        pytest.param("MOVED 866 :7001", "", 7001, id="same-host"),
        pytest.param("MOVED 866 ::1:7001", "::1", 7001, id="ipv6"),
    ],
)
def test_a_cluster_says_where_the_keys_live(text, host, port):
    error = error_from_reply(text)
    assert isinstance(error, MovedError)
    assert (error.host, error.port) == (host, port)
