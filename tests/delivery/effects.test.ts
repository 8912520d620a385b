import { describe, expect, test } from "vitest";
import { memoryKeyValue, memoryQueue } from "../../src/adapters/memory/index.ts";
import { codec, each, from, MillraceError, type Part, pipe, type Processor, run, status, tap, text } from "../../src/index.ts";
import { isTrustedSystem } from "../../src/core/system-brand.ts";
import { handOut } from "../../src/kinds/hand-out.ts";
import { type Journal, journal } from "../../src/kinds/journal.ts";
import { idempotencyKey } from "../../src/kinds/sink.ts";
import type { Sink } from "../../src/delivery/sinks.ts";
import { consume } from "../../src/delivery/worker.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { filled, gate, heardEvents, likeDeliveries, turns, until, wordOf, written } from "./support.ts";

/** A database of one table and an inbox, whose commits may get lost on their way, done or not. */
function database(): { readonly rows: string[]; readonly inbox: Set<string>; readonly sink: Sink; lose: "nothing" | "answer" | "commit"; begun: number } {
  const rows: string[] = [];
  const inbox = new Set<string>();
  const self = {
    rows,
    inbox,
    lose: "nothing" as "nothing" | "answer" | "commit",
    begun: 0,
    sink: {
      guarantee: "confirmed",
      write: () => Promise.reject(new Error("outside of a transaction")),
      async atomic(delivery, write) {
        if (inbox.has(delivery.id)) return "already-applied";
        self.begun += 1;
        const pending: string[] = [];
        await write({ guarantee: "confirmed", write: async (part) => void pending.push(wordOf(part)) });
        const { lose } = self;
        self.lose = "nothing";
        if (lose === "commit") throw new MillraceError("timeout", "no answer to COMMIT");
        inbox.add(delivery.id);
        rows.push(...pending);
        if (lose === "answer") throw new MillraceError("timeout", "no answer to COMMIT");
        return "applied";
      },
    } satisfies Sink,
  };
  return self;
}
const twice = each((part) => [part, wordOf(part).toUpperCase()]);

describe("D14: an atomic sink", () => {
  test("has the effects of each delivery once, all or none", async () => {
    const clock = fakeClock();
    const queue = await filled(["a", "b"], { clock });
    const base = database();
    let failing = 1;
    const processor: Processor = async function* (input, context) {
      for await (const part of twice(input, context)) {
        yield part;
        if (wordOf(part) === "a" && failing-- > 0) throw new TypeError("between two outputs");
      }
    };
    const events = heardEvents();
    await using worker = consume(queue, processor, base.sink, { clock, onEvent: events.onEvent });
    await until(() => worker.counters.acked === 2, clock);
    expect(base.rows.toSorted()).toEqual(["A", "B", "a", "b"]);
  });

  for (const lose of ["answer", "commit"] as const) {
    test(`whose commit's ${lose} is lost gets the same delivery again, and has its effects once`, async () => {
      const clock = fakeClock();
      const queue = await filled(["a"], { clock });
      const base = database();
      base.lose = lose;
      const events = heardEvents();
      await using worker = consume(queue, twice, base.sink, { clock, onEvent: events.onEvent });
      await until(() => worker.counters.acked === 1, clock);
      expect([base.rows, [...base.inbox]]).toEqual([["a", "A"], ["q/1"]]);
      expect(events.kinds()).toEqual(["retried", "acked"]);
    });
  }

  test("that has it already is acknowledged without a run", async () => {
    const queue = await filled(["a"]);
    const base = database();
    base.inbox.add("q/1");
    await using worker = consume(queue, twice, base.sink);
    await until(() => worker.counters.acked === 1);
    expect([base.rows, base.begun]).toEqual([[], 0]);
  });

  test("that rolled back has emitted nothing, which is what the dead letter says", async () => {
    const queue = await filled(["bad"]);
    const letters: unknown[] = [];
    const processor: Processor = async function* () {
      yield text("1");
      throw new MillraceError("invalid_input", "bad");
    };
    await using worker = consume(queue, processor, database().sink, { deadLetter: async ({ letter }) => void letters.push(letter.emitted) });
    await until(() => worker.counters.deadLettered === 1);
    expect(letters).toEqual([0]);
  });
});

