/**
 * What must hold for every wrapper that lets calls in: called by the tests of each.
 *
 * @module
 */
import { describe, expect, test } from "vitest";
import { buffer, debug, each, parallel, pipe, type Processor, run, status, take, text } from "../../src/index.ts";
import { stalledSource, watchedSource } from "../../src/testing/watched-source.ts";
import { numbers, opaque, passing, soon, texts, turns } from "../streams/support.ts";

/** The wrapper under test, with room for every call, and what it holds. */
export interface Wrapper {
  wrap(processor: Processor): Processor;
  /** Permits that have not been given back, waiting calls, and timers: all together. */
  held(): number;
}

/** The rules of streams, and of permits, around a wrapper. */
export function admissionCases(name: string, make: () => Wrapper): void {
  describe(`${name}: a stream like any other`, () => {
    for (const [form, stage] of Object.entries(passing)) {
      test(`hands on what "${form}" gives`, async () => {
        const { wrap, held } = make();
        expect(texts(await run(wrap(stage()), numbers(50)).collect())).toEqual(numbers(50));
        expect(texts(await run(pipe(opaque, wrap(stage()), opaque), numbers(3)).collect())).toEqual(["0", "1", "2"]);
        await turns(1);
        expect(held()).toBe(0);
      });
    }

    test("the parts are the same objects; reserved ones come out once and pass by", async () => {
      const seen: string[] = [];
      const inner = each((part) => {
        seen.push(part.kind === "text" ? part.text : part.kind);
        return [status("inside"), part];
      });
      const [a, s, d, b] = [text("a"), status("s"), debug("d"), text("b")];
      const parts = await run(make().wrap(inner), [a, s, d, b]).collect();
      expect(seen).toEqual(["a", "b"]);
      expect(parts.filter((part) => [a, s, d, b].includes(part as typeof a))).toHaveLength(4);
      expect(parts.filter((part) => part.substream === "status")).toHaveLength(3);
    });

    test("P0: nothing is opened, taken or asked before the first pull, and a stream that is never iterated holds nothing", async () => {
      const { wrap, held } = make();
      const source = watchedSource(3);
      let called = 0;
      const stream = run(wrap((input) => { called += 1; return opaque(input); }), source);
      await turns(2);
      expect([called, source.opened, held()]).toEqual([0, 0, 0]);
      expect(await stream.text()).toBe("012");
    });

    test("P0: the permit is given back once on end, error, break, return while a pull is pending, and abort", async () => {
      const { wrap, held } = make();
      await run(wrap(opaque), watchedSource(3)).collect();
      expect(held()).toBe(0);

      const failing = watchedSource(3);
      await expect(run(wrap(each((part) => { if (part.kind === "text" && part.text === "1") throw "E"; return part; })), failing).collect()).rejects.toBe("E");
      expect([held(), failing.closed]).toEqual([0, 1]);

      const left = watchedSource(Infinity);
      for await (const _ of run(wrap(opaque), left)) break;
      expect([held(), left.closed]).toEqual([0, 1]);

      const stalled = stalledSource(["a"]);
      const iterator = run(wrap(opaque), stalled)[Symbol.asyncIterator]();
      await iterator.next();
      const pending = iterator.next();
      await soon(Promise.resolve(iterator.return?.()));
      expect([await soon(pending), held(), stalled.closed]).toEqual([{ value: undefined, done: true }, 0, 1]);

      const controller = new AbortController();
      const parked = stalledSource();
      const waiting = run(wrap(opaque), parked, { signal: controller.signal }).collect();
      await turns(2);
      const reason = new Error("enough");
      controller.abort(reason);
      await expect(soon(waiting)).rejects.toBe(reason);
      expect([held(), parked.closed]).toEqual([0, 1]);
    });

    test("E3: an aborted signal rejects before the call is made, and takes nothing", async () => {
      const { wrap, held } = make();
      const source = watchedSource(3);
      const reason = new Error("enough");
      await expect(run(wrap(opaque), source, { signal: AbortSignal.abort(reason) }).collect()).rejects.toBe(reason);
      expect([source.opened, held()]).toEqual([0, 0]);
    });

    test("an error of the input is the very object, after the parts before it", async () => {
      const { wrap, held } = make();
      const seen: string[] = [];
      const error = new Error("input");
      const reading = run(wrap(each((part) => part)), watchedSource(5, { failAt: 2, error })).forEach((part) => seen.push(...texts([part])));
      await expect(reading).rejects.toBe(error);
      expect(held()).toBe(0);
      expect(["0,1", ""]).toContain(seen.join()); // what reads its whole input first has given nothing yet
    });

    test("calls in flight hear that a call beside them failed", async () => {
      const { wrap } = make();
      let aborted = 0;
      const inner = each(async (part, context) => {
        if (part.kind === "text" && part.text === "0") throw new Error("first");
        await new Promise<void>((resolve) => context.signal.addEventListener("abort", () => { aborted += 1; resolve(); }));
        return part;
      }, { concurrency: 4 });
      await expect(soon(run(wrap(inner), numbers(4)).collect())).rejects.toThrow("first");
      expect(aborted).toBe(3);
      const waits = each((_part, context) => new Promise<string>((_, reject) => context.signal.addEventListener("abort", () => { aborted += 1; reject(new Error("second")); })));
      await expect(soon(run(wrap(parallel(each(async () => { throw new Error("first"); }), waits)), "a").collect())).rejects.toThrow("first");
      await turns(1);
      expect(aborted).toBe(4);
    });

    test("the signal that the processor sees aborts when this call alone is left or fails, and not when it came to its end", async () => {
      const { wrap } = make();
      let signal: AbortSignal | undefined;
      const inner = each((part, context) => {
        signal = context.signal;
        if (part.kind === "text" && part.text === "E") throw "E";
        return part;
      });
      const seen: (boolean | undefined)[] = [];
      const look: Processor = async function* (input) {
        try {
          yield* input;
        } catch {
          yield text("caught");
        }
        seen.push(signal?.aborted);
      };
      expect(await run(pipe(wrap(inner), take(1), look), ["a", "b"]).text()).toBe("a");
      expect(await run(pipe(wrap(inner), look), ["a", "E"]).text()).toBe("acaught");
      expect(await run(pipe(wrap(inner), look), ["a", "b"]).text()).toBe("ab");
      expect(seen).toEqual([true, true, false]);
      const iterator = run(pipe(wrap(inner), buffer(8)), ["a", "b"])[Symbol.asyncIterator]();
      await iterator.next();
      await turns(1); // the call has ended, its last part waits in the buffer
      await iterator.return?.();
      expect(signal?.aborted).toBe(false);
    });

    test("closes its input when the processor ends early, and when the consumer does", async () => {
      const { wrap, held } = make();
      const early = watchedSource(Infinity);
      expect(texts(await run(wrap(take(2)), early).collect())).toEqual(["0", "1"]);
      const outside = watchedSource(Infinity);
      expect(texts(await run(pipe(wrap(opaque), take(2)), outside).collect())).toEqual(["0", "1"]);
      expect([early.closed, outside.closed, held()]).toEqual([1, 1, 0]);
    });

    test("10,000 runs on one signal leave no listener, no permit and no timer", async () => {
      const { wrap, held } = make();
      const controller = new AbortController();
      let listeners = 0;
      const { signal } = controller;
      const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
      signal.addEventListener = (...args: Parameters<typeof add>) => { listeners += 1; add(...args); };
      signal.removeEventListener = (...args: Parameters<typeof remove>) => { listeners -= 1; remove(...args); };
      const [good, bad] = [wrap(opaque), wrap(each(() => { throw "E"; }))];
      let most = 0;
      for (let i = 0; i < 10_000; i += 1) {
        const input = [text("a"), text("b")];
        if (i % 3 === 0) await run(good, input, { signal }).collect();
        else if (i % 3 === 1) for await (const _ of run(good, input, { signal })) break;
        else await run(bad, input, { signal }).collect().catch(() => {});
        most = Math.max(most, listeners);
      }
      await turns(1);
      expect([listeners, most <= 1, held()]).toEqual([0, true, 0]);
    });
  });
}
