import { describe, expect, test } from "vitest";
import { each, errorCodes, finish, MillraceError, type Part, type Processor, run, text } from "../../src/index.ts";
import { memoryKeyValue } from "../../src/adapters/memory/index.ts";
import type { MarkStore } from "../../src/kinds/key-value.ts";
import { bulkhead } from "../../src/resilience/bulkhead.ts";
import { type Circuit, circuit, circuitBreaker, type CircuitEvent, type CircuitOptions } from "../../src/resilience/circuit-breaker.ts";
import { type FakeClock, fakeClock } from "../../src/testing/clock.ts";
import { stalledSource, watchedSource } from "../../src/testing/watched-source.ts";
import { gate, type Gate, opaque, soon, turns } from "../streams/support.ts";
import { admissionCases } from "./admission-cases.ts";

admissionCases("circuitBreaker", () => {
  const clock = fakeClock();
  const shared = circuit({ clock, failureRate: 1, minCalls: 1_000_000 });
  return { wrap: (processor) => circuitBreaker(processor, { circuit: shared }), held: () => clock.pending };
});
admissionCases("circuitBreaker with a store", () => {
  const clock = fakeClock();
  const shared = circuit({ name: "x", store: memoryKeyValue({ clock }), clock, failureRate: 1, minCalls: 1_000_000 });
  return { wrap: (processor) => circuitBreaker(processor, { circuit: shared }), held: () => clock.pending };
});

const down = new MillraceError("unavailable", "the service is down");

interface Service {
  readonly clock: FakeClock;
  readonly circuit: Circuit;
  readonly stage: Processor;
  /** Calls that reached it. */
  readonly calls: () => number;
  /** What the next calls do. */
  error: unknown;
}

/** A service behind a circuit that opens after two failures in a row unless `minCalls` is given, for 1,000 ms and no random share of it. */
function service(options: CircuitOptions = {}): Service {
  const clock = fakeClock();
  let calls = 0;
  const it: Service = {
    clock,
    circuit: circuit({ ...("minCalls" in options ? {} : { failureThreshold: 2 }), openMs: 1_000, halfOpenCalls: 1, random: () => 0.5, clock, ...options }),
    get stage() {
      return stage;
    },
    calls: () => calls,
    error: undefined,
  };
  const stage = circuitBreaker(each(async (part) => {
    calls += 1;
    if (it.error !== undefined) throw it.error;
    return part;
  }), { circuit: it.circuit });
  return it;
}

const call = (stage: Processor): Promise<string> => run(stage, "a").text();
const outcome = (stage: Processor): Promise<string> => call(stage).catch((error: unknown) => (error instanceof MillraceError ? error.code : String(error)));

async function opened(options: CircuitOptions = {}): Promise<Service> {
  const it = service(options);
  it.error = down;
  for (let i = 0; i < 2; i += 1) expect(await outcome(it.stage)).toBe("unavailable");
  expect(it.circuit.state).toBe("open");
  it.error = undefined;
  return it;
}

