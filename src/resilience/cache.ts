/**
 * @module
 */
import { askedOf } from "../core/asked.ts";
import { operationsOf, paceOf } from "../core/branch.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption, isMillraceError, MillraceError, received, requireProcessors, wholeNumber } from "../core/errors.ts";
import { guarded } from "../core/guarded.ts";
import { checkedJson } from "../core/json-border.ts";
import type { JsonValue, Part } from "../core/part.ts";
import { processorOf, runInside } from "../core/pipeline.ts";
import type { Context, Processor } from "../core/processor.ts";
import { digestWith, keyBytes, type KeyParts, toHex, writeParts } from "./caching/cache-key.ts";
import { type CacheEvent, type CacheStore, memoryShelf, sharedShelf } from "./caching/cache-store.ts";
import { type CacheDesk, CachedFlow } from "./caching/cached-flow.ts";

/** Of a cache. */
export interface CacheOptions {
  /** Whose answers these are, a tenant for one, or what tells it from the run; `"public"` when they are everybody's. */
  readonly scope: string | ((context: Context) => string);
  /** What is the unit: the whole input, or each part by itself, which keeps a stream of parts streaming. @default "input" */
  readonly per?: "input" | "part";
  /** A key-value store that others share. Needs `secret`, `name` and `version`. @default memory of this process */
  readonly store?: CacheStore;
  /** At least 16 bytes. Keys and entries of a shared store are signed with it. */
  readonly secret?: string | Uint8Array;
  /** Which processor this is. @default its own name */
  readonly name?: string;
  /** Changes whenever the processor's answers would. @default "" */
  readonly version?: string;
  /** Whatever else the answer depends on and is not in the input: model, system text, tools, limits. @default null */
  readonly vary?: JsonValue;
  /** Replaces the input in the key; `undefined` means that this call is not cached. */
  readonly key?: (input: readonly Part[], context: Context) => JsonValue | undefined | Promise<JsonValue | undefined>;
  /** Names in the metadata of input parts that make a difference. @default none */
  readonly metadataKeys?: readonly string[];
  /** How long an answer is kept, in milliseconds, ten percent more or less. @default 300,000 */
  readonly ttlMs?: number;
  /** Bytes of the memory of this process that answers may take; the one used longest ago goes first. @default 64 MiB */
  readonly maxBytes?: number;
  /** Bytes of one answer, and of one input; what is larger passes uncached. @default 1 MiB */
  readonly maxEntryBytes?: number;
  /** Keeps answers that call tools too. */
  readonly storeToolCalls?: boolean;
  /** Milliseconds that a shared store may take to answer; then the call goes on without it. @default 1,000 */
  readonly storeTimeoutMs?: number;
  /** Hears what happens. It cannot break a run. */
  readonly onEvent?: (event: CacheEvent) => void;
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** @default Math.random */
  readonly random?: () => number;
}

/**
 * Answers again what was answered before: calls with the same input make one call.
 *
 * Reads:  its whole input, before it calls; with `per: "part"` part by part.
 * Yields: what the processor makes, live, while it is recorded. A hit gives the same parts as fresh copies, at once; its finish part has
 *         usage 0 and `metadata.cache` `"hit"`. Calls at the same time with the same key share one, which goes on while any of
 *         them reads; one of them gets the usage, the finish part of the others says `"coalesced"`.
 * Keeps:  complete answers only. One with a finish part is a model's and must say `stop` (or `tool_calls`, with
 *         `storeToolCalls`); one without is no model's, and a natural end is enough. Never errors, aborts, cut or restarted
 *         streams, error parts, other finish reasons, nor what would not come again as it was: handles, system parts, half a
 *         character. An answer without parts is an answer.
 * Throws: `missing_config` without a `scope`, or with a shared store that lacks `secret`, `name` or `version`; `too_large` to a
 *         reader of a shared call that is 8 MiB behind; what the processor throws, to all who share the call. A store that is
 *         slow, down or damaged is a miss.
 * Closes: the call, when the last of its readers leaves; not the store.
 *
 * @example
 * let calls = 0;
 * const slow = each((part) => `${isText(part) ? part.text : ""} ${(calls += 1)}`);
 * const cached = cache(slow, { scope: "public" });
 * console.log(await run(cached, "a").text(), await run(cached, "a").text(), await run(cached, "b").text()); // a 1 a 1 b 2
 */
