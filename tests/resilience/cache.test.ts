import { AsyncLocalStorage } from "node:async_hooks";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import {
  bytes,
  codec,
  derive,
  each,
  filter,
  finish,
  type FinishReason,
  isMillraceError,
  json,
  type Part,
  pipe,
  type Processor,
  run,
  status,
  take,
  text,
  toolCall,
} from "../../src/index.ts";
import type { Asked } from "../../src/core/asked.ts";
import { asks } from "../../src/core/asks.ts";
import type { CacheEvent, CacheStore } from "../../src/resilience/caching/cache-store.ts";
import { cache, type CacheOptions } from "../../src/resilience/cache.ts";
import { fakeClock, mockModel, stalledSource, watchedSource } from "../../src/testing/index.ts";
import { gate, opaque, soon, texts, turns } from "../streams/support.ts";

/** A model that counts: each call answers with its number and the input. */
function counted(answer: (call: number, input: string) => readonly Part[] = (call, input) => [text(`${input}#${call}`), stop()]): { readonly model: Processor; readonly calls: number } {
  const record = { calls: 0 };
  const model: Processor = async function* model(input) {
    let all = "";
    for await (const part of input) if (part.kind === "text") all += part.text;
    record.calls += 1;
    yield* answer(record.calls, all);
  };
  return {
    model,
    get calls() {
      return record.calls;
    },
  };
}

const stop = (reason: FinishReason = "stop"): Part => finish({ reason, usage: { inputTokens: 3, outputTokens: 5 }, model: "m" });
const shared = { scope: "public" } as const;
const cached = (processor: Processor, options: Partial<CacheOptions> = {}): Processor => cache(processor, { ...shared, ...options });
const code = (error: unknown): string => (isMillraceError(error) ? error.code : String(error));

/** Waits for something that other threads have a hand in: hashes are made there. */
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000 && !holds(); turn += 1) await turns(1);
  if (!holds()) throw new Error("it does not hold after 1,000 turns");
}

/** A store as others share it, in plain sight. */
function plainStore(): CacheStore & { readonly values: Map<string, Uint8Array>; readonly ttls: number[]; gets: number } {
  const values = new Map<string, Uint8Array>();
  const ttls: number[] = [];
  return {
    values,
    ttls,
    gets: 0,
    async get(key) {
      this.gets += 1;
      return values.get(key);
    },
    async set(key, value, options) {
      values.set(key, value);
      ttls.push(options?.ttlMs ?? Infinity);
    },
  };
}
const onStore = (store: CacheStore): Partial<CacheOptions> => ({ store, secret: "0123456789abcdef", name: "model", version: "1" });

