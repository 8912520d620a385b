import { describe, expect, test } from "vitest";
import { memoryKeyValue, memoryQueue } from "../../src/adapters/memory/index.ts";
import { answerCalls } from "../../src/delivery/answer-calls.ts";
import { call } from "../../src/delivery/call.ts";
import { type CallReply, replyHeaders } from "../../src/delivery/call-headers.ts";
import { ReplyDesk } from "../../src/delivery/reply-desk.ts";
import { WaitingCall } from "../../src/delivery/waiting-call.ts";
import { each, isText, MillraceError, type Part, pipe, type Processor, run, text } from "../../src/index.ts";
import { journal } from "../../src/kinds/journal.ts";
import type { Delivery, Queue } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { failureOf, like, turns, until, wordOf } from "./support.ts";

const queues = () => ({ requests: memoryQueue({ name: "requests" }), replies: memoryQueue({ name: "replies" }) });
const shout = each((part) => (isText(part) ? part.text.toUpperCase() : part));
/** 400 parts for one: more than all that is held and read ahead. */
const much: Processor = each(async function* (part) {
  for (let n = 0; n < 400; n += 1) yield text(`${wordOf(part)}${n}`);
});
const muchOf = (word: string): string[] => Array.from({ length: 400 }, (_, n) => `${word}${n}`);
const replyOf = (id: string, n: number, kind: CallReply["kind"] = "part"): CallReply => ({ id, run: { id: "r", attempt: 1, beganMs: 1 }, n, kind, ...(kind === "failed" ? { codes: ["refused"] } : {}) });
const sendReply = (queue: Queue, id: string, n: number, word = "x"): Promise<unknown> => queue.send([text(word)], { headers: replyHeaders(replyOf(id, n)) });
const delivered = (word: string): Delivery => ({ id: word, attempt: 1, parts: [text(word)], headers: {}, signal: new AbortController().signal, ack: async () => {}, nack: async () => {} });

const ways: readonly [string, Partial<Queue>][] = [
  ["cannot be put off", { lacks: { nackDelay: "a list", delay: "a list" } }],
  ["are a log", { redelivery: "seek" }],
];
for (const [what, changes] of ways) {
  describe(`replies that ${what}`, () => {
    test("of two calls at once come all and in order, however many there are", { timeout: 20_000 }, async () => {
      const { requests, replies } = queues();
      await using _ = answerCalls(requests, much, [replies], { concurrency: 2 });
      const parts = await run(call(requests, like(replies, changes), { message: "part", concurrency: 2 }), ["a", "b"]).collect();
      expect(parts.map(wordOf)).toEqual([...muchOf("a"), ...muchOf("b")]);
    });

    test("do not wait for a run that stands still, and wait in the queue when nobody asks for any", { timeout: 20_000 }, async () => {
      const { requests, replies } = queues();
      await using worker = answerCalls(requests, much, [replies], { concurrency: 2 });
      const remote = call(requests, like(replies, changes), { maxHeld: 8 });
      const slow = run(remote, "a")[Symbol.asyncIterator]();
      const words = [wordOf((await slow.next()).value)];
      await until(() => worker.counters.acked === 1);
      await turns();
      expect(replies.counts.waiting + replies.counts.inFlight).toBeGreaterThanOrEqual(401 - 1 - 9);
      expect((await run(remote, "b").collect()).map(wordOf)).toEqual(muchOf("b"));
      for (let next = await slow.next(); next.done !== true; next = await slow.next()) words.push(wordOf(next.value));
      expect(words).toEqual(muchOf("a"));
    });

    test("are held for a call that stands still up to a number of bytes; then it fails, and the others go on", async () => {
      const replies = memoryQueue({ name: "replies" });
      const desk = new ReplyDesk(like(replies, changes), 100_000);
      const [stalled, small, waiting] = ["stalled", "small", "waiting"].map((id) => desk.join(id, 2)) as [WaitingCall, WaitingCall, WaitingCall];
      const got = waiting.next();
      const bytes: number[] = [];
      for (let n = 0; n < 12; n += 1) {
        await sendReply(replies, "stalled", n, "x".repeat(10_000));
        await turns(1);
        bytes.push(stalled.bytes + small.bytes + waiting.bytes);
        if (n !== 9) continue;
        await sendReply(replies, "small", 0);
        await sendReply(replies, "small", 1, "x".repeat(10_000)); // too much, but the other holds more
      }
      await sendReply(replies, "waiting", 0, "y");
      expect(wordOf(await got)).toBe("y");
      expect(Math.max(...bytes)).toBeGreaterThan(90_000);
      expect(Math.max(...bytes)).toBeLessThanOrEqual(100_000);
      expect([stalled.bytes, stalled.size, small.size]).toEqual([0, 0, 2]); // what nobody will read is let go at once
      await expect(stalled.next()).rejects.toMatchObject({ code: "too_large", scope: "delivery", message: expect.stringContaining("memory replies cannot put off") });
      expect([wordOf(await small.next()), replies.counts]).toMatchObject(["x", { waiting: 0 }]);
      await replies.close();
    });

    test("of a call that is merely slow wait for it, however large they are", async () => {
      const replies = memoryQueue({ name: "replies" });
      const desk = new ReplyDesk(like(replies, changes), 2_000);
      const slow = desk.join("slow", 100);
      const idle = desk.join("idle", 100); // it asks for nothing
      for (let n = 0; n < 20; n += 1) await sendReply(replies, "slow", n, `${n} `.repeat(500));
      for (let n = 0; n < 20; n += 1) {
        await turns();
        expect([slow.size, slow.bytes]).toEqual([1, 0]); // the next one, and no other is that small
        expect(wordOf(await slow.next())).toBe(`${n} `.repeat(500));
      }
      expect(idle.size).toBe(0);
      await replies.close();
    });

    test("are taken in any order, and beyond the limit while the call itself waits for an earlier one", async () => {
      const replies = memoryQueue({ name: "replies" });
      const desk = new ReplyDesk(like(replies, changes), 100_000);
      const waiting = desk.join("c", 2);
      const got = waiting.next();
      for (const n of [4, 3, 2, 1, 0]) await sendReply(replies, "c", n, `${n}`);
      expect(wordOf(await got)).toBe("0");
      for (const n of [1, 2, 3, 4]) expect(wordOf(await waiting.next())).toBe(`${n}`);
      await replies.close();
    });
  });
}

