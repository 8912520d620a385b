import { describe, expect, onTestFinished, test, vi } from "vitest";
import { memoryQueue } from "../../src/adapters/memory/index.ts";
import { answerCalls } from "../../src/delivery/answer-calls.ts";
import { call } from "../../src/delivery/call.ts";
import { cancelHeaders, replyHeaders, requestHeaders } from "../../src/delivery/call-headers.ts";
import { called, Cancellations } from "../../src/delivery/called.ts";
import { deliveryOf } from "../../src/delivery/current.ts";
import { heard } from "../../src/delivery/heard.ts";
import { ReplyDesk } from "../../src/delivery/reply-desk.ts";
import { WaitingCall } from "../../src/delivery/waiting-call.ts";
import { each, MillraceError, type Processor, run, text } from "../../src/index.ts";
import type { Delivery, Queue } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { like, likeDeliveries, turns, until, wordOf } from "./support.ts";

/** A request for a call, read by the other side's way of reading. */
async function reading() {
  const clock = fakeClock();
  const requests = memoryQueue({ name: "requests" });
  const cancellations = new Cancellations();
  const [source, drain, closing] = [new AbortController(), new AbortController(), new AbortController()];
  const cancelled = memoryQueue({ name: "cancelled", maxMessages: 20_000 });
  void cancellations.read(cancelled, closing.signal).catch(() => {});
  await requests.send([text("a")], { headers: requestHeaders({ id: "c-1", replyTo: "replies", timeoutMs: 1_000 }) });
  const own = likeDeliveries(requests, (delivery) => ({ ...delivery, signal: new AbortController().signal })); // not every queue tells of its end
  const iterator = called(own, { replies: () => true, cancellations, clock }).open({ signal: source.signal, drain: drain.signal, maxInFlight: 4 })[Symbol.asyncIterator]();
  const delivery = (await iterator.next()).value as Delivery;
  return { clock, requests, cancelled, source, drain, iterator, delivery };
}

test("a call has the key that its first part is asked for, one without parts has none", async () => {
  const [requests, replies] = [memoryQueue({ name: "requests" }), memoryQueue({ name: "replies" })];
  const keys: unknown[] = [];
  const noting: Processor = async function* (input, context) {
    keys.push(context === undefined ? "nowhere" : deliveryOf(context)?.key);
    yield* input;
  };
  await using _ = answerCalls(requests, noting, [replies]);
  const remote = call(requests, replies, { key: wordOf });
  expect(await run(remote, ["a", "b"]).text()).toBe("ab");
  expect(await run(remote, []).collect()).toEqual([]);
  expect(keys).toEqual(["a", undefined]);
});

test("a wait that hears a signal takes the failure of what it waits for, also when the signal had aborted before", async () => {
  const reason = new Error("enough");
  const late = (): Promise<never> => turns(1).then(() => Promise.reject(new Error("late"))); // nobody else listens
  await expect(heard(late(), AbortSignal.abort(reason))).rejects.toBe(reason);
  const controller = new AbortController();
  const waiting = heard(late(), controller.signal);
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  await turns();
  expect(await heard(Promise.resolve(7), controller.signal).catch(() => "aborted")).toBe("aborted");
  expect(await heard(Promise.resolve(7), new AbortController().signal)).toBe(7);
});

describe("a request that is worked on", () => {
  test("ends by its time and by a cancellation also while the worker drains", async () => {
    for (const how of ["time", "cancellation"] as const) {
      const { clock, cancelled, drain, iterator, delivery, requests } = await reading();
      const ended = iterator.next();
      drain.abort();
      expect((await ended).done).toBe(true);
      expect(delivery.signal.aborted).toBe(false);
      if (how === "time") await clock.advance(1_000);
      else await cancelled.send([], { headers: cancelHeaders("c-1") });
      await turns();
      expect(delivery.signal.reason).toMatchObject({ code: "timeout" });
      expect([clock.pending, requests.counts.inFlight]).toEqual([0, 0]); // acknowledged
    }
  });

  test("leaves no timer when it is settled, nor when its reading is left, or aborted after the drain", async () => {
    const left = await reading();
    await left.iterator.return?.();
    expect(left.clock.pending).toBe(0);
    const aborted = await reading();
    const ended = aborted.iterator.next();
    aborted.drain.abort();
    await ended;
    expect(aborted.clock.pending).toBe(1);
    aborted.source.abort(new Error("closed"));
    expect(aborted.clock.pending).toBe(0);
    for (const settle of ["ack", "nack"] as const) {
      const settled = await reading();
      await settled.delivery[settle]();
      expect(settled.clock.pending).toBe(0);
    }
  });
});

test("of calls that were cancelled before their request came the last 10,000 are known", async () => {
  const cancellations = new Cancellations();
  const queue = memoryQueue({ maxMessages: 20_000 });
  const closing = new AbortController();
  for (let n = 0; n < 10_001; n += 1) await queue.send([], { headers: cancelHeaders(`c-${n}`) });
  void cancellations.read(queue, closing.signal).catch(() => {});
  await until(() => queue.counts.waiting + queue.counts.inFlight === 0);
  closing.abort(new Error("over"));
  const ended: string[] = [];
  for (const id of ["c-0", "c-1", "c-10000", "c-1"]) cancellations.listen(id, () => void ended.push(id));
  expect(ended).toEqual(["c-1", "c-10000"]); // and none of them twice
});

