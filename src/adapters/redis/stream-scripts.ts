/**
 * What a stream is asked to do in one step, for Redis 7.0 and later.
 *
 * A message that waits for its time is unsettled like any other, in the name of a consumer that nobody is; a sorted set says when it is due.
 * So its id stays, nothing is lost between two steps, and the stream is not trimmed past it.
 *
 * What somebody else has trimmed away while it was out is forgotten by the claim that finds it gone, and counted. Before 7.0 only a claim that
 * brings the fields finds that, and forgets nothing: it is acknowledged there.
 *
 * Source: https://redis.io/docs/latest/commands/xclaim/ (a claim of an entry that was trimmed forgets it, from 7.0 on),
 * https://redis.io/docs/latest/develop/programmability/eval-intro/
 *
 * @module
 */
import { script, type Script } from "./script.ts";

/** In whose name messages wait for their time. */
export const waiting = "millrace:later";
/** How consumers of ours are called, so that no other is ever removed. */
export const consumerPrefix = "millrace-";

/** Which field of an entry says when it is due; it stands in the script that writes it. */
export const dueField = "millrace:due";

/** Now, in milliseconds with fractions, by the server's clock. */
const now = `
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + t[2] / 1000
end`;

/** Adds an entry that says when it is due. KEYS: stream. ARGV: delayMs, field, body. */
export const addLater: Script = script("send", `${now}
return redis.call('XADD', KEYS[1], '*', '${dueField}', string.format('%.0f', math.ceil(now() + ARGV[1])), ARGV[2], ARGV[3])`);

/**
 * Makes the group, from what it is known to have acknowledged, else from ARGV[2], and notes where it begins. Gives 1 if it was not there.
 * KEYS: stream, floor. ARGV: group, start.
 */
export const ensure: Script = script("open", `
local from = redis.call('EXISTS', KEYS[1]) == 1 and redis.call('GET', KEYS[2]) or ARGV[2]
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], from, 'MKSTREAM')
if made.err then return string.find(made.err, 'BUSYGROUP', 1, true) and 0 or made end
if from == '$' then
  local about = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #about, 2 do if about[i] == 'last-generated-id' then from = about[i + 1] end end
end
redis.call('SET', KEYS[2], from)
return 1`);

/**
 * Takes over what is due and, if ARGV[6] is 1, what others have held for too long. Gives how many of them are not in the stream any more,
 * milliseconds until the next is due (or -1), the time, and the entries with their attempts.
 * KEYS: stream, later. ARGV: group, consumer, waiting, room, leaseMs, whether to look at others.
 */
export const take: Script = script("read", `${now}
local stream, later = KEYS[1], KEYS[2]
local group, me, waiting, room = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local taken, gone, at = {}, 0, now()
local function claim(id, count)
  local entry = redis.call('XCLAIM', stream, group, me, 0, id, 'RETRYCOUNT', count)[1]
  if entry then
    taken[#taken + 1] = { id, count, entry[2] }
  else
    gone = gone + 1
    redis.call('XACK', stream, group, id)
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', later, '-inf', at, 'LIMIT', 0, room)) do
  redis.call('ZREM', later, id)
  local held = redis.call('XPENDING', stream, group, id, id, 1, waiting)[1]
  if held then claim(id, held[4] + 1) end
end
if ARGV[6] == '1' then
  for _, consumer in ipairs(redis.call('XPENDING', stream, group)[4] or {}) do
    local name = consumer[1]
    if name ~= waiting then
      if #taken < room then
        for _, held in ipairs(redis.call('XPENDING', stream, group, 'IDLE', ARGV[5], '-', '+', room - #taken, name)) do claim(held[1], held[4] + 1) end
      end
    elseif tonumber(consumer[2]) > redis.call('ZCARD', later) then
      local from, page = '-', nil
      repeat
        page = redis.call('XPENDING', stream, group, from, '+', 1000, waiting)
        for _, held in ipairs(page) do
          redis.call('ZADD', later, 'NX', string.format('%.3f', at), held[1])
          from = '(' .. held[1]
        end
      until #page < 1000
    end
  end
end
local nearest = redis.call('ZRANGE', later, 0, 0, 'WITHSCORES')
local waitMs = nearest[2] and math.max(0, nearest[2] - at) or -1
return { gone, string.format('%.0f', math.ceil(waitMs)), string.format('%.0f', at), taken }`);

/**
 * What a consumer holds without knowing: answers that were lost with a connection. Gives the entries with their attempts, as `take` does.
 * KEYS: stream. ARGV: group, consumer, and the ids it knows of.
 */
export const own: Script = script("read", `
local known, taken, gone = {}, {}, 0
for i = 3, #ARGV do known[ARGV[i]] = true end
for _, held in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 10000, ARGV[2])) do
  if not known[held[1]] then
    local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, held[1], 'RETRYCOUNT', held[4])[1]
    if entry then
      taken[#taken + 1] = { held[1], held[4], entry[2] }
    else
      gone = gone + 1
      redis.call('XACK', KEYS[1], ARGV[1], held[1])
    end
  end
end
return { gone, '-1', '0', taken }`);

