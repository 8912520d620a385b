import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes, each, isMillraceError, isolate, json, MillraceError, parallel, type Part, pipe, type Processor, run, status, take, text } from "../../src/index.ts";
import { compensate, type CompensateOptions, type CompensateStep } from "../../src/resilience/compensate.ts";
import type { SagaEvent, UndoContext } from "../../src/resilience/sagas/undo.ts";
import { fakeClock, stalledSource, watchedSource } from "../../src/testing/index.ts";
import { gate, opaque, soon, texts, turns } from "../streams/support.ts";

/** A step that writes down when it ran and when it was undone. */
function step(log: string[], name: string, more: Partial<CompensateStep> = {}): CompensateStep {
  return {
    name,
    run: each((part) => {
      log.push(name);
      return part.kind === "text" ? `${part.text}${name}` : part;
    }),
    undo: (output) => void log.push(`undo ${name} of ${texts(output).join(",")}`),
    ...more,
  };
}

const failing = (error: unknown): Processor =>
  each(() => {
    throw error;
  });
const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "nothing",
    (error: unknown) => error,
  );
const suppressed = (error: unknown): string[] => ((error as { readonly suppressed?: readonly Error[] }).suppressed ?? []).map(({ message }) => message);

describe("P6: what a saga does", () => {
  test("runs the steps in turn, each over the whole output of the one before, and undoes nothing when all goes well", async () => {
    const log: string[] = [];
    expect(await run(compensate([step(log, "a"), step(log, "b"), step(log, "c")]), ["1", "2"]).text()).toBe("1abc2abc");
    expect(log).toEqual(["a", "a", "b", "b", "c", "c"]);
  });

  test("the last step streams live, and status parts of all steps come out", async () => {
    const held = gate();
    const saga = compensate([
      { run: each((part) => [status("one"), part]) },
      {
        run: async function* () {
          yield text("first");
          await held.promise;
          yield text("second");
        },
      },
    ]);
    const iterator = run(saga, "x")[Symbol.asyncIterator]();
    const next = async (): Promise<unknown> => texts([((await soon(iterator.next())) as { value: Part }).value])[0];
    expect([await next(), await next()]).toEqual(["one", "first"]);
    held.open();
    expect(await next()).toBe("second");
    expect((await iterator.next()).done).toBe(true);
  });

  test("R-saga: whichever of six steps fails, and whichever undo fails too: i−1 … 1, once each, and the error is the very object", async () => {
    for (let failAt = 0; failAt < 6; failAt += 1) {
      for (let undoFailsAt = -1; undoFailsAt < failAt; undoFailsAt += 1) {
        const log: string[] = [];
        const error = new Error(`step ${failAt}`);
        const steps = Array.from({ length: 6 }, (_, i) =>
          step(log, String(i), {
            ...(i === failAt ? { run: failing(error) } : {}),
            undo: () => {
              log.push(`undo ${i}`);
              if (i === undoFailsAt) throw new Error(`undo ${i}`);
            },
          }),
        );
        expect(await caught(run(compensate(steps, { name: "s", retries: 0 }), "x").collect())).toBe(error);
        const before = Array.from({ length: failAt }, (_, i) => String(i));
        expect(log).toEqual([...before, ...before.toReversed().map((i) => `undo ${i}`)]);
        expect(Object.keys(error)).toEqual([]); // logs show no more than before
        expect("suppressed" in error).toBe(undoFailsAt >= 0);
        expect(suppressed(error)).toEqual(undoFailsAt < 0 ? [] : [`compensate: step ${undoFailsAt} of s is not undone`]);
      }
    }
  });

  test("an undo gets its own step's output, as a list and as a stream, and may be a processor of either form", async () => {
    const log: string[] = [];
    const saga = compensate([
      step(log, "a", { undo: each((part) => void log.push(`each ${texts([part])[0]}`)) }),
      step(log, "b", {
        async *undo(output) {
          for await (const part of output) log.push(`generator ${texts([part])[0]}`);
          yield text("ignored");
        },
      }),
      step(log, "c", { undo: async (output) => void log.push(`function ${output.length} ${texts(output).join(",")}`) }),
      { run: failing(new Error("no")) },
    ]);
    await caught(run(saga, ["1", "2"]).collect());
    expect(log.slice(6)).toEqual(["function 2 1abc,2abc", "generator 1ab", "generator 2ab", "each 1a", "each 2a"]);
  });

  test("an undo is told the run, a key that is its own and the same at every attempt, and a signal that is not the run's", async () => {
    const clock = fakeClock();
    const seen: UndoContext[] = [];
    const aborted: boolean[] = [];
    const saga = compensate(
      [
        step([], "a", {
          undo: (_output, context) => {
            seen.push(context);
            aborted.push(context.signal.aborted);
            if (context.attempt < 3) throw new Error("not yet");
          },
        }),
        { run: each((_, context) => context.state.set("seen", 1) && Promise.reject(new Error("no"))) },
      ],
      { name: "order", clock },
    );
    const outcome = caught(run(saga, "x", { correlationId: "c-1" }).collect());
    await clock.advance(60_000);
    await soon(outcome);
    expect(seen.map(({ attempt, correlationId }) => [attempt, correlationId])).toEqual([[1, "c-1"], [2, "c-1"], [3, "c-1"]]);
    expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
    expect(seen[0]?.key).toMatch(/^order-[0-9a-f-]{36}:a$/);
    expect(seen[0]?.state.get("seen")).toBe(1);
    expect(aborted).toEqual([false, false, false]);
  });

  test("an undo is tried four times with full jitter between, 30 s each, and then listed as not undone; the others are undone all the same", async () => {
    const clock = fakeClock();
    const log: string[] = [];
    const events: SagaEvent[] = [];
    const error = new Error("no");
    const reasons: unknown[] = [];
    const saga = compensate(
      [
        step(log, "a"),
        step(log, "b", {
          undo: (_output, { signal }) => {
            log.push(`try b at ${clock.now()}`);
            return new Promise(() => signal.addEventListener("abort", () => reasons.push(signal.reason)));
          },
        }),
        { run: failing(error) },
      ],
      { name: "s", clock, random: () => 0.5, onEvent: (event) => events.push(event) },
    );
    const outcome = caught(run(saga, "x").collect());
    await clock.advance(200_000);
    expect(await soon(outcome)).toBe(error);
    expect(log).toEqual(["a", "b", "try b at 0", "try b at 30250", "try b at 60750", "try b at 91750", "undo a of xa"]);
    expect(reasons.map((reason) => isMillraceError(reason, "timeout"))).toEqual([true, true, true, true]);
    expect(suppressed(error)).toEqual(["compensate: step b of s is not undone"]);
    expect(events.map(({ kind, step: name, attempts }) => [kind, name, attempts])).toEqual([["undo_failed", "b", 4], ["undone", "a", 1]]);
    expect(clock.pending).toBe(0);
  });

  test("an error that cannot carry anything is thrown as it is", async () => {
    for (const error of ["text", undefined, null, Object.freeze(new Error("frozen"))]) {
      const saga = compensate([step([], "a", { undo: () => Promise.reject(new Error("no undo")) }), { run: failing(error) }], { retries: 0 });
      expect(await caught(run(saga, "x").collect())).toBe(error);
    }
  });

  test("a step counts as happened when nobody knows, when it gave something, or when it says so itself", async () => {
    const cases: readonly (readonly [string, CompensateStep["run"], Partial<CompensateStep>, boolean])[] = [
      ["plain error", failing(new Error("no")), {}, false],
      ["unavailable", failing(new MillraceError("unavailable", "no")), {}, false],
      ["interrupted", failing(new MillraceError("interrupted", "no")), {}, true],
      ["truncated", failing(new MillraceError("truncated", "no")), {}, true],
      ["timeout", failing(new MillraceError("timeout", "no", { phase: "idle" })), {}, true],
      ["timeout while connecting", failing(new MillraceError("timeout", "no", { phase: "connect" })), {}, false],
      ["after an output", each(() => (function* () { yield "out"; throw new Error("no"); })()), {}, true],
      ["by its own word", failing(new Error("no")), { mayHaveHappened: () => true }, true],
      ["by its own word not", failing(new MillraceError("interrupted", "no")), { mayHaveHappened: () => false }, false],
    ];
    for (const [name, processor, more, happened] of cases) {
      for (const atEnd of [true, false]) {
        const log: string[] = [];
        const steps = [step(log, "a"), step(log, "b", { run: processor, undo: (output) => void log.push(`undo b of ${texts(output).join(",")}`), ...more })];
        await caught(run(compensate(atEnd ? steps : [...steps, step(log, "c")]), "x").collect());
        const expected = happened ? [`undo b of ${name === "after an output" ? "out" : ""}`] : [];
        expect([name, ...log]).toEqual([name, "a", ...expected, "undo a of xa"]);
      }
    }
  });

  test("a step whose own word fails counts as happened; the error is the step's", async () => {
    const log: string[] = [];
    const error = new Error("no");
    const mayHaveHappened = (): never => {
      throw new Error("no answer");
    };
    expect(await soon(caught(run(compensate([step(log, "a"), step(log, "b", { run: failing(error), mayHaveHappened })]), "x").collect()))).toBe(error);
    expect(log).toEqual(["a", "undo b of ", "undo a of xa"]);
  });

  test("what an undo hands to waitUntil is waited for; when it fails, so has the undo, and a process does not die of it meanwhile", async () => {
    const log: string[] = [];
    const saga = compensate(
      [
        step(log, "a", {
          undo: (_output, context) => {
            context.waitUntil(turns(2).then(() => log.push("waited")));
          },
        }),
        step(log, "b", {
          undo: async (_output, context) => {
            context.waitUntil(Promise.reject(new Error("behind")));
            await turns(2);
          },
        }),
        { run: failing(new Error("no")) },
      ],
      { retries: 0, name: "s" },
    );
    expect(suppressed(await caught(run(saga, "x").collect()))).toEqual(["compensate: step b of s is not undone"]);
    expect(log).toEqual(["a", "b", "waited"]);
  });

  test("a step that gives what is no JSON is remembered all the same", async () => {
    const saga = compensate([{ run: each(() => json(1n as never)), undo: () => {} }, { run: each((part) => [part, part]) }]);
    expect(await run(saga, "x").collect()).toHaveLength(2);
  });

  test("a step that gives more than is remembered fails, and counts as happened", async () => {
    const log: string[] = [];
    const large = each(() => bytes(new Uint8Array(60), "application/x"));
    for (const steps of [[step(log, "a", { run: large }), step(log, "b")], [step(log, "a", { run: large })]]) {
      const error = await caught(run(compensate(steps, { maxStepBytes: 150 }), ["1", "2"]).collect());
      expect(isMillraceError(error, "too_large")).toBe(true);
    }
    expect(log).toEqual(["undo a of bytes,bytes", "undo a of bytes,bytes"]);
    expect(await run(compensate([step(log, "a", { run: large }), step(log, "b", { run: large })], { maxStepBytes: 92 }), "1").collect()).toHaveLength(1);
    const endless = compensate([{ run: each((part) => [part, part, part]) }], { maxStepBytes: 150 });
    expect(await run(endless, ["1", "2"]).collect()).toHaveLength(6); // the last step has no undo, so nothing of it is remembered
  });
});

