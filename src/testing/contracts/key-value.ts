/**
 * What every key-value store must do. Runs under any runner: it takes `describe` and `it`.
 *
 * @module
 */
import type { KeyValueAbility, KeyValueStore, MarkStore } from "../../kinds/key-value.ts";
import type { Advanced } from "../../kinds/marks.ts";
import { check, equal, failsAs, failsWith } from "./check.ts";
import type { TestRunner } from "./runner.ts";
import { withOpen } from "./with-open.ts";

/** The store under test. */
export interface KeyValueSubject {
  readonly name: string;
  /** Opens a store that holds nothing; called once for each test, which closes it. */
  open(): Promise<KeyValueStore> | KeyValueStore;
  /** What the store declares in `lacks`: those tests are skipped with the reason, and the declaration is compared. */
  readonly lacks?: KeyValueStore["lacks"];
  /** Moves the store's clock on, where a test can. @default real time passes; values live for some hundred milliseconds then */
  readonly passTime?: (ms: number) => Promise<void>;
}

/**
 * The contract of the key-value kind.
 *
 * @example
 * import { describe, it } from "node:test";
 *
 * const clock = fakeClock();
 * keyValueContract({ describe, it }, { name: "memory", open: () => memoryKeyValue({ clock }), passTime: (ms) => clock.advance(ms) });
 */
