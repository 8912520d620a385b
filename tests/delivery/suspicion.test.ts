import { describe, expect, test } from "vitest";
import { type MemoryQueue, memoryQueue } from "../../src/adapters/memory/index.ts";
import { each, MillraceError, type Part, type Processor, tap, text } from "../../src/index.ts";
import type { ConsumeOptions } from "../../src/delivery/options.ts";
import { Suspicion } from "../../src/delivery/suspicion.ts";
import { consume, type Worker } from "../../src/delivery/worker.ts";
import type { Queue } from "../../src/kinds/queue.ts";
import { type FakeClock, fakeClock } from "../../src/testing/index.ts";
import { drained, filled, firstWord, heardEvents, like, until, wordOf, written } from "./support.ts";

const minute = 60_000;
const isBad = (part: Part): boolean => wordOf(part).startsWith("bad");
const bug = (): TypeError => new TypeError("a bug, or a service that answers nonsense");
const poison = (): MillraceError => new MillraceError("invalid_input", "m");
const badWords = (count: number): string[] => Array.from({ length: count }, (_, i) => `bad${i}`);
const left = ({ counts }: MemoryQueue): number => counts.waiting + counts.delayed + counts.inFlight;

/** A worker in front of messages that are all bad, and when the dead letters came: milliseconds. */
function worker(clock: FakeClock, queue: Queue, error: () => unknown, options: ConsumeOptions = {}): { readonly worker: Worker; readonly asideMs: number[] } {
  const asideMs: number[] = [];
  const deadLetter = async (): Promise<void> => void asideMs.push(clock.now());
  const fails = tap((part) => {
    if (isBad(part)) throw error();
  });
  return { worker: consume(queue, fails, undefined, { clock, deadLetter, ...options }), asideMs };
}