describe("P5: what is answered again", () => {
  test("an equal call makes no call, and gives the same parts as fresh copies, the finish part with usage 0 and marked as a hit", async () => {
    const picture = bytes(new Uint8Array([1, 2, 255]), "image/png", { role: "assistant", metadata: { openai: { id: "x" } } });
    const answer = [text("a ", { role: "assistant" }), text("b", { role: "assistant" }), text("why", { substream: "reasoning" }), picture, json({ n: [1, null] }), stop()];
    const source = counted(() => answer);
    const processor = cached(source.model);
    const first = await run(processor, "q").collect();
    const second = await run(processor, "q").collect();
    expect(source.calls).toBe(1);
    expect(first).toEqual(answer);
    expect(second.slice(0, -1)).toEqual(answer.slice(0, -1));
    expect(second.at(-1)).toMatchObject({ kind: "finish", reason: "stop", model: "m", usage: { inputTokens: 0, outputTokens: 0 }, metadata: { cache: "hit" } });
    for (const [index, part] of second.entries()) expect(part).not.toBe(first[index]);
    expect((second[3] as { readonly bytes: Uint8Array }).bytes).not.toBe(picture.bytes);
  });

  test("a complete answer without parts is an answer", async () => {
    const source = counted(() => []);
    const processor = cached(source.model);
    expect([await run(processor, "q").collect(), await run(processor, "q").collect(), source.calls]).toEqual([[], [], 1]);
  });

  test("a processor that is no model is answered again after its natural end", async () => {
    const source = counted((call) => [text(`plain ${call}`)]);
    const processor = cached(source.model);
    expect([await run(processor, "q").text(), await run(processor, "q").text()]).toEqual(["plain 1", "plain 1"]);
  });

  test.each<[string, readonly Part[]]>([
    ["length", [text("half"), stop("length")]],
    ["content_filter", [text("x"), stop("content_filter")]],
    ["refusal", [stop("refusal")]],
    ["other", [stop("other")]],
    ["pause", [stop("pause")]],
    ["a turn that went wrong before one that did not", [stop("length"), text("x"), stop()]],
    ["a tool call", [toolCall({ id: "1", name: "t", arguments: {} }), stop("tool_calls")]],
    ["a restarted stream", [text("x"), json({ epoch: 1 }, { mimeType: "application/vnd.millrace.reset+json" }), text("y"), stop()]],
    ["tool calls that are said and not there", [stop("tool_calls")]],
    ["an error that became a part", [text("x"), codec.decode({ kind: "error", code: "invalid_input", message: "no", ordinal: 0 })]],
    ["a handle in the metadata", [text("x", { metadata: { handle: () => 1 } }), stop()]],
    ["a system part, which would not be trusted when it came again", [text("x", { role: "system" }), stop()]],
    ["a text that is cut in the middle of a character", [text("\ud83d"), text("\ude00"), stop()]],
    ["half a character in a value", [json({ a: ["\ude00"] }), stop()]],
    ["half a character in a key", [json({ "\ude00": 1 }), stop()]],
    ["half a character in a substream", [text("a", { substream: "\ude00" }), stop()]],
  ])("is not kept: %s", async (_, answer) => {
    const events: CacheEvent[] = [];
    const source = counted(() => answer);
    const processor = cached(source.model, { onEvent: (event) => events.push(event) });
    const seen: Part[] = [];
    await run(processor, "q").forEach((part) => seen.push(part));
    expect(seen).toEqual(answer);
    await run(processor, "q").collect();
    expect(source.calls).toBe(2);
    expect(events.filter(({ kind }) => kind === "skipped")).toHaveLength(2);
  });

  test("any answer that is data comes again part for part", async () => {
    const options = fc.record({ role: fc.constantFrom("user" as const, "assistant" as const), substream: fc.constantFrom("", "draft"), mimeType: fc.constantFrom("text/plain", "text/markdown"), metadata: fc.constantFrom({}, { a: 1 }) });
    const part = fc.oneof(
      fc.tuple(fc.string({ unit: "binary" }), options).map(([said, how]) => text(said, how)),
      fc.tuple(fc.uint8Array({ maxLength: 20 }), options).map(([data, { role, metadata }]) => bytes(data, "image/png", { role, metadata })),
      fc.constantFrom<Part>(json({ a: [null, 1.5, "x"] }), toolCall({ id: "1", name: "t", arguments: [] })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (answer) => {
        const source = counted(() => answer);
        const processor = cached(source.model, { storeToolCalls: true });
        await run(processor, "q").collect();
        const hit = await run(processor, "q").collect();
        expect(hit.map(codec.encode)).toEqual(answer.map(codec.encode));
        expect(source.calls).toBe(1);
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
    );
  });

  test("what was kept and cannot be decoded is a miss", async () => {
    const events: string[] = [];
    const source = counted(() => [text("x", { metadata: { large: "y".repeat(300 * 1024) } })]); // more metadata than the codec lets in
    for (const place of [{}, onStore(plainStore())]) {
      events.length = 0;
      const processor = cached(source.model, { ...place, onEvent: ({ kind }) => events.push(kind) });
      for (let i = 0; i < 2; i += 1) expect(await run(processor, "q").text()).toBe("x");
      expect(events).toEqual(["miss", "stored", "corrupt", "miss", "stored"]);
    }
  });

  test("tool calls are kept where that is asked for", async () => {
    const source = counted(() => [toolCall({ id: "1", name: "t", arguments: { a: 1 } }), stop("tool_calls")]);
    const processor = cached(source.model, { storeToolCalls: true });
    await run(processor, "q").collect();
    expect((await run(processor, "q").collect())[0]).toMatchObject({ kind: "toolCall", id: "1", arguments: { a: 1 } });
    expect(source.calls).toBe(1);
  });

  test("an error, an abort and a break are not kept, and the next call is made", async () => {
    let calls = 0;
    const flaky: Processor = async function* (_input, context) {
      calls += 1;
      yield text("one");
      if (calls === 1) throw new Error("broken");
      if (calls === 2) await new Promise((_, reject) => context?.signal.addEventListener("abort", () => reject(context.signal.reason as Error)));
      yield text("two");
      yield stop();
    };
    const processor = cached(flaky);
    await expect(run(processor, "q").collect()).rejects.toThrow("broken");
    const controller = new AbortController();
    const aborted = run(processor, "q", { signal: controller.signal }).collect();
    await until(() => calls === 2);
    await turns();
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    for await (const _part of run(processor, "q")) break;
    expect(texts(await run(processor, "q").collect())).toEqual(["one", "two", "finish"]);
    expect(calls).toBe(4);
    await run(processor, "q").collect();
    expect(calls).toBe(4);
  });

  test("an entry lives for its ttl, ten percent more or less", async () => {
    const clock = fakeClock();
    for (const [chance, lifeMs] of [[0, 900], [0.5, 1_000], [0.999_999, 1_100]] as const) {
      const source = counted();
      const processor = cached(source.model, { ttlMs: 1_000, clock, random: () => chance });
      await run(processor, "q").collect();
      await clock.advance(lifeMs - 1);
      await run(processor, "q").collect();
      expect(source.calls).toBe(1);
      await clock.advance(1);
      await run(processor, "q").collect();
      expect(source.calls).toBe(2);
    }
    expect(clock.pending).toBe(0);
  });

  test("the answers used longest ago go first, and memory stays within its bytes", async () => {
    const events: CacheEvent[] = [];
    const source = counted((call) => [text("x".repeat(1_000)), text(String(call))]);
    const processor = cached(source.model, { maxBytes: 7_500, onEvent: (event) => events.push(event) });
    for (const question of ["1", "2", "3"]) await run(processor, question).collect();
    await run(processor, "1").collect(); // used again
    await run(processor, "4").collect();
    expect(source.calls).toBe(4);
    await run(processor, "1").collect();
    expect(source.calls).toBe(4);
    await run(processor, "2").collect();
    expect(source.calls).toBe(5);
    const stored = events.filter(({ kind }) => kind === "stored");
    expect(Math.max(...stored.map((event) => event.bytes ?? Infinity))).toBeLessThanOrEqual(7_500);
    expect(Math.max(...stored.map((event) => event.entries ?? 0))).toBe(3);
  });

  test("deltas of a letter count for what they take in memory, not for a letter", async () => {
    const events: CacheEvent[] = [];
    const answer = (vary: boolean): Processor => async function* () {
      for (let i = 0; i < 1_000; i += 1) yield text("x", { role: vary && i % 2 === 0 ? "user" : "assistant" });
    };
    for (const vary of [false, true]) await run(cached(answer(vary), { onEvent: (event) => events.push(event) }), "q").collect();
    const [alike, unlike] = events.filter(({ kind }) => kind === "stored").map(({ bytes: used = 0 }) => used);
    expect(alike).toBeGreaterThan(34_000);
    expect(unlike).toBeGreaterThan(160_000);
  });

  test("an answer or an input above maxEntryBytes passes uncached, whole and in order", async () => {
    const long = counted((call) => Array.from({ length: 50 }, (_, i) => text(`${call}.${i} ${"x".repeat(100)}`)));
    const answers = cached(long.model, { maxEntryBytes: 2_000 });
    expect(await run(answers, "q").collect()).toHaveLength(50);
    expect(await run(answers, "q").collect()).toHaveLength(50);
    expect(long.calls).toBe(2);
    const events: CacheEvent[] = [];
    const source = watchedSource(Array.from({ length: 50 }, (_, i) => `${i} ${"x".repeat(100)} `));
    const echo = cached(opaque, { maxEntryBytes: 2_000, onEvent: (event) => events.push(event) });
    expect(texts(await run(echo, source).collect())).toEqual(Array.from({ length: 50 }, (_, i) => `${i} ${"x".repeat(100)} `));
    expect(events).toEqual([{ kind: "bypass", reason: "input too large" }]);
    expect([source.opened, source.closed]).toEqual([1, 0]);
  });

  test("an answer of exactly maxEntryBytes is kept, one of a byte more is not; in memory, and as it lies in a store", async () => {
    const store = plainStore();
    for (const place of [{}, onStore(store)]) {
      const events: CacheEvent[] = [];
      const source = counted();
      const ask = (extra: Partial<CacheOptions>): Promise<unknown> => run(cached(source.model, { ...place, ...extra, onEvent: (event) => events.push(event) }), "q").collect();
      await ask({});
      const [stored] = [...store.values.values()];
      const size = stored?.byteLength ?? (events.at(-1)?.bytes ?? 0) - (128 + 2 * "millrace:cache:".length + 2 * 64); // less what the key and its place cost
      store.values.clear();
      for (const [maxEntryBytes, outcome] of [[size - 1, "skipped"], [size, "stored"]] as const) {
        await ask({ maxEntryBytes });
        expect(events.at(-1)?.kind).toBe(outcome);
      }
    }
  });

  test("CA3: per part, parts stream through while they are recorded", async () => {
    const later = gate();
    const source = watchedSource(["a", "b", "a"], { wait: (index) => (index === 2 ? later.promise : undefined) });
    let calls = 0;
    const processor = cached(each((part) => `${part.kind === "text" ? part.text : ""}${(calls += 1)} `), { per: "part" });
    const iterator = run(processor, source)[Symbol.asyncIterator]();
    const next = async (): Promise<string> => texts([((await soon(iterator.next())) as { value: Part }).value])[0] ?? "";
    expect([await next(), await next()]).toEqual(["a1 ", "b2 "]);
    later.open();
    expect(await next()).toBe("a1 ");
    expect(calls).toBe(2);
  });

  test("the key may be the caller's, or say that a call is not cached", async () => {
    const source = counted();
    const processor = cached(source.model, { key: async (input) => (input.length > 1 ? undefined : input[0]?.mimeType) });
    expect([await run(processor, "a").text(), await run(processor, "b").text()]).toEqual(["a#1", "a#1"]);
    expect([await run(processor, ["a", "b"]).text(), await run(processor, ["a", "b"]).text()]).toEqual(["ab#2", "ab#3"]);
  });
});

describe("CA2: what makes calls the same", () => {
  const different: readonly (readonly [string, readonly Part[], readonly Part[]])[] = [
    ["order", [text("a"), text("b")], [text("b"), text("a")]],
    ["where one part ends", [text("ab"), text("c")], [text("a"), text("bc")]],
    ["role", [text("a")], [text("a", { role: "assistant" })]],
    ["substream", [text("a")], [text("a", { substream: "draft" })]],
    ["mime type", [text("a")], [text("a", { mimeType: "text/markdown" })]],
    ["kind", [text('"a"')], [json("a")]],
    ["bytes", [bytes(new Uint8Array([1, 2]), "image/png")], [bytes(new Uint8Array([1, 3]), "image/png")]],
    ["JSON value", [json({ a: 1 })], [json({ a: 2 })]],
    ["arguments", [toolCall({ id: "1", name: "t", arguments: { a: 1 } })], [toolCall({ id: "1", name: "t", arguments: { a: "1" } })]],
    ["one more part", [text("a")], [text("a"), text("")]],
    ["half a character", [text("\ud83d"), text("\ude00")], [text("\ud83d"), text("\ude01")]],
    ["half a character in a JSON value", [json(["\ud83d"])], [json(["\ud83e"])]],
    ["half a character at the end", [text("ab\ud83d"), text("\ude00")], [text("ac\ud83d"), text("\ude00")]],
    ["half a character and what its bytes would spell", [text("\0\u0620")], [text("\ud8a0")]],
    ["a list and an object with its indexes", [json(["a"])], [json({ 0: "a" })]],
    ["half a character and what stands for it", [text("\ud83d")], [text("\ufffd")]],
    ["who made a system part", [text("a", { role: "system" })], [codec.decode(codec.encode(text("a", { role: "system" })))]],
  ];
  test.each(different)("%s counts", async (_, one, other) => {
    const source = counted((call) => [text(String(call)), stop()]);
    const processor = cached(source.model);
    await run(processor, one).collect();
    await run(processor, other).collect();
    expect(source.calls).toBe(2);
    await run(processor, other).collect();
    expect(source.calls).toBe(2);
  });

  test("metadata counts only under the names given; the order of the keys of an object does not", async () => {
    const at = (capturedAt: number, id: string): Part => json({ x: 1, y: [{ b: 1, a: 2 }] }, { metadata: { capturedAt, provider: { id } } });
    const source = counted();
    const plain = cached(source.model);
    await run(plain, at(1, "a")).collect();
    await run(plain, derive(at(2, "b"), { value: { y: [{ a: 2, b: 1 }], x: 1 } })).collect();
    expect(source.calls).toBe(1);
    const named = cached(source.model, { metadataKeys: ["provider"] });
    await run(named, at(1, "a")).collect();
    await run(named, at(2, "a")).collect();
    expect(source.calls).toBe(2);
    await run(named, at(2, "b")).collect();
    expect(source.calls).toBe(3);
  });

  test("scope, name, version and vary are in the key of a shared store", async () => {
    const store = plainStore();
    const source = counted();
    const base = onStore(store);
    const variants: Partial<CacheOptions>[] = [{}, { scope: "tenant-2" }, { name: "other" }, { version: "2" }, { vary: { model: "m", tools: ["t"] } }, { vary: { model: "m", tools: [] } }];
    for (const variant of variants) await run(cached(source.model, { ...base, ...variant }), "q").collect();
    expect([source.calls, store.values.size]).toEqual([variants.length, variants.length]);
    for (const variant of variants) await run(cached(source.model, { ...base, ...variant }), "q").collect();
    expect(source.calls).toBe(variants.length);
  });

  test("what a wrapper further out asks of the model is in the key, and reaches the model that is asked", async () => {
    const model = mockModel(["one", "two", "three"]);
    const processor = cached(model);
    const tool = (name: string): Asked => ({ tools: [{ name, parameters: {} }] });
    const answers: string[] = [];
    for (const asked of [tool("a"), tool("b"), {}, tool("a"), tool("b"), {}]) answers.push(await run(asks(processor, asked), "q").text());
    expect(answers).toEqual(["one", "two", "three", "one", "two", "three"]);
    expect(model.calls.map(({ asked }) => asked.tools?.[0]?.name)).toEqual(["a", "b", undefined]);
  });

  test("the scope may come from the run, and an empty one fails it", async () => {
    const source = counted();
    const processor = cached(source.model, { scope: (context) => context.correlationId.split("/")[0] ?? "" });
    const as = (correlationId: string): Promise<string> => run(processor, "q", { correlationId }).text();
    expect([await as("t1/1"), await as("t2/1"), await as("t1/2")]).toEqual(["q#1", "q#2", "q#1"]);
    expect(code(await as("/3").catch((error: unknown) => error))).toBe("missing_config");
  });

  test("parts whose values are no JSON have no key, and the call goes through", async () => {
    const source = counted();
    const processor = cached(source.model);
    const odd = json({ when: new Date(0) } as never);
    await run(processor, odd).collect();
    await run(processor, odd).collect();
    expect(source.calls).toBe(2);
  });

  test("two inputs have one key exactly when they are the same parts", async () => {
    const part = fc.oneof(
      fc.tuple(fc.constantFrom("a", "ab", "b", ""), fc.constantFrom("user" as const, "assistant" as const), fc.constantFrom("", "x")).map(([content, role, substream]) => text(content, { role, substream })),
      fc.constantFrom<Part>(json(null), json("a"), json(["a"]), json({ a: ["a"] }), json({ a: "a" })),
      fc.uint8Array({ maxLength: 2 }).map((content) => bytes(content, "application/x")),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 4 }), fc.array(part, { maxLength: 4 }), async (one, other) => {
        const source = counted();
        const processor = cached(source.model);
        await run(processor, one).collect();
        await run(processor, other).collect();
        const same = JSON.stringify(one.map(codec.encode)) === JSON.stringify(other.map(codec.encode));
        expect(source.calls).toBe(same ? 1 : 2);
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
    );
  });
});

describe("CA4: single flight", () => {
  test("R-cache: 1,000 callers with one key, half of them aborted, the first too: one call, equal parts, nothing left", async () => {
    const clock = fakeClock();
    const step = gate();
    let calls = 0;
    let closed = 0;
    const slow: Processor = async function* () {
      calls += 1;
      try {
        for (let i = 0; i < 20; i += 1) {
          if (i === 5) await step.promise;
          yield text(`delta ${i} `);
          await Promise.resolve();
        }
        yield stop();
      } finally {
        closed += 1;
      }
    };
    const events: CacheEvent[] = [];
    const processor = cached(slow, { clock, onEvent: (event) => events.push(event) });
    const controllers = Array.from({ length: 1_000 }, () => new AbortController());
    const reason = new Error("enough");
    const answers = controllers.map(({ signal }) => run(processor, "q", { signal }).collect());
    await until(() => events.length === 1_000); // all are there: one that missed, the others with it
    for (const [index, controller] of controllers.entries()) if (index % 2 === 0) controller.abort(reason);
    step.open();
    const results = await soon(Promise.allSettled(answers));
    const whole = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(whole).toHaveLength(500);
    expect(results.filter((result) => result.status === "rejected" && result.reason === reason)).toHaveLength(500);
    expect(new Set(whole.map((parts) => texts(parts).join(""))).size).toBe(1);
    expect([calls, closed, clock.pending]).toEqual([1, 1, 0]);
    const paid = whole.map((parts) => parts.at(-1)).filter((part) => part?.kind === "finish" && part.usage.inputTokens === 3);
    expect(paid).toHaveLength(1); // the usage of one call is told once
    expect(events.filter(({ kind }) => kind === "coalesced")).toHaveLength(999);
    await run(processor, "q").collect();
    expect(calls).toBe(1);
  });

  test("a follower gets what came before it, then follows live", async () => {
    const second = gate();
    const model: Processor = async function* () {
      yield text("one ");
      await second.promise;
      yield text("two");
    };
    const processor = cached(model);
    const leader = run(processor, "q")[Symbol.asyncIterator]();
    await leader.next();
    const follower = run(processor, "q")[Symbol.asyncIterator]();
    expect(await soon(follower.next())).toMatchObject({ value: { text: "one " } });
    const next = follower.next();
    second.open();
    expect(await soon(next)).toMatchObject({ value: { text: "two" } });
    expect(await soon(follower.next())).toEqual({ value: undefined, done: true });
    await leader.return?.();
  });

  test("the flight goes on without the one who asked first, and is closed once when the last reader leaves", async () => {
    const source = watchedSource(Infinity);
    const processor = cached(async function* () {
      yield* source;
    });
    const first = run(processor, "q")[Symbol.asyncIterator]();
    await first.next();
    const second = run(processor, "q")[Symbol.asyncIterator]();
    expect(await soon(second.next())).toMatchObject({ value: { text: "0" } });
    await first.return?.();
    expect(source.closed).toBe(0);
    for (const expected of ["1", "2"]) expect(await soon(second.next())).toMatchObject({ value: { text: expected } });
    await second.return?.();
    expect(source.closed).toBe(1);
    const { pulls } = source;
    await turns();
    expect(source.pulls).toBe(pulls);
  });

  test("the last reader that leaves waits until the call has unwound", async () => {
    let unwound = false;
    const processor = cached(async function* () {
      try {
        yield text("a");
        yield text("b");
      } finally {
        await turns(2);
        unwound = true;
      }
    });
    for await (const _ of run(processor, "q")) break;
    expect(unwound).toBe(true);
  });

  test("when the first one leaves while the store is being asked, the others get their answer", async () => {
    const asked = gate();
    const source = counted();
    let gets = 0;
    const store: CacheStore = { ...plainStore(), get: () => ((gets += 1), asked.promise as Promise<undefined>) };
    let joined = 0;
    const processor = cached(source.model, { ...onStore(store), onEvent: () => (joined += 1) });
    const first = run(processor, "q")[Symbol.asyncIterator]();
    const pending = first.next();
    await until(() => gets === 1);
    const second = run(processor, "q").text();
    await until(() => joined === 1);
    await first.return?.();
    asked.open(undefined);
    expect(await soon(second)).toBe("q#1");
    expect(await pending).toEqual({ value: undefined, done: true });
  });

  test("a long answer is there for late readers and for hits, from its first part on", async () => {
    const middle = gate();
    const all = Array.from({ length: 500 }, (_, i) => `${i} ${"x".repeat(300)} `);
    const processor = cached(async function* () {
      for (const [index, said] of all.entries()) {
        if (index === 300) await middle.promise;
        yield text(said);
      }
    });
    const first = run(processor, "q").text();
    await turns();
    const late = run(processor, "q").text();
    await turns();
    middle.open();
    for (const answer of [first, late, run(processor, "q").text()]) expect(await soon(answer)).toBe(all.join(""));
  });

  test("S48: the stages of a shared call see the async context of the run that made it, whoever pulls", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = new Set<string | undefined>();
    const made = each(() => Array.from({ length: 6 }, () => text("x")));
    const processor = cached(pipe(made, each((part) => (seen.add(storage.getStore()), part)), opaque, each((part) => (seen.add(storage.getStore()), part))));
    const readers = ["one", "two"].map((store) => {
      const iterator = run(processor, "q")[Symbol.asyncIterator]();
      return () => storage.run(store, () => iterator.next());
    });
    await readers[0]?.();
    for (let i = 0; i < 7; i += 1) await soon(Promise.resolve(readers[1]?.()));
    expect([...seen]).toEqual(["one"]);
  });

  test("it is pulled at the pace of its fastest reader, and no further", async () => {
    const source = watchedSource(Infinity);
    const processor = cached(async function* () {
      yield* source;
    });
    const [one, two] = [run(processor, "q")[Symbol.asyncIterator](), run(processor, "q")[Symbol.asyncIterator]()];
    await one.next();
    await turns();
    expect(source.pulls).toBe(1);
    for (let i = 0; i < 5; i += 1) await soon(two.next());
    await turns();
    expect(source.pulls).toBe(5);
    await one.return?.();
    await two.return?.();
  });

  test("who did not wait when it failed is told when he asks, after the parts before", async () => {
    const go = gate();
    const error = new Error("broken");
    let events = 0;
    const processor = cached(
      async function* () {
        yield text("one");
        yield text("two");
        await go.promise;
        throw error;
      },
      { onEvent: () => (events += 1) },
    );
    const late = run(processor, "q")[Symbol.asyncIterator]();
    await late.next();
    const all = run(processor, "q").collect();
    await until(() => events === 2);
    go.open();
    await expect(soon(all)).rejects.toBe(error);
    expect(await soon(late.next())).toMatchObject({ value: { text: "two" } });
    await expect(soon(late.next())).rejects.toBe(error);
    expect(await soon(late.next())).toEqual({ value: undefined, done: true });
  });

  test("one part may be of any size: who reads along gets it, whether it is there at once or later", async () => {
    const go = gate();
    const part = bytes(new Uint8Array(9 * 1024 * 1024), "application/x");
    for (const waits of [false, true]) {
      const processor = cached(async function* () {
        if (waits) await go.promise;
        yield part;
        yield text("after");
      });
      const readers = [run(processor, "q").collect(), run(processor, "q").collect()];
      await turns();
      go.open();
      for (const parts of await soon(Promise.all(readers))) expect(parts).toEqual([part, text("after")]);
    }
    const made = cached(each(() => [part, text("after")]));
    expect(await soon(run(made, "q").collect())).toEqual([part, text("after")]);
  });

  test("what hears of a call may end it: nothing stays open, whatever it heard", async () => {
    for (const defer of [(act: () => void): void => act(), queueMicrotask]) {
      for (const at of ["coalesced", "bypass", "miss"] as const) {
        const controller = new AbortController();
        const source = watchedSource(Infinity);
        const input = watchedSource(["a", "b", "c"]);
        const processor = cached(
          async function* (parts) {
            yield text("first");
            for await (const _ of parts);
            yield* source;
          },
          {
            key: (all) => (at === "bypass" ? undefined : all.length),
            onEvent: ({ kind }) => {
              if (kind === at) defer(() => controller.abort("enough"));
            },
          },
        );
        const other = at === "coalesced" ? run(processor, ["a", "b", "c"])[Symbol.asyncIterator]() : undefined;
        await other?.next();
        const left = run(processor, input, { signal: controller.signal }).collect();
        await expect(soon(left)).rejects.toBe("enough");
        await other?.next();
        await other?.return?.();
        await turns();
        expect([at, source.opened, source.closed, input.pulls]).toEqual([at, at === "coalesced" ? 1 : 0, source.opened, 4]);
      }
    }
  });

  test("a failed flight fails those present with the very error, after the parts before it, and the next caller calls again", async () => {
    const go = gate();
    const error = new Error("broken");
    let calls = 0;
    let events = 0;
    const processor = cached(
      async function* () {
        calls += 1;
        yield text("one");
        await go.promise;
        throw error;
      },
      { onEvent: () => (events += 1) },
    );
    const seen: string[][] = [];
    const answers = Array.from({ length: 5 }, async () => {
      const mine: string[] = [];
      seen.push(mine);
      for await (const part of run(processor, "q")) mine.push(texts([part])[0] ?? "");
    });
    await until(() => events === 5);
    go.open();
    for (const result of await soon(Promise.allSettled(answers))) expect(result).toEqual({ status: "rejected", reason: error });
    expect(seen).toEqual(Array.from({ length: 5 }, () => ["one"]));
    await expect(run(processor, "q").collect()).rejects.toBe(error);
    expect(calls).toBe(2);
  });

  test("a reader that is 8 MiB behind is let go with too_large, the others are not", async () => {
    let open = 0;
    const processor = cached(
      async function* () {
        open += 1;
        try {
          for (let i = 0; i < 20; i += 1) yield bytes(new Uint8Array(1024 * 1024), "application/x");
        } finally {
          open -= 1;
        }
      },
      { maxEntryBytes: 32 * 1024 * 1024 },
    );
    const slow = run(processor, "q")[Symbol.asyncIterator]();
    const fast = run(processor, "q");
    await slow.next();
    expect(await fast.collect()).toHaveLength(20);
    const late = await slow.next().then(
      () => "a part",
      (error: unknown) => code(error),
    );
    expect(late).toBe("too_large");
    expect(await slow.next()).toEqual({ value: undefined, done: true });
    const [stuck, quick] = [run(processor, "other")[Symbol.asyncIterator](), run(processor, "other")[Symbol.asyncIterator]()];
    await Promise.all([stuck.next(), quick.next()]);
    for (let i = 0; i < 12; i += 1) await quick.next();
    await quick.return?.();
    expect(open).toBe(0); // the one that was let go does not keep the call
  });

  test("a call that has grown too large to be shared ends without a word to the one that others share by now", async () => {
    const gates = [gate(), gate()] as const;
    const large = text("x".repeat(3_000));
    let calls = 0;
    const processor = cached(
      async function* () {
        const end = gates[calls];
        calls += 1;
        if (calls === 1) yield large;
        await end?.promise;
        yield text("end");
      },
      { maxEntryBytes: 2_000 },
    );
    const first = run(processor, "q")[Symbol.asyncIterator]();
    await first.next();
    const second = run(processor, "q").text();
    await until(() => calls === 2);
    gates[0].open();
    for (let i = 0; i < 2; i += 1) await soon(first.next());
    const third = run(processor, "q").text();
    await turns(20);
    gates[1].open();
    expect([await soon(second), await soon(third), calls]).toEqual(["end", "end", 2]);
  });

  test("of an answer that is not kept either, a slow reader gets every part, until it is 8 MiB behind", async () => {
    const processor = cached(async function* () {
      for (let i = 0; i < 40; i += 1) yield bytes(new Uint8Array(1024 * 1024).fill(i), "application/x");
    }, { maxEntryBytes: 4 * 1024 * 1024 });
    const [slow, fast] = [run(processor, "q")[Symbol.asyncIterator](), run(processor, "q")[Symbol.asyncIterator]()];
    const next = async (reader: AsyncIterator<Part>): Promise<unknown> => {
      const { value } = (await reader.next()) as { readonly value: Part };
      return value.kind === "bytes" ? value.bytes[0] : value.kind;
    };
    let [behind, ahead] = [0, 0];
    for (; behind < 5; behind += 1, ahead += 1) expect(await Promise.all([next(slow), next(fast)])).toEqual([behind, ahead]);
    for (; ahead < behind + 8; ahead += 1) expect(await next(fast)).toBe(ahead); // with the overhead of a part, one more would be too much
    for (; behind < 20; behind += 1, ahead += 1) expect([await next(slow), await next(fast)]).toEqual([behind, ahead]);
    expect(await next(fast)).toBe(ahead);
    ahead += 1;
    expect(code(await next(slow).catch((error: unknown) => error))).toBe("too_large");
    for (; ahead < 40; ahead += 1) expect(await next(fast)).toBe(ahead);
    expect((await fast.next()).done).toBe(true);
  });

  test("an answer that is too large to be kept is not held for those to come: memory is bounded by the lag", async () => {
    let calls = 0;
    let made = 0;
    const dropped = new FinalizationRegistry<number>(() => (made -= 1));
    const processor = cached(
      async function* () {
        calls += 1;
        for (let i = 0; i < 300; i += 1) {
          const part = bytes(new Uint8Array(64 * 1024), "application/x");
          dropped.register(part, i);
          made += 1;
          yield part;
        }
      },
      { maxEntryBytes: 256 * 1024 },
    );
    const one = run(processor, "q")[Symbol.asyncIterator]();
    for (let i = 0; i < 250; i += 1) await one.next();
    const collect: (() => void) | undefined = globalThis.gc;
    if (collect !== undefined) {
      for (let turn = 0; turn < 5; turn += 1) {
        collect();
        await turns(2);
      }
      expect(made).toBeLessThan(200);
    }
    for await (const _ of run(processor, "q")) break; // the record has lost its beginning, so this is a call of its own
    expect(calls).toBe(2);
    await one.return?.();
  });

  test("of a stream of large parts that is not kept, no more than is being read is held", async () => {
    const held = new Set<number>();
    const dropped = new FinalizationRegistry<number>((i) => held.delete(i));
    const processor = cached(async function* () {
      for (let i = 0; i < 60; i += 1) {
        const part = bytes(new Uint8Array(1024 * 1024), "application/x");
        dropped.register(part, i);
        held.add(i);
        yield part;
      }
    });
    const reader = run(processor, "q")[Symbol.asyncIterator]();
    for (let i = 0; i < 50; i += 1) await reader.next();
    const collect: (() => void) | undefined = globalThis.gc;
    if (collect !== undefined) {
      for (let turn = 0; turn < 5; turn += 1) {
        collect();
        await turns(2);
      }
      expect(held.size).toBeLessThan(10);
    }
    await reader.return?.();
  });

  test("status parts of the call go to all who are there, and are not kept", async () => {
    const go = gate();
    let events = 0;
    const processor = cached(
      async function* () {
        await go.promise;
        yield status("calling");
        yield text("a");
      },
      { onEvent: () => (events += 1) },
    );
    const answers = [run(processor, "q").collect(), run(processor, "q").collect()];
    await until(() => events === 2);
    go.open();
    for (const parts of await Promise.all(answers)) expect(texts(parts)).toEqual(["calling", "a"]);
    expect(texts(await run(processor, "q").collect())).toEqual(["a"]);
  });

  test("what a stage asked to wait for is part of the answer: when it fails, nothing is kept", async () => {
    let calls = 0;
    const processor = cached(async function* (_input, context) {
      calls += 1;
      context?.waitUntil(calls === 1 ? Promise.reject(new Error("not written")) : Promise.resolve());
      yield text("a");
    });
    await expect(run(processor, "q").collect()).rejects.toThrow("not written");
    await run(processor, "q").collect();
    await run(processor, "q").collect();
    expect(calls).toBe(2);
  });

  test("all who read along wait for it", async () => {
    const written = gate();
    let calls = 0;
    const processor = cached(async function* (_input, context) {
      calls += 1;
      context?.waitUntil(written.promise);
      yield text("a");
    });
    let ended = 0;
    const readers = [0, 1].map(() => run(processor, "q").collect().catch(code).finally(() => (ended += 1)));
    await until(() => calls === 1);
    await turns();
    expect(ended).toBe(0);
    written.fail(new Error("not written"));
    expect(await soon(Promise.all(readers))).toEqual(["Error: not written", "Error: not written"]);
    written.promise.catch(() => {});
    await run(processor, "q").collect().catch(() => {});
    expect(calls).toBe(2);
  });

  test("the call is of the run that asked first: its observer, its correlation id", async () => {
    const seen: unknown[] = [];
    const processor = cached(async function* (_input, context) {
      seen.push(context?.observe, context?.correlationId);
      yield text("a");
    });
    const observe = {};
    await run(processor, "q", { observe, correlationId: "first" }).collect();
    await run(processor, "other", { correlationId: "second" }).collect();
    expect(seen).toEqual([observe, "first", undefined, "second"]);
  });

  test("an answer whose readers leave while that is waited for is not kept", async () => {
    const written = gate();
    let calls = 0;
    const processor = cached(async function* (_input, context) {
      calls += 1;
      context?.waitUntil(written.promise);
      yield text("a");
    });
    const reader = run(processor, "q")[Symbol.asyncIterator]();
    await reader.next();
    const end = reader.next();
    await turns();
    await reader.return?.();
    await end;
    written.open();
    await turns();
    await run(processor, "q").collect();
    expect(calls).toBe(2);
  });

  test("the call hears that its last reader has gone, and not that another has", async () => {
    const signals: AbortSignal[] = [];
    const processor = cached(async function* (_input, context) {
      if (context !== undefined) signals.push(context.signal);
      yield text("a");
      await new Promise((_, reject) => context?.signal.addEventListener("abort", () => reject(context.signal.reason as Error)));
    });
    const readers = [0, 1].map(() => run(processor, "q")[Symbol.asyncIterator]());
    for (const reader of readers) await reader.next();
    const pending = readers.map((reader) => reader.next());
    await readers[0]?.return?.();
    await turns();
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    await readers[1]?.return?.();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(await Promise.all(pending)).toEqual([0, 1].map(() => ({ value: undefined, done: true })));
  });
});