describe("P1: circuitBreaker opens", () => {
  test("when the share of failures is reached among enough calls, and not before", async () => {
    const it = service({ failureRate: 0.5, minCalls: 6 });
    for (const error of [down, down, undefined, down, undefined]) {
      it.error = error;
      await outcome(it.stage);
    }
    expect([it.circuit.state, it.circuit.counts]).toEqual(["closed", { calls: 5, failures: 3 }]);
    it.error = undefined;
    await outcome(it.stage);
    expect(it.circuit.state).toBe("open");
  });

  test("not by failures that are older than the window", async () => {
    const it = service({ failureRate: 0.5, minCalls: 4, windowMs: 1_000 });
    it.error = down;
    for (let i = 0; i < 12; i += 1) {
      await outcome(it.stage);
      await it.clock.advance(400);
    }
    expect([it.circuit.state, it.calls()]).toEqual(["closed", 12]);
  });

  test("counts a call that comes after a rest longer than the window", async () => {
    const it = service({ minCalls: 2, windowMs: 1_000 });
    it.error = down;
    await outcome(it.stage);
    await it.clock.advance(10_000);
    await outcome(it.stage);
    expect([it.circuit.state, it.circuit.counts]).toEqual(["closed", { calls: 1, failures: 1 }]);
  });

  test("after so many failures in a row; a success begins the row anew, what counts as neither does not", async () => {
    const it = service();
    for (const error of [down, undefined, down, new MillraceError("invalid_input", "bad")]) {
      it.error = error;
      await outcome(it.stage);
    }
    expect(it.circuit.state).toBe("closed");
    it.error = down;
    await outcome(it.stage);
    expect(it.circuit.state).toBe("open");
  });

  test("and refuses at once with the time to come back, what failed last as the cause, and neither the processor nor the input touched", async () => {
    const it = await opened({ name: "qdrant" });
    await it.clock.advance(400);
    const source = watchedSource(1);
    await expect(run(it.stage, source).text()).rejects.toMatchObject({
      code: "circuit_open",
      scope: "dependency",
      retryAfterMs: 600,
      cause: down,
      message: "circuitBreaker: qdrant is open, come back in 600 ms",
    });
    expect([it.calls(), source.opened]).toEqual([2, 0]);
  });

  test("for failures of the service alone: every other code, an unknown error, leaving, an abort and a bad input count as neither", async () => {
    const counting: string[] = [];
    for (const code of errorCodes) {
      const it = service();
      it.error = new MillraceError(code, "no");
      await outcome(it.stage);
      if (it.circuit.counts.failures === 1) counting.push(code);
      else expect([code, it.circuit.counts.calls]).toEqual([code, 0]);
    }
    expect(counting.sort()).toEqual(["bad_response", "interrupted", "timeout", "truncated", "unavailable"]);

    const it = service();
    it.error = new TypeError("a bug");
    await outcome(it.stage);
    it.error = undefined;
    for await (const _ of run(it.stage, ["a", "b"])) break;
    await run(it.stage, watchedSource(2, { failAt: 1, error: down })).text().catch(() => {});
    const controller = new AbortController();
    const waiting = run(circuitBreaker(each((_part, context) => new Promise<Part>((_, reject) => context.signal.addEventListener("abort", () => reject(down)))), { circuit: it.circuit }), "a", { signal: controller.signal }).text();
    await turns(1);
    controller.abort("enough");
    await expect(soon(waiting)).rejects.toBe("enough");
    await expect(run(circuitBreaker(circuitBreaker(opaque, { circuit: (await opened()).circuit }), { circuit: it.circuit }), "a").text()).rejects.toMatchObject({ code: "circuit_open" });
    await turns(1);
    expect(it.circuit.counts).toEqual({ calls: 0, failures: 0 });
  });

  test("not when a bulkhead inside refused the call, which says nothing of the service", async () => {
    const it = service();
    const full = bulkhead(opaque, { concurrency: 1, queue: 0 });
    const holder = run(full, ["a", "b"])[Symbol.asyncIterator]();
    await holder.next();
    for (let i = 0; i < 3; i += 1) expect(await outcome(circuitBreaker(full, { circuit: it.circuit }))).toBe("unavailable");
    expect([it.circuit.state, it.circuit.counts]).toEqual(["closed", { calls: 0, failures: 0 }]);
    await holder.return?.();
  });

  test("counts a success when the consumer leaves after the finish part", async () => {
    const it = service({ minCalls: 2 });
    const model = circuitBreaker(each((part) => [part, finish({ reason: "stop" })]), { circuit: it.circuit });
    for await (const part of run(model, "a")) if (part.kind === "finish") break;
    await turns(1);
    expect(it.circuit.counts).toEqual({ calls: 1, failures: 0 });
  });

  test("by what isFailure says; when that throws, by the codes", async () => {
    const it = service({ isFailure: (error) => error === "mine" });
    it.error = "mine";
    await outcome(it.stage);
    expect(it.circuit.counts.failures).toBe(1);
    it.error = down;
    await outcome(it.stage);
    expect(it.circuit.counts.failures).toBe(1);
    const broken = service({ isFailure: () => { throw new Error("of the listener"); } });
    broken.error = down;
    await expect(call(broken.stage)).rejects.toBe(down);
    expect(broken.circuit.counts.failures).toBe(1);
  });
});

