import { describe, expect, test } from "vitest";
import { each, finish, MillraceError, type Part, pipe, type Processor, run, text } from "../../src/index.ts";
import { Scope } from "../../src/core/scope.ts";
import type { Endpoint } from "../../src/resilience/balancing/endpoint.ts";
import { loadBalance, type LoadBalanceOptions } from "../../src/resilience/load-balance.ts";
import { retry } from "../../src/resilience/retry.ts";
import { retryBudget } from "../../src/resilience/retry-budget.ts";
import { fakeClock, watchedSource } from "../../src/testing/index.ts";
import { gate, opaque, soon, turns } from "../streams/support.ts";
import { down, ending, scripted } from "./support.ts";
import { seeded, simulation } from "./simulation.ts";

/** An endpoint that answers with its id, or fails. */
const endpoint = (id: string, act: () => unknown = () => {}, weight = 1): Endpoint & { readonly calls: number } => {
  const record = { calls: 0 };
  const processor: Processor = async function* (input) {
    record.calls += 1;
    for await (const _ of input);
    await act();
    yield text(id);
  };
  return {
    id,
    processor,
    weight,
    get calls() {
      return record.calls;
    },
  };
};
const fails = (error: () => unknown = () => down()) => (): never => {
  throw error();
};
const never = (): Promise<never> => new Promise(() => {});
const ask = async (balanced: Processor, times: number): Promise<string[]> => {
  const answers: string[] = [];
  for (let i = 0; i < times; i += 1) answers.push((await ending(balanced)).texts.join(""));
  return answers;
};
const tally = (answers: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
  return counts;
};

