import { describe, expect, test } from "vitest";
import { each, finish, image, MillraceError, type Part, pipe, type Processor, run, text } from "../../src/index.ts";
import { memoryKeyValue } from "../../src/adapters/memory/index.ts";
import type { MarkStore } from "../../src/kinds/key-value.ts";
import { bulkhead } from "../../src/resilience/bulkhead.ts";
import { circuit, circuitBreaker } from "../../src/resilience/circuit-breaker.ts";
import { rateLimit, rateLimiter, type RateLimitOptions } from "../../src/resilience/rate-limit.ts";
import { type FakeClock, fakeClock } from "../../src/testing/clock.ts";
import { stalledSource, watchedSource } from "../../src/testing/watched-source.ts";
import { gate, opaque, soon, turns } from "../streams/support.ts";
import { admissionCases } from "./admission-cases.ts";

admissionCases("rateLimit", () => {
  const clock = fakeClock();
  const limiter = rateLimiter({ requests: 1_000_000, perMs: 1_000, clock });
  return { wrap: (processor) => rateLimit(processor, { limiter }), held: () => limiter.waiting + clock.pending };
});
admissionCases("rateLimit of tokens, in a store", () => {
  const clock = fakeClock();
  const limiter = rateLimiter({ requests: 1_000_000, outputTokens: 1e12, perMs: 1_000, store: memoryKeyValue({ clock }), key: "k", clock });
  return { wrap: (processor) => rateLimit(processor, { limiter }), held: () => limiter.waiting + clock.pending };
});

/** Runs that note when they were let in. */
function noted(options: Omit<RateLimitOptions, "clock">, inner: Processor = pipe()) {
  const clock = fakeClock();
  const limiter = rateLimiter({ clock, random: () => 0, ...options });
  const startedMs: number[] = [];
  const stage = rateLimit((input, context) => { startedMs.push(clock.now()); return inner(input, context); }, { limiter });
  return { clock, limiter, startedMs, stage, call: (input: Part | string = "a") => run(stage, input).text() };
}

/** A model that says what it used. */
const uses = (usage: { inputTokens?: number; outputTokens?: number; partial?: boolean }): Processor =>
  async function* (input) {
    for await (const _ of input);
    yield text("answer");
    yield finish({ reason: "stop", usage });
  };
const code = (promise: Promise<unknown>): Promise<string> => promise.then(() => "well", (error: unknown) => (error instanceof MillraceError ? error.code : String(error)));

