import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memoryKeyValue, memoryQueue } from "../../src/adapters/memory/index.ts";
import { answerCalls } from "../../src/delivery/answer-calls.ts";
import { call } from "../../src/delivery/call.ts";
import { replyHeaders, requestHeaders } from "../../src/delivery/call-headers.ts";
import { journal } from "../../src/kinds/journal.ts";
import { WaitingCall } from "../../src/delivery/waiting-call.ts";
import { bytes, each, isText, json, type MillraceError, type Processor, run, text } from "../../src/index.ts";
import type { Delivery } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { failureOf, gate, heardEvents, lettersIn, like, until, wordOf } from "./support.ts";

const shout = each((part) => (isText(part) ? part.text.toUpperCase() : part));
const queues = () => ({ requests: memoryQueue({ name: "requests" }), replies: memoryQueue({ name: "replies" }) });

describe("call", () => {
  test("gives what the stage on the other side gives, every kind of part, and stays usable", async () => {
    const { requests, replies } = queues();
    await using worker = answerCalls(requests, shout, [replies]);
    const remote = call(requests, replies);
    const parts = await run(remote, ["a", json({ n: 1 }), bytes(Uint8Array.of(1, 2), "image/png")]).collect();
    expect(parts.map(wordOf)).toEqual(["A", "json", "bytes"]);
    expect(await run(remote, "again").text()).toBe("AGAIN");
    expect(await run(remote, []).collect()).toEqual([]);
    await until(() => worker.counters.acked === 3);
    expect([requests.counts, replies.counts]).toMatchObject([{ waiting: 0, inFlight: 0 }, { waiting: 0, inFlight: 0 }]);
  });

  test("hands parts on as they come", async () => {
    const { requests, replies } = queues();
    const { promise, open } = gate();
    await using _ = answerCalls(requests, async function* () {
      yield text("first");
      await promise;
      yield text("second");
    }, [replies]);
    const iterator = run(call(requests, replies), "go")[Symbol.asyncIterator]();
    expect(wordOf((await iterator.next()).value)).toBe("first"); // or it would wait for ever
    open();
    expect(wordOf((await iterator.next()).value)).toBe("second");
    expect((await iterator.next()).done).toBe(true);
  });

  test("one part a call: at once as many as it may, in the order of the input, the others pass by", async () => {
    const { requests, replies } = queues();
    let running = 0;
    let most = 0;
    const { promise, open } = gate();
    await using _ = answerCalls(requests, each(async (part) => {
      most = Math.max(most, (running += 1));
      if (running === 3) open();
      await promise;
      running -= 1;
      return `<${wordOf(part)}>`;
    }), [replies], { concurrency: 3 });
    const parts = await run(call(requests, replies, { message: "part", concurrency: 3, match: isText }), ["a", json(1), "b", "c"]).collect();
    expect(parts.map(wordOf)).toEqual(["<a>", "json", "<b>", "<c>"]);
    expect(most).toBe(3);
  });

  test("each caller gets its own replies", async () => {
    const requests = memoryQueue({ name: "requests" });
    const [one, two] = [memoryQueue({ name: "one" }), memoryQueue({ name: "two" })];
    await using _ = answerCalls(requests, shout, [one, two], { concurrency: 4 });
    const words = Array.from({ length: 20 }, (_, n) => `w${n}`);
    const [first, second] = [call(requests, one), call(requests, two)];
    const answers = await Promise.all(words.flatMap((word) => [run(first, word).text(), run(second, `${word}!`).text()]));
    expect(answers).toEqual(words.flatMap((word) => [word.toUpperCase(), `${word.toUpperCase()}!`]));
  });

  test("a failure over there is the caller's: its code and no message, and there is no use in trying again", async () => {
    const { requests, replies } = queues();
    await using _ = answerCalls(requests, each(() => {
      throw Object.assign(new Error("key sk-123"), {});
    }), [replies], { maxDeliveries: 2, baseMs: 0 });
    const { error } = await failureOf(run(call(requests, replies), "a"));
    expect([error.code, error.retryable, error.attempts]).toEqual(["bad_response", false, 2]);
    expect(error.message).toBe("call: the other side failed: unknown:Error");
  });

  test("an attempt that failed after some parts breaks the call, for nobody can take them back", async () => {
    const { requests, replies } = queues();
    let attempts = 0;
    const halfway: Processor = async function* () {
      attempts += 1;
      yield text(`a${attempts}`);
      if (attempts === 1) throw new Error("halfway");
      yield text(`b${attempts}`);
    };
    await using _ = answerCalls(requests, halfway, [replies], { baseMs: 0 });
    const { words, error } = await failureOf(run(call(requests, replies), "go"));
    expect([words, error.code]).toEqual([["a1"], "interrupted"]);
  });

  test("with a journal the call goes on where the attempt before had come to", async () => {
    const { requests, replies } = queues();
    let asked = 0;
    let sent = 0;
    const broken = like(replies, {
      async send(parts, options) {
        sent += 1;
        if (sent === 2) throw new Error("the network");
        return replies.send(parts, options);
      },
    });
    const model: Processor = async function* () {
      asked += 1;
      for (const word of ["a", "b", "c"]) yield text(`${word}${asked}`);
    };
    await using _ = answerCalls(requests, model, [broken], { baseMs: 0, journal: journal(memoryKeyValue()) });
    expect(await run(call(requests, replies), "go").text()).toBe("a1b1c1");
    expect([asked, sent]).toEqual([1, 6]); // a, then a b c and the end
  });

  test("a call that takes too long fails, and a request that came too late is not worked on", async () => {
    const { requests, replies } = queues();
    const clock = fakeClock();
    const late = failureOf(run(call(requests, replies, { timeoutMs: 1_000, clock }), "go"));
    await until(() => requests.counts.waiting === 1);
    await clock.advance(1_000);
    expect((await late).error).toMatchObject({ code: "timeout", phase: "total" });
    let runs = 0;
    await requests.send([text("old")], { headers: requestHeaders({ id: "x", replyTo: "replies", timeoutMs: 1 }) });
    await new Promise((resolve) => setTimeout(resolve, 5)); // by the sender's clock, which is the machine's
    await using _ = answerCalls(requests, each(() => void (runs += 1)), [replies], { clock });
    await clock.advance(1_000);
    await until(() => requests.counts.waiting === 0, clock, 1);
    expect(runs).toBeLessThanOrEqual(1); // the first is not late by the clock that its worker reads
    expect(replies.counts.waiting).toBeLessThanOrEqual(1);
  });

  test("a call that runs when its time is over is given up on both sides", async () => {
    const { requests, replies } = queues();
    const clock = fakeClock();
    const events = heardEvents();
    const stuck: Processor = async function* (_, context) {
      yield text("a");
      await new Promise((_, reject) => context?.signal.addEventListener("abort", () => reject(context.signal.reason as Error)));
    };
    await using worker = answerCalls(requests, stuck, [replies], { clock, onEvent: events.onEvent });
    const { words, error } = await failureOf(
      (async function* () {
        for await (const part of run(call(requests, replies, { timeoutMs: 1_000, clock }), "go")) {
          yield part;
          void clock.advance(1_000);
        }
      })(),
    );
    expect([words, error.code, (error.cause as MillraceError).code]).toEqual([["a"], "interrupted", "timeout"]);
    await until(() => events.of("lost").length === 1);
    expect([worker.counters.inFlight, requests.counts]).toMatchObject([0, { waiting: 0 }]);
  });

  test("leaving a call ends the run on the other side, and a request that is not begun yet is dropped", async () => {
    const { requests, replies } = queues();
    const cancellations = memoryQueue({ name: "cancellations" });
    const aborted: unknown[] = [];
    const endless: Processor = async function* (_, context) {
      context?.signal.addEventListener("abort", () => aborted.push(context.signal.reason));
      for (let n = 0; ; n += 1) {
        yield text(`${n}`);
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    };
    const events = heardEvents();
    await using worker = answerCalls(requests, endless, [replies], { cancellations, onEvent: events.onEvent, maxInFlight: 1 });
    const remote = call(requests, replies, { cancellations });
    for await (const _ of run(remote, "go")) break;
    await until(() => aborted.length === 1);
    expect(events.of("lost")[0]?.error).toMatchObject({ message: "answerCalls: the call was cancelled" });

    const controller = new AbortController();
    const busy = run(remote, "busy")[Symbol.asyncIterator]();
    await busy.next();
    const waiting = failureOf(run(remote, "never begun", { signal: controller.signal }));
    await until(() => requests.counts.waiting === 1);
    controller.abort(new Error("changed my mind"));
    expect((await waiting).error).toBe(controller.signal.reason);
    await until(() => cancellations.counts.waiting === 0);
    await busy.return?.();
    await until(() => requests.counts.waiting === 0 && worker.counters.inFlight === 0);
    expect(aborted).toHaveLength(2); // "go" and "busy"
  });

  test("a call that nobody reads holds no more than its share, and holds up no other", async () => {
    const clock = fakeClock();
    const requests = memoryQueue({ name: "requests", clock });
    const replies = memoryQueue({ name: "replies", clock });
    const many = each(async function* (part) {
      for (let n = 0; n < (wordOf(part) === "much" ? 40 : 2); n += 1) yield text(`${n} `);
    });
    await using _ = answerCalls(requests, many, [replies], { concurrency: 2, clock });
    const remote = call(requests, replies, { maxHeld: 8, clock });
    const left = (): number => replies.counts.waiting + replies.counts.delayed;
    const slow = run(remote, "much")[Symbol.asyncIterator]();
    const words = [wordOf((await slow.next()).value)];
    await until(() => requests.counts.waiting === 0 && left() >= 20, clock, 0);
    expect(await run(remote, "little").text()).toBe("0 1 ");
    expect(left()).toBeGreaterThanOrEqual(40 - 1 - 9); // all but those held wait in the queue
    let over = false;
    void (async () => {
      for (let next = await slow.next(); next.done !== true; next = await slow.next()) words.push(wordOf(next.value));
      over = true;
    })();
    await until(() => over, clock, 250);
    expect(words).toEqual(Array.from({ length: 40 }, (_, n) => `${n} `));
  });

  test("where replies cannot be put off, none is lost", async () => {
    const { requests, replies } = queues();
    await using _ = answerCalls(requests, each(async function* () {
      for (let n = 0; n < 50; n += 1) yield text(`${n} `);
    }), [replies]);
    const remote = call(requests, like(replies, { lacks: { delay: "a log", nackDelay: "a log", uncounted: "a log" } }), { maxHeld: 2 });
    expect((await run(remote, "go").collect()).map(wordOf)).toEqual(Array.from({ length: 50 }, (_, n) => `${n} `));
  });

  test("replies that are closed end every call that waits for some", async () => {
    const { requests, replies } = queues();
    const waiting = failureOf(run(call(requests, replies), "go"));
    await until(() => requests.counts.waiting === 1);
    await replies.close();
    expect((await waiting).error.code).toBe("closed");
  });

  test.each<[string, () => unknown, string]>([
    ["requests that are no queue", () => call({} as never, memoryQueue()), "invalid_input"],
    ["one queue for both ways", () => ((queue) => call(queue, queue))(memoryQueue()), "invalid_input"],
    ["replies that may be lost", () => call(memoryQueue(), like(memoryQueue(), { guarantee: "at-most-once" })), "missing_config"],
    ["no time", () => call(memoryQueue(), memoryQueue(), { timeoutMs: 0 }), "invalid_input"],
    ["keys where there are none", () => call(like(memoryQueue(), { lacks: { keys: "none" } }), memoryQueue(), { key: () => "k" }), "invalid_input"],
    ["answers to nobody", () => answerCalls(memoryQueue(), shout, []), "invalid_input"],
    ["two replies of one name", () => answerCalls(memoryQueue({ name: "q" }), shout, [memoryQueue(), memoryQueue()]), "invalid_input"],
    ["answers that may be lost", () => answerCalls(memoryQueue(), shout, [like(memoryQueue(), { guarantee: "at-most-once" })]), "missing_config"],
  ])("refuses %s", (_, build, code) => {
    expect(build).toThrow(expect.objectContaining({ code }));
  });
});

describe("answerCalls", () => {
  test("what is no call, and a call that wants its reply elsewhere, is set aside unread", async () => {
    const { requests, replies } = queues();
    const dead = memoryQueue({ name: "dead" });
    let runs = 0;
    await using worker = answerCalls(requests, each(() => void (runs += 1)), [replies], { deadLetter: dead });
    await requests.send([text("no call")]);
    await requests.send([text("elsewhere")], { headers: requestHeaders({ id: "1", replyTo: "admin", timeoutMs: 1_000 }) });
    await until(() => worker.counters.deadLettered === 2);
    expect((await lettersIn(dead)).map(({ word, letter }) => [word, letter?.code])).toEqual([["no call", "invalid_input"], ["elsewhere", "refused"]]);
    expect([runs, replies.counts.waiting]).toEqual([0, 0]);
  });
});

describe("a waiting call", () => {
  const runs = Number(process.env.PROPERTY_RUNS ?? 200);
  const runOf = (attempt: number) => ({ id: `r${attempt}`, attempt, beganMs: attempt });
  const replyOf = (attempt: number, n: number, end: number) => ({ id: "c", run: runOf(attempt), n, kind: n === end ? ("end" as const) : ("part" as const) });
  const delivered = (word: string): Delivery => ({ id: word, attempt: 1, parts: [text(word)], headers: {}, signal: new AbortController().signal, ack: async () => {}, nack: async () => {} });

  test("gives the replies of the newest attempt, each once and in order, however they come", async () => {
    // what comes: every reply of the last attempt at least once, and any of all attempts besides
    const history = fc.record({ attempts: fc.integer({ min: 1, max: 3 }), end: fc.integer({ min: 0, max: 6 }) }).chain(({ attempts, end }) => {
      const any = fc.tuple(fc.integer({ min: 1, max: attempts }), fc.integer({ min: 0, max: end }));
      const last = Array.from({ length: end + 1 }, (_, n): [number, number] => [attempts, n]);
      return fc.array(any, { maxLength: 12 }).chain((more) => fc.shuffledSubarray([...last, ...more], { minLength: last.length + more.length })).map((replies) => ({ replies, attempts, end }));
    });
    await fc.assert(
      fc.asyncProperty(history, async ({ replies, attempts, end }) => {
        const waiting = new WaitingCall("c", 256, () => {});
        for (const [attempt, n] of replies) expect(waiting.take(delivered(`${attempt}.${n}`), replyOf(attempt, n, end), () => true)).toBe(true);
        const words: string[] = [];
        for (let part = await waiting.next(); part !== undefined; part = await waiting.next()) words.push(wordOf(part));
        expect(words).toEqual(Array.from({ length: end }, (_, n) => `${attempts}.${n}`));
      }),
      { numRuns: runs },
    );
  });

  test("without room it takes the one that it waits for, and no other", () => {
    const waiting = new WaitingCall("c", 256, () => {});
    expect([2, 0, 1].map((n) => waiting.take(delivered(`${n}`), replyOf(1, n, 9), () => false))).toEqual([false, true, false]);
    expect(waiting.size).toBe(1);
  });

  test("headers that are none of a reply lead to no call", async () => {
    const { requests, replies } = queues();
    await using _ = answerCalls(requests, shout, [replies]);
    const remote = call(requests, replies);
    const first = run(remote, "a").text();
    await replies.send([text("x")], { headers: { call: { v: 1, id: "?", run: null, n: -1, kind: "part" } } });
    await replies.send([text("x")], { headers: replyHeaders(replyOf(1, 0, 9)) });
    expect([await first, await run(remote, "b").text(), replies.counts.waiting]).toEqual(["A", "B", 0]);
  });
});