describe("P4: who gets a call", () => {
  test("round robin gives each its share of turns", async () => {
    const balanced = loadBalance([endpoint("a"), endpoint("b", undefined, 2), endpoint("c")], { by: "round-robin" });
    expect((await ask(balanced, 8)).join("")).toBe("bacbbacb");
  });

  test("round robin is stable under change: who comes or goes costs nobody a turn", async () => {
    const [a, b, c, d] = [endpoint("a"), endpoint("b"), endpoint("c"), endpoint("d")] as const;
    const balanced = loadBalance([a, b, c], { by: "round-robin" });
    expect((await ask(balanced, 2)).join("")).toBe("ab");
    balanced.update([b, c, d]);
    const counts = tally(await ask(balanced, 30));
    expect(Math.max(...Object.values(counts)) - Math.min(...Object.values(counts))).toBeLessThanOrEqual(1);
    expect((await ask(loadBalance([a, b, c], { by: "round-robin" }), 4)).join("")).toBe("abca");
  });

  test("least loaded", async () => {
    const open = gate();
    const balanced = loadBalance([endpoint("a", () => open.promise), endpoint("b", () => open.promise), endpoint("c", () => open.promise, 2)], { by: "least-loaded", random: () => 0 });
    const running = Array.from({ length: 8 }, () => ending(balanced));
    await turns();
    expect(balanced.status().map((state) => state.inFlight)).toEqual([2, 2, 4]);
    open.open();
    await Promise.all(running);
    expect(balanced.status().map((state) => state.inFlight)).toEqual([0, 0, 0]);
  });

  test("p2c goes to the less busy of two, before anything is known of them", async () => {
    const open = gate();
    const balanced = loadBalance([endpoint("a", () => open.promise), endpoint("b", () => open.promise)], { random: () => 0 });
    const running = [ending(balanced), ending(balanced)];
    await turns();
    expect(balanced.status().map((state) => state.inFlight)).toEqual([1, 1]);
    open.open();
    await Promise.all(running);
  });

  test("p2c goes to the less busy of two, also where both answer at once", async () => {
    const open = gate();
    const a = endpoint("a", () => (a.calls > 1 ? open.promise : undefined));
    const draws = [0, 0, 0, 0.9, 0, 0, 0, 0.9, 0.9, 0];
    const balanced = loadBalance([a, endpoint("b")], { clock: fakeClock(), random: () => draws.shift() ?? 0 });
    expect(await ask(balanced, 1)).toEqual(["a"]);
    expect(balanced.status().map((state) => state.firstPartMs)).toEqual([0, undefined]);
    const busy = ending(balanced);
    await turns();
    expect(balanced.status().map((state) => state.inFlight)).toEqual([1, 0]);
    expect(await soon(ask(balanced, 3))).toEqual(["b", "b", "b"]);
    open.open();
    await busy;
  });

  test("p2c goes to the quicker of two, and forgets within minutes that the other one was slow once", async () => {
    const clock = fakeClock();
    const lasts: Record<string, number> = { slow: 4_000, quick: 100 };
    let first = 0; // of two that cost the same
    const balanced = loadBalance(["slow", "quick"].map((id) => endpoint(id, () => clock.sleep(lasts[id] ?? 0))), { clock, random: () => first });
    const next = async (): Promise<string> => {
      const answer = ending(balanced);
      await turns();
      await clock.advance(4_000);
      return (await soon(answer)).texts.join("");
    };
    expect(await next()).toBe("slow");
    first = 0.9;
    expect(await next()).toBe("quick");
    first = 0;
    const busy = ending(balanced);
    await turns();
    expect([await next(), (await busy).texts]).toEqual(["quick", ["quick"]]); // twice a hundred is less than four thousand
    expect(balanced.status().map((state) => state.firstPartMs)).toEqual([4_000, 100]);
    lasts["slow"] = 100;
    await clock.advance(200_000);
    expect(await next()).toBe("quick");
    const again = ending(balanced);
    await turns();
    expect([await next(), (await again).texts]).toEqual(["slow", ["quick"]]);
    expect(balanced.status()[0]?.firstPartMs).toBe(4_000 - 0.3 * 3_900); // the latest counts for three tenths
    const third = ending(balanced);
    await turns();
    expect([await next(), (await third).texts]).toEqual(["quick", ["quick"]]); // and is not forgotten
  });

  test("hash gives a key to the same endpoint, and a change moves only its own keys", async () => {
    const list = ["a", "b", "c", "d", "e"].map((id) => endpoint(id));
    const balanced = loadBalance(list, { by: "hash" });
    const answers = async (): Promise<string[]> => {
      const found: string[] = [];
      for (let i = 0; i < 200; i += 1) found.push(await run(balanced, "in", { correlationId: `call ${i}` }).text());
      return found;
    };
    const before = await answers();
    expect(await answers()).toEqual(before);
    expect(Math.min(...list.map(({ id }) => tally(before)[id] ?? 0))).toBeGreaterThan(20);
    balanced.update(list.slice(1));
    const after = await answers();
    expect(before.filter((id, i) => id !== "a" && after[i] !== id)).toEqual([]);
  });

  test("hash bounds the load: a key whose endpoint is full goes to the next one", async () => {
    const open = gate();
    const list = ["a", "b", "c", "d"].map((id) => endpoint(id, () => open.promise));
    const balanced = loadBalance(list, { by: "hash", key: () => "always the same" });
    const running = Array.from({ length: 40 }, () => ending(balanced));
    await turns();
    const loads = balanced.status().map((state) => state.inFlight);
    expect(Math.max(...loads)).toBeLessThanOrEqual(Math.ceil(1.25 * 10));
    expect(Math.max(...loads)).toBeGreaterThan(10);
    open.open();
    await Promise.all(running);
  });

  test("finish parts say which endpoint answered, and nothing else does", async () => {
    const answer = async function* (): AsyncGenerator<Part> {
      yield text("x");
      yield finish({ reason: "stop" }, { metadata: { openai: 1 } });
    };
    const { parts } = await ending(loadBalance([{ id: "eu-1", processor: answer }]));
    expect(parts.map((part) => part.metadata)).toEqual([{}, { openai: 1, endpoint: "eu-1" }]);
  });

  test("no endpoint: `unavailable`, never the part as it came", async () => {
    const { error, parts } = await ending(loadBalance([]));
    expect([error, parts]).toEqual([expect.objectContaining({ code: "unavailable", message: "loadBalance: there is no endpoint" }), []]);
  });

  test("a function gives the endpoints there are, call by call, be it the same list that was changed", async () => {
    let list = [endpoint("a")];
    const balanced = loadBalance(() => list);
    expect(await ask(balanced, 1)).toEqual(["a"]);
    list = [endpoint("b")];
    expect(await ask(balanced, 1)).toEqual(["b"]);
    list[0] = endpoint("c");
    expect([await ask(balanced, 1), balanced.status().map(({ id }) => id)]).toEqual([["c"], ["c"]]);
  });

  test("an endpoint stays the same one while its id and processor are; only its share changes", async () => {
    const clock = fakeClock();
    const a = endpoint("a", fails());
    let closed = 0;
    const close = async (): Promise<void> => void (closed += 1);
    const list: Endpoint[] = [{ ...a, close }, endpoint("b"), endpoint("c")];
    const balanced = loadBalance(list, { by: "round-robin", attempts: 1, clock });
    await ask(balanced, 15);
    list[0] = { ...a, weight: 2, close };
    list[1] = { ...endpoint("b"), weight: 3 };
    balanced.update(list);
    expect(balanced.status()[0]?.ejectedForMs).toBe(30_000);
    expect(tally(await ask(balanced, 8))).toEqual({ b: 6, c: 2 });
    expect(closed).toBe(0);
    await balanced.close();
    expect(closed).toBe(1);
  });
});

