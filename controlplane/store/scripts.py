"""The Lua scripts: everything that must be atomic in the server.

Keys of one installation share a hash tag, so that all of them live in one slot and every script
may touch any of them, on Redis Cluster too.

    key                  type   holds
    -------------------  -----  -------------------------------------------------------------
    {ns}:meta            hash   rev, token (counters); epoch, prev, base, run; floor:<kind>
    {ns}:commit:<id>     str    revision of a commit of the last minute: a repeated one runs once
    {ns}:rec:<kind>      hash   record id -> "<version>:<JSON>"; version = revision of its write
    {ns}:chg:<kind>      zset   record id by the revision of its last change, deletes included
    {ns}:gone:<kind>     zset   deleted record ids by revision: the oldest are dropped, see floor
    {ns}:journal:<name>  list   newest first, capped
    {ns}:lease:<name>    str    "<token> <holder>", expires
    {ns}:reports         hash   worker id -> "<expires, ms> <JSON>"; never written to disk; kept
                                for a while after it has expired, until it is counted
    {ns}:numbers         hash   the same of what decisions need; dropped when it has expired
    {ns}:hour:<proton>   hash   "<epoch minute> <worker id>" -> requests started in it
    {ns}:stats:<work.>   hash   a workload's statistics, see `model.statistics`; expires
    {ns}:walk:<name>     str    ids of a list, 12 bytes each; expires; never written to disk
    {ns}:wakes           zset   proton ids by time of their last wake-up; never written to disk
    {ns}:secret:<name>   str    random bytes in hexadecimal, made once

`epoch` names one history of revisions. A server that starts again gets a new one: `base` is
where it began and `prev` what came before, so that a reader who saw no more than that goes on,
and one who saw writes that the server has lost starts over.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

TYPES: Final = {
    **dict.fromkeys(("meta", "rec", "reports", "numbers", "hour", "stats"), "hash"),
    **dict.fromkeys(("chg", "gone", "wakes"), "zset"),
    **dict.fromkeys(("commit", "lease", "walk", "secret"), "string"),
    "journal": "list",
}
"""The table's first two columns, in the words of the server's TYPE."""

MAX_TOMBSTONES: Final = 10_000
"""Deletes remembered per kind. A reader that is further behind reads everything again."""

COMMIT_MEMORY_S: Final = 60
"""How long a commit is recognised when it is repeated after a lost connection; longer than any
call may take."""

COUNTER_GAP: Final = 1_000_000
"""Smallest jump of the counters when the server has started again. They jump to the time in ms
if that is more: so even a server put back to an old backup never gives a version twice."""

EXPIRED_REPORT_TTL_S: Final = 3600
"""How long the last report of a worker that is gone waits to be counted."""

JOURNAL_TTL_S: Final = 90 * 24 * 3600
"""A journal that nobody wrote to for this long is dropped."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name that the server knows it by."""

    text: str

    @property
    def sha(self) -> str:
        """SHA-1 of the text, as EVALSHA wants it."""
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


_UNLESS_WRONG_TYPE: Final = """
-- The reply of a pcall; false where the key holds another type of value. Other errors end it all.
local function unless_wrong_type(reply)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.sub(reply.err, 1, 9) == 'WRONGTYPE' then return false end
  error(reply)
end
"""

OPEN: Final = Script(f"""
-- A client has connected. KEYS: meta. ARGV: the server's run id, a fresh epoch.
local meta = KEYS[1]
local known = redis.call('HMGET', meta, 'run', 'epoch', 'rev')
if known[1] == ARGV[1] and known[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', meta, 'run', ARGV[1], 'epoch', ARGV[2], 'prev', known[2] or '',
           'base', known[3] or '0')
for _, counter in ipairs({{'rev', 'token'}}) do
  local count = redis.call('HGET', meta, counter)
  if count then
    redis.call('HSET', meta, counter,
               string.format('%.0f', math.max(now, count + {COUNTER_GAP})))
  end
end
return 1
""")

