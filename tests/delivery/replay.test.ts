import { describe, expect, test } from "vitest";
import { memoryQueue } from "../../src/adapters/memory/index.ts";
import { MillraceError, tap, text } from "../../src/index.ts";
import { letterIn } from "../../src/delivery/dead-letter.ts";
import { replay } from "../../src/delivery/replay.ts";
import { consume } from "../../src/delivery/worker.ts";
import type { Delivery } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { drained, filled, firstWord, like, likeDeliveries, until, wordOf } from "./support.ts";

/** Dead letters of these words, and the queue they came from. */
async function failed(words: readonly string[]): Promise<{ readonly queue: ReturnType<typeof memoryQueue>; readonly dead: ReturnType<typeof memoryQueue> }> {
  const queue = memoryQueue({ name: "q" });
  for (const word of words) await queue.send([text(word)], { key: "k", headers: { of: word }, correlationId: `c-${word}` });
  const dead = memoryQueue({ name: "dead" });
  const processor = tap((part) => {
    throw new MillraceError(wordOf(part).startsWith("no") ? "no_route" : "invalid_input", "bad");
  });
  const worker = consume(queue, processor, undefined, { deadLetter: dead });
  await until(() => worker.counters.deadLettered === words.length);
  await worker.stop();
  return { queue, dead };
}

test("a header that is no dead letter is none, whatever somebody wrote there", () => {
  for (const deadLetter of [null, undefined, "text", 7, [], {}, { v: 2, id: "q/1" }, { v: 1 }, { v: 1, id: 7 }, { id: "q/1" }]) {
    expect(letterIn({ headers: { deadLetter } } as unknown as Delivery), JSON.stringify(deadLetter)).toBeUndefined();
  }
  expect(letterIn({ headers: { deadLetter: { v: 1, id: "q/1" } } } as unknown as Delivery)).toMatchObject({ id: "q/1" });
});

test("the reading of the dead letters is ended when the replay is over, and when it failed", async () => {
  for (const fails of [false, true]) {
    const { queue, dead } = await failed(["a"]);
    let reading: AbortSignal | undefined;
    const noted = like(dead, { open: (options) => ((reading = options.signal), dead.open(options)) });
    const target = fails ? like(queue, { send: () => Promise.reject(new MillraceError("unavailable", "down")) }) : queue;
    const outcome = await played((clock) => replay(noted, target, { clock })).catch(() => "failed");
    expect([outcome === "failed", reading?.aborted, dead.counts.inFlight]).toEqual([fails, true, 0]);
  }
});

/** Plays it with a clock that goes on by itself. */
async function played<T>(replaying: (clock: ReturnType<typeof fakeClock>) => Promise<T>): Promise<T> {
  const clock = fakeClock();
  let over = false;
  const result = replaying(clock).finally(() => (over = true));
  result.catch(() => {});
  await until(() => over, clock, 100);
  return result;
}

describe("replay", () => {
  test("sends dead letters back as new messages: attempts from 1, what failed named, nothing else changed", async () => {
    const { queue, dead } = await failed(["a", "b"]);
    expect(await played((clock) => replay(dead, queue, { clock }))).toEqual({ replayed: 2, passedOver: 0 });
    const back = await drained(queue);
    expect(back.map((it) => [firstWord(it), it.attempt, it.key, it.correlationId, it.headers])).toEqual([
      ["a", 1, "k", "c-a", { of: "a", replayOf: "q/1" }],
      ["b", 1, "k", "c-b", { of: "b", replayOf: "q/2" }],
    ]);
    expect(dead.counts).toEqual({ waiting: 0, delayed: 0, inFlight: 0 });
  });

  test("takes a dead letter away only when the queue has confirmed the message", async () => {
    const { queue, dead } = await failed(["a"]);
    const down = new MillraceError("unavailable", "down");
    await expect(played((clock) => replay(dead, like(queue, { send: () => Promise.reject(down) }), { clock }))).rejects.toBe(down);
    expect(dead.counts).toEqual({ waiting: 1, delayed: 0, inFlight: 0 });
  });

  test("one that cannot be taken away fails, and is sent again by the next replay", async () => {
    const { queue, dead } = await failed(["a"]);
    const cut = new MillraceError("unavailable", "cut");
    const stuck = likeDeliveries(dead, (delivery) => ({ ...delivery, ack: () => Promise.reject(cut) }));
    await expect(played((clock) => replay(stuck, queue, { clock }))).rejects.toBe(cut);
    expect(await played((clock) => replay(dead, queue, { clock }))).toEqual({ replayed: 1, passedOver: 0 });
    expect((await drained(queue)).map(firstWord)).toEqual(["a", "a"]);
  });

  test("leaves where they are those that match refuses, those without their parts, and what is no dead letter", async () => {
    const { queue, dead } = await failed(["a", "no1", "b"]);
    await dead.send([text("stray")]);
    await dead.send([], { headers: { deadLetter: { v: 1, id: "q/9", reference: true } } });
    expect(await played((clock) => replay(dead, queue, { clock, match: ({ code }) => code !== "no_route" }))).toEqual({ replayed: 2, passedOver: 3 });
    expect((await drained(queue)).map(firstWord)).toEqual(["a", "b"]);
    const left = await drained(dead);
    expect(left.map((it) => [letterIn(it)?.code, firstWord(it), it.attempt])).toEqual([["no_route", "no1", 1], [undefined, "stray", 1], [undefined, "nothing", 1]]);
  });

  test("no more than the limit", async () => {
    const { queue, dead } = await failed(["a", "b", "c"]);
    expect(await replay(dead, queue, { limit: 2 })).toEqual({ replayed: 2, passedOver: 0 });
    expect([queue.counts.waiting, dead.counts.waiting]).toEqual([2, 1]);
  });

  test("is over when none has come for a while, and not before", async () => {
    const clock = fakeClock();
    const { queue, dead } = await failed(["a"]);
    let result: unknown;
    const replaying = replay(dead, queue, { clock, idleMs: 500 }).then((it) => (result = it));
    await clock.advance(499);
    expect([queue.counts.waiting, result]).toEqual([1, undefined]);
    await clock.advance(1);
    await replaying;
    expect([result, clock.pending]).toEqual([{ replayed: 1, passedOver: 0 }, 0]);
  });

  test("hears an abort with the very reason, before it begins and while it waits", async () => {
    const queue = await filled([]);
    const dead = memoryQueue();
    const reason = new Error("enough");
    await expect(replay(dead, queue, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const replaying = replay(dead, queue, { signal: controller.signal, clock: fakeClock() });
    controller.abort(reason);
    await expect(replaying).rejects.toBe(reason);
  });

  test("refuses bad options, and a queue into itself", async () => {
    const [queue, dead] = [memoryQueue(), memoryQueue()];
    await expect(replay(queue, queue)).rejects.toMatchObject({ code: "invalid_input", message: expect.stringMatching(/two queues/) as string });
    await expect(replay(dead, queue, { limit: 0 })).rejects.toThrow(/replay: limit/);
    await expect(replay(dead, queue, { idleMs: 0 })).rejects.toThrow(/replay: idleMs/);
    await expect(replay({} as typeof dead, queue)).rejects.toThrow(/replay: deadLetters must be a queue/);
  });
});