describe("P4: another one, before the first content", () => {
  test("a call that fails goes to another endpoint; the input is read once", async () => {
    const bad = endpoint("bad", fails());
    const source = watchedSource(["a"]);
    const seen = await ending(loadBalance([bad, endpoint("good")], { by: "round-robin" }), source);
    expect([seen.texts, bad.calls, source.opened, source.pulls]).toEqual([["good"], 1, 1, 2]);
  });

  test("`attempts` endpoints at most, each once; the last error comes out", async () => {
    const list = ["a", "b", "c", "d"].map((id) => endpoint(id, fails(() => down(id))));
    const { error } = await ending(loadBalance(list, { by: "round-robin", attempts: 3 }));
    expect([(error as Error).message, list.map((it) => it.calls)]).toEqual(["c", [1, 1, 1, 0]]);
    const two = ["a", "b"].map((id) => endpoint(id, fails(() => down(id))));
    await ending(loadBalance(two, { by: "round-robin", attempts: 5 }));
    expect(two.map((it) => it.calls)).toEqual([1, 1]);
  });

  test("never after content, nor for what would fail everywhere", async () => {
    const other = endpoint("other");
    const cut = scripted([["x", { throws: down() }]]);
    expect((await ending(loadBalance([{ id: "cut", processor: cut }, other], { by: "round-robin" }))).error).toMatchObject({ code: "interrupted" });
    const error = new MillraceError("invalid_input", "bad");
    expect((await ending(loadBalance([endpoint("bad", fails(() => error)), other], { by: "round-robin" }))).error).toBe(error);
    expect(other.calls).toBe(0);
  });

  test("R12: within a retry its attempts count, and the endpoint that failed is passed over", async () => {
    const list = ["a", "b", "c", "d", "e", "f"].map((id) => endpoint(id, fails()));
    await ending(retry(loadBalance(list, { by: "round-robin", attempts: 5 }), { attempts: 4, baseMs: 0 }));
    expect(list.map((it) => it.calls)).toEqual([1, 1, 1, 1, 0, 0]);
    const limited = new MillraceError("conflict", "again", { retryable: true });
    const first = endpoint("first", fails(() => limited));
    const random = (): number => 0; // the first of those that may be taken
    const { texts } = await ending(retry(loadBalance([first, endpoint("second")], { by: "p2c", random, attempts: 1 }), { baseMs: 0 }));
    expect([texts, first.calls]).toEqual([["second"], 1]);
  });

  test("where all have failed a call, a retry further out asks them again by turns, not the one that failed last", async () => {
    const list = ["a", "b"].map((id) => endpoint(id, fails()));
    await ending(retry(loadBalance(list, { random: () => 0, attempts: 1 }), { attempts: 6, baseMs: 0 }));
    expect(list.map((it) => it.calls)).toEqual([3, 3]);
  });

  test("an input that is larger than replayBytes is not sent to another one, and the error says so", async () => {
    const other = endpoint("other");
    const { error } = await ending(loadBalance([endpoint("bad", fails()), other], { by: "round-robin", replayBytes: 100 }), "x".repeat(200));
    expect(error).toMatchObject({ code: "interrupted", message: expect.stringContaining("replayBytes (100)") });
    expect(other.calls).toBe(0);
  });

  test("R11: further endpoints are paid from the budget; calls that succeed earn, but not within a retry, which earns itself", async () => {
    const clock = fakeClock();
    const budget = retryBudget({ start: 1, perSuccess: 0.25, perSecond: 0, clock });
    const options: LoadBalanceOptions = { by: "round-robin", budget, clock };
    const bad = [endpoint("a", fails()), endpoint("b", fails()), endpoint("c", fails())];
    await ending(loadBalance(bad, options));
    expect([bad.map((it) => it.calls), budget.level]).toEqual([[1, 1, 0], 0]);
    const good = loadBalance([endpoint("a")], options);
    await ending(good);
    expect(budget.level).toBe(0.25);
    await ending(retry(good, { clock }));
    for await (const _ of run(good, "a")) break;
    expect(budget.level).toBe(0.25);
  });

  test("R14: whoever is asked, the call has one key", async () => {
    const keys: (string | undefined)[] = [];
    const noted = (act: () => void): Processor =>
      async function* (_input, context) {
        keys.push(context instanceof Scope ? context.limits.key?.() : undefined);
        act();
        yield text("x");
      };
    await ending(loadBalance([{ id: "a", processor: noted(fails()) }, { id: "b", processor: noted(() => {}) }], { by: "round-robin" }));
    expect([keys.length, new Set(keys).size, typeof keys[0]]).toEqual([2, 1, "string"]);
  });

  test("an error of the input is no endpoint's", async () => {
    const error = down();
    const balanced = loadBalance([{ id: "a", processor: opaque }, { id: "b", processor: opaque }]);
    for (let i = 0; i < 10; i += 1) expect((await ending(balanced, watchedSource(["a"], { failAt: 0, error }))).error).toBe(error);
    expect(balanced.status().map((state) => state.healthy)).toEqual([true, true]);
  });
});