COMMIT: Final = Script(f"""
-- All writes or none. KEYS: meta, commit, lease, then rec, chg, gone of each kind, then journals.
-- ARGV: fresh epoch, fence or '', channel, number of writes, number of journal entries; per
-- write: index of its kind's first key, kind, id, expected version or '', JSON or '' to delete;
-- per entry: index of its key, entries to keep, entry.
local meta, commit, lease = KEYS[1], KEYS[2], KEYS[3]
local writes, entries = tonumber(ARGV[4]), tonumber(ARGV[5])
local done = redis.call('GET', commit)
if done then return {{'ok', done}} end
if ARGV[2] ~= '' and redis.call('GET', lease) ~= ARGV[2] then return {{'fenced'}} end
-- A key of another type ends it here: what a script has written before it fails stays.
for k = 4, #KEYS do
  local look = 'LLEN'
  if k <= #KEYS - entries then look = k % 3 == 1 and 'HLEN' or 'ZCARD' end
  redis.call(look, KEYS[k])
end
for w = 0, writes - 1 do
  local at = 6 + w * 5
  local expected = ARGV[at + 3]
  if expected ~= '' then
    local old = redis.call('HGET', KEYS[tonumber(ARGV[at])], ARGV[at + 2])
    local actual = old and string.match(old, '^%d+') or '0'
    if actual ~= expected then return {{'conflict', tostring(w), actual}} end
  end
end
local rev
if writes > 0 then
  if redis.call('HSETNX', meta, 'epoch', ARGV[1]) == 1 then
    redis.call('HSET', meta, 'prev', '', 'base', '0')
  end
  rev = string.format('%.0f', redis.call('HINCRBY', meta, 'rev', 1))
else
  rev = redis.call('HGET', meta, 'rev') or '0'
end
for w = 0, writes - 1 do
  local at = 6 + w * 5
  local key, kind, id, value = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2], ARGV[at + 4]
  local rec, chg, gone = KEYS[key], KEYS[key + 1], KEYS[key + 2]
  if value ~= '' then
    redis.call('HSET', rec, id, rev .. ':' .. value)
    redis.call('ZADD', chg, rev, id)
    redis.call('ZREM', gone, id)
  elseif redis.call('HDEL', rec, id) == 1 then
    redis.call('ZADD', chg, rev, id)
    redis.call('ZADD', gone, rev, id)
    local surplus = redis.call('ZCARD', gone) - {MAX_TOMBSTONES}
    if surplus > 0 then
      local dropped = redis.call('ZPOPMIN', gone, surplus)
      for i = 1, #dropped, 2 do redis.call('ZREM', chg, dropped[i]) end
      redis.call('HSET', meta, 'floor:' .. kind, dropped[#dropped])
    end
  end
end
for e = 0, entries - 1 do
  local at = 6 + writes * 5 + e * 3
  local journal = KEYS[tonumber(ARGV[at])]
  redis.call('LPUSH', journal, ARGV[at + 2])
  redis.call('LTRIM', journal, 0, tonumber(ARGV[at + 1]) - 1)
  redis.call('EXPIRE', journal, {JOURNAL_TTL_S})
end
redis.call('SET', commit, rev, 'EX', {COMMIT_MEMORY_S})
if writes > 0 then redis.call('PUBLISH', ARGV[3], rev) end
return {{'ok', rev}}
""")

FOLLOW: Final = Script("""
-- What changed. KEYS: meta, then rec and chg of each kind. ARGV: how many changes per kind at
-- most, then per kind its name and the revision that the reader has.
-- Whole commits only: a page ends where a revision ends.
local meta, limit = KEYS[1], tonumber(ARGV[1])
local head = redis.call('HMGET', meta, 'epoch', 'rev', 'prev', 'base')
local rev, complete, kinds = head[2] or '0', 1, {}
for k = 1, (#ARGV - 1) / 2 do
  local kind, since = ARGV[k * 2], ARGV[k * 2 + 1]
  local rec, chg = KEYS[k * 2], KEYS[k * 2 + 1]
  local floor = redis.call('HGET', meta, 'floor:' .. kind) or '0'
  local upto, ids, values = rev, {}, {}
  if since ~= rev then
    local last = redis.call('ZRANGEBYSCORE', chg, '(' .. since, '+inf', 'WITHSCORES',
                            'LIMIT', limit - 1, 1)
    if #last > 0 then upto = last[2] end
    ids = redis.call('ZRANGEBYSCORE', chg, '(' .. since, upto)
    if #last > 0 and upto ~= rev then complete = 0 end
    if #ids > 0 then values = redis.call('HMGET', rec, unpack(ids)) end
  end
  kinds[k] = {floor, upto, ids, values}
end
return {head[1] or '', rev, head[3] or '', head[4] or '0', complete, kinds}
""")

ACQUIRE: Final = Script("""
-- KEYS: lease, meta. ARGV: holder, ttl in ms. Returns the token, or false: held by another.
local held = redis.call('GET', KEYS[1])
if held then
  local token, holder = string.match(held, '^(%d+) (.*)$')
  if holder ~= ARGV[1] then return false end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return token
end
local token = string.format('%.0f', redis.call('HINCRBY', KEYS[2], 'token', 1))
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
return token
""")