describe("P2: rateLimit", () => {
  test("lets the burst through at once, the others at the rate, in the order of coming", async () => {
    const { clock, startedMs, limiter, call } = noted({ requests: 10, perMs: 1_000, burst: 3 });
    const order: number[] = [];
    const all = Array.from({ length: 7 }, (_, i) => call().then(() => order.push(i)));
    await turns(2);
    expect([startedMs, limiter.waiting]).toEqual([[0, 0, 0], 4]);
    await clock.advance(1_000);
    await Promise.all(all);
    expect(startedMs.map(Math.round)).toEqual([0, 0, 0, 100, 200, 300, 400]);
    expect([order, clock.pending]).toEqual([[0, 1, 2, 3, 4, 5, 6], 0]);
  });

  test("the burst is the limit unless told, and comes back with time, no further", async () => {
    const { clock, startedMs, call } = noted({ requests: 4, perMs: 1_000 });
    await clock.advance(60_000);
    const all = Array.from({ length: 6 }, () => call());
    await turns(2);
    expect(startedMs).toHaveLength(4);
    await clock.advance(500);
    await Promise.all(all);
  });

  test("where nobody shares the limit a call waits no longer than it must", async () => {
    const { clock, startedMs, call } = noted({ requests: 10, perMs: 5_000, burst: 1, random: () => 1 });
    const both = Promise.all([call(), call()]);
    await clock.advance(500);
    await soon(both);
    expect(startedMs).toEqual([0, 500]);
  });

  test("takes of all that is limited or of nothing", async () => {
    const { clock, startedMs, call } = noted({ requests: 100, outputTokens: 100, perMs: 1_000, estimate: { outputTokens: 60 } }, uses({ outputTokens: 60 }));
    await call();
    const second = call(); // 60 tokens: waits 200 ms for them, and takes no request meanwhile
    await clock.advance(199);
    expect(startedMs).toEqual([0]);
    await clock.advance(1);
    await second;
    expect(startedMs).toEqual([0, 200]);
  });

  test("a call above the burst is too large at once, and an endless input is not read for it", async () => {
    const { limiter, call } = noted({ inputTokens: 1_000, perMs: 1_000, burst: 50 });
    await expect(call("x".repeat(400))).rejects.toMatchObject({ code: "too_large", scope: "part", message: "rateLimit: a call of 104 inputTokens, no more than 50 are let through at once (burst)" });
    const endless = watchedSource(Infinity);
    await expect(soon(run(rateLimit(opaque, { limiter }), endless).text())).rejects.toMatchObject({ code: "too_large" });
    expect([endless.closed, endless.pulls < 20, limiter.waiting]).toEqual([1, true, 0]);
    expect(await code(run(rateLimit(opaque, { inputTokens: 5_000, perMs: 1_000 }), image(new Uint8Array(9))).collect())).toBe("well");
  });

  test("the real usage is put right: what was taken too much comes back, what was too little is owed", async () => {
    const thrifty = noted({ outputTokens: 1_000, perMs: 1_000, estimate: { outputTokens: 500 } }, uses({ outputTokens: 10 }));
    for (let i = 0; i < 20; i += 1) await soon(thrifty.call());
    expect(thrifty.startedMs).toEqual(Array.from({ length: 20 }, () => 0));

    const wasteful = noted({ outputTokens: 1_000, perMs: 1_000, estimate: { outputTokens: 10 } }, uses({ outputTokens: 3_000 }));
    await wasteful.call();
    const next = wasteful.call();
    await wasteful.clock.advance(2_009);
    expect(wasteful.startedMs).toEqual([0]);
    await wasteful.clock.advance(1);
    await next;
    expect(wasteful.startedMs).toEqual([0, 2_010]);
  });

  test("what comes back wakes the one who waits for it", async () => {
    const end = gate();
    const { clock, startedMs, call } = noted({ outputTokens: 1_000, perMs: 100_000, estimate: { outputTokens: 1_000 } }, async function* () {
      yield text("answer");
      await end.promise;
      yield finish({ reason: "stop", usage: { outputTokens: 0 } });
    });
    const [first, second] = [call(), call()];
    await clock.advance(5_000);
    expect(startedMs).toEqual([0]);
    end.open();
    await soon(Promise.all([first, second]));
    expect(startedMs).toEqual([0, 5_000]);
  });

  test("several turns in one call add up", async () => {
    const { clock, startedMs, call } = noted({ outputTokens: 100, perMs: 1_000, estimate: { outputTokens: 100 } }, async function* () {
      for (let turn = 0; turn < 3; turn += 1) yield finish({ reason: "tool_calls", usage: { outputTokens: 50 } });
    });
    await call();
    const second = call();
    await clock.advance(1_499); // 150 tokens are worth 1,500 ms
    expect(startedMs).toEqual([0]);
    await clock.advance(1);
    await second;
  });

  test("a turn that is cut pays for what came out of it, beside what the service counted for the turns before", async () => {
    const { clock, startedMs, stage, call } = noted({ outputTokens: 1_000, perMs: 1_000, estimate: { outputTokens: 1_000 } }, async function* () {
      yield text("x".repeat(800));
      yield finish({ reason: "tool_calls", usage: { outputTokens: 300 } });
      yield text("x".repeat(400));
      throw new MillraceError("truncated", "cut");
    });
    await code(call());
    const next = code(run(stage, "a").text());
    await clock.advance(399);
    expect(startedMs).toEqual([0]);
    await clock.advance(1);
    await next;
    expect(startedMs).toEqual([0, 400]);
  });

  test("a call that is cut pays for what is known: what the service counted, else what came out", async () => {
    const counted = noted({ outputTokens: 1_000, perMs: 1_000, estimate: { outputTokens: 1_000 } }, async function* () {
      yield text("x".repeat(400));
      throw new MillraceError("interrupted", "cut", { partial: { parts: 1, text: "", usage: { outputTokens: 500 } } });
    });
    await code(counted.call());
    const next = code(counted.call());
    await counted.clock.advance(500);
    await next;
    expect(counted.startedMs).toEqual([0, 500]);

    for (const outputTokens of [NaN, -5, Infinity]) {
      const nonsense = noted({ outputTokens: 1_000, perMs: 1_000, estimate: { outputTokens: 500 } }, async function* () {
        yield text("x".repeat(400));
        yield { ...finish({ reason: "stop" }), usage: { outputTokens } };
      });
      for (let i = 0; i < 6; i += 1) await soon(run(nonsense.stage, "a").collect()); // 100 each
      const more = run(nonsense.stage, "a").collect();
      await nonsense.clock.advance(99);
      expect(nonsense.startedMs).toHaveLength(6);
      await nonsense.clock.advance(1);
      await more;
    }

    const left = noted({ outputTokens: 1_000, perMs: 1_000, estimate: { outputTokens: 1_000 } }, async function* () {
      for (;;) yield text("x".repeat(400));
    });
    for await (const _ of run(left.stage, "a")) break;
    await turns(1);
    const after = run(left.stage, "a")[Symbol.asyncIterator]();
    const pulled = after.next();
    await left.clock.advance(100);
    await pulled;
    expect(left.startedMs).toEqual([0, 100]);
    await after.return?.();
  });

  test("an answer of unknown size is guessed by the answers before, and a guess is never too large", async () => {
    const { clock, startedMs, call } = noted({ outputTokens: 1_000, perMs: 1_000 }, uses({ outputTokens: 100 }));
    await call(); // guessed as 1,000, the burst
    await clock.advance(100);
    const all = Array.from({ length: 10 }, () => call()); // 100 each
    await turns(2);
    expect(startedMs).toHaveLength(11);
    await Promise.all(all);

    const end = gate();
    let failing = true;
    const cut = noted({ outputTokens: 1_000, perMs: 1_000 }, async function* () {
      if (failing) throw new MillraceError("unavailable", "down");
      await end.promise;
    });
    await code(cut.call()); // it gave nothing, which says nothing of the size of answers
    failing = false;
    const two = [cut.call(), cut.call()];
    await turns(2);
    expect(cut.startedMs).toHaveLength(2);
    end.open();
    await Promise.all(two);
  });

  test("input is counted by the parts, and its real usage put right", async () => {
    const { clock, startedMs, call } = noted({ inputTokens: 1_000, perMs: 1_000, estimate: { inputTokens: (part) => (part.kind === "text" ? part.text.length : 0) } }, uses({ inputTokens: 800 }));
    await call("x".repeat(100));
    const next = call("x".repeat(300));
    await clock.advance(100);
    await next;
    expect(startedMs).toEqual([0, 100]);
  });

  test("without limits on input the processor reads as it goes; with them it sees the whole input, the same parts", async () => {
    const source = watchedSource(5);
    const iterator = run(rateLimit(opaque, { requests: 5, outputTokens: 100_000, perMs: 1_000 }), source)[Symbol.asyncIterator]();
    await iterator.next();
    expect(source.pulls).toBe(1);
    await iterator.return?.();
    const input = [text("a"), text("b")];
    expect(await run(rateLimit(opaque, { inputTokens: 1_000, perMs: 1_000 }), input).collect()).toEqual(input);
  });
});