describe("P1: circuitBreaker closes again", () => {
  /** Calls that end when the test says so. */
  function held(shared: Circuit): { readonly stage: Processor; readonly gates: Gate[] } {
    const gates: Gate[] = [];
    const stage = circuitBreaker(async function* () {
      const mine = gate();
      gates.push(mine);
      yield text("first");
      await mine.promise;
      yield text("last");
    }, { circuit: shared });
    return { stage, gates };
  }

  test("of fifty calls that wait for it three get through, the others fail at once; it closes when all three succeeded", async () => {
    const it = await opened({ halfOpenCalls: 3 });
    const { stage, gates } = held(it.circuit);
    await it.clock.advance(1_000);
    const outcomes = Array.from({ length: 50 }, () => outcome(stage));
    await turns(3);
    expect([gates.length, it.circuit.state]).toEqual([3, "half-open"]);
    const refused = await Promise.all(outcomes.slice(3));
    expect(new Set(refused)).toEqual(new Set(["circuit_open"]));
    await expect(call(stage)).rejects.toMatchObject({ code: "circuit_open", retryAfterMs: 1_000, message: /probes under way/ });
    gates[0]?.open();
    gates[1]?.open();
    await turns(2);
    expect([it.circuit.state, await outcome(stage)]).toEqual(["half-open", "circuit_open"]); // two have succeeded, the third is under way
    gates[2]?.open();
    expect(await soon(Promise.all(outcomes.slice(0, 3)))).toEqual(["firstlast", "firstlast", "firstlast"]);
    expect([it.circuit.state, it.circuit.counts]).toEqual(["closed", { calls: 0, failures: 0 }]);
    expect(await call(it.stage)).toBe("a");
  });

  test("a probe that is left or aborted makes room for another, and proves nothing", async () => {
    const it = await opened({ halfOpenCalls: 1 });
    const { stage, gates } = held(it.circuit);
    await it.clock.advance(1_000);
    for await (const _ of run(stage, "a")) break;
    await turns(1);
    expect(it.circuit.state).toBe("half-open");
    const controller = new AbortController();
    const probe = run(stage, "a", { signal: controller.signal }).text();
    await turns(1);
    expect(await outcome(stage)).toBe("circuit_open");
    controller.abort("enough");
    await expect(soon(probe)).rejects.toBe("enough");
    await turns(1);
    expect(it.circuit.state).toBe("half-open");
    const last = outcome(stage);
    await turns(1);
    gates.at(-1)?.open();
    expect([await soon(last), it.circuit.state]).toEqual(["firstlast", "closed"]);
  });

  test("a probe that fails opens it for twice as long, up to the most, a fifth more or less by chance", async () => {
    for (const [chance, share] of [[0, 0.8], [0.5, 1], [1, 1.2]] as const) {
      const events: CircuitEvent[] = [];
      const it = await opened({ maxOpenMs: 5_000, random: () => chance, onStateChange: (event) => events.push(event) });
      it.error = down;
      for (let i = 0; i < 4; i += 1) {
        await it.clock.advance(events.at(-1)?.openMs ?? 0);
        expect(await outcome(it.stage)).toBe("unavailable");
      }
      const expected = [1_000, 2_000, 4_000, 8_000, 16_000].map((ms) => Math.min(5_000, ms * share));
      const lengths = events.filter(({ to }) => to === "open").map(({ openMs = 0 }) => openMs);
      for (const [i, ms] of lengths.entries()) expect(ms).toBeCloseTo(expected[i] ?? 0);
      expect(lengths).toHaveLength(5);
      await it.clock.advance(5_000);
      it.error = undefined;
      await call(it.stage);
      it.error = down;
      for (let i = 0; i < 2; i += 1) await outcome(it.stage);
      expect(events.at(-1)?.openMs).toBeCloseTo(1_000 * share); // closed in between: from the start again
    }
  });

  test("streams under way are not cut when it opens, and their late results change nothing, nor the time it is open", async () => {
    const it = service();
    const { stage, gates } = held(it.circuit);
    const late = [outcome(stage), outcome(stage), outcome(stage)];
    await turns(2);
    it.error = down;
    await outcome(it.stage);
    await outcome(it.stage);
    expect(it.circuit.state).toBe("open");
    await it.clock.advance(600);
    gates[0]?.open();
    gates[1]?.fail(down);
    expect(await soon(Promise.all(late.slice(0, 2)))).toEqual(["firstlast", "unavailable"]);
    await expect(call(stage)).rejects.toMatchObject({ retryAfterMs: 400 });
    await it.clock.advance(400);
    it.error = undefined;
    expect(await call(it.stage)).toBe("a");
    gates[2]?.fail(down);
    await soon(Promise.all(late));
    expect([it.circuit.state, it.circuit.counts.failures]).toEqual(["closed", 0]);
  });

  test("P8: every change is told, and a listener that throws breaks nothing", async () => {
    const events: string[] = [];
    const it = await opened({ name: "model", onStateChange: ({ name, from, to, openMs }) => { events.push(`${name}: ${from} > ${to} ${openMs}`); throw new Error("of the listener"); } });
    await it.clock.advance(1_000);
    expect(await call(it.stage)).toBe("a");
    expect(events).toEqual(["model: closed > open 1000", "model: open > half-open undefined", "model: half-open > closed undefined"]);
  });
});

