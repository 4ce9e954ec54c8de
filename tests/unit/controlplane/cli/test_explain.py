"""Whose names `tidegate explain` tells."""

from controlplane.cli.explain import names_of

SEEN, HIDDEN = "1" * 24, "2" * 24


def test_the_others_have_names_as_far_as_the_api_tells_them():
    holders = [{"workloadId": SEEN, "workloadName": "batch"}, {"workloadId": HIDDEN}]
    grant = {"holders": holders, "gaveWayTo": "3" * 24, "gaveWayToName": "chat"}
    assert names_of({"grant": grant}) == {SEEN: "batch", "3" * 24: "chat"}
    assert names_of({"grant": {"holders": [], "gaveWayTo": None, "gaveWayToName": None}}) == {}
    assert names_of({"grant": None}) == {}