test("replies that can be put off come again later when they are too large to be held, and none fails", async () => {
  const clock = fakeClock();
  const replies = memoryQueue({ name: "replies", clock });
  const desk = new ReplyDesk(replies, 10_000);
  const [stalled, waiting] = [desk.join("stalled", 100), desk.join("waiting", 100)];
  const got = waiting.next();
  for (let n = 0; n < 4; n += 1) await sendReply(replies, "stalled", n, "x".repeat(4_000));
  await sendReply(replies, "waiting", 0, "y");
  expect(wordOf(await got)).toBe("y");
  expect([stalled.size, replies.counts.delayed]).toEqual([2, 2]); // the next one, and one more: half of the bytes are the other's
  for (let n = 0; n < 4; n += 1) {
    const word = stalled.next();
    await clock.advance(250);
    expect(wordOf(await word)).toHaveLength(4_000);
  }
  await replies.close();
});

test("what is said of a part beside its content counts too", () => {
  const waiting = new WaitingCall("c", 256, () => {});
  const [plain, large] = [text("x"), text("x", { metadata: { note: "y".repeat(5_000) } })];
  const sizes: number[] = [];
  const take = (part: Part, n: number): boolean => waiting.take({ ...delivered(""), parts: [part] }, replyOf("c", n), (bytes) => sizes.push(bytes) > 0);
  expect([take(plain, 1), take(large, 2), waiting.bytes]).toEqual([true, true, sizes.reduce((sum, size) => sum + size)]);
  expect((sizes[1] ?? 0) - (sizes[0] ?? 0)).toBe(5_000 + '{"note":""}'.length);
});