describe("P1: circuits that share a store", () => {
  const clocked = (options: CircuitOptions, clock: FakeClock): { readonly circuit: Circuit; readonly stage: Processor; readonly failing: Processor } => {
    const shared = circuit({ name: "model", failureThreshold: 2, openMs: 10_000, halfOpenCalls: 1, random: () => 0.5, clock, ...options });
    return { circuit: shared, stage: circuitBreaker(opaque, { circuit: shared }), failing: circuitBreaker(each(() => { throw down; }), { circuit: shared }) };
  };

  test("one that opens keeps the others away as long as itself; each probes for itself; the hint is not handed on", async () => {
    const clock = fakeClock();
    await using store = memoryKeyValue({ clock });
    const [a, b, c] = [clocked({ store }, clock), clocked({ store }, clock), clocked({ store, name: "other" }, clock)];
    expect(await call(b.stage)).toBe("a");
    for (let i = 0; i < 2; i += 1) await outcome(a.failing);
    expect(a.circuit.state).toBe("open");
    await clock.advance(4_000);
    await expect(call(b.stage)).rejects.toMatchObject({ code: "circuit_open", retryAfterMs: 6_000 });
    expect([b.circuit.state, await call(c.stage)]).toEqual(["open", "a"]);
    expect((await store.advance("millrace:circuit:model", {})).aheadMs["open"]).toBe(6_000);
    await clock.advance(6_000);
    expect([await call(a.stage), await call(b.stage), a.circuit.state, b.circuit.state]).toEqual(["a", "a", "closed", "closed"]);

    for (let i = 0; i < 2; i += 1) await outcome(b.failing);
    await clock.advance(10_000);
    await outcome(b.failing); // its probe: for 20,000 ms now
    const error: unknown = await call(a.stage).catch((error: unknown) => error);
    expect(error).toMatchObject({ code: "circuit_open", retryAfterMs: 20_000 });
    expect((error as Error).cause).toBeUndefined(); // what failed here before is over
  });

  test("those who open together do not add up, and late failures write nothing", async () => {
    const clock = fakeClock();
    await using memory = memoryKeyValue({ clock });
    let written = 0;
    const store: MarkStore = { ...memory, advance: (key, steps, context) => { written += Object.keys(steps).length; return memory.advance(key, steps, context); } };
    const [a, b] = [clocked({ store }, clock), clocked({ store }, clock)];
    await Promise.all([a, a, a, a, b, b, b].map(({ failing }) => outcome(failing)));
    expect([a.circuit.state, b.circuit.state, written]).toEqual(["open", "open", 2]);
    expect((await store.advance("millrace:circuit:model", {})).aheadMs["open"]).toBe(10_000);
  });

  test("an answer that comes after its call has gone on, or has been left, takes no probe", async () => {
    const clock = fakeClock();
    const late = gate();
    const store: MarkStore = { ...memoryKeyValue({ clock }), advance: async () => { await late.promise; return { taken: true, waitMs: 0, aheadMs: {} }; } };
    const a = clocked({ store }, clock);
    const gone = call(a.stage);
    const left = run(a.stage, "b")[Symbol.asyncIterator]();
    void left.next();
    await turns(1);
    await left.return?.();
    await clock.advance(50);
    expect(await soon(gone)).toBe("a");
    for (let i = 0; i < 2; i += 1) await outcome(a.failing);
    await clock.advance(10_000);
    const probe = run(a.stage, stalledSource())[Symbol.asyncIterator]();
    void probe.next();
    await turns(1);
    await probe.return?.();
    expect(a.circuit.state).toBe("half-open");
    late.open();
    await turns(1);
    expect([await call(a.stage), a.circuit.state]).toEqual(["a", "closed"]);
  });

  test("one that has just found the service well does not heed another that fails", async () => {
    const clock = fakeClock();
    await using store = memoryKeyValue({ clock });
    const [sick, well] = [clocked({ store }, clock), clocked({ store }, clock)];
    for (let i = 0; i < 2; i += 1) await outcome(sick.failing);
    expect(await outcome(well.stage)).toBe("circuit_open");
    await clock.advance(10_000);
    expect(await outcome(sick.failing)).toBe("unavailable"); // for 20,000 ms now
    expect([await outcome(well.stage), well.circuit.state]).toEqual(["a", "closed"]);
    await clock.advance(2_000);
    expect(await outcome(well.stage)).toBe("a");
    await clock.advance(8_000);
    expect(await outcome(well.stage)).toBe("circuit_open");
  });

  test("the store is asked once a second at most, and by nobody while the circuit is open", async () => {
    const clock = fakeClock();
    await using memory = memoryKeyValue({ clock });
    let asked = 0;
    const store: MarkStore = { ...memory, advance: (key, steps, context) => { asked += 1; return memory.advance(key, steps, context); } };
    const a = clocked({ store }, clock);
    await Promise.all(Array.from({ length: 100 }, () => call(a.stage)));
    expect(asked).toBe(1);
    await clock.advance(1_000);
    await call(a.stage);
    expect(asked).toBe(2);
    for (let i = 0; i < 2; i += 1) await outcome(a.failing);
    await clock.advance(2_000);
    await outcome(a.stage);
    expect(asked).toBe(3); // the one that told
  });

  test("a store that fails, throws or hangs means the state here: a call waits 50 ms once, and no timer is left", async () => {
    const clock = fakeClock();
    const memory = memoryKeyValue({ clock });
    const stores: MarkStore[] = [
      { ...memory, advance: () => Promise.reject(new Error("down")) },
      { ...memory, advance: () => { throw new Error("down"); } },
      { ...memory, advance: () => new Promise(() => {}) },
    ];
    for (const [i, store] of stores.entries()) {
      const a = clocked({ store }, clock);
      const first = call(a.stage);
      if (i === 2) {
        let settled = false;
        void first.then(() => { settled = true; });
        await clock.advance(49);
        expect([settled, clock.pending]).toEqual([false, 1]);
        await clock.advance(1);
      }
      expect(await soon(first)).toBe("a");
      expect(await soon(call(a.stage))).toBe("a"); // without a wait: nothing moved the clock
      await clock.advance(5_000);
      expect(await soon(call(a.stage))).toBe("a");
      for (let n = 0; n < 2; n += 1) expect(await soon(outcome(a.failing))).toBe("unavailable");
      expect([a.circuit.state, clock.pending]).toEqual(["open", 0]);
    }
  });

  test("a store that hung is asked again once a second, given up before, and heard when it is back; no call waits for it again", async () => {
    const clock = fakeClock();
    const memory = memoryKeyValue({ clock });
    const late = gate();
    let hangs = true;
    const signals: (AbortSignal | undefined)[] = [];
    const store: MarkStore = { ...memory, advance: async (key, steps, context) => {
      signals.push(context?.signal);
      const result = await memory.advance(key, steps);
      if (hangs) await late.promise;
      return result;
    } };
    const a = clocked({ store }, clock);
    await memory.advance("millrace:circuit:model", { open: { atLeastMs: 4_000 } }); // another one is open
    const first = call(a.stage);
    await clock.advance(50);
    await first;
    for (let i = 0; i < 3; i += 1) {
      await clock.advance(1_000);
      expect(await soon(call(a.stage))).toBe("a");
    }
    expect(signals.map((signal) => signal?.aborted)).toEqual([true, true, true, false]);
    late.open();
    await turns(2);
    await expect(call(a.stage)).rejects.toMatchObject({ code: "circuit_open", retryAfterMs: 950 }); // and not what was true at first
    await clock.advance(950);
    expect([await outcome(a.stage), a.circuit.state]).toEqual(["a", "closed"]);
    hangs = false;
    await clock.advance(10_000);
    await memory.advance("millrace:circuit:model", { open: { atLeastMs: 4_000 } });
    expect(await outcome(a.stage)).toBe("circuit_open"); // waited for again, as it answers
  });

  test("what failed here long ago is not the cause where another one opened it", async () => {
    const clock = fakeClock();
    await using store = memoryKeyValue({ clock });
    const a = clocked({ store }, clock);
    expect(await outcome(a.failing)).toBe("unavailable");
    await clock.advance(3_600_000);
    await store.advance("millrace:circuit:model", { open: { atLeastMs: 4_000 } });
    const error: unknown = await call(a.stage).catch((error: unknown) => error);
    expect(error).toMatchObject({ code: "circuit_open" });
    expect((error as Error).cause).toBeUndefined();
  });

  test("an abort or a return while the store is being asked goes at once, takes no probe and leaves no timer", async () => {
    const clock = fakeClock();
    const silent: MarkStore = { ...memoryKeyValue({ clock }), advance: () => new Promise(() => {}) };
    const a = clocked({ store: silent }, clock);
    const controller = new AbortController();
    const source = stalledSource();
    const waiting = run(a.stage, source, { signal: controller.signal }).text();
    const iterator = run(a.stage, "b")[Symbol.asyncIterator]();
    const pending = iterator.next();
    await turns(1);
    expect(clock.pending).toBe(2);
    controller.abort("enough");
    await expect(soon(waiting)).rejects.toBe("enough");
    await iterator.return?.();
    expect([(await soon(pending)).done, clock.pending, source.opened]).toEqual([true, 0, 0]);
  });
});

