"""News wake whoever waits, once, and keep what they are about."""

import asyncio

import pytest

from autoscaler.news import News
from controlplane.model.workloads import Proton, Replica
from controlplane.store.watch import Change
from tests.fakes.virtual_time import run_virtual


def tell_wake(news: News) -> None:
    news.wake("p", now_s=5.0)


def tell_record(news: News) -> None:
    news.on_records([Change(Replica, "r", None), Change(Proton, "p", None)])


def tell_replicas(news: News) -> None:
    news.on_replicas()


@pytest.mark.parametrize("tell", [tell_wake, tell_record, tell_replicas])
def test_news_end_the_wait_once(tell):
    async def scenario() -> None:
        news = News()
        waiting = asyncio.create_task(news.wait())
        await asyncio.sleep(1)
        assert not waiting.done()
        tell(news)
        tell(news)
        await waiting
        again = asyncio.create_task(news.wait())
        await asyncio.sleep(1)
        assert not again.done()
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)

    run_virtual(scenario())


def test_the_first_wake_up_counts_for_the_time_it_took():
    news = News()
    news.wake("p", now_s=5.0)
    news.wake("p", now_s=6.0)
    assert news.woken == {"p": 5.0}


def test_only_changed_protons_are_due():
    news = News()
    news.on_records([Change(Replica, "r", None)])
    assert news.due == set()
    news.on_records([Change(Proton, "p", None)])
    news.decide_on({"q"})
    assert news.due == {"p", "q"}
