"""What Redis itself runs, so that a write is whole and only the owner's (Lua, Redis 7.0)."""

from typing import Final

Word = str | bytes | int | float
Command = tuple[Word, ...]
"""One command of Redis, or of `GUARD`, word by word."""

LOST: Final = 0
SUPERSEDED: Final = 1
INCOMPLETE: Final = 2
COMPLETE: Final = 3

GUARD: Final = """
local marker = KEYS[1]
local held = redis.call('HGET', marker, 'epoch')
if not held then return 0 end
if held ~= ARGV[1] then return 1 end

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

local at = 2
while at <= #ARGV do
    local length = tonumber(ARGV[at])
    local words = {unpack(ARGV, at + 1, at + length)}
    local ours = own[words[1]]
    if ours then ours(words) else redis.call(unpack(words)) end
    at = at + length + 1
end
return redis.call('HGET', marker, 'complete') == '1' and 3 or 2
"""
"""Runs commands if the marker (KEYS[1]) names the epoch (ARGV[1]), else none of them.

ARGV from the second on: per command its number of words, and the words. Returns `LOST`,
`SUPERSEDED`, `INCOMPLETE` or `COMPLETE`.

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

CLAIM: Final = """
local marker = KEYS[1]
local epoch, made, stamp, appended = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local found = redis.call('HMGET', marker, 'life', 'made', 'complete', 'stamp', 'appended')
local complete = found[1] and found[2] == made and found[3] == '1' and tonumber(stamp) >= 0
    and tonumber(found[4]) >= tonumber(stamp) and tonumber(found[5]) >= tonumber(appended)
if not found[1] then
    local now = redis.call('TIME')
    local micros = string.format('%s%06d', now[1], now[2])
    redis.call('HSET', marker, 'life', epoch .. '@' .. micros, 'version', micros)
end
redis.call('HSET', marker, 'epoch', epoch, 'made', made)
if complete then return 3 end
redis.call('HSET', marker, 'complete', '0', 'stamp', '-1', 'appended', '-1')
return 2
"""
"""Gives the marker (KEYS[1]) to an epoch.

ARGV: epoch · how it is made · stamp and append time up to which all must be in the view. A new life
begins with a version above those of any former one: microseconds of Redis's clock. Returns
`INCOMPLETE` or `COMPLETE`.
"""
