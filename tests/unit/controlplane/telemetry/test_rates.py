from controlplane.telemetry.rates import BURST_S, Rates


def test_a_workload_may_send_its_burst_and_then_waits():
    rates = Rates(100)
    assert rates.wait_s("w", 0.0) == 0
    rates.spend("w", int(100 * BURST_S) + 50, 0.0)
    assert rates.wait_s("w", 0.0) == 0.5
    assert rates.wait_s("w", 0.5) == 0


def test_one_workload_does_not_pay_for_another():
    rates = Rates(100)
    rates.spend("noisy", 10**6, 0.0)
    assert rates.wait_s("quiet", 0.0) == 0
    assert rates.wait_s("noisy", 0.0) > 0


def test_what_is_left_never_exceeds_the_burst():
    rates = Rates(100)
    rates.spend("w", 10, 0.0)
    assert rates.left("w", 1e6) == 100 * BURST_S


def test_full_buckets_are_forgotten_when_there_are_many():
    rates = Rates(100)
    for number in range(10_000):
        rates.spend(f"w{number}", 10, 0.0)
    rates.spend("debtor", 10**6, 0.0)
    rates.spend("late", 10, 50.0)
    assert len(rates._buckets) == 2
    assert rates.wait_s("debtor", 50.0) > 0