/**
 * Acknowledges what the consumer still has, and reads so many new entries. Gives 1 or 0 for each that is acknowledged, and the entries. What is
 * acknowledged is looked for among all that the consumer has, if ARGV[3] says how many that may be, else one by one.
 * KEYS: stream. ARGV: group, consumer, how many, how many to read, ids.
 */
export const ack: Script = script("ack", `
local done, mine, held = {}, {}, {}
if ARGV[3] ~= '0' then
  for _, entry in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[3], ARGV[2])) do held[entry[1]] = true end
end
for i = 5, #ARGV do
  local has = held[ARGV[i]] or redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])[1]
  done[i - 4] = has and 1 or 0
  if has then mine[#mine + 1] = ARGV[i] end
end
if #mine > 0 then redis.call('XACK', KEYS[1], ARGV[1], unpack(mine)) end
if ARGV[4] == '0' then return { done, {} } end
local read = redis.pcall('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[4], 'STREAMS', KEYS[1], '>')
return { done, read and not read.err and read[1][2] or {} }`);

/**
 * Gives messages back that the consumer still has, due after a while; gives 1 or 0 for each, and how many of them are not in the stream any more.
 * KEYS: stream, later. ARGV: group, consumer, waiting, delayMs, what is taken off the attempts, ids.
 */
export const giveBack: Script = script("nack", `${now}
local done, gone, at = {}, 0, now() + ARGV[4]
for i = 6, #ARGV do
  local held = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2])[1]
  done[i - 5] = 0
  if held then
    local count = math.max(0, held[4] - ARGV[5])
    if #redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, ARGV[i], 'RETRYCOUNT', count, 'JUSTID') == 0 then
      gone = gone + 1
    else
      redis.call('ZADD', KEYS[2], string.format('%.3f', at + i / 1000), ARGV[i])
    end
    done[i - 5] = 1
  end
end
return { done, gone }`);

/**
 * Lets a message that was read wait for the time that it says itself; it has not been handed out. Gives how many are not in the stream any more.
 * KEYS: stream, later. ARGV: group, consumer, waiting, then the time and the id of each.
 */
export const postpone: Script = script("read", `
local gone = 0
for i = 4, #ARGV, 2 do
  local held = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i + 1], ARGV[i + 1], 1, ARGV[2])[1]
  if held then
    if #redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, ARGV[i + 1], 'RETRYCOUNT', math.max(0, held[4] - 1), 'JUSTID') == 0 then
      gone = gone + 1
    else
      redis.call('ZADD', KEYS[2], ARGV[i], ARGV[i + 1])
    end
  end
end
return gone`);

/**
 * Begins a lease anew that ends in leaseMs - ARGV[4]; gives 0 for what the consumer has no more, and how many are not in the stream any more.
 * KEYS: stream. ARGV: group, consumer, id, idleMs.
 */
export const extend: Script = script("extend", `
local held = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])[1]
if not held then return { { 0 }, 0 } end
local has = #redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'IDLE', ARGV[4], 'RETRYCOUNT', held[4], 'JUSTID')
return { { has }, 1 - has }`);

/**
 * Gives back all that a consumer has, and removes it. What it never handed out does not count as an attempt. Gives how many of them are not in
 * the stream any more.
 * KEYS: stream, later. ARGV: group, consumer, waiting, and the ids that were handed out.
 */
export const leave: Script = script("leave", `${now}
local handed, at, place, gone, page = {}, now(), 0, 0, nil
for i = 4, #ARGV do handed[ARGV[i]] = true end
repeat
  page = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])
  for _, held in ipairs(page) do
    local count = handed[held[1]] and held[4] or math.max(0, held[4] - 1)
    if #redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, held[1], 'RETRYCOUNT', count, 'JUSTID') == 0 then
      gone = gone + 1
    else
      redis.call('ZADD', KEYS[2], string.format('%.3f', at + place / 1000), held[1])
      place = place + 1
    end
  end
until #page < 1000
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return gone`);

/**
 * Keeps house: notes what the group has acknowledged, trims what all groups have, and removes consumers of ours that died with nothing
 * in their hands. KEYS: stream, floor. ARGV: group, whether to trim, consumerPrefix, idleMs.
 */
export const sweep: Script = script("sweep", `
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function before(a, b)
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  return ams < bms or (ams == bms and aseq < bseq)
end
local function previous(id)
  local ms, seq = parts(id)
  if seq > 0 then return string.format('%.0f-%.0f', ms, seq - 1) end
  return string.format('%.0f-18446744073709551615', math.max(0, ms - 1))
end
local floor
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local field = {}
  for i = 1, #group, 2 do field[group[i]] = group[i + 1] end
  local oldest = redis.call('XPENDING', KEYS[1], field['name'])[2]
  local at = oldest or field['last-delivered-id']
  if field['name'] == ARGV[1] then redis.call('SET', KEYS[2], oldest and previous(oldest) or at) end
  if not floor or before(at, floor) then floor = at end
end
if ARGV[2] == '1' and floor then redis.call('XTRIM', KEYS[1], 'MINID', '~', floor, 'LIMIT', 100000) end
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local field = {}
  for i = 1, #consumer, 2 do field[consumer[i]] = consumer[i + 1] end
  local name = field['name']
  if string.sub(name, 1, #ARGV[3]) == ARGV[3] and field['pending'] == 0 and field['idle'] > tonumber(ARGV[4]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
  end
end
return 0`);
