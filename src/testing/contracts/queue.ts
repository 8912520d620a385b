/**
 * What every queue must do. Runs under any runner: it takes `describe` and `it`.
 *
 * @module
 */
import { systemClock } from "../../core/clock.ts";
import { bytes, json, text, toolResult } from "../../core/constructors.ts";
import type { Part } from "../../core/part.ts";
import type { Queue, QueueAbility } from "../../kinds/queue.ts";
import { check, equal, failsAs, failsWith } from "./check.ts";
import { reading, shown, textsIn } from "./queue-reading.ts";
import type { TestRunner } from "./runner.ts";
import { withOpen } from "./with-open.ts";

/** The queue under test. */
export interface QueueSubject {
  readonly name: string;
  /** Opens a queue that holds nothing; called once for each test, which closes it. Messages are written as `envelope()` does. */
  open(): Promise<Queue> | Queue;
  /** What the queue says of itself: what does not hold then is skipped with the reason, and the declaration is compared. */
  readonly declares: Pick<Queue, "guarantee" | "redelivery" | "durable" | "lacks">;
  /** Moves the queue's clock on, where a test can. @default real time passes; delays are some hundred milliseconds then */
  readonly passTime?: (ms: number) => Promise<void>;
  /** Puts a body as a foreign sender would. @default what is said of unreadable messages is not tested */
  readonly put?: (queue: Queue, body: Uint8Array) => Promise<void> | void;
  /** Waits until whoever reads would get what is sent now. @default nothing: messages wait for their readers */
  readonly subscribed?: (queue: Queue) => Promise<void>;
}

/**
 * The contract of the queue kind.
 *
 * @example
 * import { describe, it } from "node:test";
 *
 * const clock = fakeClock();
 * queueContract({ describe, it }, {
 *   name: "memory",
 *   open: () => memoryQueue({ clock }),
 *   declares: { guarantee: "at-least-once", redelivery: "nack", durable: false, lacks: {} },
 *   passTime: (ms) => clock.advance(ms),
 *   put: (queue, body) => void (queue as MemoryQueue).put(body),
 * });
 */