describe("P6: sagas in one run are undone as if they were one", () => {
  const outcomeOf = async (processor: Processor, log: string[], input: string | string[] = "x"): Promise<string[]> => {
    await caught(run(processor, input).collect());
    return log.filter((line) => line.startsWith("undo")).map((line) => line.slice(5, 7).trim());
  };

  test("chained sagas undoing only the last must never come back", async () => {
    const log: string[] = [];
    const one = compensate([step(log, "a"), step(log, "b")]);
    const two = compensate([step(log, "c"), step(log, "d"), { run: failing(new Error("no")) }]);
    expect(await outcomeOf(pipe(one, two), log)).toEqual(["d", "c", "b", "a"]);
  });

  test("a saga inside a step is undone after that step, and before the steps before it", async () => {
    const log: string[] = [];
    const inner = compensate([step(log, "b"), step(log, "c")]);
    const wrapped: Processor = async function* (input, context) {
      yield* inner(input, context);
    };
    for (const nested of [inner, pipe(inner), wrapped, isolate(inner)]) {
      log.length = 0;
      const outer = compensate([step(log, "a"), step(log, "s", { run: nested }), step(log, "d"), { run: failing(new Error("no")) }]);
      expect(await outcomeOf(outer, log)).toEqual(["d", "s", "c", "b", "a"]);
    }
  });

  test("a failure after the saga, in any later stage, in the sink or in what the run waits for, undoes it before the error is thrown", async () => {
    const log: string[] = [];
    const saga = compensate([step(log, "a"), step(log, "b", { undo: async () => { await turns(2); log.push("undo b"); } })]);
    const late: Record<string, Processor> = {
      each: pipe(saga, each(() => Promise.reject(new Error("no")))),
      opaque: pipe(saga, async function* (input) {
        yield* input;
        throw new Error("no");
      }),
      waitUntil: pipe(saga, each((part, context) => {
        context.waitUntil(turns(2).then(() => Promise.reject(new Error("no"))));
        return part;
      })),
    };
    for (const processor of Object.values(late)) {
      log.length = 0;
      expect(await outcomeOf(processor, log)).toEqual(["b", "a"]);
    }
    log.length = 0;
    await caught(run(saga, "x").forEach(() => Promise.reject(new Error("sink"))));
    expect(log.filter((line) => line.startsWith("undo"))).toEqual(["undo b", "undo a of xa"]);
  });

  test("a branch, a generator or a run per part that fails undoes what was done in it and around it", async () => {
    const log: string[] = [];
    const a = compensate([step(log, "a")]);
    const b = compensate([step(log, "b"), { run: failing(new Error("no")) }]);
    const inGenerator: Processor = async function* (input, context) {
      yield* b(input, context);
    };
    for (const processor of [pipe(a, inGenerator), pipe(a, parallel(opaque, b)), pipe(parallel(a, each(() => undefined)), b), pipe(isolate(a), opaque, b)]) {
      log.length = 0;
      expect(await outcomeOf(processor, log)).toEqual(["b", "a"]);
    }
  });

  test("a failure that is contained undoes what was done in there alone", async () => {
    const log: string[] = [];
    const perPart = isolate(pipe(compensate([step(log, "a"), step(log, "b")]), each((part) => (texts([part])[0]?.startsWith("2") === true ? Promise.reject(new Error("no")) : part))));
    const parts = await run(perPart, ["1", "2", "3"]).collect();
    expect(texts(parts)).toEqual(["1ab", "error", "3ab"]);
    expect(log.filter((line) => line.startsWith("undo"))).toEqual(["undo b of 2ab", "undo a of 2a"]);
    log.length = 0;
    const afterItsEnd: Processor = async function* (input) {
      for await (const part of input) yield part;
      throw new Error("no");
    };
    await run(isolate(pipe(compensate([step(log, "a")]), afterItsEnd)), ["1", "2"]).collect();
    expect(log).toEqual(["a", "undo a of 1a", "a", "undo a of 2a"]);
    log.length = 0;
    const careful: Processor = async function* (input, context) {
      try {
        yield* compensate([step(log, "b"), { run: failing(new Error("no")) }])(input, context);
      } catch {
        yield text("instead");
      }
    };
    expect(await run(pipe(compensate([step(log, "a")]), careful), "x").text()).toBe("instead");
    expect(log.filter((line) => line.startsWith("undo"))).toEqual(["undo b of xab"]);
  });

  test("runs of one saga at once know nothing of each other", async () => {
    const log: string[] = [];
    const saga = compensate([step(log, "a"), { run: each((part) => (texts([part])[0] === "5a" ? Promise.reject(new Error("no")) : part)) }]);
    const results = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => run(saga, String(i)).text()));
    expect(results.filter(({ status: how }) => how === "rejected")).toHaveLength(1);
    expect(log.filter((line) => line.startsWith("undo"))).toEqual(["undo a of 5a"]);
  });

  test("any tree of sagas that fails anywhere undoes what was done, once each, in the reverse order", async () => {
    type Tree = string | readonly Tree[];
    const tree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
      tree: fc.oneof({ maxDepth: 3 }, fc.constant("leaf"), fc.array(tie("tree"), { minLength: 1, maxLength: 3 })),
    })).tree;
    await fc.assert(
      fc.asyncProperty(fc.array(tree, { minLength: 1, maxLength: 3 }), fc.nat(12), fc.nat(2), async (chain, failAt, wrap) => {
        const done: string[] = [];
        const undone: string[] = [];
        let ran = 0;
        let names = 0;
        const stepOf = (node: Tree): CompensateStep => {
          names += 1;
          const name = String(names);
          const undo = (): void => void undone.push(name);
          const note: Processor = each((part) => part);
          const inner: Processor = typeof node === "string" ? note : sagaOf(node);
          const wrapped = [inner, pipe(inner, each((part) => part)), (async function* (input, context) { yield* inner(input, context); }) satisfies Processor][wrap] as Processor;
          const leaf: Processor = async function* (input) {
            ran += 1;
            if (ran === failAt) throw new Error("no");
            yield* input;
            done.push(name);
          };
          const whole: Processor = async function* (input, context) {
            yield* wrapped(input, context);
            done.push(name);
          };
          return { name, run: typeof node === "string" ? leaf : whole, undo };
        };
        const sagaOf = (node: Tree): Processor => compensate((typeof node === "string" ? [node] : node).map(stepOf));
        const error = await caught(run(pipe(...chain.map(sagaOf)), "x").collect());
        expect(undone).toEqual(error === "nothing" ? [] : expect.arrayContaining(done.toReversed()));
        if (error !== "nothing") expect(undone.filter((name) => done.includes(name))).toEqual(done.toReversed());
        expect(new Set(undone).size).toBe(undone.length);
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
    );
  });
});