describe("circuitBreaker: options", () => {
  test("bad ones are refused when it is built, by name", () => {
    const bad: readonly (readonly [CircuitOptions, string])[] = [
      [{ failureRate: 0 }, "failureRate"], [{ failureRate: 1.1 }, "failureRate"], [{ failureRate: NaN }, "failureRate"], [{ minCalls: 0 }, "minCalls"],
      [{ windowMs: 9 }, "windowMs"], [{ openMs: 0 }, "openMs"], [{ openMs: 10, maxOpenMs: 9 }, "maxOpenMs"], [{ halfOpenCalls: 0 }, "halfOpenCalls"],
      [{ failureThreshold: 0 }, "failureThreshold"], [{ failureThreshold: 3, minCalls: 5 }, "minCalls"], [{ name: "" }, "name"], [{ name: "a b" }, "name"],
      [{ isFailure: 1 as unknown as () => boolean }, "isFailure"], [{ onStateChange: 1 as unknown as () => void }, "onStateChange"],
      [{ name: "a", store: {} as MarkStore }, "store"],
    ];
    for (const [options, option] of bad) {
      expect(() => circuit(options)).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(option) }));
    }
    expect(() => circuit({ store: memoryKeyValue() })).toThrow(expect.objectContaining({ code: "missing_config" }));
    const { advance: _, ...lacking } = memoryKeyValue();
    expect(() => circuit({ name: "a", store: { ...lacking, lacks: { advance: "no scripts there" } } })).toThrow(/no scripts there/);
    expect(() => circuitBreaker(opaque, { circuit: {} as Circuit })).toThrow(/circuit must be a circuit that circuit\(\) made/);
    expect(() => circuitBreaker(opaque, { circuit: circuit(), openMs: 5 } as never)).toThrow(/openMs beside circuit/);
    expect(() => circuitBreaker(null as unknown as Processor)).toThrow(/argument 1/);
  });
});