describe("P4: ejection and return", () => {
  const options = (extra: LoadBalanceOptions = {}): LoadBalanceOptions & { readonly clock: ReturnType<typeof fakeClock> } => ({ by: "round-robin", attempts: 1, ...extra, clock: fakeClock() });

  test("five failures in a row eject for 30 s; half of the endpoints at most are out", async () => {
    const opts = options();
    const list = [endpoint("a", fails()), endpoint("b", fails()), endpoint("c"), endpoint("d", fails())];
    const balanced = loadBalance(list, opts);
    await ask(balanced, 16);
    expect(list.map((it) => it.calls)).toEqual([4, 4, 4, 4]);
    await ask(balanced, 4);
    expect(balanced.status().map((state) => state.ejectedForMs)).toEqual([30_000, 30_000, 0, 0]);
    await ask(balanced, 10);
    expect(list.map((it) => it.calls)).toEqual([5, 5, 10, 10]);
  });

  test("a success in between starts the row anew; half of twenty calls in ten seconds eject all the same", async () => {
    const opts = options();
    let calls = 0;
    const flaky = endpoint("flaky", () => {
      calls += 1;
      if (calls % 2 === 1) throw down();
    });
    const balanced = loadBalance([flaky, endpoint("good")], opts);
    await ask(balanced, 38);
    expect(balanced.status()[0]?.healthy).toBe(true);
    await ask(balanced, 4);
    expect([flaky.calls, balanced.status()[0]?.healthy]).toEqual([21, false]);
    const slower = options();
    calls = 0;
    const patient = loadBalance([flaky, endpoint("good")], slower);
    for (let i = 0; i < 60; i += 1) {
      await ask(patient, 1);
      await slower.clock.advance(600);
    }
    expect(patient.status()[0]?.healthy).toBe(true);
  });

  test("bad parts, full quotas, bugs, leaving and aborts eject nobody", async () => {
    const errors = [() => new MillraceError("invalid_input", "bad"), () => new MillraceError("rate_limited", "busy"), () => new TypeError("bug")];
    let i = 0;
    const opts = options();
    const balanced = loadBalance([endpoint("a", fails(() => errors[i++ % 3]?.())), endpoint("b")], opts);
    await ask(balanced, 40);
    const parked = loadBalance([endpoint("a", never), endpoint("b")], opts);
    for (let n = 0; n < 20; n += 1) {
      const controller = new AbortController();
      const result = ending(parked, "in", { signal: controller.signal });
      await turns(1);
      controller.abort("stop");
      await result;
    }
    for (const it of [balanced, parked]) expect(it.status().map((state) => [state.healthy, state.inFlight])).toEqual([[true, 0], [true, 0]]);
  });

  test("it comes back with a tenth of its share, grows to the whole in 30 s, and one failure sends it away for longer", async () => {
    const opts = options();
    let broken = true;
    const a = endpoint("a", () => {
      if (broken) throw down();
    });
    const balanced = loadBalance([a, endpoint("b")], opts);
    await ask(balanced, 10);
    await opts.clock.advance(29_999);
    expect(balanced.status()[0]?.ejectedForMs).toBe(1);
    await opts.clock.advance(1);
    expect(await ask(balanced, 20).then(tally)).toMatchObject({ b: expect.any(Number) });
    expect(a.calls).toBe(6);
    expect(balanced.status()[0]?.ejectedForMs).toBe(60_000);
    broken = false;
    await opts.clock.advance(60_000);
    expect((await ask(balanced, 22).then(tally))["a"]).toBe(2);
    await opts.clock.advance(15_000);
    expect((await ask(balanced, 30).then(tally))["a"]).toBe(10);
    await opts.clock.advance(15_000);
    expect((await ask(balanced, 20).then(tally))["a"]).toBe(10);
  });

  test("a success ends the probation: after it one failure is one failure again", async () => {
    const opts = options();
    let broken = true;
    const a = endpoint("a", () => {
      if (broken) throw down();
    });
    const balanced = loadBalance([a, endpoint("b")], opts);
    await ask(balanced, 10);
    await opts.clock.advance(60_000);
    broken = false;
    await ask(balanced, 2);
    broken = true;
    await ask(balanced, 8);
    expect([a.calls, balanced.status()[0]?.ejectedForMs]).toEqual([10, 0]);
    await ask(balanced, 2);
    expect(balanced.status()[0]?.ejectedForMs).toBe(60_000); // the second time is longer
  });

  test("who failed in half of its calls, never five in a row, is on probation too; and streams that break off are failures", async () => {
    const opts = options();
    let calls = 0;
    const cut = scripted([["x", { does: () => (calls += 1) }, { does: () => calls % 2 === 0 && fails()() }]]);
    const balanced = loadBalance([{ id: "cut", processor: cut }, endpoint("b")], opts);
    await ask(balanced, 40);
    expect(balanced.status()[0]?.ejectedForMs).toBe(30_000);
    await opts.clock.advance(60_000);
    calls = 1;
    await ask(balanced, 2);
    expect(balanced.status()[0]?.ejectedForMs).toBe(60_000);
  });

  test("no ejection is longer than 300 s, and who has been well for so long begins anew", async () => {
    const opts = options();
    let broken = true;
    const a = endpoint("a", () => {
      if (broken) throw down();
    });
    const balanced = loadBalance([a, endpoint("b")], opts);
    const lasts: number[] = [];
    await ask(balanced, 10);
    for (let i = 0; i < 12; i += 1) {
      const lastsMs = balanced.status()[0]?.ejectedForMs ?? 0;
      lasts.push(lastsMs / 1_000);
      await opts.clock.advance(lastsMs + 30_000);
      await ask(balanced, 2);
    }
    expect(lasts).toEqual([30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
    broken = false;
    await opts.clock.advance(300_000 + 300_000);
    await ask(balanced, 2);
    broken = true;
    await ask(balanced, 10);
    expect(balanced.status()[0]?.ejectedForMs).toBe(300_000);
    broken = false;
    await opts.clock.advance(300_000 + 300_001);
    await ask(balanced, 2);
    broken = true;
    await ask(balanced, 10);
    expect(balanced.status()[0]?.ejectedForMs).toBe(30_000);
  });

  test("calls that began before it came back tell nothing: a late failure ejects it no further, a late success does not shorten", async () => {
    const opts = options();
    const late = [gate(), gate(), gate()] as const;
    let calls = 0;
    const a = endpoint("a", () => {
      calls += 1;
      if (calls <= 3) return late[calls - 1]?.promise;
      throw down();
    });
    const balanced = loadBalance([a, endpoint("b")], opts);
    const running = Array.from({ length: 6 }, () => ending(balanced));
    await turns();
    await ask(balanced, 10);
    expect(balanced.status()[0]).toMatchObject({ ejectedForMs: 30_000, inFlight: 3 });
    late[0].open();
    await turns();
    await opts.clock.advance(60_000);
    late[1].fail(down());
    await turns();
    expect(balanced.status()[0]).toMatchObject({ healthy: true, inFlight: 1 });
    late[2].open();
    await Promise.all(running);
    await ask(balanced, 2);
    expect(balanced.status()[0]?.ejectedForMs).toBe(60_000); // it is still on probation, and this is the second time
  });

  test("half of exactly twenty calls eject, whatever the time; what is ten seconds old does not count", async () => {
    const opts = options();
    let calls = 0;
    const flaky = endpoint("flaky", () => {
      calls += 1;
      if (calls % 2 === 0) throw down();
    });
    const balanced = loadBalance([flaky, endpoint("good")], opts);
    await opts.clock.advance(123_000);
    await ask(balanced, 20);
    await opts.clock.advance(10_000);
    await ask(balanced, 38);
    expect([flaky.calls, balanced.status()[0]?.healthy]).toEqual([29, true]);
    await ask(balanced, 2);
    expect([flaky.calls, balanced.status()[0]?.healthy]).toEqual([30, false]);
  });

  test("an ejected endpoint is asked where all others have failed the call", async () => {
    const opts = options({ attempts: 3 });
    let broken = true;
    const ejected = endpoint("ejected", () => {
      if (broken) throw down();
    });
    let failing = false;
    const others = ["b", "c"].map((id) =>
      endpoint(id, () => {
        if (failing) throw down();
      }),
    );
    const balanced = loadBalance([ejected, ...others], opts);
    await ask(balanced, 15);
    expect(balanced.status()[0]?.healthy).toBe(false);
    broken = false;
    failing = true;
    expect(await ask(balanced, 1)).toEqual(["ejected"]);
  });

  test("a single endpoint is never ejected", async () => {
    const balanced = loadBalance([endpoint("a", fails())], options());
    await ask(balanced, 30);
    expect(balanced.status()[0]?.healthy).toBe(true);
  });

  test("R-p2c: of ten, one ten times slower and one failing: the slow one gets less than 3 %, the failing one is out within 5 s, the others are even", async () => {
    const clock = simulation();
    const random = seeded(5);
    const starts: { readonly id: string; readonly atMs: number }[] = [];
    const list = Array.from({ length: 10 }, (_, i): Endpoint => {
      const id = i === 0 ? "slow" : i === 1 ? "failing" : `good ${i}`;
      return {
        id,
        async *processor() {
          starts.push({ id, atMs: clock.now() });
          await clock.sleep((i === 0 ? 500 : i === 1 ? 5 : 50) * (0.5 + random()));
          if (i === 1) throw down();
          yield text("x");
        },
      };
    });
    const balanced = loadBalance(list, { clock, random });
    let failures = 0;
    for (let atMs = 0; atMs < 60_000; atMs += 10) clock.timeout(atMs, () => void run(balanced, "a").collect().catch(() => (failures += 1)));
    await clock.play(62_000);
    const counts = tally(starts.map(({ id }) => id));
    const good = Object.entries(counts).filter(([id]) => id.startsWith("good")).map(([, count]) => count);
    expect((counts["slow"] ?? 0) / starts.length).toBeLessThan(0.03);
    expect(starts.filter(({ id, atMs }) => id === "failing" && atMs > 5_000 && atMs < 30_000).length).toBe(0);
    expect(counts["failing"]).toBeGreaterThan(4);
    expect(Math.max(...good) / (good.reduce((sum, count) => sum + count, 0) / good.length)).toBeLessThanOrEqual(1.5);
    expect(failures).toBe(0);
  });
});

describe("P4: health checks", () => {
  const checking = (answers: Record<string, boolean | "late" | "throws">) => {
    const clock = fakeClock();
    const checked: string[] = [];
    const aborted: string[] = [];
    const balanced = loadBalance(Object.keys(answers).map((id) => endpoint(id)), {
      by: "round-robin",
      clock,
      random: () => 0.5,
      async health({ id }, signal) {
        checked.push(id);
        signal.addEventListener("abort", () => aborted.push(id));
        if (answers[id] === "throws") throw new Error("check");
        if (answers[id] === "late") await never();
        return answers[id] === true;
      },
    });
    return { clock, checked, aborted, balanced, answers };
  };

  test("two in a row take an endpoint out, three bring it back; no call waits for one", async () => {
    const { clock, checked, balanced, answers } = checking({ a: false, b: true, c: true });
    await clock.advance(100_000);
    expect(checked).toEqual([]); // nothing before the first call
    expect(tally(await ask(balanced, 3))).toEqual({ a: 1, b: 1, c: 1 });
    await clock.advance(5_000);
    expect(checked).toEqual(["a", "b", "c"]);
    expect(balanced.status()[0]?.healthy).toBe(true);
    await clock.advance(10_000);
    expect(balanced.status()[0]?.healthy).toBe(false);
    expect(tally(await ask(balanced, 4))).toEqual({ b: 2, c: 2 });
    answers["a"] = true;
    await clock.advance(20_000);
    expect(balanced.status()[0]?.healthy).toBe(false);
    await clock.advance(10_000);
    expect(balanced.status()[0]?.healthy).toBe(true);
    await balanced.close();
    expect(clock.pending).toBe(0);
  });

  test("checks count in a row: one in between that says otherwise starts anew", async () => {
    const { clock, balanced, answers } = checking({ a: false, b: true });
    await ask(balanced, 1);
    await clock.advance(5_000);
    for (const answer of [true, false, true, false]) {
      answers["a"] = answer;
      await ask(balanced, 1);
      await clock.advance(10_000);
      expect(balanced.status()[0]?.healthy).toBe(true);
    }
    await clock.advance(10_000);
    expect(balanced.status()[0]?.healthy).toBe(false);
    for (const answer of [true, true, false, true, true]) {
      answers["a"] = answer;
      await ask(balanced, 1);
      await clock.advance(10_000);
      expect(balanced.status()[0]?.healthy).toBe(false);
    }
    await clock.advance(10_000);
    expect(balanced.status()[0]?.healthy).toBe(true);
    expect(tally(await ask(balanced, 22))).toMatchObject({ b: expect.any(Number), a: expect.toSatisfy((times) => times <= 3) }); // a tenth of its share at first
    await balanced.close();
  });

  test("a removed endpoint is not checked any more", async () => {
    const { clock, checked, balanced } = checking({ a: true, b: true });
    await ask(balanced, 1);
    await clock.advance(5_000);
    expect(checked).toEqual(["a", "b"]);
    balanced.update([endpoint("b")]);
    await ask(balanced, 1);
    await clock.advance(30_000);
    expect(checked.slice(2)).not.toContain("a");
    expect(clock.pending).toBe(1);
    await balanced.close();
  });

  test("a check that throws, or gives no answer in time, is a no; the latter is aborted", async () => {
    const { clock, aborted, balanced } = checking({ a: "throws", b: "late", c: true, d: true });
    await ask(balanced, 1);
    await clock.advance(5_000);
    expect(clock.pending).toBeGreaterThan(0);
    await clock.advance(2_000);
    expect(aborted).toContain("b");
    await clock.advance(12_000);
    expect(balanced.status().map((state) => state.healthy)).toEqual([false, false, true, true]);
    await balanced.close();
    expect(clock.pending).toBe(0);
  });

  test("closing aborts a check that is under way, and sets no timer after it", async () => {
    const { clock, aborted, balanced } = checking({ a: "late" });
    await ask(balanced, 1);
    await clock.advance(5_000);
    await balanced.close();
    await turns();
    expect([aborted, clock.pending]).toEqual([["a"], 0]);
  });

  test("fewer than half healthy: all are used", async () => {
    const { clock, balanced } = checking({ a: false, b: false, c: true });
    await ask(balanced, 1);
    await clock.advance(20_000);
    expect(balanced.status().map((state) => state.healthy)).toEqual([false, false, true]);
    expect(Object.keys(tally(await ask(balanced, 6))).length).toBe(3);
    await balanced.close();
  });

  test("without calls for a minute nothing is checked any more, until the next one", async () => {
    const { clock, checked, balanced } = checking({ a: true });
    await ask(balanced, 1);
    await clock.advance(200_000);
    expect(clock.pending).toBe(0);
    const before = checked.length;
    await ask(balanced, 1);
    await clock.advance(10_000);
    expect(checked.length).toBeGreaterThan(before);
    await balanced.close();
    expect(clock.pending).toBe(0);
  });

  test("intervals are jittered by a fifth", async () => {
    const clock = fakeClock();
    const random = seeded(3);
    const atMs: number[] = [];
    const balanced = loadBalance([endpoint("a")], {
      clock,
      random,
      health: async () => {
        atMs.push(clock.now());
        return true;
      },
    });
    for (let i = 0; i < 20; i += 1) {
      await ask(balanced, 1);
      await clock.advance(10_000);
    }
    await balanced.close();
    const gaps = atMs.slice(1).map((ms, i) => ms - (atMs[i] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(8_000);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(12_000);
    expect(Math.max(...gaps) - Math.min(...gaps)).toBeGreaterThan(1_000);
  });
});

describe("P4: removed endpoints drain, then close", () => {
  const closing = (id: string, act?: () => unknown): Endpoint & { readonly closed: number } => {
    const record = { closed: 0 };
    const base = endpoint(id, act);
    return {
      id,
      processor: base.processor,
      async close() {
        record.closed += 1;
      },
      get closed() {
        return record.closed;
      },
    };
  };

  test("after the last call, once", async () => {
    const open = gate();
    const a = closing("a", () => open.promise);
    const b = closing("b");
    const balanced = loadBalance([a, b], { by: "round-robin" });
    const running = ending(balanced);
    await turns();
    balanced.update([b]);
    await turns();
    expect([a.closed, b.closed]).toEqual([0, 0]);
    expect(await ask(balanced, 2)).toEqual(["b", "b"]);
    open.open();
    expect((await running).texts).toEqual(["a"]);
    await turns();
    expect([a.closed, b.closed]).toEqual([1, 0]);
    await balanced.close();
    await balanced.close();
    expect([a.closed, b.closed]).toEqual([1, 1]);
  });

  test("close() refuses further calls, waits for running ones, and tells what closing failed with", async () => {
    const open = gate();
    const error = new Error("close");
    const a: Endpoint = { ...endpoint("a", () => open.promise), close: () => Promise.reject(error) };
    const balanced = loadBalance([a]);
    const running = ending(balanced);
    await turns();
    const closed = balanced.close();
    closed.catch(() => {});
    expect((await ending(balanced)).error).toMatchObject({ code: "closed" });
    open.open();
    expect((await soon(running)).texts).toEqual(["a"]);
    await expect(soon(closed)).rejects.toBe(error);
    expect(() => balanced.update([])).toThrow(expect.objectContaining({ code: "closed" }));
  });

  test("close() waits for all, also where one fails to close", async () => {
    const open = gate();
    const error = new Error("close");
    const list: Endpoint[] = [{ ...endpoint("a"), close: () => Promise.reject(error) }, { ...endpoint("b"), close: () => open.promise as Promise<void> }];
    const balanced = loadBalance(list);
    const order: string[] = [];
    const closed = balanced.close().catch((failure: unknown) => order.push(failure === error ? "told" : "else"));
    await turns();
    order.push("open");
    open.open();
    await soon(closed);
    expect(order).toEqual(["open", "told"]);
  });

  test("an endpoint that is removed and fails to close breaks nothing; close() tells of it", async () => {
    const error = new Error("close");
    const balanced = loadBalance([{ ...endpoint("a"), close: () => Promise.reject(error) }, endpoint("b")]);
    balanced.update([endpoint("b")]);
    await turns();
    expect(await ask(balanced, 1)).toEqual(["b"]);
    await expect(balanced.close()).rejects.toBe(error);
  });

  test("a call that fails after close() fails with its own error", async () => {
    const open = gate();
    const error = down();
    const balanced = loadBalance([endpoint("a", () => open.promise), endpoint("b")], { by: "round-robin" });
    const running = ending(balanced);
    await turns();
    const closed = balanced.close();
    open.fail(error);
    expect((await soon(running)).error).toBe(error);
    await soon(closed);
  });

  test("leaving gives the endpoint back, once", async () => {
    const balanced = loadBalance([{ id: "a", processor: opaque }]);
    const source = watchedSource(Infinity);
    for await (const _ of run(pipe(balanced, each((part) => part)), source)) break;
    const iterator = run(balanced, watchedSource(["a"], { stallAt: 0 }))[Symbol.asyncIterator]();
    const next = iterator.next();
    await turns();
    expect(balanced.status()[0]?.inFlight).toBe(1);
    await soon(Promise.resolve(iterator.return?.()));
    await next;
    expect([source.closed, balanced.status()[0]?.inFlight]).toEqual([1, 0]);
  });
});

describe("options", () => {
  test.each<[() => unknown, string]>([
    [() => loadBalance("x" as never), "endpoints must be an array"],
    [() => loadBalance([5] as never), "endpoint 1 must be an object"],
    [() => loadBalance([{ id: "", processor: opaque }]), "id of endpoint 1 must be a text"],
    [() => loadBalance([{ id: "a", processor: opaque }, { id: "a", processor: opaque }]), "id of endpoint 2 must be unlike all others"],
    [() => loadBalance([{ id: "a", processor: 1 as never }]), "processor of endpoint 1 must be a processor"],
    [() => loadBalance([{ id: "a", processor: opaque, weight: 0 }]), "weight of endpoint 1 must be a positive number"],
    [() => loadBalance([{ id: "a", processor: opaque, weight: Infinity }]), "weight of endpoint 1 must be a positive number"],
    [() => loadBalance([{ id: "a", processor: opaque, close: 1 as never }]), "close of endpoint 1 must be a function"],
    [() => loadBalance([], { by: "toString" as never }), "by must be p2c, round-robin, least-loaded, hash"],
    [() => loadBalance([], { key: 1 as never }), "key must be a function"],
    [() => loadBalance([], { health: 1 as never }), "health must be a function"],
    [() => loadBalance([], { attempts: 0 }), "attempts must be a whole number"],
    [() => loadBalance([], { healthEveryMs: 0 }), "healthEveryMs must be a whole number"],
    [() => loadBalance([], { healthTimeoutMs: 0.5 }), "healthTimeoutMs must be a whole number"],
    [() => loadBalance([], { replayBytes: -1 }), "replayBytes must be a whole number"],
    [() => loadBalance([], { budget: {} as never }), "budget must be a retryBudget()"],
  ])("%# is refused by name", (make, message) => {
    expect(make).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(message) }));
  });

  test("a function that gives no list fails the call", async () => {
    expect((await ending(loadBalance(() => 5 as never))).error).toMatchObject({ code: "invalid_input" });
  });
});