describe("leaving and aborting a saga", () => {
  const parked = (log: string[]): CompensateStep => ({
    name: "c",
    run: async function* (_input, context) {
      log.push("c");
      yield text("c1");
      await new Promise((_, reject) => context?.signal.addEventListener("abort", () => reject(context.signal.reason as Error)));
    },
    undo: (output) => void log.push(`undo c of ${texts(output).join(",")}`),
  });

  test("a break undoes all, the step at work too, before the statement after the loop", async () => {
    const log: string[] = [];
    for await (const _ of run(compensate([step(log, "a"), step(log, "b"), parked(log)]), "x")) break;
    expect(log).toEqual(["a", "b", "c", "undo c of c1", "undo b of xab", "undo a of xa"]);
  });

  test("nested sagas that are cut are undone from the outside in: a step before the steps inside of it", async () => {
    const log: string[] = [];
    const inner = compensate([step(log, "b"), parked(log)]);
    for await (const _ of run(compensate([step(log, "a"), step(log, "s", { run: inner, undo: () => void log.push("undo s") })]), "x")) break;
    expect(log).toEqual(["a", "b", "c", "undo s", "undo c of c1", "undo b of xab", "undo a of xa"]);
  });

  test("so does a stage that takes no more, and a break after the saga has ended but not the run", async () => {
    const log: string[] = [];
    await run(pipe(compensate([step(log, "a"), step(log, "b")]), take(1)), ["1", "2"]).collect();
    expect(log).toEqual(["a", "a", "b", "undo b of 1ab", "undo a of 1a,2a"]);
    log.length = 0;
    const slow: Processor = async function* (input) {
      for await (const _ of input);
      yield text("end");
      yield text("not taken");
    };
    for await (const _ of run(pipe(compensate([step(log, "a")]), slow), "x")) break;
    expect(log).toEqual(["a", "undo a of xa"]);
  });

  test("what a break could not undo is thrown from the loop", async () => {
    const saga = compensate([step([], "a", { undo: () => Promise.reject(new Error("no undo")) }), step([], "b")], { retries: 0, name: "s" });
    const leaving = (async () => {
      for await (const _ of run(saga, ["1", "2"])) break;
    })();
    await expect(leaving).rejects.toMatchObject({ code: "interrupted", message: "compensate: step a of s is not undone", attempts: 1 });
  });

  test("S25: an abort rejects with the very reason at once; undoing goes on, with signals of its own", async () => {
    const log: string[] = [];
    const held = gate();
    const reason = new Error("enough");
    const controller = new AbortController();
    const signals: boolean[] = [];
    const saga = compensate([
      step(log, "a"),
      step(log, "b", {
        undo: async (_output, { signal }) => {
          await held.promise;
          signals.push(signal.aborted);
          log.push("undo b");
        },
      }),
      parked(log),
    ]);
    const outcome = caught(run(saga, "x", { signal: controller.signal }).collect());
    await turns();
    controller.abort(reason);
    expect(await soon(outcome)).toBe(reason);
    expect(log).toEqual(["a", "b", "c", "undo c of c1"]);
    held.open();
    await turns();
    expect([log.slice(4), signals]).toEqual([["undo b", "undo a of xa"], [false]]);
  });

  test("a saga inside a stage that is parked is cut and undone all the same, the step at work too", async () => {
    const log: string[] = [];
    const deaf = step(log, "b", {
      run: async function* () {
        log.push("b");
        yield* [] as Part[];
        await new Promise(() => {});
      },
    });
    const saga = compensate([step(log, "a"), deaf]);
    const stage: Processor = async function* (input, context) {
      yield* saga(input, context);
    };
    const controller = new AbortController();
    const outcome = caught(run(stage, "x", { signal: controller.signal }).collect());
    await turns();
    controller.abort("stop");
    expect(await soon(outcome)).toBe("stop");
    await turns();
    expect(log).toEqual(["a", "b", "undo b of ", "undo a of xa"]);
  });

  test("leaving while a failed saga is being undone waits for that", async () => {
    const log: string[] = [];
    const held = gate();
    const undo = async (): Promise<void> => {
      await held.promise;
      log.push("undo a");
    };
    const iterator = run(compensate([step(log, "a", { undo }), { run: failing(new Error("no")) }]), "x")[Symbol.asyncIterator]();
    const pending = caught(iterator.next());
    await turns();
    const leaving = Promise.resolve(iterator.return?.()).then(() => log.push("left"));
    await turns();
    expect(log).toEqual(["a"]);
    held.open();
    await soon(leaving);
    expect(log).toEqual(["a", "undo a", "left"]);
    await pending;
  });

  test("what several sagas could not undo is listed together", async () => {
    const error = new Error("no");
    const undo = (): Promise<never> => Promise.reject(new Error("no undo"));
    const saga = (name: string, ...more: CompensateStep[]): Processor => compensate([step([], "a", { undo }), ...more], { name, retries: 0 });
    expect(await caught(run(pipe(saga("one"), saga("two", { run: failing(error) })), "x").collect())).toBe(error);
    expect(suppressed(error)).toEqual(["compensate: step a of two is not undone", "compensate: step a of one is not undone"]);
  });

  test("an abort while a failed saga is being undone rejects at once, and nothing is undone twice", async () => {
    const log: string[] = [];
    const held = gate();
    const controller = new AbortController();
    const reason = new Error("enough");
    const undo = async (): Promise<void> => {
      await held.promise;
      log.push("undo a");
    };
    const saga = compensate([step(log, "a", { undo }), { run: failing(new Error("no")) }]);
    const outcome = caught(run(saga, "x", { signal: controller.signal }).collect());
    await turns();
    controller.abort(reason);
    expect(await soon(outcome)).toBe(reason);
    held.open();
    await turns();
    expect(log).toEqual(["a", "undo a"]);
  });

  test("S6: nothing runs and nothing is undone without a pull, nor with a signal that has aborted", async () => {
    const log: string[] = [];
    const source = watchedSource(["x"]);
    const saga = compensate([step(log, "a")]);
    run(saga, source);
    await run(saga, source)[Symbol.asyncIterator]().return?.();
    await caught(run(saga, source, { signal: AbortSignal.abort(new Error("before")) }).collect());
    await turns();
    expect([log, source.opened]).toEqual([[], 0]);
  });

  test("S20: leaving while the input is parked settles at once and closes it once", async () => {
    const source = stalledSource();
    const iterator = run(compensate([step([], "a")]), source)[Symbol.asyncIterator]();
    const next = iterator.next();
    await turns();
    await soon(Promise.resolve(iterator.return?.()));
    expect([await next, source.closed]).toEqual([{ value: undefined, done: true }, 1]);
  });

  test("10,000 runs on one signal, ended, failed and left, leave no listener and no timer", async () => {
    const clock = fakeClock();
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...all: Parameters<typeof add>) => ((listeners += 1), add(...all));
    signal.removeEventListener = (...all: Parameters<typeof remove>) => ((listeners -= 1), remove(...all));
    let happened = 0;
    const count = (change: number) => (): void => void (happened += change);
    const saga = compensate(
      [
        { run: each((part) => ((happened += 1), part)), undo: count(-1) },
        { run: each((part) => (texts([part])[0] === "1" ? Promise.reject(new Error("no")) : part)) },
      ],
      { clock },
    );
    for (let i = 0; i < 10_000; i += 1) {
      const stream = run(saga, [String(i % 3)], { signal });
      if (i % 3 === 2) for await (const _ of stream) break;
      else await caught(stream.collect());
    }
    expect([listeners, clock.pending, happened]).toEqual([0, 0, Math.ceil(10_000 / 3)]);
  });
});

