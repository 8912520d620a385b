import { describe, expect, test } from "vitest";
import { memoryQueue } from "../../src/adapters/memory/index.ts";
import { each, MillraceError, type Part, pipe, type Processor, tap } from "../../src/index.ts";
import { consume } from "../../src/delivery/worker.ts";
import type { Delivery, NackOptions, QueueAbility } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { filled, firstWord, gate, heardEvents, lettersIn, like, likeDeliveries, turns, until, wordOf } from "./support.ts";

const half = (): number => 0.5;
const down = (): MillraceError => new MillraceError("unavailable", "down");
/** Fails with these, one after the other, and then no more. */
const troubled = (...troubles: unknown[]): Processor =>
  tap(() => {
    if (troubles.length > 0) throw troubles.shift();
  });

describe("D4: during a pause", () => {
  test("a probe that fails by chance has not shown that all is well: the pause goes on, twice as long", async () => {
    const clock = fakeClock();
    const queue = await filled([..."abc"], { clock });
    const events = heardEvents();
    const beganMs: number[] = [];
    const noting = tap(() => void beganMs.push(clock.now()));
    await using worker = consume(queue, pipe(noting, troubled(down(), new TypeError("by chance"))), undefined, { clock, random: half, onEvent: events.onEvent });
    await until(() => worker.counters.acked === 3, clock, 100);
    expect(events.of("paused").map(({ delayMs }) => delayMs)).toEqual([500, 1_000]);
    expect(beganMs.slice(0, 3)).toEqual([0, 500, 1_500]);
  });

  test("a source that delivers at most once is not read either; what failed is lost, and told", async () => {
    const clock = fakeClock();
    const queue = like(await filled([..."abc"], { clock }), { guarantee: "at-most-once", redelivery: "none" });
    const events = heardEvents();
    await using worker = consume(queue, troubled(down()), undefined, { clock, random: half, maxInFlight: 1, onEvent: events.onEvent });
    await until(() => worker.counters.paused);
    await clock.advance(499);
    expect([events.kinds(), worker.counters.received]).toEqual([["paused", "lost"], 1]);
    await until(() => worker.counters.acked === 2, clock);
  });

  test("the event has the number of the attempt, also after one that counted", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    const events = heardEvents();
    await using worker = consume(queue, troubled(new TypeError("once"), down()), undefined, { clock, onEvent: events.onEvent });
    await until(() => worker.counters.acked === 1, clock);
    expect(events.of("retried").map(({ attempt, counted }) => [attempt, counted])).toEqual([[1, true], [2, false]]);
  });
});

describe("D4: what a queue cannot do, the worker does", () => {
  /** A queue that lacks something, and what it is told when a delivery is given back. */
  const lacking = async (ability: QueueAbility, clock: ReturnType<typeof fakeClock>) => {
    const nacks: (readonly [atMs: number, options: NackOptions | undefined])[] = [];
    const queue = likeDeliveries(await filled(["a", "b"], { clock }), (delivery) => ({
      ...delivery,
      nack: (options) => (nacks.push([clock.now(), options]), delivery.nack(options)),
    }), { lacks: { [ability]: "it cannot" } });
    return { queue, nacks };
  };

  test("it waits before it gives back to a queue that cannot delay", async () => {
    const clock = fakeClock();
    const { queue, nacks } = await lacking("nackDelay", clock);
    await using worker = consume(queue, troubled(new TypeError("once")), undefined, { clock, random: half });
    await until(() => worker.counters.acked === 1);
    await turns();
    expect(nacks).toEqual([]);
    await until(() => worker.counters.acked === 2, clock, 100);
    expect(nacks).toEqual([[500, { counted: true }]]);
  });

  test("in a pause it holds what such a queue would deliver again at once", async () => {
    const clock = fakeClock();
    const { queue, nacks } = await lacking("nackDelay", clock);
    await using worker = consume(queue, troubled(down()), undefined, { clock, random: half });
    await until(() => worker.counters.acked === 2, clock);
    expect([nacks, worker.counters.received]).toEqual([[], 2]);
  });

  test("it asks for nothing uncounted where all is counted", async () => {
    const clock = fakeClock();
    const { queue, nacks } = await lacking("uncounted", clock);
    const worker = consume(queue, each(() => new Promise<undefined>(() => {})), undefined, { clock });
    await until(() => worker.counters.inFlight === 2);
    const stopping = worker.stop({ deadlineMs: 0 });
    await clock.advance(250);
    expect(await stopping).toMatchObject({ nacked: 2 });
    expect(nacks).toEqual([[0, { delayMs: 0 }], [0, { delayMs: 0 }]]);
  });

  test("it counts for a queue that does not, also for the dead letter of what cannot be worked on", async () => {
    const clock = fakeClock();
    const queue = likeDeliveries(await filled(["a"], { clock }), (delivery) => ({ ...delivery, attempt: 1 }), { lacks: { attempts: "no counter" } });
    const dead = memoryQueue();
    await using worker = consume(queue, troubled(new TypeError("once"), new MillraceError("invalid_input", "bad")), undefined, { clock, deadLetter: dead });
    await until(() => worker.counters.deadLettered === 1, clock);
    expect((await lettersIn(dead)).map(({ letter }) => letter?.attempt)).toEqual([2]);
  });

  test("what is acknowledged and comes again all the same is new to it", async () => {
    const clock = fakeClock();
    const inner = await filled(["a", "b"], { clock });
    const twin = likeDeliveries(inner, (delivery) => ({ ...delivery, id: "q/1", attempt: 1 })); // as after a crash of the broker
    const events = heardEvents();
    await using worker = consume(twin, troubled(new TypeError("once")), undefined, { clock, ordering: "strict", onEvent: events.onEvent });
    await until(() => worker.counters.acked === 2, clock);
    expect(events.of("acked").map(({ attempt }) => attempt)).toEqual([2, 1]);
  });
});