describe("one queue of replies", () => {
  /** The same queue, and how often it was opened. */
  const counted = (queue: Queue): { readonly queue: Queue; readonly opened: () => number } => {
    let opened = 0;
    const open: Queue["open"] = (options) => ((opened += 1), queue.open(options));
    return { queue: like(queue, { open }), opened: () => opened };
  };

  test("serves several stages, in one pipeline too", { timeout: 20_000 }, async () => {
    const [first, second] = [memoryQueue({ name: "first" }), memoryQueue({ name: "second" })];
    const replies = memoryQueue({ name: "replies" });
    const { queue, opened } = counted(replies);
    await using _ = answerCalls(first, shout, [replies]);
    await using __ = answerCalls(second, each((part) => `<${wordOf(part)}>`), [replies]);
    expect(await run(pipe(call(first, queue), call(second, queue)), "x").text()).toBe("<X>");
    expect(opened()).toBe(1);
  });

  test("serves calls that are built for each request", { timeout: 20_000 }, async () => {
    const { requests, replies } = queues();
    const { queue, opened } = counted(replies);
    await using _ = answerCalls(requests, shout, [replies]);
    for (const word of ["a", "b", "c"]) expect(await run(call(requests, queue), word).text()).toBe(word.toUpperCase());
    expect(opened()).toBe(1);
  });

  test("that was closed fails each call", async () => {
    const { requests, replies } = queues();
    await using _ = answerCalls(requests, shout, [replies]);
    expect(await run(call(requests, replies), "a").text()).toBe("A");
    await replies.close();
    for (const word of ["b", "c"]) expect((await failureOf(run(call(requests, replies), word))).error.code).toBe("closed");
  });

  const limits: readonly [what: string, maxHeld: readonly number[], replies: readonly (readonly [call: number, n: number])[], sizes: readonly number[]][] = [
    ["for each call what its own stage holds at most", [1, 100], [[0, 1], [0, 2], [1, 1], [1, 2]], [1, 2]],
    ["for all calls what the largest stage holds at most", [3, 4, 2], [[0, 1], [1, 1], [2, 1], [0, 2], [1, 2]], [1, 1, 1]],
  ];
  for (const [what, maxHeld, sent, sizes] of limits) {
    test(`holds ${what}`, async () => {
      const queue = memoryQueue({ name: "replies", clock: fakeClock() });
      const desk = new ReplyDesk(queue);
      const waiting = maxHeld.map((most, index) => desk.join(`c-${index}`, most));
      for (const [index, n] of sent) await sendReply(queue, `c-${index}`, n);
      await turns();
      expect([waiting.map(({ size }) => size), queue.counts.delayed]).toEqual([sizes, sent.length - sizes.reduce((sum, size) => sum + size, 0)]);
      await queue.close();
    });
  }
});

describe("a failure of the other side ends the call", () => {
  const always = (): boolean => true;
  const cases: readonly [what: string, before: readonly number[], read: number, failed: number, words: readonly string[]][] = [
    ["at the number of a part that was read", [0], 1, 0, ["0"]],
    ["below what was read", [0, 1, 2], 3, 1, ["0", "1", "2"]],
    ["at the number of a part that is held", [0, 1, 2], 1, 1, ["0", "1", "2"]],
    ["at its own", [0, 1], 1, 2, ["0", "1"]],
  ];
  for (const [what, before, read, failed, words] of cases) {
    test(`also ${what}`, async () => {
      const waiting = new WaitingCall("c", 256, () => {});
      for (const n of before) waiting.take(delivered(`${n}`), replyOf("c", n), always);
      const got: string[] = [];
      for (let n = 0; n < read; n += 1) got.push(wordOf(await waiting.next()));
      for (let twice = 0; twice < 2; twice += 1) expect(waiting.take(delivered("!"), replyOf("c", failed, "failed"), always)).toBe(true);
      const rest = (async () => {
        for (let part = await waiting.next(); part !== undefined; part = await waiting.next()) got.push(wordOf(part));
      })();
      await expect(rest).rejects.toMatchObject({ code: "refused" });
      expect(got).toEqual(words);
    });
  }

  test("but not one that has reached its end", async () => {
    const waiting = new WaitingCall("c", 256, () => {});
    waiting.take(delivered("0"), replyOf("c", 0), always);
    waiting.take(delivered(""), replyOf("c", 1, "end"), always);
    waiting.take(delivered("!"), replyOf("c", 1, "failed"), always);
    expect([wordOf(await waiting.next()), await waiting.next()]).toEqual(["0", undefined]);
  });

  test("when its last send was stored and not confirmed", { timeout: 20_000 }, async () => {
    const { requests, replies } = queues();
    let sent = 0;
    const unsure = like(replies, {
      async send(parts, options) {
        const stored = await replies.send(parts, options);
        if ((sent += 1) === 1) throw new MillraceError("interrupted", "the network");
        return stored;
      },
    });
    await using _ = answerCalls(requests, each(() => ["a", "b"]), [unsure], { maxDeliveries: 1 });
    const { words, error } = await failureOf(run(call(requests, replies), "go"));
    expect([words, error.code, error.message]).toEqual([["a"], "interrupted", "call: the other side failed: interrupted"]);
  });

  test("when an attempt before had got further, by a journal", { timeout: 20_000 }, async () => {
    const { requests, replies } = queues();
    let sent = 0;
    const broken = like(replies, {
      async send(parts, options) {
        sent += 1;
        if (sent === 3 || sent === 4) throw new TypeError("the network");
        return replies.send(parts, options);
      },
    });
    await using _ = answerCalls(requests, each(() => ["a", "b", "c"]), [broken], { maxDeliveries: 2, baseMs: 0, journal: journal(memoryKeyValue()) });
    const { words, error } = await failureOf(run(call(requests, replies), "go"));
    expect([words, error.code, (error.cause as MillraceError).message]).toEqual([["a", "b"], "interrupted", "call: the other side failed: unknown:TypeError"]);
  });
});
