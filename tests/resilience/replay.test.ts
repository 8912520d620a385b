import { expect, test } from "vitest";
import { DONE, type Flow, type Pulled } from "../../src/core/flow.ts";
import { type Part, text } from "../../src/index.ts";
import { ReplayedInput } from "../../src/resilience/attempts/replay.ts";
import { gate, soon, turns } from "../streams/support.ts";

/** A flow whose parts nobody else holds: what is kept of them shows. */
function counted(length: number, ready = true): Flow & { readonly pulls: number; readonly closes: number; alive(): number } {
  const made: WeakRef<object>[] = [];
  const record = { pulls: 0, closes: 0 };
  const next = (): Part | typeof DONE => {
    if (record.pulls > length) return DONE;
    const part = text(String(record.pulls));
    made.push(new WeakRef(part));
    return part;
  };
  return {
    get pulls() {
      return record.pulls;
    },
    get closes() {
      return record.closes;
    },
    pull() {
      record.pulls += 1;
      const pulled = next();
      return ready ? pulled : Promise.resolve(pulled);
    },
    async close() {
      await turns(1);
      record.closes += 1;
    },
    alive() {
      (globalThis as unknown as { gc(): void }).gc();
      return made.filter((part) => part.deref() !== undefined).length;
    },
  };
}
const take = async (flow: Flow, count: number): Promise<string[]> => {
  const seen: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const pulled: Awaited<Pulled> = await flow.pull();
    seen.push(pulled === DONE ? "end" : pulled.kind === "text" ? pulled.text : pulled.kind);
  }
  return seen;
};

test.each([true, false])("R3: readers get all from the start at their own pace, the flow is read once, its end is no failure (ready: %s)", async (ready) => {
  const source = counted(3, ready);
  const input = new ReplayedInput(source, 1_000);
  const [one, two] = [input.reader(), input.reader()];
  expect(await take(one, 5)).toEqual(["1", "2", "3", "end", "end"]);
  expect(await take(two, 2)).toEqual(["1", "2"]);
  expect(await take(input.reader(), 4)).toEqual(["1", "2", "3", "end"]);
  expect(await take(two, 2)).toEqual(["3", "end"]);
  expect([source.pulls, input.failure, input.replayable, input.close(new Error("over"))]).toEqual([4, undefined, true, undefined]);
  expect(source.closes).toBe(0); // it has ended
});

test("R3: what is recorded is let go when it will not be read again, or the slower reader has left", async () => {
  if (!("gc" in globalThis)) return;
  for (const how of ["release", "leave", "limit"] as const) {
    const source = counted(200);
    const input = new ReplayedInput(source, how === "limit" ? 100 : 1_000_000);
    const [quick, slow] = [input.reader(), input.reader()];
    await take(slow, 1);
    await take(quick, 150);
    await turns(1);
    expect([how, source.alive() > 140]).toEqual([how, true]);
    if (how === "release") {
      await slow.close(new Error("slow"));
      input.release();
    } else {
      if (how === "leave") input.release();
      await slow.close(new Error("slow"));
    }
    await turns(1);
    expect([how, source.alive() < 20]).toEqual([how, true]);
    expect(await take(quick, 52)).toEqual([...Array.from({ length: 50 }, (_, i) => String(151 + i)), "end", "end"]);
  }
});

test("when the last reader leaves what will not be read again, the flow is closed, once, and that is waited for", async () => {
  for (const leavesFirst of [true, false]) {
    const source = counted(10);
    const input = new ReplayedInput(source, 1_000);
    const reader = input.reader();
    await take(reader, 1);
    if (leavesFirst) {
      expect(reader.close(new Error("enough"))).toBeUndefined(); // it may be read again
      await turns(2);
      expect(source.closes).toBe(0);
      input.release();
    } else {
      input.release();
      await reader.close(new Error("enough"));
      expect(source.closes).toBe(1);
    }
    await input.close(new Error("over"));
    await reader.close(new Error("again"));
    expect([source.closes, source.pulls, await take(reader, 1), source.pulls]).toEqual([1, 1, ["end"], 1]);
  }
});

test("closing rejects whoever waits, and what comes later is nobody's", async () => {
  const late = gate();
  const input = new ReplayedInput({ pull: () => late.promise as Promise<Part>, close: () => undefined }, 1_000);
  const reader = input.reader();
  const why = new Error("enough");
  const waiting = expect(soon(Promise.resolve(reader.pull()))).rejects.toBe(why);
  void input.close(why);
  await waiting;
  late.fail(new Error("late"));
  await turns(1);
  expect(input.failure).toBeUndefined();
});
