import { describe, expect, test } from "vitest";
import { memoryKeyValue } from "../../src/adapters/memory/index.ts";
import { DONE, type Flow, type Pulled, WAIT } from "../../src/core/flow.ts";
import { Fused } from "../../src/core/fused.ts";
import { planFor } from "../../src/core/pipeline.ts";
import { flowOf, openPlan } from "../../src/core/plan.ts";
import { Scope } from "../../src/core/scope.ts";
import { each, MillraceError, type Part, pipe, type Processor, run, text } from "../../src/index.ts";
import { bulkhead } from "../../src/resilience/bulkhead.ts";
import { cache } from "../../src/resilience/cache.ts";
import { circuitBreaker } from "../../src/resilience/circuit-breaker.ts";
import { compensate } from "../../src/resilience/compensate.ts";
import { fallback } from "../../src/resilience/fallback.ts";
import { hedge } from "../../src/resilience/hedge.ts";
import { retry } from "../../src/resilience/retry.ts";
import { timeout } from "../../src/resilience/timeout.ts";
import { type FakeClock, fakeClock } from "../../src/testing/index.ts";
import { mockModel } from "../../src/testing/mock-model.ts";
import { opaque, soon, turns } from "../streams/support.ts";

/** Moves time on until a run has settled: hashes come from other threads, so nobody knows when a timer is set. */
async function settled<T>(clock: FakeClock, outcome: Promise<T>): Promise<T> {
  let over = false;
  const note = (): void => void (over = true);
  outcome.then(note, note);
  for (let turn = 0; turn < 1_000 && !over; turn += 1) await clock.advance(1_000);
  return outcome;
}

const down = (): MillraceError => new MillraceError("unavailable", "down");

test("P0: all wrappers in their order, the cache on a key-value store: one failure is retried, the answer is kept, nothing is left", async () => {
  const clock = fakeClock();
  const store = memoryKeyValue({ clock });
  const model = mockModel(({ turn }) => (turn === 1 ? [{ error: down() }] : `answer ${turn}`));
  const endpoint = bulkhead(circuitBreaker(timeout(model, { clock }), { clock }), { clock });
  const answers = cache(fallback(retry(endpoint, { clock, random: () => 0 }), model), { scope: "public", store, secret: "0123456789abcdef", name: "m", version: "1", clock });
  expect(await settled(clock, run(answers, "q").text())).toBe("answer 2");
  expect(await run(answers, "q").text()).toBe("answer 2");
  expect([model.calls.length, clock.pending]).toEqual([2, 0]);
});

test("P6: a saga in an attempt that fails is undone before the next attempt begins, whichever stage fails", async () => {
  const clock = fakeClock();
  const log: string[] = [];
  const saga = compensate([
    {
      run: each((part) => {
        log.push("do");
        return part;
      }),
      undo: async () => {
        await clock.sleep(5_000); // longer than any wait before the next attempt
        log.push("undo");
      },
    },
  ]);
  const opaque: Processor = async function* (input) {
    yield* pipe(each(() => undefined))(input);
    throw down();
  };
  for (const last of [opaque, each(() => Promise.reject(down())), each(() => Promise.reject(down()), { concurrency: 2 })]) {
    for (const attempted of [pipe(saga, last), timeout(pipe(saga, last), { clock })]) {
      log.length = 0;
      const outcome = settled(clock, run(retry(attempted, { clock, random: () => 0, attempts: 2 }), "x").collect());
      await expect(outcome).rejects.toMatchObject({ code: "unavailable", attempts: 2 });
      expect(log).toEqual(["do", "undo", "do", "undo"]);
    }
  }
});

test("R12: a retry inside a cache inside a retry makes one attempt", async () => {
  const clock = fakeClock();
  const model = mockModel(() => [{ error: down() }]);
  const nested = retry(cache(retry(model, { clock, random: () => 0 }), { scope: "public", clock }), { clock, random: () => 0 });
  await expect(settled(clock, run(nested, "q").collect())).rejects.toMatchObject({ code: "unavailable" });
  expect(model.calls).toHaveLength(3);
});