describe("options", () => {
  test.each<[string, unknown, CompensateOptions, string]>([
    ["no steps", [], {}, "steps"],
    ["no list", undefined, {}, "steps"],
    ["a step without run", [{ undo: () => {} }], {}, "steps[0].run"],
    ["an undo that is none", [{ run: opaque, undo: "x" }], {}, "steps[0].undo"],
    ["a step that is none", [null], {}, "steps[0]"],
    ["a mayHaveHappened that is none", [{ run: opaque, mayHaveHappened: true }], {}, "steps[0].mayHaveHappened"],
    ["a name that is none", [{ run: opaque, name: 1 }], {}, "steps[0].name"],
    ["two steps of one name", [{ run: opaque, name: "a" }, { run: opaque, name: "a" }], {}, "steps[1].name"],
    ["undoMs 0", [{ run: opaque }], { undoMs: 0 }, "undoMs"],
    ["baseMs NaN", [{ run: opaque }], { baseMs: Number.NaN }, "baseMs"],
    ["retries -1", [{ run: opaque }], { retries: -1 }, "retries"],
    ["maxStepBytes 1.5", [{ run: opaque }], { maxStepBytes: 1.5 }, "maxStepBytes"],
  ])("%s is refused at construction", (_, steps, options, named) => {
    let error: unknown;
    try {
      compensate(steps as CompensateStep[], options);
    } catch (thrown) {
      error = thrown;
    }
    expect(isMillraceError(error, "invalid_input") && error.message).toContain(`compensate: ${named} must be`);
  });
});