RELEASE: Final = Script("""
-- KEYS: lease. ARGV: "<token> <holder>".
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")

REPORT: Final = Script("""
-- KEYS: numbers, reports, or one of them. ARGV: worker id, ttl in ms, JSON of each. Neither the
-- disk nor replicas need them: the next ones come in half a second. A key that cannot be written
-- keeps no other from it; its error is the reply.
redis.set_repl(redis.REPL_NONE)
local time = redis.call('TIME')
local expires = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
local failed
for k = 1, #KEYS do
  local value = string.format('%.0f ', expires) .. ARGV[2 + k]
  local reply = redis.pcall('HSET', KEYS[k], ARGV[1], value)
  if type(reply) == 'table' and reply.err then failed = failed or reply end
end
return failed or 1
""")

HOURS: Final = Script(
    _UNLESS_WRONG_TYPE
    + """
-- Starts by minute. KEYS: hour of each proton. ARGV: ttl in s, then per key the number of its
-- fields, and the fields and counts. Returns the keys that hold no hash: theirs are not written.
local at, wrong = 2, {}
for k = 1, #KEYS do
  local last = at + tonumber(ARGV[at]) * 2
  if unless_wrong_type(redis.pcall('HSET', KEYS[k], unpack(ARGV, at + 1, last))) then
    redis.call('EXPIRE', KEYS[k], ARGV[1])
  else
    wrong[#wrong + 1] = KEYS[k]
  end
  at = last + 1
end
return wrong
"""
)

MINUTES: Final = Script(
    _UNLESS_WRONG_TYPE
    + """
-- KEYS: hours of protons. Returns per key its fields and values, one after the other; false: it
-- holds no hash.
local found = {}
for k = 1, #KEYS do found[k] = unless_wrong_type(redis.pcall('HGETALL', KEYS[k])) end
return found
"""
)

COLLECT: Final = Script("""
-- KEYS: reports or numbers. ARGV: for how many ms what has expired is kept for whoever counts it.
-- Returns worker and JSON of everything that has not expired, one after the other; no JSON where
-- the value is nothing that REPORT writes.
redis.set_repl(redis.REPL_NONE)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, found = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local space = string.find(all[i + 1], ' ', 1, true)
  local expires = space and tonumber(string.sub(all[i + 1], 1, space - 1))
  if not expires or expires > now then
    found[#found + 1] = all[i]
    found[#found + 1] = expires and string.sub(all[i + 1], space + 1) or ''
  elseif expires + ARGV[1] <= now then
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return found
""")

REPORTS: Final = Script("""
-- KEYS: reports. Returns of every report, expired or not: whether it lives, its worker, its whole
-- value.
redis.set_repl(redis.REPL_NONE)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, found = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local expires = tonumber(string.match(all[i + 1], '^(%d+) '))
  found[#found + 1] = {expires and expires > now and 1 or 0, all[i], all[i + 1]}
end
return found
""")

COUNTED: Final = Script("""
-- An expired report is counted. KEYS: reports. ARGV: worker id, when it expired. Another one that
-- came from the same worker since stays.
redis.set_repl(redis.REPL_NONE)
local value = redis.call('HGET', KEYS[1], ARGV[1])
if value and string.match(value, '^%d+') == ARGV[2] then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0
""")

FIELDS: Final = Script(
    _UNLESS_WRONG_TYPE
    + """
-- KEYS: hashes. ARGV: per key the number of fields, and their names; 0: the names of all that there
-- are. Returns per key the values, or the names; false: it holds no hash.
local found, at = {}, 1
for k = 1, #KEYS do
  local last = at + tonumber(ARGV[at])
  if last == at then
    found[k] = unless_wrong_type(redis.pcall('HKEYS', KEYS[k]))
  else
    found[k] = unless_wrong_type(redis.pcall('HMGET', KEYS[k], unpack(ARGV, at + 1, last)))
  end
  at = last + 1
end
return found
"""
)

STATISTICS: Final = Script(
    _UNLESS_WRONG_TYPE
    + """
-- KEYS: lease (or anything, without a fence), then statistics. ARGV: fence or '', then per workload
-- the expected version, a ttl in s, the numbers of fields to set and to drop; then those fields and
-- values, and those fields. Returns 'fenced', or per workload 1, or 0: it has another version, or
-- 2: its key holds no hash.
if ARGV[1] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'fenced' end
local done, at = {}, 2
for k = 2, #KEYS do
  local key = KEYS[k]
  local reply = redis.pcall('HGET', key, 'v')
  local wrong = type(reply) == 'table' and not unless_wrong_type(reply)
  -- Anything but a number is 0: HINCRBY would refuse it, and with it all workloads that follow.
  local version = string.match(not wrong and reply or '0', '^%d+$') or '0'
  local sets, drops = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local first = at + 4
  if wrong then
    done[k - 1] = 2
  elseif version == ARGV[at] then
    for i = first, first + sets * 2 - 1, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
    for i = first + sets * 2, first + sets * 2 + drops - 1 do redis.call('HDEL', key, ARGV[i]) end
    redis.call('HSET', key, 'v', string.format('%.0f', version + 1))
    redis.call('EXPIRE', key, ARGV[at + 1])
    done[k - 1] = 1
  else
    done[k - 1] = 0
  end
  at = first + sets * 2 + drops
end
return done
"""
)

WAKE: Final = Script("""
-- KEYS: wakes. ARGV: proton id, channel, ms to remember it for a listener that is away.
redis.set_repl(redis.REPL_NONE)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Whoever listens hears of it, whatever has become of the memory for those who are away.
redis.call('PUBLISH', ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
return redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[3]))
""")

KEEP: Final = Script("""
-- KEYS: walk. ARGV: ids, ttl in s. Whoever misses it after a restart goes on without it.
redis.set_repl(redis.REPL_NONE)
return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
""")

ALL: Final = (
    *(OPEN, COMMIT, FOLLOW, ACQUIRE, RELEASE, REPORT, HOURS, COLLECT, REPORTS, COUNTED),
    *(FIELDS, MINUTES, STATISTICS, WAKE, KEEP),
)