describe("whoever reads a wrapper, with a promise or without", () => {
  const clock = fakeClock();
  const wrappers: Readonly<Record<string, (processor: Processor) => Processor>> = {
    retry: (processor) => retry(processor, { clock }),
    timeout: (processor) => timeout(processor, { clock }),
    fallback: (processor) => fallback(processor, { clock }),
    hedge: (processor) => hedge(processor, { clock }),
    compensate: (processor) => compensate([{ run: processor }], { clock }),
    "retry of timeout": (processor) => retry(timeout(processor, { clock }), { clock }),
    "timeout of retry": (processor) => timeout(retry(processor, { clock }), { clock }),
  };
  const signals: AbortSignal[] = [];
  const inside: Readonly<Record<string, Processor>> = {
    "part functions": each((part, context) => {
      signals.push(context.signal);
      return part;
    }),
    "an opaque stage": async function* (input, context) {
      if (context !== undefined) signals.push(context.signal);
      yield* input;
    },
  };
  const byPromise = async (flow: Flow): Promise<Awaited<Pulled>> => flow.pull();
  const told = (flow: Flow): Promise<Awaited<Pulled>> =>
    new Promise((resolve, reject) => {
      if (flow.pullFor === undefined) return void byPromise(flow).then(resolve, reject);
      const now = flow.pullFor({ onPart: resolve, onEnd: () => resolve(DONE), onError: reject });
      if (now !== WAIT) resolve(now);
    });
  const forms = Object.entries(wrappers).flatMap(([name, wrap]) =>
    Object.entries(inside).flatMap(([what, processor]) =>
      [byPromise, told].map((read) => [`${name} of ${what}, ${read.name}`, (upstream: Flow, scope = new Scope({}, { emit: () => {} })) => {
        signals.length = 0;
        return flowOf(openPlan(planFor(wrap(processor)), upstream, scope), scope);
      }, read] as const),
    ),
  );

  test.each(forms)("%s: gets the very parts, then the end, also when it asks again", async (_, open, read) => {
    const parts = ["a", "b", "c"].map((it) => text(it));
    const flow = open(new Fused({ items: parts }, [], new Scope({}, { emit: () => {} })));
    const seen: unknown[] = [];
    for (let i = 0; i < 5; i += 1) seen.push(await soon(read(flow)));
    expect(seen.every((it, i) => it === (parts[i] ?? DONE))).toBe(true);
    expect([await flow.close(new Error("late")), await read(flow), clock.pending]).toEqual([undefined, DONE, 0]);
    expect([signals.length > 0, signals.some((signal) => signal.aborted)]).toEqual([true, false]);
  });

  test.each(forms)("%s: is rejected with the reason when it leaves while it waits, and waits for what is behind", async (_, open, read) => {
    let closes = 0;
    let unwound = false;
    const parked: Flow = {
      pull: () => new Promise<Part>(() => {}),
      async close() {
        closes += 1;
        await turns(5); // longer than it takes to look whether something has settled
        unwound = true;
      },
    };
    const flow = open(parked);
    const why = new Error("enough");
    const waiting = read(flow).then(() => "nothing", (error: unknown) => error);
    await turns(1);
    void flow.close(why);
    await soon(Promise.resolve(flow.close(new Error("again"))));
    expect(unwound).toBe(true);
    expect(await soon(waiting)).toBe(why);
    expect([await read(flow), closes, clock.pending]).toEqual([DONE, 1, 0]);
    unwound = false;
    await soon(Promise.resolve(open(parked).close(why)));
    expect([unwound, closes]).toEqual([true, 2]); // before it was read, too
  });

  test.each(forms)("%s: is rejected with the very error of the input, once, and then it is over", async (_, open, read) => {
    const error = new Error("input");
    let pulls = 0;
    const failing: Flow = {
      pull: () => (pulls++ === 0 ? text("a") : Promise.reject(error)),
      close: () => undefined,
    };
    const flow = open(failing);
    await soon(read(flow));
    await expect(soon(read(flow))).rejects.toBe(error);
    expect(clock.pending).toBe(0);
    expect([await read(flow), pulls]).toEqual([DONE, 2]);
  });

  test.each(forms)("%s: is let go by the run around it when it has ended, failed or left", async (_, open, read) => {
    if (!("gc" in globalThis)) return;
    const scope = new Scope({}, { emit: () => {} });
    const gone: WeakRef<object>[] = [];
    const once = async (how: "ends" | "fails" | "leaves"): Promise<void> => {
      let pulls = 0;
      const last: Readonly<Record<typeof how, () => Pulled>> = { ends: () => DONE, fails: () => Promise.reject(new Error("input")), leaves: () => new Promise(() => {}) };
      const flow = open({ pull: () => (pulls++ === 0 ? text("a") : last[how]()), close: () => undefined }, scope);
      gone.push(new WeakRef(flow));
      await read(flow);
      const next = read(flow).catch(() => {});
      if (how === "leaves") void flow.close(new Error("enough"));
      await next;
    };
    for (const how of ["ends", "fails", "leaves"] as const) for (let i = 0; i < 10; i += 1) await once(how);
    await turns(2);
    (globalThis as unknown as { gc(): void }).gc();
    expect(gone.filter((flow) => flow.deref() !== undefined).length).toBeLessThan(3);
  });

  const moments = Object.entries(wrappers).flatMap(([name, wrap]) => [[name, "before", wrap], [name, "after", wrap]] as const);
  test.each(moments)("%s: of what fails by itself %s its first content the input is closed, which is waited for", async (_, moment, wrap) => {
    const error = new Error("bug");
    let unwound = 0;
    const source = async function* (): AsyncGenerator<Part> {
      try {
        for (;;) yield text("a");
      } finally {
        await turns(2);
        unwound += 1;
      }
    };
    const careless: Processor = async function* (input) {
      for await (const part of input) {
        if (moment === "after") yield part;
        throw error;
      }
    };
    const failed = await run(pipe(wrap(careless), each((part) => part)), source()).collect().catch((thrown: unknown) => thrown);
    expect(unwound).toBe(1);
    expect(failed === error || (failed as Error).cause === error).toBe(true);
  });

  test.each(Object.entries(wrappers))("%s: S19: whoever leaves between two parts, and whoever comes to the end, waits for every `finally` inside and behind", async (_, wrap) => {
    const log: string[] = [];
    const slowly = async (name: string): Promise<void> => {
      await turns(3);
      log.push(name);
    };
    const source = async function* (): AsyncGenerator<Part> {
      try {
        for (;;) yield text("a");
      } finally {
        await slowly("source");
      }
    };
    const signals: (AbortSignal | undefined)[] = [];
    const stage = (count: number): Processor =>
      async function* (input, context) {
        signals.push(context?.signal);
        let given = 0;
        try {
          for await (const part of input) {
            yield part;
            given += 1;
            if (given === count) return;
          }
        } finally {
          await slowly("stage");
        }
      };
    for await (const _part of run(wrap(stage(5)), source())) break;
    expect(log).toEqual(["source", "stage"]);
    log.length = 0;
    expect(await run(wrap(stage(2)), source()).text()).toBe("aa");
    expect([log, signals.at(-1)?.aborted]).toEqual([["source", "stage"], false]);
  });

  test.each(Object.entries(wrappers))("%s: a stage that gives what is no part is left before the error is told", async (_, wrap) => {
    const log: string[] = [];
    const confused: Processor = async function* () {
      try {
        yield text("a");
        yield 5 as never;
      } finally {
        await turns(3);
        log.push("left");
      }
    };
    const error = await run(wrap(confused), "x").collect().catch((thrown: unknown) => thrown);
    const cause = (error as MillraceError).code === "interrupted" ? (error as Error).cause : error;
    expect(cause).toMatchObject({ code: "invalid_input" });
    expect(log).toEqual(["left"]);
  });

  test.each(Object.entries(wrappers))("%s: calls in flight hear by their signal that it is left", async (_, wrap) => {
    const heard: unknown[] = [];
    const parked: Processor = async function* (_input, context) {
      context?.signal.addEventListener("abort", () => heard.push(context.signal.reason));
      yield* [] as Part[];
      await new Promise(() => {});
    };
    const scope = new Scope({}, { emit: () => {} });
    const flow = flowOf(openPlan(planFor(wrap(parked)), { pull: () => DONE, close: () => undefined }, scope), scope);
    byPromise(flow).catch(() => {});
    await turns(1);
    const why = new Error("enough");
    await soon(Promise.resolve(flow.close(why)));
    expect([heard, clock.pending]).toEqual([[why], 0]);
  });

  test("a time that is up is told once", async () => {
    const scope = new Scope({}, { emit: () => {} });
    const flow = flowOf(openPlan(planFor(timeout(opaque, { firstPartMs: 10, clock })), { pull: () => new Promise(() => {}), close: () => undefined }, scope), scope);
    const late = expect(byPromise(flow)).rejects.toMatchObject({ phase: "firstPart" });
    await clock.advance(10);
    await late;
    expect([await soon(byPromise(flow)), clock.pending]).toEqual([DONE, 0]);
  });
});
