"""New ids."""

from itertools import pairwise

from controlplane.model.ids import is_object_id
from controlplane.store.ids import ObjectIds


def test_ids_are_well_formed_and_unique_over_sources():
    sources = [ObjectIds() for _ in range(4)]
    ids = [source.new() for source in sources for _ in range(1000)]
    assert all(is_object_id(text) for text in ids)
    assert len(set(ids)) == len(ids)


def test_ids_of_one_source_ascend_in_time():
    source = ObjectIds()
    ids = [source.new() for _ in range(1000)]
    assert all(earlier[:8] <= later[:8] for earlier, later in pairwise(ids))
