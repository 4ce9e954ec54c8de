from controlplane.cli.knee import per_replica


def minute(number, value):
    return {
        "period": {
            "start": f"2026-11-21T10:{number:02d}:00Z",
            "end": f"2026-11-21T10:{number + 1:02d}:00Z",
        },
        "value": value,
    }


def decision(second, ready):
    return {"timestamp": f"2026-11-21T10:{second // 60:02d}:{second % 60:02d}Z", "inputs": ready}


def test_load_is_shared_by_the_replicas_that_the_last_decision_saw_ready():
    rows = per_replica(
        [minute(0, 8), minute(1, 12), minute(2, 6)],
        [minute(0, 100), minute(1, 150), minute(2, 90)],
        [decision(70, {"ready": 4}), decision(10, {"ready": 2})],
    )
    assert rows == [(4.0, 0.1), (3.0, 0.15), (1.5, 0.09)]


def test_minutes_of_which_too_little_is_known_are_left_out():
    rows = per_replica(
        [minute(0, 8), minute(1, 0), minute(2, None), minute(3, 5), minute(4, 5), minute(5, 5)],
        [minute(1, 100), minute(2, 100), minute(3, 0), minute(5, 50)],
        [decision(350, {"ready": 1}), decision(299, {"ready": None}), decision(70, {})],
    )
    assert rows == [(5.0, 0.05)]


def test_minutes_before_the_first_decision_are_left_out():
    assert per_replica([minute(0, 8)], [minute(0, 100)], [decision(120, {"ready": 1})]) == []