export function keyValueContract({ describe, it }: TestRunner, subject: KeyValueSubject): void {
  const lacks = subject.lacks ?? {};
  const passTime = subject.passTime ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
  // Of a store with a clock of its own, where an answer takes its time: short enough to wait for, long enough to be seen alive.
  const lifeMs = subject.passTime === undefined ? 400 : 60_000;
  const test = (name: string, body: (store: KeyValueStore) => Promise<void>, needs?: KeyValueAbility): void => {
    const reason = needs === undefined ? undefined : lacks[needs];
    const run = async (): Promise<void> => withOpen(await subject.open(), body);
    if (reason === undefined) it(name, run);
    else it.skip(`${name} (${reason})`, run);
  };
  const markTest = (name: string, body: (store: MarkStore) => Promise<void>): void =>
    test(name, async (store) => {
      check(hasMarks(store), "advance is there, as lacks does not name it");
      await body(store);
    }, "advance");

  describe(`key-value contract: ${subject.name}`, () => {
    test("declares what it lacks", async (store) => {
      equal(store.lacks, lacks, "lacks");
      equal(/^[a-z0-9-]+$/.test(store.service), true, "service name in kebab-case");
      equal(store.advance === undefined, "advance" in lacks, "no advance where it is declared as lacking");
    });

    test("gives back the bytes that were set, all of them and no others", async (store) => {
      for (const size of [0, 1, 256, 70_000]) {
        equal(await store.set(`size ${size}`, pattern(size)), true, "it was set");
        equal(show(await store.get(`size ${size}`)), show(pattern(size)), `${size} bytes`);
      }
      equal(show(await store.get("nothing")), "nothing", "a key without a value");
      await store.set("size 256", pattern(3));
      equal(show(await store.get("size 256")), show(pattern(3)), "the second value");
    });

    test("tells apart keys that look alike, and refuses those that not every store could hold", async (store) => {
      const keys = ["a", "A", "a ", "a/b", "a%2Fb", "a:b", "{a}", "*", "\u00e4", "a\u0308", "\u{1F600}", "'; --", "__proto__", "k".repeat(512)];
      for (const [index, key] of keys.entries()) await store.set(key, pattern(index + 1));
      for (const [index, key] of keys.entries()) equal(show(await store.get(key)), show(pattern(index + 1)), `the value of ${key}`);
      for (const key of ["", "a\0b", "\ud800", "k".repeat(513), "\u00e4".repeat(257)]) {
        await failsWith("invalid_input", () => store.get(key), "get");
        await failsWith("invalid_input", () => store.set(key, pattern(1)), "set");
        await failsWith("invalid_input", () => store.delete(key), "delete");
      }
      await failsWith("invalid_input", () => store.set("a", "text" as unknown as Uint8Array), "set of a text");
    });

    test("keeps what was set, whatever becomes of the caller's bytes", async (store) => {
      const value = pattern(10);
      await store.set("x", value);
      value.fill(0);
      const got = await store.get("x");
      equal(show(got), show(pattern(10)), "after the caller wrote over its own");
      got?.fill(0);
      equal(show(await store.get("x")), show(pattern(10)), "after the caller wrote over what it got");
    });

    test("deletes a value; one that is not there is fine", async (store) => {
      await store.set("x", pattern(1));
      await store.delete("x");
      await store.delete("x");
      equal(show(await store.get("x")), "nothing", "the value");
    });

    test("a value is gone after its time to live, and not before", async (store) => {
      await store.set("x", pattern(1), { ttlMs: lifeMs });
      await store.set("stays", pattern(2));
      equal(show(await store.get("x")), show(pattern(1)), "the value at first");
      await gone(store, "x");
      equal(show(await store.get("stays")), show(pattern(2)), "a value without a time to live");
      for (const ttlMs of [0, -1, 1.5, NaN, Infinity]) await failsWith("invalid_input", () => store.set("x", pattern(1), { ttlMs }), `ttlMs ${ttlMs}`);
    });

    test("a set sets the time to live anew, also to none", async (store) => {
      await store.set("x", pattern(1), { ttlMs: lifeMs });
      await store.set("y", pattern(1), { ttlMs: lifeMs });
      await store.set("x", pattern(2));
      await gone(store, "y");
      equal(show(await store.get("x")), show(pattern(2)), "the value that was set without a time to live");
    });

    test("sets once with ifAbsent, whoever comes first", async (store) => {
      const sets = await Promise.all([1, 2, 3, 4, 5].map((size) => store.set("x", pattern(size), { ifAbsent: true })));
      equal(sets.filter((won) => won).length, 1, "writers that won");
      equal(show(await store.get("x")), show(pattern(sets.indexOf(true) + 1)), "the value of the winner");
      await store.delete("x");
      equal(await store.set("x", pattern(7), { ifAbsent: true, ttlMs: lifeMs }), true, "after a delete");
      equal(await store.set("x", pattern(8), { ifAbsent: true }), false, "while the value lives");
      await gone(store, "x");
      equal(await store.set("x", pattern(9), { ifAbsent: true }), true, "when the value's time was over");
    }, "ifAbsent");

    markTest("marks: takes as much as there is room for, and says how long to wait for more", async (store) => {
      const steps = { cells: { byMs: 10_000, withinMs: 30_000 } };
      for (const taken of [1, 2, 3]) near((await store.advance("k", steps)).aheadMs["cells"], taken * 10_000, `the mark after ${taken}`);
      const refused = await store.advance("k", steps);
      equal(refused.taken, false, "a fourth");
      near(refused.waitMs, 10_000, "how long to wait");
      near(refused.aheadMs["cells"], 30_000, "the mark, unmoved");
      near((await store.advance("other", steps)).aheadMs["cells"], 10_000, "the mark of another key");
    });

    markTest("marks: moves all of them or none", async (store) => {
      const narrow = { wide: { byMs: 10_000, withinMs: 90_000 }, narrow: { byMs: 10_000, withinMs: 10_000 } };
      equal((await store.advance("k", narrow)).taken, true, "the first");
      const refused = await store.advance("k", narrow);
      equal(refused.taken, false, "the second");
      near(refused.waitMs, 10_000, "how long to wait for the narrower");
      near(refused.aheadMs["wide"], 10_000, "the wider, unmoved");
    });

    markTest("marks: many callers at once take no more than there is room for", async (store) => {
      const calls = Array.from({ length: 40 }, () => store.advance("k", { cells: { byMs: 10_000, withinMs: 155_000 } }));
      equal((await Promise.all(calls)).filter(({ taken }) => taken).length, 15, "calls that were let through");
    });

    markTest("marks: gives back, but not more than was taken; brings to a place at least", async (store) => {
      await store.advance("k", { cells: { byMs: 30_000 } });
      near((await store.advance("k", { cells: { byMs: -10_000 } })).aheadMs["cells"], 20_000, "after giving back");
      equal((await store.advance("k", { cells: { byMs: -90_000 } })).aheadMs["cells"], undefined, "after giving back too much");
      near((await store.advance("k", { cells: { byMs: 1_000 } })).aheadMs["cells"], 1_000, "it starts at now again");
      near((await store.advance("k", { cells: { atLeastMs: 20_000 } })).aheadMs["cells"], 20_000, "brought forward");
      near((await store.advance("k", { cells: { atLeastMs: 5_000, byMs: 1_000 } })).aheadMs["cells"], 21_000, "further than that already");
    });

    markTest("marks: tells of all marks of the key that are ahead, and of none that is past", async (store) => {
      await store.advance("k", { short: { atLeastMs: lifeMs }, long: { atLeastMs: 90_000_000 } });
      const { aheadMs } = await store.advance("k", { other: { byMs: 80_000 } });
      equal(Object.keys(aheadMs).sort(), ["long", "other", "short"], "marks ahead");
      await passTime(lifeMs + 10);
      equal(Object.keys((await store.advance("k", {})).aheadMs).includes("short"), false, "the one that is past");
      const read = await store.advance("k", { short: { byMs: 0, withinMs: 0 } });
      equal([read.taken, read.aheadMs["short"]], [true, undefined], "a step from now on");
    });

    markTest("marks: time makes room, as much as has passed", async (store) => {
      const steps = { cells: { byMs: lifeMs, withinMs: lifeMs } };
      equal((await store.advance("k", steps)).taken, true, "the first");
      let again: Advanced = await store.advance("k", steps);
      equal(again.taken, false, "the second, at once");
      for (let tries = 0; !again.taken && tries < 20; tries += 1) {
        await passTime(Math.ceil(again.waitMs));
        again = await store.advance("k", steps);
      }
      equal(again.taken, true, "the second, after the wait");
    });

    markTest("marks: are apart from values, and bad steps are refused", async (store) => {
      await store.set("k", pattern(3));
      await store.advance("k", { cells: { byMs: 50_000 } });
      equal(show(await store.get("k")), show(pattern(3)), "the value of the same key");
      await store.delete("k");
      near((await store.advance("k", {})).aheadMs["cells"], 50_000, "the mark after the value was deleted");
      const bad = [{ "a b": {} }, { x: { byMs: NaN } }, { x: { byMs: Infinity } }, { x: { atLeastMs: -1 } }, { x: { withinMs: -1 } }, { x: { byMs: 2, withinMs: 1 } }];
      for (const steps of bad) await failsWith("invalid_input", () => store.advance("k", steps), JSON.stringify(steps));
      await failsWith("invalid_input", () => store.advance("", {}), "advance of an empty key");
      near((await store.advance("k", {})).aheadMs["cells"], 50_000, "the mark, unmoved");
    });

    test("hears a signal that has aborted, before any I/O", async (store) => {
      await store.set("x", pattern(1));
      const reason = new Error("enough");
      const signal = AbortSignal.abort(reason);
      await failsAs(reason, () => store.get("x", { signal }), "get");
      await failsAs(reason, () => store.set("x", pattern(2), { signal }), "set");
      await failsAs(reason, () => store.delete("x", { signal }), "delete");
      if (hasMarks(store)) await failsAs(reason, () => store.advance("x", {}, { signal }), "advance");
      equal(show(await store.get("x")), show(pattern(1)), "the value");
    });

    test("is closed twice without harm, and refuses work afterwards", async (store) => {
      await store.close();
      await store.close();
      await failsWith("closed", () => store.get("x"), "get");
      await failsWith("closed", () => store.set("x", pattern(1)), "set");
      await failsWith("closed", () => store.delete("x"), "delete");
      if (hasMarks(store)) await failsWith("closed", () => store.advance("x", {}), "advance");
    });
  });

  /** Lets the value's life pass; a store with a clock of its own may be late by some polls, never early. */
  async function gone(store: KeyValueStore, key: string): Promise<void> {
    if (subject.passTime !== undefined) {
      await passTime(lifeMs - 1);
      check((await store.get(key)) !== undefined, `${key} is there until its time is over`);
      await passTime(1);
    } else await passTime(lifeMs);
    for (let polls = 0; subject.passTime === undefined && polls < 50 && (await store.get(key)) !== undefined; polls += 1) await passTime(50);
    equal(show(await store.get(key)), "nothing", `${key} after its time`);
  }
}

function hasMarks(store: KeyValueStore): store is MarkStore {
  return store.advance !== undefined;
}

/** Every byte value, and a shift shows. */
function pattern(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 31 + size) % 256);
}

function show(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return "nothing";
  const sum = bytes.reduce((sum, byte, at) => (sum * 33 + byte + at) % 4_294_967_291, 5_381);
  return `${bytes.byteLength} bytes, sum ${sum}, ${[...bytes.subarray(0, 16)].join(" ")}`;
}

/** Marks of a store with a clock of its own come nearer while the test goes on. */
function near(ms: number | undefined, expected: number, what: string): void {
  check(ms !== undefined && ms <= expected + 1 && ms > expected - 5_000 && ms > expected * 0.4, `${what}: expected about ${expected} ms, got ${ms}`);
}