describe("P2: what the service says", () => {
  const limited = (retryAfterMs?: number, retryable = true) =>
    new MillraceError("rate_limited", "429", { retryable, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
  const failing = (errors: unknown[]): Processor => each(async (part) => { const error = errors.shift(); if (error !== undefined) throw error; return part; });

  test("rate_limited with a time empties the limit for as long: one call then, the others at the rate", async () => {
    const { clock, startedMs, call } = noted({ requests: 10, perMs: 1_000 }, failing([limited(5_000)]));
    expect(await code(call())).toBe("rate_limited");
    const all = [call(), call(), call()];
    await clock.advance(6_000);
    await Promise.all(all);
    expect(startedMs.map(Math.round)).toEqual([0, 5_000, 5_100, 5_200]);
  });

  test("a call that needs less does not slip in before that time", async () => {
    const size = { estimate: { inputTokens: (part: Part) => Number(part.kind === "text" ? part.text : 0) } };
    const { clock, startedMs, call } = noted({ inputTokens: 100, perMs: 1_000, ...size }, failing([limited(5_000)]));
    expect(await code(call("90"))).toBe("rate_limited");
    const small = call("1");
    await clock.advance(5_000);
    await small;
    expect(startedMs).toEqual([0, 5_000]);
  });

  test("without a time it empties the limit; a quota that no waiting fills does not", async () => {
    const plain = noted({ requests: 10, perMs: 1_000 }, failing([limited()]));
    expect(await code(plain.call())).toBe("rate_limited");
    const all = [plain.call(), plain.call()];
    await plain.clock.advance(1_000);
    await Promise.all(all);
    expect(plain.startedMs.map(Math.round)).toEqual([0, 0, 100]);
    const quota = noted({ requests: 10, perMs: 1_000 }, failing([limited(5_000, false)]));
    expect(await code(quota.call())).toBe("rate_limited");
    await soon(Promise.all([quota.call(), quota.call()]));
  });

  test("a time that is longer than a call waits refuses those who come, and those who wait, at once", async () => {
    const { clock, limiter, call } = noted({ requests: 10, perMs: 1_000, waitMs: 1_000 }, failing([limited(60_000)]));
    expect(await code(call())).toBe("rate_limited");
    await expect(soon(call())).rejects.toMatchObject({ code: "rate_limited", retryAfterMs: 60_000, message: /asked to keep away/ });
    const answer = gate();
    const slow = noted({ requests: 1, perMs: 1_000, waitMs: 1_000 }, each(async () => { await answer.promise; throw limited(60_000); }));
    const calls = [slow.call(), slow.call(), slow.call()].map(code);
    await turns(2);
    expect(slow.limiter.waiting).toBe(2);
    answer.open();
    expect(await soon(Promise.all(calls))).toEqual(["rate_limited", "rate_limited", "rate_limited"]);
    expect([limiter.waiting, slow.startedMs, clock.pending + slow.clock.pending]).toEqual([0, [0], 0]);
  });

  test("a time that is just as long as a call waits is waited for", async () => {
    const { clock, startedMs, call } = noted({ requests: 10, perMs: 1_000, waitMs: 1_000 }, failing([limited(1_000)]));
    expect(await code(call())).toBe("rate_limited");
    const next = code(call());
    await clock.advance(1_000);
    expect([await next, startedMs]).toEqual(["well", [0, 1_000]]);
  });

  test("what the refused call gives back lets nobody slip in before that time", async () => {
    const answer = gate();
    const { clock, startedMs, call } = noted({ outputTokens: 100, perMs: 1_000, estimate: { outputTokens: 100 } }, each(async (part) => {
      if (startedMs.length > 1) return part;
      await answer.promise;
      throw limited(5_000);
    }));
    const calls = [code(call()), code(call())];
    await turns(2);
    answer.open();
    await turns(2);
    await clock.advance(6_000);
    expect([await soon(Promise.all(calls)), startedMs]).toEqual([["rate_limited", "well"], [0, 5_000]]);
  });
});

describe("P2: the queue", () => {
  test("a call that finds too many waiting is told for how long still", async () => {
    const { clock, call } = noted({ requests: 1, perMs: 25_000, queue: 1 });
    await call();
    const waiting = call();
    await clock.advance(20_000);
    await expect(call()).rejects.toMatchObject({ code: "rate_limited", retryAfterMs: 5_000 });
    await clock.advance(5_000);
    await waiting;
  });

  test("a call that waits too long, or finds too many waiting, is told when to come back, and touches nothing", async () => {
    const { clock, limiter, startedMs, call, stage } = noted({ requests: 1, perMs: 50_000, queue: 2, waitMs: 30_000 });
    await call();
    const [first, second] = [call(), call()];
    const source = watchedSource(1);
    await expect(run(stage, source).text()).rejects.toMatchObject({ code: "rate_limited", retryAfterMs: 50_000, message: "rateLimit: 2 calls wait already (queue 2), room in 50000 ms" });
    first.catch(() => {});
    second.catch(() => {});
    await clock.advance(29_999);
    expect(limiter.waiting).toBe(2);
    await clock.advance(1);
    await expect(first).rejects.toMatchObject({ code: "rate_limited", retryAfterMs: 20_000, message: "rateLimit: waited 30000 ms for room (waitMs), room in 20000 ms" });
    expect(await code(second)).toBe("rate_limited");
    expect([source.opened, startedMs, limiter.waiting, clock.pending]).toEqual([0, [0], 0, 0]);
  });

  test("an abort or a return while waiting leaves the queue at once; the one behind takes the turn", async () => {
    const { clock, limiter, startedMs, call, stage } = noted({ requests: 1, perMs: 1_000 });
    await call();
    const controller = new AbortController();
    const aborted = run(stage, "a", { signal: controller.signal }).text();
    const iterator = run(stage, "b")[Symbol.asyncIterator]();
    const pending = iterator.next();
    const last = call();
    await turns(1);
    expect(limiter.waiting).toBe(3);
    controller.abort("enough");
    await expect(soon(aborted)).rejects.toBe("enough");
    await iterator.return?.();
    expect([(await soon(pending)).done, limiter.waiting, clock.pending]).toEqual([true, 1, 1]);
    await clock.advance(1_000);
    await last;
    expect([startedMs, clock.pending]).toEqual([[0, 1_000], 0]);
  });

  test("a small call behind a large one that leaves goes at once", async () => {
    const { clock, startedMs, limiter, call } = noted({ inputTokens: 100, perMs: 1_000, estimate: { inputTokens: (part) => Number(part.kind === "text" ? part.text : 0) } });
    await call("90");
    const controller = new AbortController();
    const large = run(rateLimit(opaque, { limiter }), "100", { signal: controller.signal }).text();
    const small = call("10");
    await turns(1);
    expect([startedMs, limiter.waiting]).toEqual([[0], 2]);
    controller.abort("enough");
    await expect(soon(large)).rejects.toBe("enough");
    await soon(small);
    expect([startedMs, clock.pending]).toEqual([[0, 0], 0]);
  });

  test("a call that is left while its input is read takes nothing", async () => {
    const { clock, limiter, stage, startedMs, call } = noted({ inputTokens: 10, perMs: 1_000, estimate: { inputTokens: () => 10 } });
    const source = stalledSource();
    const iterator = run(stage, source)[Symbol.asyncIterator]();
    const pending = iterator.next();
    await turns(1);
    await soon(Promise.resolve(iterator.return?.()));
    expect([(await soon(pending)).done, source.closed, limiter.waiting, clock.pending]).toEqual([true, 1, 0, 0]);
    await soon(call("x")); // all there is room for
    for (let microtasks = 0; microtasks < 20; microtasks += 1) {
      const left = run(stage, "x")[Symbol.asyncIterator]();
      void left.next();
      for (let i = 0; i < microtasks; i += 1) await Promise.resolve();
      await left.return?.();
      await turns(1);
      expect([microtasks, limiter.waiting, clock.pending, startedMs]).toEqual([microtasks, 0, 0, [0]]);
    }
    await clock.advance(1_000);
    await soon(call("x"));
  });

  test("P0: a call that was refused inside before any I/O gives back all it took; one that failed does not", async () => {
    const clock = fakeClock();
    const open = circuit({ failureThreshold: 1, clock, openMs: 60_000 });
    const limiter = rateLimiter({ requests: 2, perMs: 1_000, clock });
    const inner = circuitBreaker(each(() => { throw new MillraceError("unavailable", "down"); }), { circuit: open });
    const stage = rateLimit(inner, { limiter });
    expect(await code(run(stage, "a").text())).toBe("unavailable");
    for (let i = 0; i < 10; i += 1) expect(await soon(code(run(stage, "a").text()))).toBe("circuit_open");
    const full = bulkhead(opaque, { concurrency: 1, queue: 0 });
    const holder = run(full, ["a", "b"])[Symbol.asyncIterator]();
    await holder.next();
    for (let i = 0; i < 10; i += 1) expect(await soon(code(run(rateLimit(full, { limiter }), "a").text()))).toBe("unavailable");
    expect(await soon(run(rateLimit(opaque, { limiter }), "a").text())).toBe("a"); // the second of the two
    const third = run(rateLimit(opaque, { limiter }), "a").text();
    await turns(2);
    expect(limiter.waiting).toBe(1);
    await clock.advance(1_000);
    await third;
    await holder.return?.();
  });
});

describe("P2: a limit in a store", () => {
  interface Shared {
    readonly clock: FakeClock;
    readonly memory: MarkStore;
    /** Makes the store fail, or hang. */
    trouble: "none" | "down" | "hangs";
    readonly store: MarkStore;
    asked: number;
    /** The key that was asked last. */
    key(): string;
  }
  function shared(): Shared {
    const clock = fakeClock();
    const memory = memoryKeyValue({ clock });
    let asked = "";
    const it: Shared = {
      clock,
      key: () => asked || "none",
      memory,
      trouble: "none",
      asked: 0,
      store: {
        ...memory,
        advance(key, steps, context) {
          it.asked += 1;
          asked = key;
          if (it.trouble === "down") return Promise.reject(new MillraceError("unavailable", "redis: gone"));
          return it.trouble === "hangs" ? new Promise(() => {}) : memory.advance(key, steps, context);
        },
      },
    };
    return it;
  }
  const process = (it: Shared, options: Partial<RateLimitOptions> = {}, inner: Processor = opaque) => {
    const limiter = rateLimiter({ requests: 10, perMs: 1_000, store: it.store, key: ["openai", "account", "model"], clock: it.clock, random: () => 0, ...options });
    return { limiter, stage: rateLimit(inner, { limiter }), call: () => run(rateLimit(inner, { limiter }), "a").text() };
  };

  /** Waits until the store was asked so often: the first time a limiter hashes its key, which no number of turns is enough for. */
  const reached = async (it: Shared, asked: number): Promise<void> => {
    while (it.asked < asked) await turns(1);
    await turns(2);
  };

  test("is one for all processes that have its key, which is hashed and says nothing of the account", async () => {
    const it = shared();
    const [a, b, other] = [process(it), process(it), process(it, { key: "another" })];
    for (let i = 0; i < 5; i += 1) await Promise.all([a.call(), b.call()]);
    const waiting = [a.call(), b.call()];
    await soon(other.call());
    await it.clock.advance(99);
    expect([a.limiter.waiting, b.limiter.waiting]).toEqual([1, 1]);
    await it.clock.advance(150);
    await Promise.all(waiting);
    expect([a.limiter.processes, b.limiter.processes, other.limiter.processes]).toEqual([2, 2, 1]);
  });

  test("gives back to all, and those who wait elsewhere notice within a second", async () => {
    const it = shared();
    const end = gate();
    const options = { outputTokens: 1_000, perMs: 1_000_000, estimate: { outputTokens: 1_000 } };
    const a = process(it, options, async function* () { await end.promise; yield finish({ reason: "stop", usage: { outputTokens: 0 } }); });
    const b = process(it, options);
    const first = a.call();
    await reached(it, 1);
    const second = b.call();
    await reached(it, 2);
    await it.clock.advance(10_000);
    expect(b.limiter.waiting).toBe(1);
    end.open();
    await first;
    await it.clock.advance(1_000);
    await soon(second);
    expect(it.clock.pending).toBe(0);
  });

  test("a store that is down: each goes on with its share from where it stood, and no call waits for the store again", async () => {
    for (const trouble of ["down", "hangs"] as const) {
      const it = shared();
      const events: string[] = [];
      const processes = [1, 2].map(() => process(it, { onStoreChange: ({ kind }) => { events.push(kind); throw new Error("of the listener"); } }));
      for (const { call } of processes) await call();
      for (const { call } of processes) await call(); // now both have seen both
      it.trouble = trouble;
      const started: number[] = [];
      const calls = processes.flatMap(({ call }) => Array.from({ length: 20 }, () => call().then(() => started.push(it.clock.now()))));
      await it.clock.advance(2_000);
      // at once what the burst still had, 6 of 10, rounded to each one's half; then 10 a second by both together
      const atOnce = started.filter((ms) => ms <= (trouble === "hangs" ? 1_000 : 0)).length;
      expect(atOnce).toBeLessThanOrEqual(trouble === "hangs" ? 10 : 6);
      expect(started.length).toBeLessThanOrEqual(6 + 20);
      expect(started.length).toBeGreaterThanOrEqual(trouble === "hangs" ? 16 : 22);
      expect(events).toEqual(["down", "down"]);
      it.trouble = "none";
      await it.clock.advance(2_500);
      expect(events).toEqual(["down", "down", "up", "up"]);
      await it.clock.advance(5_000);
      await soon(Promise.all(calls));
      expect(it.clock.pending).toBe(0);
    }
  });

  test('onStoreError "fail" refuses while the store is down, with the reason, and lets through when it is back', async () => {
    const it = shared();
    const { call } = process(it, { onStoreError: "fail" });
    await call();
    it.trouble = "down";
    await expect(call()).rejects.toMatchObject({ code: "unavailable", message: 'rateLimit: the store is down (onStoreError "fail")', cause: { message: "redis: gone" } });
    expect(await code(call())).toBe("unavailable");
    it.trouble = "none";
    await it.clock.advance(1_000);
    await code(call());
    await turns(1);
    expect(await call()).toBe("a");
  });

  test('onStoreError "fail" refuses those who wait too, all of them', async () => {
    const it = shared();
    const { limiter, call } = process(it, { onStoreError: "fail", requests: 1 });
    await call();
    const waiting = [call(), call(), call()].map(code);
    await turns(2);
    expect(limiter.waiting).toBe(3);
    it.trouble = "down";
    await it.clock.advance(1_000);
    expect(await soon(Promise.all(waiting))).toEqual(["unavailable", "unavailable", "unavailable"]);
    expect([limiter.waiting, it.clock.pending]).toEqual([0, 0]);
  });

  test("a hanging store is given up after storeTimeoutMs, a left call before it leaves no timer, and late room is given back", async () => {
    const it = shared();
    it.trouble = "hangs";
    const hanging = process(it);
    const controller = new AbortController();
    const waiting = run(hanging.stage, "a", { signal: controller.signal }).text();
    await turns(1);
    expect(it.clock.pending).toBe(1);
    controller.abort("enough");
    await expect(soon(waiting)).rejects.toBe("enough");
    expect([it.clock.pending, hanging.limiter.waiting]).toEqual([0, 0]);
    const next = hanging.call();
    await it.clock.advance(999);
    expect(hanging.limiter.waiting).toBe(1);
    await it.clock.advance(1);
    expect(await soon(next)).toBe("a");

    const late = gate();
    const slow = shared();
    const stage = process({ ...slow, store: { ...slow.memory, advance: async (key, steps) => { const result = await slow.memory.advance(key, steps); await late.promise; return result; } } });
    const iterator = run(stage.stage, "a")[Symbol.asyncIterator]();
    void iterator.next();
    await turns(1);
    await iterator.return?.();
    late.open();
    await turns(2);
    const fresh = process(slow);
    for (let i = 0; i < 10; i += 1) expect(await soon(fresh.call())).toBe("a"); // the whole burst
  });

  test("a process that was never told how many there are goes by what it was told at first", async () => {
    const it = shared();
    it.trouble = "down";
    const { limiter, call } = process(it, { processes: 5 });
    await call();
    await call();
    const third = call();
    await turns(2);
    expect([limiter.waiting, limiter.processes]).toEqual([1, 5]);
    await it.clock.advance(500);
    await third;
    const narrow = process(it, { processes: 5, burst: 1, key: "narrow" }); // a fifth of one call would be none
    await narrow.call();
    const next = narrow.call();
    await it.clock.advance(499);
    expect(narrow.limiter.waiting).toBe(1);
    await it.clock.advance(1);
    await soon(next);
  });

  test("what was taken while the store was down counts when it is back", async () => {
    const it = shared();
    const a = process(it, { burst: 10, perMs: 100_000 });
    await a.call();
    it.trouble = "down";
    for (let i = 0; i < 8; i += 1) await soon(a.call());
    it.trouble = "none";
    await it.clock.advance(1_000);
    await soon(a.call()); // the tenth, and the store hears of all
    await turns(2);
    const b = process(it, { burst: 10, perMs: 100_000 });
    const waiting = code(b.call());
    await turns(2);
    expect(b.limiter.waiting).toBeGreaterThan(0);
    await it.clock.advance(60_000);
    await soon(waiting);
  });

  test("what was given back before the store went down is there, and a process that took nothing for a minute still counts itself", async () => {
    const it = shared();
    const end = gate();
    const options = { outputTokens: 1_000, perMs: 1_000_000, estimate: { outputTokens: 1_000 } };
    const a = process(it, options, async function* () { await end.promise; yield finish({ reason: "stop", usage: { outputTokens: 0 } }); });
    const first = a.call();
    await reached(it, 1);
    await it.clock.advance(70_000);
    end.open();
    await first;
    await turns(2);
    expect(a.limiter.processes).toBe(1);
    it.trouble = "down";
    await soon(a.call());
    expect([a.limiter.waiting, a.limiter.processes]).toEqual([0, 1]);
  });

  /** How many calls a process that has just come gets through at once. */
  const roomFor = async (it: Shared, options: Partial<RateLimitOptions>): Promise<number> => {
    let through = 0;
    const fresh = process(it, options);
    const { asked } = it;
    const controller = new AbortController();
    const calls = Array.from({ length: 20 }, () => run(fresh.stage, "a", { signal: controller.signal }).text().then(() => { through += 1; }, () => {}));
    await reached(it, asked + 1);
    await turns(20);
    controller.abort("enough");
    await Promise.all(calls);
    return through;
  };
  const slowly = { burst: 10, perMs: 100_000 };

  test("an answer that comes when the call has gone on without it takes nothing, and what went on here meanwhile is not forgotten", async () => {
    const it = shared();
    const late = gate();
    let key = "";
    const store: MarkStore = { ...it.store, advance: async (name, steps) => { key = name; const result = await it.store.advance(name, steps); if (it.clock.now() === 0) await late.promise; return result; } };
    const a = process(it, { ...slowly, store });
    const first = a.call();
    await reached(it, 1);
    await it.clock.advance(1_000);
    await soon(first);
    for (let i = 0; i < 4; i += 1) await soon(a.call());
    late.open();
    await turns(2);
    expect((await it.memory.advance(key, {})).aheadMs["requests"]).toBeUndefined();
    await it.clock.advance(1_000);
    await soon(a.call()); // the sixth, and the store hears of all
    await turns(2);
    expect(await roomFor(it, slowly)).toBe(4);
  });

  test("calls that go on here while the store is being tried again count when it is back", async () => {
    const it = shared();
    const answer = gate();
    const store: MarkStore = { ...it.store, advance: async (key, steps) => { const result = await it.store.advance(key, steps); await answer.promise; return result; } };
    it.trouble = "down";
    const a = process(it, { ...slowly, store });
    await a.call();
    it.trouble = "none";
    await it.clock.advance(1_000);
    for (let i = 0; i < 4; i += 1) await soon(a.call()); // the first of these tries the store
    answer.open();
    await turns(2);
    expect(await roomFor(it, slowly)).toBe(5);
  });

  test("the store is asked once a call, once a second while it is down, and each question can be given up", async () => {
    const it = shared();
    const signals: AbortSignal[] = [];
    const store: MarkStore = { ...it.store, advance: (key, steps, context) => { if (context?.signal !== undefined) signals.push(context.signal); return it.store.advance(key, steps, context); } };
    const a = process(it, { store, requests: 1_000 });
    for (let i = 0; i < 5; i += 1) await a.call();
    expect(it.asked).toBe(5);
    it.trouble = "hangs";
    const iterator = run(a.stage, "a")[Symbol.asyncIterator]();
    void iterator.next();
    await turns(1);
    await iterator.return?.();
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false, false, false, false, true]);
    it.trouble = "down";
    await a.call();
    it.trouble = "hangs";
    it.asked = 0;
    for (let i = 0; i < 30; i += 1) {
      await a.call();
      await it.clock.advance(100);
    }
    expect([it.asked, signals.slice(-2).map(({ aborted }) => aborted)]).toEqual([2, [true, false]]);
  });

  test("the store is not asked again for those who wait when a call ends that gives nothing back", async () => {
    const it = shared();
    const ends = [gate(), gate()];
    const uses = [100, 300];
    let started = 0;
    const a = process(it, { outputTokens: 1_000, perMs: 1_000_000, burst: { outputTokens: 200, requests: 10 }, estimate: { outputTokens: 100 } }, async function* () {
      const mine = started++;
      await ends[mine]?.promise;
      yield finish({ reason: "stop", usage: { outputTokens: uses[mine] ?? 0 } });
    });
    const calls = [a.call(), a.call()];
    await reached(it, 2);
    const iterator = run(a.stage, "a")[Symbol.asyncIterator]();
    void iterator.next();
    await turns(2);
    it.asked = 0;
    ends[0]?.open(); // it took what was thought
    await calls[0];
    await turns(2);
    expect([started, a.limiter.waiting, it.asked]).toEqual([2, 1, 0]);
    ends[1]?.open(); // it took more
    await calls[1];
    await turns(2);
    expect([started, a.limiter.waiting, it.asked]).toEqual([2, 1, 1]);
    await iterator.return?.();
  });

  test("a call that is too large says so when its input, which was read in part, has closed", async () => {
    const closed = gate();
    const input = async function* (): AsyncGenerator<Part> {
      try {
        yield text("a");
        yield text("b");
        await new Promise(() => {});
      } finally {
        await closed.promise;
      }
    };
    let over = false;
    const { limiter } = noted({ inputTokens: 1_000, perMs: 1_000, burst: 6 });
    const reading = run(rateLimit(opaque, { limiter }), input()).text().catch((error: unknown) => { over = true; return (error as MillraceError).code; });
    await turns(3);
    expect(over).toBe(false);
    closed.open();
    expect(await soon(reading)).toBe("too_large");
  });

  test("a call that leaves from the middle of the queue does not disturb the first", async () => {
    const it = shared();
    const a = process(it, { requests: 1 });
    await a.call();
    const first = a.call();
    const iterator = run(a.stage, "a")[Symbol.asyncIterator]();
    void iterator.next();
    await turns(1);
    it.asked = 0;
    await iterator.return?.();
    await turns(1);
    expect([it.asked, a.limiter.waiting, it.clock.pending]).toEqual([0, 1, 1]);
    await it.clock.advance(1_000);
    await first;
  });

  test("a usage that the store does not take counts here, and the trouble is told once", async () => {
    const it = shared();
    const events: string[] = [];
    const options: Partial<RateLimitOptions> = { outputTokens: 1_000, estimate: { outputTokens: 100 }, onStoreChange: ({ kind }) => events.push(kind) };
    const end = gate();
    const a = process(it, options, async function* () { await end.promise; yield finish({ reason: "stop", usage: { outputTokens: 1_100 } }); });
    const calls = [a.call(), a.call(), a.call()];
    await reached(it, 3);
    it.trouble = "down";
    end.open();
    await Promise.all(calls);
    await turns(2);
    expect(events).toEqual(["down"]);
    const next = a.call();
    await it.clock.advance(2_399); // 3,300 tokens and 100 of its own, in a burst of 1,000
    expect([a.limiter.waiting, events]).toEqual([1, ["down"]]);
    await it.clock.advance(1);
    await soon(next);
  });

  test("left at any moment, a call has paid exactly if it was let in", async () => {
    const it = shared();
    let started = 0;
    const a = process(it, { requests: 1_000, perMs: 1_000_000 }, async function* () { started += 1; yield text("a"); });
    await run(a.stage, "a").text();
    for (let microtasks = 0; microtasks < 60; microtasks += 1) {
      const iterator = run(a.stage, "a")[Symbol.asyncIterator]();
      void iterator.next();
      if (microtasks % 2 === 1) await turns(1);
      for (let i = 0; i < microtasks / 2; i += 1) await Promise.resolve();
      await iterator.return?.();
      await turns(1);
      const { aheadMs } = await it.memory.advance(it.key(), {});
      expect([microtasks, Math.round((aheadMs["requests"] ?? 0) / 1_000), a.limiter.waiting, it.clock.pending]).toEqual([microtasks, started, 0, 0]);
    }
    expect(started).toBeGreaterThan(10);
    expect(started).toBeLessThan(61);
  });
});