describe("D8: a delivery that is lost", () => {
  /** A queue whose delivery of "a" is taken away. */
  const revocable = async (clock: ReturnType<typeof fakeClock>, words: readonly string[], changes: (delivery: Delivery) => Partial<Delivery> = () => ({})) => {
    const revoked = new AbortController();
    const nacked: string[] = [];
    const queue = likeDeliveries(await filled(words, { clock }), (delivery) => ({
      ...delivery,
      nack: (options) => (nacked.push(firstWord(delivery)), delivery.nack(options)),
      ...(firstWord(delivery) === "a" ? { signal: revoked.signal } : {}),
      ...changes(delivery),
    }));
    return { queue, nacked, revoke: () => revoked.abort(new MillraceError("closed", "revoked")) };
  };

  test("is told once, however often the others of its batch are tried again", async () => {
    const clock = fakeClock();
    const { queue, revoke } = await revocable(clock, ["a", "b"]);
    const events = heardEvents();
    let tries = 0;
    const processor = tap(async () => {
      tries += 1;
      if (tries === 1) revoke();
      if (tries < 4) throw new TypeError("again");
    });
    await using worker = consume(queue, processor, undefined, { clock, ordering: "strict", batch: { count: 2 }, onEvent: events.onEvent });
    await until(() => worker.counters.acked === 1, clock);
    expect([events.of("lost").map(({ id }) => id), worker.counters.lost]).toEqual([["q/1"], 1]);
  });

  test("while it waits, is not given back when the worker stops, but told", async () => {
    const clock = fakeClock();
    const { queue, nacked, revoke } = await revocable(clock, ["first", "a"]);
    const working = gate();
    const events = heardEvents();
    const worker = consume(queue, each(() => working.promise), undefined, { clock, maxInFlight: 2, onEvent: events.onEvent });
    await until(() => worker.counters.inFlight === 2);
    revoke();
    const stopping = worker.stop();
    await turns();
    working.open();
    expect(await stopping).toEqual({ acked: 1, nacked: 0, deadLettered: 0, abandoned: 0 });
    expect([nacked, events.of("lost").map(({ id }) => id)]).toEqual([[], ["q/2"]]);
  });

  test("while it is acknowledged, is lost, whatever the queue says: no pause for that", async () => {
    const clock = fakeClock();
    const { queue, revoke } = await revocable(clock, ["a"], () => ({ ack: async () => (revoke(), Promise.reject(down())) }));
    const events = heardEvents();
    await using worker = consume(queue, pipe(), undefined, { clock, onEvent: events.onEvent });
    await until(() => worker.counters.inFlight === 0 && worker.counters.received === 1);
    expect([events.kinds(), worker.counters.paused]).toEqual([["lost"], false]);
  });
});

test("D16: a batch is parted when the attempts of any of its deliveries are spent", async () => {
  const clock = fakeClock();
  const queue = likeDeliveries(await filled(["a", "b"], { clock }), (delivery) => ({ ...delivery, attempt: firstWord(delivery) === "b" ? 5 : 1 }));
  const batches: string[] = [];
  const processor: Processor = async function* (input: AsyncIterable<Part>) {
    let words = "";
    for await (const part of input) words += wordOf(part);
    batches.push(words);
    if (words === "ab") throw new TypeError("together");
  };
  await using worker = consume(queue, processor, undefined, { clock, deadLetter: memoryQueue(), batch: { count: 2 }, maxDeliveries: 5 });
  await until(() => worker.counters.acked === 2);
  expect(batches).toEqual(["ab", "a", "b"]);
});

test("D11: a dead letter that nobody confirms does not hold up the stop: the message is given back, and nothing is said of a pause", async () => {
  const clock = fakeClock();
  const queue = await filled(["bad"], { clock });
  const events = heardEvents();
  let asked = false;
  const deadLetter = (): Promise<void> => ((asked = true), new Promise(() => {}));
  const worker = consume(queue, troubled(new MillraceError("invalid_input", "bad")), undefined, { clock, deadLetter, onEvent: events.onEvent });
  await until(() => asked);
  const stopping = worker.stop({ deadlineMs: 1_000 });
  await clock.advance(1_250);
  expect(await stopping).toEqual({ acked: 0, nacked: 1, deadLettered: 0, abandoned: 0 });
  expect([events.kinds(), queue.counts.waiting]).toEqual([["stopped"], 1]);
});
