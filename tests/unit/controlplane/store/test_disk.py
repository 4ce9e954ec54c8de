"""The reserve on the disk."""

import pytest

from controlplane.store import disk
from controlplane.store.disk import DiskGuard
from controlplane.store.errors import StoreFullError


def test_nothing_is_checked_without_a_data_directory():
    DiskGuard(None, min_free_bytes=2**62).check()


def test_room_above_the_reserve_passes(tmp_path):
    DiskGuard(tmp_path, min_free_bytes=1).check()


def test_less_than_the_reserve_is_refused_with_the_directory_and_the_remedy(tmp_path):
    with pytest.raises(StoreFullError, match=rf"{tmp_path} has .* MiB left .* make room"):
        DiskGuard(tmp_path, min_free_bytes=2**62).check()


def test_a_directory_that_cannot_be_asked_does_not_stop_writes(tmp_path):
    DiskGuard(tmp_path / "gone", min_free_bytes=1).check()


def test_room_made_is_seen_after_a_moment(tmp_path, monkeypatch):
    guard = DiskGuard(tmp_path, min_free_bytes=2**62)
    with pytest.raises(StoreFullError):
        guard.check()
    guard._min_free_bytes = 1
    monkeypatch.setattr(disk, "RECHECK_S", 0.0)
    guard.check()
