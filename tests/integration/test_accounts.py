import asyncio
import hashlib

import msgspec
import pytest

from controlplane import accounts
from controlplane.model.people import Scope, Token, User
from controlplane.store.client import Put
from tests.unit.controlplane.lifecycle import worlds


async def test_the_first_start_makes_an_owner_and_shows_the_token_once(store):
    text = await accounts.ensure_owner(store)
    assert text is not None
    assert text.startswith("tg_")
    (owner,) = await store.list(User)
    assert owner.record.admin
    (token,) = await store.list(Token)
    assert token.record.user_id == owner.record.id
    assert token.record.digest == hashlib.sha256(text.encode()).hexdigest()
    assert text.startswith(token.record.prefix)
    assert token.record.expires_at is None


async def test_later_starts_make_nothing(store):
    assert await accounts.ensure_owner(store)
    assert await accounts.ensure_owner(store) is None
    assert len(await store.list(User)) == len(await store.list(Token)) == 1


async def test_two_first_starts_at_once_make_one_owner(store):
    texts = await asyncio.gather(*(accounts.ensure_owner(store) for _ in range(5)))
    assert len([text for text in texts if text is not None]) == 1
    assert len(await store.list(User)) == len(await store.list(Token)) == 1


async def test_tokens_are_made_listed_and_revoked(store):
    await accounts.ensure_owner(store)
    laptop, text = await accounts.create_token(store, name="laptop", expires_s=60)
    assert laptop.expires_at == pytest.approx(laptop.created_at + 60)
    assert [token.name for token in await accounts.list_tokens(store)] == ["owner", "laptop"]
    for name in (laptop.id, text, laptop.prefix):
        assert (await accounts.revoke_token(store, name)).digest == laptop.digest
        assert [token.name for token in await accounts.list_tokens(store)] == ["owner"]
        await store.put(laptop)


async def test_a_token_belongs_to_the_named_user_or_the_first_admin(store):
    await accounts.ensure_owner(store)
    ann = User(id="a" * 24, username="ann", email="ann@test", created_at=1.0)
    await store.put(ann)
    of_ann, _ = await accounts.create_token(store, username="ann", name="t")
    assert of_ann.user_id == ann.id
    of_owner, _ = await accounts.create_token(store, name="t")
    assert of_owner.user_id == accounts.OWNER_ID


async def test_without_any_admin_the_first_user_gets_it(store):
    await store.put(User(id="a" * 24, username="ann", email="ann@test", created_at=1.0))
    token, _ = await accounts.create_token(store, name="t")
    assert token.user_id == "a" * 24


async def test_wrong_wishes_are_refused_with_the_remedy(store):
    with pytest.raises(accounts.AccountError, match="no users yet"):
        await accounts.create_token(store, name="t")
    await accounts.ensure_owner(store)
    with pytest.raises(accounts.AccountError, match="there are: admin"):
        await accounts.create_token(store, username="bob", name="t")
    with pytest.raises(accounts.AccountError, match="in the future"):
        await accounts.create_token(store, name="t", expires_s=0)
    with pytest.raises(accounts.AccountError, match="no token matches"):
        await accounts.revoke_token(store, "tg_nothing")
    with pytest.raises(accounts.AccountError, match="name a token"):
        await accounts.revoke_token(store, " ")


async def test_a_token_can_be_limited_to_a_scope_and_to_workloads(store):
    await accounts.ensure_owner(store)
    workload = worlds.workload()
    await store.put(workload)
    token, _ = await accounts.create_token(
        store, name="t", scope=Scope.INVOKE, workload_ids=[workload.id]
    )
    assert (token.scope, token.workload_ids) == (Scope.INVOKE, (workload.id,))
    await store.put(msgspec.structs.replace(workload, deleted_at=2.0))
    for workload_id in (workload.id, "0" * 24):
        with pytest.raises(accounts.AccountError, match=f"no workload {workload_id}"):
            await accounts.create_token(store, name="t", workload_ids=[workload_id])


async def test_a_disabled_user_gets_no_token(store):
    await accounts.ensure_owner(store)
    (held,) = await store.list(User)
    await store.put(msgspec.structs.replace(held.record, disabled=True))
    with pytest.raises(accounts.AccountError, match="disabled"):
        await accounts.create_token(store, name="t")


async def test_several_tokens_of_one_user_at_once_are_all_made(store):
    await accounts.ensure_owner(store)
    await asyncio.gather(*(accounts.create_token(store, name=f"t{n}") for n in range(4)))
    assert len(await accounts.list_tokens(store)) == 5


async def test_an_ambiguous_prefix_revokes_nothing(store):
    await accounts.ensure_owner(store)
    (token,) = await accounts.list_tokens(store)
    twin = Token(
        id="f" * 24,
        name="twin",
        digest="0" * 64,
        prefix=token.prefix,
        user_id=token.user_id,
        created_at=token.created_at,
    )
    await store.commit([Put(twin)])
    with pytest.raises(accounts.AccountError, match="matches 2 tokens") as caught:
        await accounts.revoke_token(store, token.prefix)
    assert twin.id in str(caught.value)
    assert len(await accounts.list_tokens(store)) == 2


async def test_an_error_never_shows_a_whole_token(store):
    await accounts.ensure_owner(store)
    text = "tg_" + "s" * 40
    with pytest.raises(accounts.AccountError) as caught:
        await accounts.revoke_token(store, text)
    assert text not in str(caught.value)