describe("replies", () => {
  const many = each(async function* () {
    for (let n = 0; n < 50; n += 1) yield text(`${n} `);
  });
  const ways: readonly [string, Partial<Queue>][] = [
    ["cannot be put off", { lacks: { nackDelay: "a list", uncounted: "a list" } }],
    ["are a log", { redelivery: "seek" }],
  ];
  for (const [what, changes] of ways) {
    test(`that ${what} wait in the queue for a call that is read slowly, in order, and none is given back`, async () => {
      const [requests, inner] = [memoryQueue({ name: "requests" }), memoryQueue({ name: "replies" })];
      let nacks = 0;
      const replies = likeDeliveries(inner, (delivery) => ({ ...delivery, nack: (options) => ((nacks += 1), delivery.nack(options)) }), changes);
      await using worker = answerCalls(requests, many, [inner]);
      const iterator = run(call(requests, replies, { maxHeld: 2 }), "go")[Symbol.asyncIterator]();
      const words = [wordOf((await iterator.next()).value)];
      await until(() => worker.counters.acked === 1);
      await turns();
      expect(inner.counts.waiting + inner.counts.inFlight).toBeGreaterThanOrEqual(51 - 1 - 3); // all but the one taken and those that are held
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) words.push(wordOf(next.value));
      expect([words, nacks]).toEqual([Array.from({ length: 50 }, (_, n) => `${n} `), 0]);
    });
  }

  test("that could not be read fail the calls that wait; the next call reads them again", async () => {
    const [requests, inner] = [memoryQueue({ name: "requests" }), memoryQueue({ name: "replies" })];
    let opened = 0;
    const replies = like(inner, {
      async *open(options) {
        if ((opened += 1) === 1) throw new MillraceError("unavailable", "cut");
        yield* inner.open(options);
      },
    });
    await using _ = answerCalls(requests, each((part) => part), [inner]);
    const remote = call(requests, replies);
    await expect(run(remote, "a").text()).rejects.toMatchObject({ code: "unavailable" });
    expect(await run(remote, "b").text()).toBe("b");
    expect(opened).toBe(2);
  });

  const held: readonly [what: string, maxHeld: number, calls: number, replies: readonly (readonly [call: number, n: number])[], back: number][] = [
    ["no more than its share of one call", 4, 2, [[0, 1], [0, 2], [0, 3]], 1],
    ["no more than all may have, however many call", 2, 3, [[0, 1], [1, 1], [2, 1]], 1],
    ["of each call the one that it waits for, besides", 1, 3, [[0, 1], [1, 0], [2, 0]], 0],
  ];
  for (const [what, maxHeld, calls, replies, back] of held) {
    test(`are held, ${what}`, async () => {
      const queue = memoryQueue({ name: "replies", clock: fakeClock() });
      const desk = new ReplyDesk(queue);
      const waiting = Array.from({ length: calls }, (_, index) => desk.join(`c-${index}`, maxHeld));
      for (const [index, n] of replies) {
        await queue.send([text("x")], { headers: replyHeaders({ id: `c-${index}`, run: { id: "r", attempt: 1, beganMs: 1 }, n, kind: "part" }) });
      }
      await turns();
      expect([waiting.reduce((sum, { size }) => sum + size, 0), queue.counts]).toEqual([replies.length - back, { waiting: 0, delayed: back, inFlight: 0 }]);
      await queue.close();
    });
  }

  test("of a call that has failed are taken, and held no more", () => {
    const waiting = new WaitingCall("c", 256, () => {});
    waiting.fail(new Error("over"));
    const reply = { id: "c", run: { id: "r", attempt: 1, beganMs: 1 }, n: 0, kind: "part" } as const;
    const delivery: Delivery = { id: "d", attempt: 1, parts: [text("x")], headers: {}, signal: new AbortController().signal, ack: async () => {}, nack: async () => {} };
    expect([waiting.take(delivery, reply, () => true), waiting.size]).toEqual([true, 0]);
  });
});

test("an attempt without outputs, after one that had some, is no end of the call: made in place too", async () => {
  const [requests, replies] = [memoryQueue({ name: "requests" }), memoryQueue({ name: "replies" })];
  const still = Date.now();
  const stopped = vi.spyOn(Date, "now").mockReturnValue(still); // both within one millisecond
  onTestFinished(() => stopped.mockRestore());
  let attempts = 0;
  const processor: Processor = async function* () {
    attempts += 1;
    if (attempts > 1) return;
    yield text("half of it");
    throw new TypeError("again");
  };
  await using worker = answerCalls(requests, processor, [replies], { ordering: "strict", baseMs: 0 }); // the same delivery, twice
  await expect(run(call(requests, replies), "go").collect()).rejects.toMatchObject({ code: "interrupted" });
  await until(() => worker.counters.acked === 1);
  expect(attempts).toBe(2);
});
