/**
 * Values and marks in Redis.
 *
 * Kind: key-value. Client: as for streams. All times are the server's.
 * Source: https://redis.io/docs/latest/commands/set/
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";
import { checkValue, checkValueKey, type KeyValueSetOptions, type MarkStore } from "../../kinds/key-value.ts";
import { type Advanced, checkSteps } from "../../kinds/marks.ts";
import { checkedName, redisSettings, type RedisOptions, service } from "./client.ts";
import { Link } from "./link.ts";
import { script } from "./script.ts";

/** Bytes of a string of Redis, unless its `proto-max-bulk-len` says otherwise. */
const maxValueBytes = 512 * 1024 * 1024;

/** Of values in Redis. */
export interface RedisKeyValueOptions extends RedisOptions {
  /** Begins every key: `prefix:v:` values, `prefix:m:` marks. @default "millrace" */
  readonly prefix?: string;
}

/**
 * Moves marks as `advanceMarks` of `kinds/marks.ts` does. KEYS: the marks, a hash of moments in milliseconds.
 * ARGV: of each step its name, byMs, atLeastMs and withinMs or "". Gives taken, waitMs, and of each mark its name and how far it is ahead.
 */
const advance = script("advance", `
local t = redis.call('TIME')
local at = t[1] * 1000 + t[2] / 1000
local marks, kept = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #kept, 2 do
  local mark = tonumber(kept[i + 1])
  if mark > at then marks[kept[i]] = mark else redis.call('HDEL', KEYS[1], kept[i]) end
end
local waitMs, moved = 0, {}
for i = 1, #ARGV, 4 do
  local to = math.max(marks[ARGV[i]] or at, at + ARGV[i + 2]) + ARGV[i + 1]
  if ARGV[i + 3] ~= '' then waitMs = math.max(waitMs, to - at - ARGV[i + 3]) end
  moved[ARGV[i]] = to
end
local taken = waitMs <= 0.001
if taken then
  for name, to in pairs(moved) do
    if to > at then
      marks[name] = to
      redis.call('HSET', KEYS[1], name, string.format('%.17g', to))
    else
      marks[name] = nil
      redis.call('HDEL', KEYS[1], name)
    end
  end
end
local answer, last = { taken and 1 or 0, string.format('%.17g', taken and 0 or waitMs) }, at
for name, mark in pairs(marks) do
  answer[#answer + 1] = name
  answer[#answer + 1] = string.format('%.17g', mark - at)
  last = math.max(last, mark)
end
if last > at then redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.min(math.ceil(last), 9e15))) end
return answer`);

/**
 * Keeps values and marks in Redis, shared by all processes that use it. What a full server throws away is said by its `maxmemory-policy`:
 * marks that are thrown away let more through than a limit says.
 *
 * Throws: as every key-value store; a connection that is lost in a call leaves open whether the call was carried out.
 * Closes: its connection; calls in progress reject with `closed`.
 *
 * @example
 * await using store = redisKeyValue({ url: "redis://127.0.0.1:6379", prefix: "answers" });
 * await store.set("greeting", new TextEncoder().encode("hello"), { ttlMs: 60_000 });
 * console.log(await store.set("greeting", new Uint8Array(1), { ifAbsent: true })); // false
 */
export function redisKeyValue(options: RedisKeyValueOptions): MarkStore {
  const who = "redisKeyValue";
  const settings = redisSettings(who, options);
  const prefix = checkedName(who, "prefix", options.prefix ?? "millrace");
  const link = new Link(settings);
  const valueKey = (key: string): string => `${prefix}:v:${checkValueKey(service, key)}`;
  const close = async (): Promise<void> => link.close();
  return {
    service,
    lacks: {},
    async get(key, { signal } = {}) {
      const value = await link.call("get", ["GET", valueKey(key)], { signal });
      if (value === null) return undefined;
      if (value instanceof Uint8Array) return new Uint8Array(value); // of their own: the client's may be a window on what else it received
      throw new MillraceError("bad_response", `${service}: get: needs bytes, got ${received(value)}`, { service });
    },
    async set(key, value, set: KeyValueSetOptions = {}) {
      const stored = valueKey(key);
      checkValue(service, value, set);
      if (value.byteLength > maxValueBytes) throw new MillraceError("too_large", `${service}: a value of ${value.byteLength} bytes, the store holds ${maxValueBytes}`, { service });
      const { ttlMs, ifAbsent, signal } = set;
      const how = [...(ttlMs === undefined ? [] : ["PX", String(ttlMs)]), ...(ifAbsent === true ? ["NX"] : [])];
      // a copy: the caller's bytes may change before they are sent; the slice of a Buffer is none
      return (await link.call("set", ["SET", stored, new Uint8Array(value), ...how], { signal })) !== null;
    },
    async delete(key, { signal } = {}) {
      await link.call("delete", ["DEL", valueKey(key)], { signal });
    },
    async advance(key, steps, { signal } = {}) {
      checkValueKey(service, key);
      checkSteps(service, steps);
      const moves = Object.entries(steps).flatMap(([name, { byMs = 0, atLeastMs = 0, withinMs = Infinity }]) => [
        name,
        String(byMs),
        String(atLeastMs),
        withinMs === Infinity ? "" : String(withinMs),
      ]);
      return toAdvanced(await link.run(advance, [`${prefix}:m:${key}`], moves, { signal }));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

// --- shapes ---

function toAdvanced(answer: unknown): Advanced {
  if (!Array.isArray(answer)) throw new MillraceError("bad_response", `${service}: advance answered ${received(answer)}`, { service });
  const [taken, ...texts] = answer.map((it: unknown) => (it instanceof Uint8Array ? new TextDecoder().decode(it) : it));
  const [waitMs, ...marks] = texts.map(String);
  const aheadMs: Record<string, number> = Object.create(null); // a mark may be called `__proto__`
  for (let at = 0; at + 1 < marks.length; at += 2) aheadMs[marks[at] ?? ""] = Number(marks[at + 1]);
  return { taken: taken === 1, waitMs: Number(waitMs), aheadMs: { ...aheadMs } };
}