export function queueContract({ describe, it }: TestRunner, subject: QueueSubject): void {
  const { declares } = subject;
  const { lacks, redelivery } = declares;
  const passTime = subject.passTime ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
  // Of a queue with a clock of its own: short enough to wait for, long enough to be seen waiting.
  const delayMs = subject.passTime === undefined ? 600 : 60_000;
  const test = (name: string, body: (queue: Queue) => Promise<void>, ...reasons: readonly (string | undefined)[]): void => {
    const reason = reasons.find((it) => it !== undefined);
    const run = async (): Promise<void> => withOpen(await subject.open(), body);
    if (reason === undefined) it(name, run);
    else it.skip(`${name} (${reason})`, run);
  };
  const once = declares.guarantee === "at-most-once" ? "delivers at most once" : undefined;
  const partitioned = redelivery === "seek" ? "one reader a partition" : undefined;
  const ability = (name: QueueAbility): string | undefined => lacks[name];
  /** A reading that gets what is sent from now on. */
  const listening = async (queue: Queue, options: Parameters<typeof reading>[1] = {}): Promise<ReturnType<typeof reading>> => {
    const reader = reading(queue, options);
    if (subject.subscribed !== undefined) {
      reader.raw().catch(() => {}); // heard by whoever takes it
      await subject.subscribed(queue);
    }
    return reader;
  };
  const send = async (queue: Queue, ...words: readonly string[]): Promise<string[]> => {
    const key = lacks.keys === undefined ? { key: "k" } : {};
    const ids: string[] = [];
    for (const word of words) ids.push((await queue.send([text(word)], key)).id);
    return ids;
  };

  describe(`queue contract: ${subject.name}`, () => {
    test("says what it is", async (queue) => {
      const { guarantee, durable, leaseMs } = queue;
      equal({ guarantee, redelivery: queue.redelivery, durable, lacks: queue.lacks }, declares, "what it declares");
      equal([/^[a-z0-9-]+$/.test(queue.service), queue.name.length > 0], [true, true], "service name in kebab-case, and a name");
      equal((leaseMs ?? 0) > 0, redelivery === "lease", "a time, exactly where messages come back after one");
    });

    test("delivers what was sent: every kind of part, and what is told beside them", async (queue) => {
      const parts: readonly Part[] = [
        text("añ", { role: "assistant", substream: "draft", metadata: { page: 1 } }),
        bytes(Uint8Array.of(0, 255, 10), "image/png"),
        json({ list: [1, null, "x"] }),
        toolResult({ id: "1", name: "f", result: 7 }),
      ];
      const reader = await listening(queue);
      const traceparent = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`;
      const sent = await queue.send(parts, { id: "m-1", correlationId: "c-1", traceparent, headers: { tries: 2 } });
      const [delivery] = await reader.settle(1);
      equal(delivery?.parts.map(shown), parts.map(shown), "the parts");
      equal([delivery?.id, delivery?.attempt, delivery?.unreadable === undefined], [sent.id, 1, true], "id and attempt");
      equal([delivery?.messageId, delivery?.correlationId, delivery?.traceparent, delivery?.headers], ["m-1", "c-1", traceparent, { tries: 2 }], "what is told");
      equal(delivery?.id.startsWith(queue.name), true, "the id names the queue");
    });

    test("a message may have no parts, and system parts become the user's", async (queue) => {
      const reader = await listening(queue);
      await queue.send([]);
      await queue.send([text("obey", { role: "system" })]);
      const [empty, obey] = await reader.settle(2);
      equal([empty?.parts.length, obey?.parts[0]?.role], [0, "user"], "parts, and the role");
    });

    test("delivers in the order of sending, each with an id of its own", async (queue) => {
      const reader = await listening(queue);
      const ids = await send(queue, "a", "b", "c", "d");
      const deliveries = await reader.settle(4);
      equal(textsIn(deliveries), ["a", "b", "c", "d"], "the order");
      equal(deliveries.map(({ id }) => id), ids, "the ids");
      equal(new Set(ids).size, 4, "different ids");
    });

    test("what is acknowledged does not come again; what is not does, under the same id", async (queue) => {
      const ids = await send(queue, "a", "b", "c");
      const first = reading(queue);
      const [a] = await first.take(3);
      await a?.ack();
      await first.leave();
      const again = await reading(queue).settle(2);
      equal(textsIn(again), ["b", "c"], "what comes again");
      equal(again.map(({ id }) => id), ids.slice(1), "its ids");
      if (lacks.attempts === undefined) equal(again.map(({ attempt }) => attempt), [2, 2], "its attempts");
    }, once);

    test("what is given back comes again, and its attempts are counted unless they are not to be", async (queue) => {
      await send(queue, "a");
      let reader = reading(queue);
      const attempts: number[] = [];
      for (const counted of [true, false, true]) {
        const delivery = await reader.next();
        attempts.push(delivery.attempt);
        await delivery.nack({ counted });
        if (redelivery !== "seek") continue;
        await reader.leave();
        reader = reading(queue);
      }
      const [last] = await reader.settle(1);
      equal(textsIn(last === undefined ? [] : [last]), ["a"], "the message");
      const wanted = ability("uncounted") === undefined ? [1, 2, 2, 3] : [1, 2, 3, 4];
      if (ability("attempts") === undefined) equal([...attempts, last?.attempt], wanted, "attempts");
    }, once);

    test("a delivery settles once", async (queue) => {
      await send(queue, "a", "b");
      const [a, b] = await reading(queue).take(2);
      check(a !== undefined && b !== undefined, "two deliveries");
      await a.ack();
      await failsWith("closed", () => a.ack(), "a second ack");
      await failsWith("closed", () => a.nack(), "a nack after it");
      await b.nack();
      await failsWith("closed", () => b.ack(), "an ack after a nack");
    }, once);

    test("what is delayed comes after its time, not before what is sent later", async (queue) => {
      await queue.send([text("late")], { delayMs });
      await send(queue, "early");
      const reader = reading(queue);
      equal(textsIn(await reader.settle(1)), ["early"], "first");
      const pending = reader.next();
      await passTime(delayMs);
      equal(textsIn([await pending]), ["late"], "then");
    }, once, ability("delay"));

    test("what is given back for later comes after its time, and its reader has room for what is sent meanwhile", async (queue) => {
      await queue.send([text("late")]);
      const reader = reading(queue, { maxInFlight: 1 });
      const late = await reader.next();
      const askedMs = systemClock.now();
      await late.nack({ delayMs });
      if (partitioned === undefined) {
        await queue.send([text("between")]);
        equal(textsIn(await reader.settle(1)), ["between"], "meanwhile"); // a log has its partition wait
      }
      let cameMs: number | undefined;
      const pending = reader.next().finally(() => (cameMs = systemClock.now()));
      if (subject.passTime !== undefined) {
        await passTime(delayMs - 1);
        equal(cameMs, undefined, "before its time");
      }
      await passTime(delayMs);
      equal(textsIn([await pending]), ["late"], "again");
      // whatever else takes time makes it later, never earlier; a tenth is for clocks that differ
      if (subject.passTime === undefined) check((cameMs ?? 0) - askedMs >= delayMs * 0.9, "not before its time");
    }, once, ability("nackDelay"));

    test("a delay that is none, or that the queue cannot keep, is refused, and the delivery stays out", async (queue) => {
      const reader = await listening(queue);
      await send(queue, "a");
      const delivery = await reader.next();
      for (const bad of [-1, 1.5, NaN]) await failsWith("invalid_input", () => delivery.nack({ delayMs: bad }), `delayMs ${bad}`);
      if (lacks.nackDelay !== undefined) await failsWith("invalid_input", () => delivery.nack({ delayMs: 1 }), "a delay");
      equal(delivery.signal.aborted, false, "it is still the reader's");
      await delivery.ack();
    });

    test("a lease that is over, and is not prolonged, gives the message to another", async (queue) => {
      const leaseMs = queue.leaseMs ?? 0;
      await send(queue, "a");
      const [one] = await reading(queue).take(1);
      check(one !== undefined, "a delivery");
      equal(one.extend === undefined, "extend" in lacks, "no extend where it is declared as lacking");
      if (one.extend !== undefined) {
        await passTime(Math.ceil(leaseMs * 0.8));
        await one.extend(leaseMs);
        await passTime(Math.ceil(leaseMs * 0.8));
        equal(one.signal.aborted, false, "lost though it was prolonged");
      }
      const other = reading(queue);
      const [taken] = await Promise.all([other.next(), passTime(leaseMs)]);
      equal([taken.id, taken.attempt, one.signal.aborted], [one.id, 2, true], "the other's, and the first has lost it");
      await failsWith("closed", () => one.ack(), "ack of the first");
      if (one.extend !== undefined) await failsWith("closed", () => one.extend?.(leaseMs), "extend of the first");
      await taken.ack();
    }, redelivery === "lease" ? undefined : "has no leases");

    test("hands out no more than maxInFlight that are unsettled", async (queue) => {
      const reader = await listening(queue, { maxInFlight: 2 });
      await send(queue, "a", "b", "c");
      const [a] = await reader.take(2);
      let came = false;
      const third = reader.next().then((delivery) => {
        came = true;
        return delivery;
      });
      await passTime(50);
      equal(came, false, "a third, before one is settled");
      await a?.ack();
      equal(textsIn([await third]), ["c"], "the third");
    }, once);

    test("two readers never hold the same message", async (queue) => {
      const words = Array.from({ length: 8 }, (_, i) => String(i));
      for (const word of words) await queue.send([text(word)]);
      const readers = [reading(queue, { maxInFlight: 4 }), reading(queue, { maxInFlight: 4 })];
      const held = (await Promise.all(readers.map((reader) => reader.take(4)))).flat();
      equal(textsIn(held).sort(), words, "messages");
      for (const delivery of held) await delivery.ack();
    }, once, partitioned);

    test("messages of one key stay in order, whoever reads", async (queue) => {
      for (const [key, word] of [["k", "k1"], ["l", "l1"], ["k", "k2"], ["l", "l2"]] as const) await queue.send([text(word)], { key });
      const deliveries = await reading(queue).settle(4);
      for (const key of ["k", "l"]) equal(textsIn(deliveries.filter((it) => it.key === key)), [`${key}1`, `${key}2`], `those of ${key}`);
    }, once, ability("keys"));

    test("a body that cannot be read is a delivery that says so, and the next one comes", async (queue) => {
      const reader = await listening(queue);
      const bodies = ["no JSON", '{"millrace":99,"parts":[]}', '{"millrace":1,"parts":[{"kind":"text","text":"a","metadata":{"__proto__":{}}}]}', "[]", ""];
      for (const body of bodies) await subject.put?.(queue, new TextEncoder().encode(body));
      await send(queue, "fine");
      const deliveries = await reader.settle(bodies.length + 1);
      const [fine] = deliveries.filter(({ unreadable }) => unreadable === undefined);
      equal(deliveries.map(({ unreadable }) => unreadable?.code ?? "fine").sort(), ["fine", ...bodies.map(() => "invalid_input")], "codes");
      equal(textsIn(fine === undefined ? [] : [fine]), ["fine"], "the message behind them");
      const raw = deliveries.find(({ unreadable }) => unreadable !== undefined)?.parts[0];
      equal(raw?.kind === "bytes" && new TextDecoder().decode(raw.bytes), "no JSON", "its bytes");
    }, subject.put === undefined ? "nothing puts foreign bodies" : undefined);

    test("refuses what it cannot send, before anything is sent", async (queue) => {
      const reader = await listening(queue);
      await failsWith("too_large", () => queue.send([bytes(new Uint8Array(1_048_576), "image/png")]), "1 MiB and its envelope");
      await failsWith("invalid_input", () => queue.send([text("x", { metadata: { f: () => 1 } })]), "metadata that is no JSON");
      await failsWith("invalid_input", () => queue.send([], { id: "" }), "an empty id");
      await failsWith("invalid_input", () => queue.send([], { headers: { f: () => 1 } }), "headers that are no JSON");
      for (const bad of [-1, 1.5, NaN]) await failsWith("invalid_input", () => queue.send([], { delayMs: bad }), `delayMs ${bad}`);
      for (const bad of ["", "a\0b", "k".repeat(257)]) await failsWith("invalid_input", () => queue.send([], { key: bad }), `key ${bad.slice(0, 5)}`);
      if (lacks.keys !== undefined) await failsWith("invalid_input", () => queue.send([], { key: "k" }), "a key");
      if (lacks.delay !== undefined) await failsWith("invalid_input", () => queue.send([], { delayMs: 1 }), "a delay");
      for (const bad of [0, 1.5, NaN]) await failsWith("invalid_input", () => reading(queue, { maxInFlight: bad }).raw(), `maxInFlight ${bad}`);
      await send(queue, "fine");
      equal(textsIn(await reader.settle(1)), ["fine"], "the one message");
    });

    test("hears an abort with the very reason: before any I/O, and while a reader waits", async (queue) => {
      const reason = new Error("enough");
      await failsAs(reason, () => queue.send([text("a")], { signal: AbortSignal.abort(reason) }), "send");
      await failsAs(reason, () => reading(queue, { signal: AbortSignal.abort(reason) }).raw(), "open");
      const controller = new AbortController();
      const pending = failsAs(reason, () => reading(queue, { signal: controller.signal }).raw(), "a waiting reader");
      await passTime(10);
      controller.abort(reason);
      await pending;
    });

    test("an abort gives back what a reader holds", async (queue) => {
      await send(queue, "a");
      const controller = new AbortController();
      const [held] = await reading(queue, { signal: controller.signal }).take(1);
      controller.abort(new Error("enough"));
      const [again] = await reading(queue).settle(1);
      equal([again?.id, held?.signal.aborted], [held?.id, true], "it comes to another reader, and the first has lost it");
    }, once);

    test("a drain ends the handing out, and what is out can still be settled; the abort after it gives back the rest", async (queue) => {
      await send(queue, "a", "b");
      const [drain, controller] = [new AbortController(), new AbortController()];
      const reader = reading(queue, { drain: drain.signal, signal: controller.signal });
      const [a, b] = await reader.take(2);
      const waiting = reader.raw();
      await passTime(10);
      drain.abort();
      equal((await waiting).done, true, "the iteration has ended");
      await send(queue, "c");
      await a?.ack();
      equal(b?.signal.aborted, false, "the other is still the reader's");
      controller.abort(new Error("enough"));
      equal(b?.signal.aborted, true, "until the abort");
      equal(textsIn(await reading(queue).settle(2)).sort(), ["b", "c"], "what is left");
    }, once);

    test("a drain ends a reading that has nothing out, whether it waits for a message or not", async (queue) => {
      for (const waits of [true, false]) {
        await send(queue, "a");
        const [drain, controller] = [new AbortController(), new AbortController()];
        const reader = reading(queue, { drain: drain.signal, signal: controller.signal });
        await reader.settle(1);
        if (waits) reader.raw().catch(() => {}); // heard below
        await passTime(10);
        drain.abort();
        equal((await reader.raw()).done, true, waits ? "the waiting one" : "the idle one");
        controller.abort();
      }
    }, once);

    test("is closed twice without harm, ends what waits, and refuses work afterwards", async (queue) => {
      const waiting = failsWith("closed", () => reading(queue).raw(), "a waiting reader");
      await passTime(10);
      await queue.close();
      await queue.close();
      await waiting;
      await failsWith("closed", () => queue.send([text("a")]), "send");
      await failsWith("closed", () => reading(queue).raw(), "open");
    });
  });
}
