import { describe, expect, test } from "vitest";
import { memoryKeyValue, memoryQueue } from "../../src/adapters/memory/index.ts";
import { relay, type RelayOptions } from "../../src/delivery/relay.ts";
import { journal, text } from "../../src/index.ts";
import { MillraceError } from "../../src/core/errors.ts";
import type { Queue } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { drained, gate, like, turns, until, wordOf } from "./support.ts";

describe("relay", () => {
  test("carries messages whole: parts, id, key, headers and trace, also without any parts", async () => {
    const [source, target] = [memoryQueue({ name: "a" }), memoryQueue({ name: "b" })];
    const traceparent = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`;
    await source.send([text("x"), text("y")], { id: "m-1", key: "k", correlationId: "c-1", traceparent, headers: { tries: 2 } });
    await source.send([], { id: "m-2" });
    await using worker = relay(source, target);
    await until(() => worker.counters.acked === 2);
    const [one, two] = (await drained(target)).toSorted((x, y) => (x.messageId ?? "").localeCompare(y.messageId ?? ""));
    expect(one).toMatchObject({ messageId: "m-1", key: "k", correlationId: "c-1", traceparent, headers: { tries: 2 } });
    expect(one?.parts.map(wordOf)).toEqual(["x", "y"]);
    expect([two?.messageId, two?.parts.length]).toEqual(["m-2", 0]);
    expect(source.counts).toEqual({ waiting: 0, delayed: 0, inFlight: 0 });
  });

  test("keeps the order of each key, though sends fail and others overtake", async () => {
    const clock = fakeClock();
    const [source, target] = [memoryQueue({ name: "a", clock }), memoryQueue({ name: "b" })];
    for (let n = 0; n < 60; n += 1) await source.send([text(String(n))], { key: `k${n % 3}` });
    let sends = 0;
    const shaky: Queue = like(target, {
      async send(parts, options) {
        sends += 1;
        if (sends % 7 === 0) throw new MillraceError("interrupted", "who knows");
        return target.send(parts, options);
      },
    });
    await using worker = relay(source, shaky, { clock });
    await until(() => worker.counters.acked === 60, clock);
    const words = (await drained(target)).map(({ key, parts }) => [key, Number(wordOf(parts[0]))] as const);
    for (const key of ["k0", "k1", "k2"]) {
      const own = words.filter(([of]) => of === key).map(([, n]) => n);
      expect(own).toEqual(own.toSorted((a, b) => a - b));
      expect(own).toHaveLength(20);
    }
  });

  test("a message is taken from its queue only when the other has confirmed it", async () => {
    const clock = fakeClock();
    const [source, target] = [memoryQueue({ name: "a", clock }), memoryQueue({ name: "b" })];
    await source.send([text("x")]);
    let down = true;
    const shaky = like(target, {
      send: (parts, options) => (down ? Promise.reject(new MillraceError("unavailable", "down")) : target.send(parts, options)),
    });
    await using worker = relay(source, shaky, { clock });
    await until(() => worker.counters.nacked + Number(worker.counters.paused) > 0, clock);
    expect(worker.counters.acked).toBe(0);
    down = false;
    await until(() => worker.counters.acked === 1, clock);
    expect((await drained(target)).map(({ parts }) => wordOf(parts[0]))).toEqual(["x"]);
  });

  test("takes undefined for its own defaults, and refuses options that only an untyped caller can give", async () => {
    const [source, target] = [memoryQueue({ name: "a" }), memoryQueue({ name: "b" })];
    for (const extra of [{ batch: { count: 2 } }, { journal: journal(memoryKeyValue()) }]) {
      expect(() => relay(source, target, extra as RelayOptions)).toThrow(expect.objectContaining({ code: "missing_config" }));
    }
    for (const word of ["1", "2", "3", "4"]) await source.send([text(word)], { key: "k" });
    const slow = gate();
    const first = like(target, { send: async (parts, options) => (wordOf([...parts][0]) === "1" && (await slow.promise), target.send(parts, options)) });
    await using worker = relay(source, first, { ordering: undefined } as unknown as RelayOptions);
    await turns();
    slow.open();
    await until(() => worker.counters.acked === 4);
    expect((await drained(target)).map(({ parts }) => wordOf(parts[0]))).toEqual(["1", "2", "3", "4"]);
  });

  test("refuses what would lose messages", () => {
    const [source, target] = [memoryQueue({ name: "a" }), memoryQueue({ name: "b" })];
    expect(() => relay(source, source)).toThrow(expect.objectContaining({ code: "invalid_input" }));
    expect(() => relay(source, like(target, { guarantee: "at-most-once" }))).toThrow(expect.objectContaining({ code: "missing_config" }));
    expect(() => relay(like(source, { durable: true }), target)).toThrow(/handoff/);
  });
});
