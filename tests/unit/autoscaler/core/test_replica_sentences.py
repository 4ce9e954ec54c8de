"""Every way of not doing well has its own words."""

import itertools
import signal

import pytest

from autoscaler.core import replica_sentences as sentences
from autoscaler.core.replica_probes import ProbeKind
from autoscaler.core.replica_sentences import MIB, Answer, Listening, Outcome
from controlplane.model.artifacts import Probe

PROBE = Probe(path="/ready", timeout_s=2)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(outcome=Outcome.SUCCESS, status=200), "not yet often enough"),
        (
            Answer(outcome=Outcome.STATUS, status=404),
            "answers 404, not 2xx: correct readinessProbe",
        ),
        (Answer(outcome=Outcome.STATUS, status=503), "answers 503: the service says"),
        (Answer(outcome=Outcome.REFUSED, detail="refused"), "check readinessProbe.host"),
        (Answer(outcome=Outcome.SILENT), "no answer within 2 s"),
        (Answer(outcome=Outcome.CLOSED), "closed the connection without an answer"),
        (Answer(outcome=Outcome.GARBAGE, detail="b'{x}'"), "not HTTP (b'{x}')"),
        (Answer(outcome=Outcome.TLS, detail="wrong version"), "TLS handshake failed (wrong"),
    ],
)
def test_a_failed_probe(answer: Answer, words: str):
    sentence = sentences.probe_failed(ProbeKind.READINESS, PROBE, answer)
    assert sentence.startswith("The readiness probe GET /ready")
    assert words in sentence


def test_every_outcome_of_every_probe_has_a_sentence():
    for kind, outcome in itertools.product(ProbeKind, Outcome):
        sentence = sentences.probe_failed(kind, PROBE, Answer(outcome=outcome, status=400))
        assert kind in sentence
        assert sentence.endswith((".", "?"))


@pytest.mark.parametrize(
    ("listening", "expected"),
    [
        pytest.param(None, "Nothing listens on PORT=21003 after 7 s.", id="unknown"),
        pytest.param(
            (),
            "Runs for 7 s and listens on no port yet: it must serve HTTP on PORT=21003.",
            id="nowhere",
        ),
        pytest.param(
            (Listening(host="127.0.0.1", port=9999), Listening(host="::", port=80)),
            "Listens on 80, 9999, not on PORT=21003: read the PORT environment variable.",
            id="wrong-port",
        ),
        pytest.param(
            (Listening(host="::1", port=21003), Listening(host="127.0.0.1", port=80)),
            "Listens on ::1 port 21003, which 127.0.0.1 does not reach: listen on the address "
            "in the HOST variable, or on 0.0.0.0.",
            id="wrong-address",
        ),
    ],
)
def test_nobody_on_the_port(listening, expected):
    assert sentences.not_listening(listening, port=21003, elapsed_s=7) == expected


@pytest.mark.parametrize(
    ("code", "was_ready", "words"),
    [
        (None, True, "The process ended after 1.0 s: see its log."),
        (0, False, "exited with code 0 after 1.0 s, before it was ready: the entrypoint must keep"),
        (3, False, "exited with code 3 after 1.0 s, before it was ready: see its log."),
        (-signal.SIGKILL, True, "was killed (SIGKILL) after 1.0 s, not by Tidegate"),
        (-signal.SIGSEGV, True, "died of SIGSEGV after 1.0 s: see its log."),
        (-99, True, "died of signal 99"),
    ],
)
def test_how_a_process_ended(code: int | None, was_ready: bool, words: str):
    assert words in sentences.exited(code, ran_s=1.0, was_ready=was_ready)


def test_a_command_is_looked_up_or_not():
    named = sentences.command_failed(["serve"], error="No such file", path="/bin")
    assert named == (
        "The entrypoint 'serve' cannot be started (No such file): it is looked up in PATH=/bin; "
        "name it in full."
    )
    path = sentences.command_failed(["./serve"], error="Permission denied", path="/bin")
    assert "is executable" in path


def test_the_rest():
    assert sentences.never_ready(600, "") == "Not ready within 600 s and ended."
    assert sentences.never_ready(600, "Why.") == "Not ready within 600 s and ended. Why."
    gave_up = sentences.probe_gave_up(ProbeKind.LIVENESS, 3, "Why.")
    assert gave_up == "The liveness probe failed 3 times and the replica was restarted. Why."
    assert sentences.memory_exceeded(3 * MIB, 2 * MIB).startswith("Used 3 MiB of 2 MiB memory (")
    assert "21000-21009" in sentences.no_free_port(21_000, 21_009)


def test_who_waits_for_a_gpu_learns_for_what():
    assert "still ending" in sentences.no_place()
    assert "2 failed starts in a row" in sentences.gave_up("Why.", failed_starts=2, early_ends=2)
    assert "ended 9 times in a row" in sentences.gave_up("Why.", failed_starts=0, early_ends=9)


@pytest.mark.parametrize(
    ("failed_starts", "wait_s", "expected"),
    [
        (1, 0.5, "Why. Failed start 1 of 5. Starts again in 0.5 s."),
        (0, 0.0, "Why. Starts again now."),
        (6, 30.0, "Why. 6 failed starts in a row. Starts again in 30.0 s."),
        (1, None, "Why. Failed start 1 of 5. Waits until another replica has started."),
    ],
)
def test_what_happens_next(failed_starts: int, wait_s: float | None, expected: str):
    sentence = sentences.next_start(
        "Why.", failed_starts=failed_starts, crash_limit=5, wait_s=wait_s
    )
    assert sentence == expected


def test_gpus_that_are_gone_are_named_with_what_follows():
    one = sentences.gpu_gone(["g0"], "A10G", "n1", leaves=True)
    assert one == "GPU g0 (A10G) is gone from node n1: the replica leaves."
    two = sentences.gpu_gone(["g0", "g1"], "A10G", "n1", leaves=True)
    assert two == "GPUs g0, g1 (A10G) are gone from node n1: the replica leaves."
    stays = sentences.gpu_gone(["g0"], "A10G", "n1", leaves=False)
    assert stays.endswith("stays as it is until there is room for another one in its place.")