describe("D4: what looks like bad messages is believed to be an outage, for a time that is known", () => {
  const ways: readonly [what: string, error: () => unknown, options: ConsumeOptions][] = [
    ["that fail by chance", bug, { maxDeliveries: 3 }],
    ["that cannot be worked on", poison, { maxDeliveries: 1, errorBudget: { inARow: 5 } }],
    ["in batches", bug, { maxDeliveries: 3, batch: { count: 4 } }],
    ["in strict order", bug, { maxDeliveries: 3, ordering: "strict" }],
    ["by key, of one key", bug, { maxDeliveries: 3, ordering: "key", concurrency: 2 }],
  ];
  for (const [what, error, options] of ways) {
    test(`bad messages ${what}, with no others behind them, are decided after ten minutes, one a minute at the latest`, async () => {
      const clock = fakeClock();
      const queue = await filled(badWords(12), { clock, key: () => "k" });
      const { worker: it, asideMs } = worker(clock, queue, error, { random: () => 1, ...options });
      await using _ = it;
      await until(() => it.counters.deadLettered === 12, clock, 10_000);
      const late = asideMs.slice(4).filter((ms) => ms < 10 * minute);
      expect([late, left(queue)]).toEqual([[], 0]);
      // one try a minute, and each may need all of its tries
      expect(clock.now()).toBeLessThanOrEqual((10 + 1 + 12 * (options.maxDeliveries ?? 0)) * minute);
    });
  }

  test("where those that wait stay out, a good one behind them is reached", async () => {
    const clock = fakeClock();
    const inner = await filled([...badWords(8), "good"], { clock });
    const queue = like(inner, { lacks: { uncounted: "the broker counts deliveries" } });
    const { worker: it, asideMs } = worker(clock, queue, bug, { maxDeliveries: 2, maxInFlight: 5 });
    await using _ = it;
    await until(() => it.counters.acked === 1 && it.counters.deadLettered === 8, clock, 10_000);
    expect(asideMs[4]).toBeGreaterThanOrEqual(10 * minute); // four may be chance
  });

  test("a good one behind many bad ones is reached by tries a second apart, about two for each of them, not by longer and longer pauses", async () => {
    const clock = fakeClock();
    const queue = await filled([...badWords(30), "good"], { clock });
    const { worker: it, asideMs } = worker(clock, queue, bug, { maxDeliveries: 1, concurrency: 5, maxInFlight: 31, random: () => 1 });
    await using _ = it;
    await until(() => it.counters.acked === 1, clock, 500);
    expect(clock.now()).toBeLessThanOrEqual(60_000);
    expect([it.counters.paused, asideMs.length]).toEqual([false, 4]); // four may be chance
  });

  test("a good message that comes ends the pause within a minute, also after those ten", async () => {
    const clock = fakeClock();
    const queue = await filled(badWords(8), { clock });
    const { worker: it } = worker(clock, queue, bug, { maxDeliveries: 2 });
    await using _ = it;
    await until(() => it.counters.deadLettered === 8, clock, 10_000);
    expect(it.counters.paused).toBe(true);
    await queue.send([text("good")]);
    await clock.advance(minute);
    expect([it.counters.acked, it.counters.paused]).toEqual([1, false]);
  });

  test("during a pause a bad message that is not spent yet stays away as those that are, or it would be the next probe again", async () => {
    const clock = fakeClock();
    const queue = await filled(badWords(5), { clock });
    const events = heardEvents();
    await using it = consume(queue, tap((part) => {
      if (isBad(part)) throw bug();
    }), undefined, { clock, deadLetter: async () => {}, maxDeliveries: 3, random: () => 1, onEvent: events.onEvent });
    await until(() => it.counters.paused, clock, 100);
    const seen = events.all.length;
    const { id } = await queue.send([text("bad5")]);
    const tries = () => events.all.slice(seen).flatMap((event, at, later) => (event.kind === "retried" && event.id === id && event.counted ? [{ awayMs: event.delayMs, pause: later[at - 1] }] : []));
    await until(() => tries().length > 0, clock, 500);
    const [{ awayMs, pause } = { awayMs: 0, pause: undefined }] = tries();
    expect(pause).toMatchObject({ kind: "paused" }); // it was a probe
    expect(awayMs).toBeGreaterThan(pause?.kind === "paused" ? pause.delayMs : Infinity);
  });

  for (const concurrency of [1, 4]) {
    test(`of 300 messages, 2 % bad, with an outage that nobody names for 60 s in the middle, exactly the bad ones are set aside: ${concurrency} at once`, async () => {
      const clock = fakeClock();
      const count = 300;
      const queue = memoryQueue({ name: "q", clock, maxMessages: count });
      for (let i = 0; i < count; i += 1) await queue.send([text(`${i % 50 === 25 ? "bad" : "good"}${i}`)]);
      const dead = memoryQueue();
      const sink = written();
      let [worked, failed, downUntilMs] = [0, 0, 0];
      const processor = each(async (part) => {
        await clock.sleep(50);
        if (worked >= count / 2) downUntilMs ||= clock.now() + minute;
        if (clock.now() < downUntilMs) failed += 1;
        if (clock.now() < downUntilMs || isBad(part)) throw bug();
        worked += 1;
        return part;
      });
      await using it = consume(queue, processor, sink, { clock, deadLetter: dead, concurrency });
      await until(() => it.counters.acked + it.counters.deadLettered === count, clock, 5_000);
      const aside = (await drained(dead)).map(firstWord);
      expect([aside.length, aside.filter((word) => !word.startsWith("bad"))]).toEqual([6, []]);
      expect([new Set(sink.words).size, failed > 5]).toEqual([294, true]);
    });
  }

  test("of an outage that lasts longer, one message a pause is set aside, and none for as long as the worker is told", async () => {
    for (const [outageMs, most] of [[10 * minute, 31], [Infinity, 0]] as const) {
      const clock = fakeClock();
      const queue = await filled(Array.from({ length: 100 }, (_, i) => String(i)), { clock });
      const events = heardEvents();
      let down = true;
      const processor: Processor = tap(() => {
        if (down) throw bug();
      });
      await using it = consume(queue, processor, undefined, { clock, outageMs, concurrency: 8, maxDeliveries: 2, random: () => 0.5, deadLetter: async () => {}, onEvent: events.onEvent });
      await until(() => clock.now() >= 25 * minute, clock, 10_000);
      expect(it.counters.deadLettered).toBeLessThanOrEqual(most); // pauses of 30 s, after the first ten minutes
      expect(it.counters.deadLettered > 10).toBe(most > 0);
      down = false;
      const before = it.counters.deadLettered;
      await until(() => it.counters.acked + it.counters.deadLettered === 100, clock, 10_000);
      expect([it.counters.deadLettered, events.of("resumed").length]).toEqual([before, 1]);
    }
  });

  test("bad messages among good ones are set aside at once, however many: each success ends the suspicion", async () => {
    const clock = fakeClock();
    const queue = await filled(badWords(20).flatMap((word) => [word, "good"]), { clock });
    const events = heardEvents();
    const { worker: it } = worker(clock, queue, bug, { maxDeliveries: 1, errorBudget: false, onEvent: events.onEvent });
    await using _ = it;
    await until(() => it.counters.acked === 20);
    expect([it.counters.deadLettered, events.of("paused")]).toEqual([20, []]);
  });

  test("with 0 no message is spared: all are set aside as soon as they are spent", async () => {
    const clock = fakeClock();
    const queue = await filled(badWords(50), { clock });
    const { worker: it } = worker(clock, queue, poison, { outageMs: 0 });
    await using _ = it;
    await until(() => it.counters.deadLettered === 50);
    expect([clock.now(), it.counters.paused]).toEqual([0, false]);
  });

  test("what is spared comes back when it is to be decided, and before that stays away as long again as the pause has lasted", async () => {
    const clock = fakeClock();
    const queue = await filled(badWords(6), { clock });
    const events = heardEvents();
    const spared: [atMs: number, delayMs: number][] = [];
    const onEvent: typeof events.onEvent = (event) => {
      if (event.kind === "retried" && !event.counted) spared.push([clock.now(), event.delayMs]);
    };
    const { worker: it } = worker(clock, queue, bug, { maxDeliveries: 1, random: () => 1, onEvent });
    await using _ = it;
    await until(() => it.counters.deadLettered === 6, clock, 30_000);
    const [firstMs = 0] = spared[0] ?? [];
    const away = spared.map(([atMs, delayMs]) => [atMs - firstMs, delayMs]);
    expect(away.slice(0, 4)).toEqual([[0, 1_000], [1_000, 2_000], [2_000, 3_000], [3_000, 4_000]]); // the pause, and what it has lasted
    expect(away.filter(([atMs = 0, delayMs = 0]) => atMs + delayMs > 11 * minute)).toEqual([]);
  });

  test("an outage that is named in between is no sign of bad messages: the time begins anew", async () => {
    const clock = fakeClock();
    const queue = await filled(badWords(6), { clock });
    let named = false;
    const { worker: it, asideMs } = worker(clock, queue, () => (named ? new MillraceError("unavailable", "down") : bug()), { maxDeliveries: 1 });
    await using _ = it;
    await until(() => it.counters.paused, clock);
    await clock.advance(9 * minute);
    named = true;
    await clock.advance(2 * minute);
    named = false;
    const againMs = clock.now();
    await until(() => it.counters.deadLettered === 6, clock, 10_000);
    expect(asideMs[4]).toBeGreaterThanOrEqual(againMs + 10 * minute);
  });
});

describe("a suspicion", () => {
  test("needs five different deliveries, and ends with a success", () => {
    const suspicion = new Suspicion(fakeClock(), minute);
    for (const id of ["a", "b", "c", "d", "a", "b"]) suspicion.failed(id);
    expect([suspicion.many, suspicion.on]).toEqual([false, false]);
    suspicion.failed("e");
    expect([suspicion.many, suspicion.spares(false), suspicion.on]).toEqual([true, true, true]);
    suspicion.succeeded();
    expect([suspicion.many, suspicion.on, suspicion.leftMs]).toEqual([false, false, minute]);
  });

  test("spares everything for its time, to the millisecond, and then all but probes", async () => {
    const clock = fakeClock();
    const suspicion = new Suspicion(clock, minute);
    expect(suspicion.spares(true)).toBe(true);
    await clock.advance(minute - 1);
    expect([suspicion.leftMs, suspicion.spares(true), suspicion.spares(false)]).toEqual([1, true, true]);
    await clock.advance(1);
    expect([suspicion.leftMs, suspicion.spares(true), suspicion.spares(false), suspicion.on]).toEqual([0, false, true, true]);
    suspicion.named();
    expect([suspicion.on, suspicion.spares(true)]).toEqual([false, true]);
  });
});