describe("what names a delivery where its queue does not reach", () => {
  const [signal, parts] = [new AbortController().signal, [text("a")]];
  const keyOf = async (id?: string): Promise<string> => {
    const queue = memoryQueue({ name: "q" });
    await queue.send(parts, id === undefined ? {} : { id });
    for await (const delivery of queue.open({ signal, maxInFlight: 1 })) return idempotencyKey(delivery);
    return "none";
  };

  test("is its place and its message's id; of a long id the end, so that keys may be ids of messages again and again", async () => {
    expect(await keyOf("order-7")).toBe("q/1@order-7");
    expect(await keyOf()).not.toBe(await keyOf());
    let key = await keyOf();
    const longest: string[] = [];
    for (let hop = 0; hop < 50; hop += 1) longest.push((key = await keyOf(`${key}:0`)));
    expect(Math.max(...longest.map(({ length }) => length))).toBeLessThan(150);
    expect(await keyOf("😀".repeat(100))).toMatch(/^q\/1@/);
    expect((await keyOf(`${"😀".repeat(100)}a`)).isWellFormed()).toBe(true);
  });

  test("is its place where a foreign message has no id, or one that none of ours could have", () => {
    const about = { id: "q/1", attempt: 1, signal };
    const hands = { service: "q", lacks: {}, ack() {}, nack() {} };
    expect(idempotencyKey(handOut(hands, undefined, { parts }, about))).toBe("q/1");
    expect(idempotencyKey(handOut(hands, undefined, { parts, id: "a\nb" }, about))).toBe("q/1");
  });
});

describe("D15: a journal", () => {
  /** A model that answers differently each time. */
  const model = (answers: string[][]): Processor =>
    async function* () {
      const answer = answers.shift() ?? [];
      yield status("thinking");
      for (const word of answer) yield text(word, { role: "assistant" });
    };

  test("without it a second attempt mixes two answers; with it the first answer is written, whole", async () => {
    const outcome = async (once: Journal | undefined): Promise<string[]> => {
      const clock = fakeClock();
      const queue = await filled(["q"], { clock });
      const stored = new Map<string, string>();
      let dying = true;
      const sink = async (part: Part, { key }: { readonly key: string }): Promise<void> => {
        if (dying && stored.size === 2) {
          dying = false;
          throw new TypeError("dies");
        }
        if (!stored.has(key)) stored.set(key, wordOf(part));
      };
      await using worker = consume(queue, model([["A0", "A1", "A2"], ["B0", "B1", "B2", "B3"]]), sink, { clock, ...(once === undefined ? {} : { journal: once }) });
      await until(() => worker.counters.acked === 1, clock);
      return [...stored.values()];
    };
    expect(await outcome(undefined)).toEqual(["A0", "A1", "B2", "B3"]);
    expect(await outcome(journal(memoryKeyValue()))).toEqual(["A0", "A1", "A2"]);
  });

  test("nothing is handed on before all is recorded", async () => {
    const store = memoryKeyValue();
    const going = gate();
    const given: string[] = [];
    const reading = run(pipe(), journal(store).once("k", async function* () {
      yield text("a");
      await going.promise;
      yield text("b");
    })).forEach((part) => void given.push(wordOf(part)));
    for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
    expect([given, await store.get("journal:k")]).toEqual([[], undefined]);
    going.open();
    await reading;
    expect(given).toEqual(["a", "b"]);
  });

  test("what fails, or is left, on the way is not recorded", async () => {
    const store = memoryKeyValue();
    const once = journal(store);
    await expect(run(pipe(), once.once("k", async function* () { yield text("half"); throw new Error("cut"); })).text()).rejects.toThrow("cut");
    expect(await run(pipe(), once.once("k", () => from("whole"))).text()).toBe("whole");
  });

  test("of several that record at once the first wins, and all hand on its parts", async () => {
    const once = journal(memoryKeyValue());
    const gates = [gate(), gate(), gate()];
    const readings = gates.map((it, index) => run(pipe(), once.once("k", async function* () { await it.promise; yield text(String(index)); })).text());
    for (const index of [1, 0, 2]) {
      gates[index]?.open();
      for (let turn = 0; turn < 60; turn += 1) await Promise.resolve();
    }
    expect(await Promise.all(readings)).toEqual(["1", "1", "1"]);
  });

  test("gives the same parts the first time and every other, and no system parts of the program's own", async () => {
    const once = journal(memoryKeyValue());
    const make = (): AsyncIterable<Part> => from([text("x", { role: "system", metadata: { n: 1 } })]);
    const [first] = await run(pipe(), once.once("k", make)).collect();
    const [second] = await run(pipe(), once.once("k", make)).collect();
    expect(first).toEqual(second);
    expect([first, second].map((part) => part !== undefined && isTrustedSystem(part))).toEqual([false, false]);
  });

  test("another version of the pipeline makes anew, and another message too, though a queue made anew has it where one was before", async () => {
    const once = journal(memoryKeyValue());
    const words: string[] = [];
    for (const [id, version] of [["m1", "1"], ["m1", "1"], ["m1", "2"], ["m2", "2"]] as const) {
      const queue = memoryQueue({ name: "q" });
      await queue.send([text("a")], { id });
      const sink = written();
      await using worker = consume(queue, model([[version + String(words.length)]]), sink, { journal: once, version });
      await until(() => worker.counters.acked === 1);
      words.push(...sink.words);
    }
    expect(words).toEqual(["10", "10", "22", "23"]);
  });

  test("a record too large, one that cannot be read, and a store that cannot set once are refused", async () => {
    const store = memoryKeyValue();
    await expect(run(pipe(), journal(store, { maxBytes: 100 }).once("k", () => from("x".repeat(200)))).text()).rejects.toMatchObject({ code: "too_large" });
    await store.set("journal:k", new TextEncoder().encode("{"));
    await expect(run(pipe(), journal(store).once("k", () => from("x"))).text()).rejects.toMatchObject({ code: "bad_response", retryable: false });
    await store.set("journal:k", new TextEncoder().encode(JSON.stringify({ v: 2, parts: [codec.encode(text("x"))] })));
    await expect(run(pipe(), journal(store).once("k", () => from("x"))).text()).rejects.toMatchObject({ code: "bad_response" });
    expect(() => journal({ ...store, lacks: { ifAbsent: "no condition" } })).toThrow(/one that sets a value once/);
    expect(() => journal(store, { ttlMs: 0 })).toThrow(/journal: ttlMs/);
  });

  test("keys of any length", async () => {
    const once = journal(memoryKeyValue());
    const long = "q/".repeat(500);
    expect(await run(pipe(), once.once(`${long}1`, () => from("one"))).text()).toBe("one");
    expect(await run(pipe(), once.once(`${long}2`, () => from("two"))).text()).toBe("two");
    expect(await run(pipe(), once.once(`${long}1`, () => from("three"))).text()).toBe("one");
  });
});