export function cache(processor: Processor, options: CacheOptions): Processor {
  requireProcessors("cache", [processor]);
  checkOptions(options);
  const { per = "input", clock = systemClock, random = Math.random, maxEntryBytes = 1024 * 1024, ttlMs = 300_000, storeTimeoutMs = 1_000 } = options;
  const tell = (event: CacheEvent): void => guarded(() => options.onEvent?.(event));
  const digest = digestWith(options.secret === undefined ? undefined : secretBytes(options.secret));
  const shelving = { ttlMs, maxEntryBytes, clock, random, tell };
  const desk: CacheDesk = {
    processor,
    shelf: options.store === undefined ? memoryShelf(options.maxBytes ?? 64 * 1024 * 1024, shelving) : sharedShelf(options.store, { ...shelving, digest, storeTimeoutMs }),
    flights: new Map(),
    maxEntryBytes,
    storeToolCalls: options.storeToolCalls ?? false,
    tell,
    async keyOf(input, context) {
      const who = identity(processor, options, context);
      const bytes = await bytesOf(who, input, options, context);
      return bytes === undefined ? undefined : `millrace:cache:${toHex(await digest(bytes))}`;
    },
  };
  const cached = processorOf([{ kind: "flow", name: "cache", open: (upstream, scope) => new CachedFlow(upstream, desk, scope) }]);
  if (per === "input") return cached;
  const pace = paceOf([operationsOf(processor) ?? []]);
  return processorOf([{ kind: "operation", name: "cache", ...pace, open: (scope) => (part) => runInside(cached, { items: [part] }, scope) }]);
}

function identity(processor: Processor, { scope, name, version = "", vary = null }: CacheOptions, context: Context): KeyParts {
  const whose: unknown = typeof scope === "function" ? scope(context) : scope;
  if (typeof whose !== "string" || whose === "") throw noScope(whose);
  return { scope: whose, name: name ?? processor.name, version, vary, asked: askedOf(context) };
}

/** What the key is made of; nothing for a call that has none. */
async function bytesOf(who: KeyParts, input: readonly Part[], options: CacheOptions, context: Context): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (options.key !== undefined) {
    const made = await options.key(input, context);
    return made === undefined ? undefined : keyBytes(who, (into) => into.text("key").json(made));
  }
  try {
    return keyBytes(who, (into) => writeParts(into.text("input"), input, options.metadataKeys ?? []));
  } catch (error) {
    if (isMillraceError(error, "invalid_input")) return undefined; // a value that is no JSON cannot be compared
    throw error;
  }
}

function secretBytes(secret: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return typeof secret === "string" ? new TextEncoder().encode(secret) : secret.slice();
}

/** Shorter ones can be guessed. */
const minSecretBytes = 16;

function checkOptions(options: CacheOptions): void {
  const { scope, per, store, secret, ttlMs, storeTimeoutMs } = options ?? {};
  if (typeof scope !== "function" && (typeof scope !== "string" || scope === "")) throw noScope(scope);
  if (per !== undefined && per !== "input" && per !== "part") throw invalidOption("cache", "per", '"input" or "part"', per);
  for (const [option, value] of [["ttlMs", ttlMs], ["storeTimeoutMs", storeTimeoutMs]] as const) {
    if (value !== undefined && !(Number.isFinite(value) && value > 0)) throw invalidOption("cache", option, "a positive number of milliseconds", value);
  }
  if (options.maxBytes !== undefined) wholeNumber("cache", "maxBytes", options.maxBytes, 0);
  if (options.maxEntryBytes !== undefined) wholeNumber("cache", "maxEntryBytes", options.maxEntryBytes, 0);
  for (const option of ["name", "version"] as const) {
    const value: unknown = options[option];
    if (value !== undefined && typeof value !== "string") throw invalidOption("cache", option, "a string", value);
  }
  for (const option of ["key", "onEvent"] as const) {
    const value: unknown = options[option];
    if (value !== undefined && typeof value !== "function") throw invalidOption("cache", option, "a function", value);
  }
  const names: unknown = options.metadataKeys ?? [];
  if (!Array.isArray(names) || !names.every((name) => typeof name === "string")) throw invalidOption("cache", "metadataKeys", "a list of names", names);
  if (options.vary !== undefined) checkedJson(options.vary, "cache: vary");
  if (secret !== undefined && ((typeof secret !== "string" && !(secret instanceof Uint8Array)) || secretBytes(secret).byteLength < minSecretBytes)) {
    throw new MillraceError("missing_config", `cache: secret must have at least ${minSecretBytes} bytes`);
  }
  if (store === undefined) return;
  if (typeof store?.get !== "function" || typeof store.set !== "function") throw invalidOption("cache", "store", "a key-value store", store);
  for (const option of ["secret", "name", "version"] as const) {
    if (options[option] === undefined) throw new MillraceError("missing_config", `cache: a shared store needs ${option}: others read and write there too`);
  }
}

function noScope(scope: unknown): MillraceError {
  return new MillraceError("missing_config", `cache: scope must say whose answers these are, "public" if they are everybody's, got ${received(scope)}`);
}