describe("P5: a store that others share", () => {
  test("needs secret, name and version, and a scope is always needed", () => {
    const made = (options: unknown): string => {
      try {
        cache(opaque, options as CacheOptions);
        return "made";
      } catch (error) {
        return `${code(error)} ${error instanceof Error ? (/scope|storeTimeoutMs|secret|metadataKeys|onEvent|name|version|store|per|ttlMs|maxBytes|maxEntryBytes|vary|key/.exec(error.message)?.[0] ?? error.message) : ""}`;
      }
    };
    const all = { scope: "t", ...onStore(plainStore()) };
    expect(made(all)).toBe("made");
    expect(made({})).toBe("missing_config scope");
    expect(made({ scope: "" })).toBe("missing_config scope");
    for (const option of ["secret", "name", "version"]) expect(made({ ...all, [option]: undefined })).toBe(`missing_config store`);
    expect(made({ ...all, secret: "short" })).toBe("missing_config secret");
    expect(made({ ...shared, store: {} })).toBe("invalid_input store");
    expect(made({ ...shared, per: "word" })).toBe("invalid_input per");
    expect(made({ ...shared, ttlMs: 0 })).toBe("invalid_input ttlMs");
    expect(made({ ...shared, ttlMs: Number.NaN })).toBe("invalid_input ttlMs");
    expect(made({ ...shared, maxBytes: -1 })).toBe("invalid_input maxBytes");
    expect(made({ ...shared, vary: () => 1 })).toBe("invalid_input vary");
    expect(made({ ...shared, key: "a" })).toBe("invalid_input key");
    expect(made({ ...shared, onEvent: {} })).toBe("invalid_input onEvent");
    expect(made({ ...shared, metadataKeys: "user" })).toBe("invalid_input metadataKeys");
    expect(made({ ...shared, metadataKeys: [1] })).toBe("invalid_input metadataKeys");
    expect(made({ ...shared, maxEntryBytes: 0.5 })).toBe("invalid_input maxEntryBytes");
    expect(made({ ...shared, storeTimeoutMs: Infinity })).toBe("invalid_input storeTimeoutMs");
    expect(made({ ...shared, name: 1 })).toBe("invalid_input name");
    expect(made({ ...shared, version: 1 })).toBe("invalid_input version");
    expect(made({ ...shared, secret: 1 })).toBe("missing_config secret");
    expect(made({ ...shared, secret: new Uint8Array(15) })).toBe("missing_config secret");
    expect(made({ ...shared, store: { get: () => {} } })).toBe("invalid_input store");
    expect(made({ ...all, secret: new Uint8Array(16), maxBytes: 0, maxEntryBytes: 0, ttlMs: 0.5, per: "part", vary: [1], metadataKeys: ["a"] })).toBe("made");
  });

  test("gives answers from one process to another, for the ttl", async () => {
    const store = plainStore();
    const [here, there] = [counted(), counted()];
    await run(cached(here.model, { ...onStore(store), ttlMs: 1_000, random: () => 0 }), "q").collect();
    expect(texts(await run(cached(there.model, onStore(store)), "q").collect())).toEqual(["q#1", "finish"]);
    expect([there.calls, store.ttls]).toEqual([0, [900]]);
  });

  test("keys and entries depend on the secret: keys tell nothing, and what somebody else wrote is a miss", async () => {
    const store = plainStore();
    const events: CacheEvent[] = [];
    const source = counted();
    await run(cached(source.model, onStore(store)), "q").collect();
    await run(cached(source.model, { ...onStore(store), secret: "fedcba9876543210" }), "q").collect();
    expect([source.calls, store.values.size]).toEqual([2, 2]);
    const [[mine], [, forged]] = [...store.values] as [[string, Uint8Array], [string, Uint8Array]];
    store.values.set(mine, forged);
    await run(cached(source.model, { ...onStore(store), onEvent: (event) => events.push(event) }), "q").collect();
    expect(source.calls).toBe(3);
    expect(events.map(({ kind }) => kind)).toEqual(["corrupt", "miss", "stored"]);
    for (const key of store.values.keys()) expect(key).toMatch(/^millrace:cache:[0-9a-f]{64}$/);
  });

  test("an entry that lies under the key of another question is a miss", async () => {
    const store = plainStore();
    const source = counted();
    const processor = cached(source.model, onStore(store));
    for (const question of ["one", "two"]) await run(processor, question).collect();
    const [[one, first], [two, second]] = [...store.values] as [[string, Uint8Array], [string, Uint8Array]];
    store.values.set(one, second).set(two, first);
    expect([await run(processor, "one").text(), await run(processor, "two").text()]).toEqual(["one#3", "two#4"]);
  });

  test("an entry with any byte changed, or cut anywhere, is a miss", async () => {
    const store = plainStore();
    const source = counted();
    const processor = cached(source.model, onStore(store));
    await run(processor, "q").collect();
    const [[key, whole]] = [...store.values] as [[string, Uint8Array]];
    let calls = 1;
    for (let at = 0; at < whole.byteLength; at += 7) {
      const damaged = whole.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      for (const value of [damaged, whole.slice(0, at)]) {
        store.values.set(key, value);
        expect(await run(processor, "q").text()).toBe(`q#${(calls += 1)}`);
      }
    }
    store.values.set(key, "text" as never);
    expect(await run(processor, "q").text()).toBe(`q#${calls + 1}`);
  });

  test.each<[string, Partial<CacheStore>, readonly string[]]>([
    ["cannot be read", { get: async () => Promise.reject(new Error("down")) }, ["store_failed", "miss", "stored"]],
    ["cannot be written", { set: async () => Promise.reject(new Error("down")) }, ["miss", "store_failed"]],
    ["throws at once", { get: () => { throw new Error("down"); } }, ["store_failed", "miss", "stored"]],
  ])("a store that %s costs an event, never the run", async (_, broken, expected) => {
    const events: CacheEvent[] = [];
    const source = counted();
    const processor = cached(source.model, { ...onStore({ ...plainStore(), ...broken }), onEvent: (event) => events.push(event) });
    expect(await run(processor, "q").text()).toBe("q#1");
    expect(events.map(({ kind }) => kind)).toEqual(expected);
  });

  test("a store that never answers is left alone after storeTimeoutMs, and told so", async () => {
    const clock = fakeClock();
    const told: unknown[] = [];
    const store: CacheStore = {
      ...plainStore(),
      get: (_key, options) => new Promise(() => options?.signal?.addEventListener("abort", () => told.push("aborted"))),
      set: () => new Promise(() => {}),
    };
    const source = counted();
    const answer = run(cached(source.model, { ...onStore(store), storeTimeoutMs: 500, clock }), "q").text();
    await until(() => clock.pending === 1);
    await clock.advance(499);
    expect(source.calls).toBe(0);
    await clock.advance(1);
    await until(() => source.calls === 1 && clock.pending === 1);
    await clock.advance(500);
    expect(await soon(answer)).toBe("q#1");
    expect([told, clock.pending]).toEqual([["aborted"], 0]);
  });

  test("P8: a listener that throws breaks nothing", async () => {
    const source = counted();
    const onEvent = vi.fn(() => {
      throw new Error("listener");
    });
    expect(await run(cached(source.model, { onEvent }), "q").text()).toBe("q#1");
    expect(onEvent).toHaveBeenCalled();
  });
});

