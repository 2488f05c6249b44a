"""What Redis itself runs, so that a write is whole and only the owner's (Lua, Redis 7.0)."""

from typing import Final

Word = str | bytes | int | float
Command = tuple[Word, ...]
"""One command of Redis, or of `GUARD`, word by word."""

LOST: Final = 0
SUPERSEDED: Final = 1
INCOMPLETE: Final = 2
COMPLETE: Final = 3

_LIFE: Final = """
local marker = KEYS[1]

local function ahead()
    local now = redis.call('TIME')
    local micros = tonumber(now[1]) * 1000000 + tonumber(now[2])
    local version = tonumber(redis.call('HGET', marker, 'version') or '0') + 1
    if micros > version then version = micros end
    version = string.format('%.0f', version)
    redis.call('HSET', marker, 'version', version)
    return version
end

local function renew(epoch)
    redis.call('HSET', marker, 'life', epoch .. '@' .. ahead(), 'complete', '0',
        'stamp', '-1', 'appended', '-1')
    redis.call('DEL', KEYS[2])
end
"""
"""Begins a new life of a partition: readers drop what they hold, also of the live stream (KEYS[2]),
and versions go on above those of any former life: microseconds of Redis's clock."""

GUARD: Final = (
    _LIFE
    + """
local held = redis.call('HMGET', marker, 'epoch', 'seq')
local acked, number = tonumber(ARGV[2]), tonumber(ARGV[3])
local seq = tonumber(held[2] or '0')
if not held[1] then return 0 end
if held[1] ~= ARGV[1] then return 1 end
-- Older than what was acknowledged: Redis came back with less than it had.
if seq < acked then
    renew(ARGV[1])
    return 0
end
-- A call that was given up long ago, and arrives only now.
if seq >= number then return 0 end
redis.call('HSET', marker, 'seq', ARGV[3])
-- What became of the call before is not known: done and lost again, its versions were seen.
if number > acked + 1 then ahead() end

local function moved(set, account)
    local version = redis.call('HINCRBY', marker, 'version', 1)
    redis.call('ZADD', set, string.format('%.0f', version), account)
end

local function forget(where, fired, firing, id)
    local member = redis.call('HGET', where, id)
    if member then
        redis.call('ZREM', fired, member)
        redis.call('ZREM', firing, member)
        redis.call('HDEL', where, id)
    end
end

local own = {}

-- @PUT shelf moved account value: what is as it was moves nothing
own['@PUT'] = function(words)
    if redis.call('HGET', words[2], words[4]) ~= words[5] then
        redis.call('HSET', words[2], words[4], words[5])
        moved(words[3], words[4])
    end
end

-- @TAKE shelf moved account
own['@TAKE'] = function(words)
    if redis.call('HDEL', words[2], words[4]) == 1 then moved(words[3], words[4]) end
end

-- @PLACE where fired firing id member open
own['@PLACE'] = function(words)
    local former = redis.call('HGET', words[2], words[5])
    if former ~= words[6] then
        forget(words[2], words[3], words[4], words[5])
        redis.call('HSET', words[2], words[5], words[6])
        redis.call('ZADD', words[3], 0, words[6])
    end
    if words[7] == '1' then
        redis.call('ZADD', words[4], 0, words[6])
    else
        redis.call('ZREM', words[4], words[6])
    end
end

-- @KEEP where fired firing alerts id...: all other alerts of the account go
own['@KEEP'] = function(words)
    local kept = {}
    for i = 6, #words do kept[words[i]] = true end
    if redis.call('HLEN', words[5]) == #words - 5 then return end
    for _, id in ipairs(redis.call('HKEYS', words[5])) do
        if not kept[id] then
            forget(words[2], words[3], words[4], id)
            redis.call('HDEL', words[5], id)
        end
    end
end

-- @RAISE marker stamp appended: never back
own['@RAISE'] = function(words)
    if tonumber(words[3]) > tonumber(redis.call('HGET', marker, 'stamp')) then
        redis.call('HSET', marker, 'stamp', words[3], 'appended', words[4])
    end
end

local at = 4
while at <= #ARGV do
    local length = tonumber(ARGV[at])
    local words = {unpack(ARGV, at + 1, at + length)}
    local ours = own[words[1]]
    if ours then ours(words) else redis.call(unpack(words)) end
    at = at + length + 1
end
return redis.call('HGET', marker, 'complete') == '1' and 3 or 2
"""
)
"""Runs commands if the marker (KEYS[1]) names the epoch (ARGV[1]), else none of them.

ARGV: epoch · number of the caller's newest call that was answered · number of this call · from
then on per command its number of words, and the words. KEYS[2]: the live stream. Returns `LOST`,
`SUPERSEDED`, `INCOMPLETE` or `COMPLETE`.

A Redis that restarts from a dump, or a replica that takes over, may know less than was
acknowledged: by its marker the caller still owns the partition, and by its number it does not
know what the caller was told. That is `LOST`, and a new life.

Source: Redis runs a script whole, with nothing in between (redis.io, "Atomicity of scripts").
"""

READ: Final = """
local found = {}
local at = 1
while at <= #ARGV do
    local length = tonumber(ARGV[at])
    found[#found + 1] = redis.call(unpack(ARGV, at + 1, at + length))
    at = at + length + 1
end
return found
"""
"""Answers commands that only read, with no write in between.

MULTI would do the same, but a Redis whose memory is full refuses it also for reading.
"""

CLAIM: Final = (
    _LIFE
    + """
local epoch, made, stamp, appended = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
local found = redis.call('HMGET', marker, 'life', 'made', 'complete', 'stamp', 'appended', 'run')
local lives = found[1] and found[6] == run
local complete = lives and found[2] == made and found[3] == '1' and tonumber(stamp) >= 0
    and tonumber(found[4]) >= tonumber(stamp) and tonumber(found[5]) >= tonumber(appended)
if not lives then renew(epoch) end
redis.call('HSET', marker, 'epoch', epoch, 'made', made, 'run', run, 'seq', ARGV[5])
if complete then return 3 end
redis.call('HSET', marker, 'complete', '0', 'stamp', '-1', 'appended', '-1')
return 2
"""
)
"""Gives the marker (KEYS[1]) to an epoch.

ARGV: epoch · how it is made · stamp and append time up to which all must be in the view · number of
the call. KEYS[2]: the live stream. Returns `INCOMPLETE` or `COMPLETE`.

A new owner does not know what a former one was told. So what was written before the Redis that
answers now was started counts as lost: it may be an older dump, or a replica that was behind. Where
INFO is forbidden only the owner itself notices that.

Source: INFO (redis.io): `run_id` is "a random value identifying the Redis server".
"""