describe("rateLimit: options", () => {
  test("bad ones are refused when it is built, by name", () => {
    const bad: readonly (readonly [unknown, string])[] = [
      [{ perMs: 1_000 }, "requests"], [{ requests: 5 }, "perMs"], [{ requests: 0, perMs: 1 }, "requests"], [{ outputTokens: 1.5, perMs: 1 }, "outputTokens"],
      [{ requests: 5, perMs: 0 }, "perMs"], [{ requests: 5, perMs: 1, burst: 0 }, "burst"], [{ requests: 5, outputTokens: 5, perMs: 1, burst: 3 }, "burst"],
      [{ requests: 5, perMs: 1, burst: { outputTokens: 3 } }, "outputTokens"], [{ requests: 5, perMs: 1, queue: 0 }, "queue"], [{ requests: 5, perMs: 1, waitMs: -1 }, "waitMs"],
      [{ outputTokens: 5, perMs: 1, estimate: { outputTokens: 6 } }, "estimate.outputTokens"], [{ requests: 5, perMs: 1, estimate: { inputTokens: 6 } }, "estimate.inputTokens"],
      [{ requests: 5, perMs: 1, onStoreError: "ignore" }, "onStoreError"], [{ requests: 5, perMs: 1, processes: 0 }, "processes"], [{ requests: 5, perMs: 1, store: {}, key: "a" }, "store"],
      [{ requests: 5, perMs: 1, onStoreChange: 1 }, "onStoreChange"], [{ requests: 5, perMs: 1, storeTimeoutMs: 0 }, "storeTimeoutMs"],
    ];
    for (const [options, option] of bad) {
      expect(() => rateLimiter(options as RateLimitOptions), option).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(option) }));
    }
    for (const key of [undefined, "", [], ["a", ""]]) {
      expect(() => rateLimiter({ requests: 1, perMs: 1, store: memoryKeyValue(), key } as RateLimitOptions)).toThrow(expect.objectContaining({ code: "missing_config" }));
    }
    for (const key of [5, { 0: "a" }, ["a", 5]]) {
      expect(() => rateLimiter({ requests: 1, perMs: 1, store: memoryKeyValue(), key } as unknown as RateLimitOptions)).toThrow(expect.objectContaining({ code: "missing_config" }));
    }
    expect(() => rateLimit(opaque, { limiter: {} as never })).toThrow(/limiter must be a limiter that rateLimiter made/);
    expect(() => rateLimit(opaque, { limiter: rateLimiter({ requests: 1, perMs: 1 }), requests: 5, perMs: 1 })).toThrow(/requests, perMs beside limiter/);
    expect(() => rateLimit(0 as unknown as Processor, { requests: 1, perMs: 1 })).toThrow(/argument 1/);
  });
});