test("an attempt that is given up while its transaction is waited for runs nothing when it comes to its turn", async () => {
  const clock = fakeClock();
  const queue = await filled(["a"], { clock });
  const base = database();
  const connecting = gate();
  let transactions = 0;
  const atomic: NonNullable<Sink["atomic"]> = async (delivery, write) => {
    if ((transactions += 1) === 1) await connecting.promise;
    return base.sink.atomic?.(delivery, write) ?? "applied";
  };
  let runs = 0;
  await using worker = consume(queue, tap(() => void (runs += 1)), { ...base.sink, atomic }, { clock, deliveryTimeoutMs: 5_000 });
  await until(() => transactions === 1);
  await clock.advance(5_000);
  connecting.open();
  await turns();
  expect([runs, base.rows]).toEqual([0, []]);
  await until(() => worker.counters.acked === 1, clock);
  expect([runs, base.rows]).toEqual([1, ["a"]]);
});

test("an attempt whose lease is over while it works has no effect, however late it goes on", async () => {
  const clock = fakeClock();
  const inner = await filled(["a"], { clock, leaseMs: 10_000 });
  const queue = likeDeliveries(inner, ({ extend: _, ...delivery }) => delivery); // nobody prolongs it
  const base = database();
  const working = gate();
  let attempts = 0;
  const processor = each(async (part) => {
    attempts += 1;
    if (attempts === 1) await working.promise;
    return part;
  });
  await using worker = consume(queue, processor, base.sink, { clock, concurrency: 2 });
  await until(() => attempts === 1);
  await clock.advance(10_000);
  await until(() => worker.counters.acked === 1);
  working.open();
  await turns(10);
  expect([base.rows, base.begun, worker.counters.acked, worker.counters.lost]).toEqual([["a"], 2, 1, 1]);
});