describe("streams through a cache", () => {
  const passes = (): Processor => cached(opaque);

  test("S6: nothing before the first pull; S26: nor with a signal that has aborted", async () => {
    const source = watchedSource(["a"]);
    const store = { ...plainStore(), get: vi.fn(async () => undefined) };
    const processor = cached(opaque, onStore(store));
    run(processor, source);
    await turns();
    const reason = new Error("before");
    await expect(run(processor, source, { signal: AbortSignal.abort(reason) }).collect()).rejects.toBe(reason);
    expect([source.opened, store.get.mock.calls.length]).toEqual([0, 0]);
  });

  test("S20, S25: leaving and abort while the input is parked close it once, at once", async () => {
    for (const how of ["leave", "abort"] as const) {
      const source = stalledSource(["a"]);
      const controller = new AbortController();
      const reason = new Error("enough");
      const iterator = run(passes(), source, { signal: controller.signal })[Symbol.asyncIterator]();
      const next = iterator.next();
      next.catch(() => {});
      await turns();
      if (how === "leave") {
        await soon(Promise.resolve(iterator.return?.()));
        expect(await soon(next)).toEqual({ value: undefined, done: true });
      } else {
        controller.abort(reason);
        await expect(soon(next)).rejects.toBe(reason);
        await turns();
      }
      expect(source.closed).toBe(1);
    }
  });

  test("S20: leaving while the key is made unwinds the stage that waits for the answer", async () => {
    let unwound = false;
    const waiting: Processor = async function* (input) {
      try {
        yield* input;
      } finally {
        unwound = true;
      }
    };
    const keyless = cached(opaque, { key: () => new Promise(() => {}) });
    const iterator = run(pipe(keyless, waiting), "q")[Symbol.asyncIterator]();
    const next = iterator.next();
    await turns();
    await soon(Promise.resolve(iterator.return?.()));
    await turns();
    expect([await next, unwound]).toEqual([{ value: undefined, done: true }, true]);
  });

  test("leaving while the key is made makes no call, nor does it ask the store", async () => {
    const made = gate();
    const source = counted();
    const store = plainStore();
    const iterator = run(cached(source.model, { ...onStore(store), key: () => made.promise as Promise<string> }), "q")[Symbol.asyncIterator]();
    const next = iterator.next();
    await turns();
    await soon(Promise.resolve(iterator.return?.()));
    made.open("key");
    await turns(20);
    expect([await next, source.calls, store.gets]).toEqual([{ value: undefined, done: true }, 0, 0]);
  });

  test("S29: an error of the input is the very object, and the processor is not called", async () => {
    const error = { not: "an Error" };
    const source = counted();
    await expect(run(cached(source.model), watchedSource(["a", "b"], { failAt: 1, error })).collect()).rejects.toBe(error);
    expect(source.calls).toBe(0);
  });

  test("leaving while the store is being asked makes no call, tells the store, and leaves no timer", async () => {
    const clock = fakeClock();
    const asked = gate();
    const source = counted();
    const signals: (AbortSignal | undefined)[] = [];
    const events: string[] = [];
    const store: CacheStore = { ...plainStore(), get: (_key, options) => (signals.push(options?.signal), asked.promise as Promise<undefined>) };
    const iterator = run(cached(source.model, { ...onStore(store), clock, onEvent: ({ kind }) => events.push(kind) }), "q")[Symbol.asyncIterator]();
    const next = iterator.next();
    await until(() => signals.length === 1);
    await soon(Promise.resolve(iterator.return?.()));
    expect([signals[0]?.aborted, clock.pending]).toEqual([true, 0]);
    asked.open(undefined);
    await turns();
    expect([await next, source.calls, events]).toEqual([{ value: undefined, done: true }, 0, []]);
  });

  test("it stands in a pipe, around part functions and inside itself", async () => {
    const inner = cached(each((part) => (part.kind === "text" ? part.text + part.text : part)));
    const processor = pipe(filter((part) => part.kind === "text"), cached(pipe(inner, take(3))), each((part) => part));
    for (let i = 0; i < 2; i += 1) expect(await run(processor, ["a", json(1), "b", "c", "d"]).text()).toBe("aabbcc");
  });

  test("10,000 runs on one signal leave no listener and no flight", async () => {
    const controller = new AbortController();
    const added = vi.spyOn(controller.signal, "addEventListener");
    const removed = vi.spyOn(controller.signal, "removeEventListener");
    let open = 0;
    const processor = cached(async function* (input) {
      open += 1;
      try {
        for await (const part of input) {
          if (part.kind === "text" && part.text.startsWith("fail")) throw new Error("broken");
          yield part;
          yield part;
        }
      } finally {
        open -= 1;
      }
    });
    for (let i = 0; i < 10_000; i += 1) {
      const stream = run(processor, i % 3 === 0 ? `fail ${i}` : `${i % 500}`, { signal: controller.signal });
      if (i % 3 === 0) await stream.collect().catch(() => {});
      else if (i % 3 === 1) await stream.collect();
      else for await (const _ of stream) break;
    }
    expect([added.mock.calls.length, removed.mock.calls.length, open]).toEqual([10_000, 10_000, 0]);
  });
});
