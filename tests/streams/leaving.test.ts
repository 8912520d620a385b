import { describe, expect, test } from "vitest";
import { each, isMillraceError, merge, type Part, pipe, run, split, take, text } from "../../src/index.ts";
import { stalledSource, watchedSource } from "../../src/testing/index.ts";
import { gate, opaque, passing, soon, turns } from "./support.ts";

describe.each(Object.entries(passing))("leaving through %s", (_, make) => {
  test("S19: break closes the source once, after which it is not pulled", async () => {
    const source = watchedSource(Infinity);
    for await (const _part of run(make(), source)) break;
    expect(source.closed).toBe(1);
    const { pulls } = source;
    await turns();
    expect(source.pulls).toBe(pulls);
  });

  test("S19: the source's finally has run, also an asynchronous one, before the statement after the loop", async () => {
    let finished = false;
    async function* source(): AsyncGenerator<Part> {
      try {
        for (let i = 0; ; i += 1) yield text(String(i));
      } finally {
        await turns(2);
        finished = true;
      }
    }
    for await (const _part of run(make(), source())) break;
    expect(finished).toBe(true);
  });

  test("S19: a source that has ended is not returned", async () => {
    const source = watchedSource(["a", "b", "c"]);
    await run(make(), source).collect();
    expect([source.opened, source.closed, source.ended]).toEqual([1, 0, true]);
  });

  test("S20: return() while the source is parked settles at once, and so does the pending next(), as done", async () => {
    const source = stalledSource();
    const iterator = run(make(), source)[Symbol.asyncIterator]();
    const next = iterator.next();
    await turns();
    await soon(Promise.resolve(iterator.return?.()));
    expect(await soon(next)).toEqual({ value: undefined, done: true });
    expect(source.closed).toBe(1);
    await soon(Promise.resolve(iterator.return?.()));
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
    expect(source.closed).toBe(1);
  });

  test("C42: what a parked source throws after it was left is heard by nobody", async () => {
    const late = gate();
    const source = watchedSource(["a"], { wait: () => late.promise });
    const iterator = run(make(), source)[Symbol.asyncIterator]();
    void iterator.next();
    await turns();
    await iterator.return?.();
    late.fail(new Error("too late"));
    await turns();
  });

  test("C53: an error of the source comes out as the very object, and the source is not returned", async () => {
    const error = { not: "an Error" };
    const source = watchedSource(["a", "b"], { failAt: 2, error });
    await expect(run(make(), source).collect()).rejects.toBe(error);
    expect(source.closed).toBe(0);
  });

  test("C53: an error of a later stage closes the source once", async () => {
    const error = new Error("later");
    const source = watchedSource(Infinity);
    const failing = pipe(
      make(),
      each(() => {
        throw error;
      }),
    );
    await expect(run(failing, source).collect()).rejects.toBe(error);
    expect(source.closed).toBe(1);
  });

  test("C47: abort rejects with the very reason while the source is parked, which is closed by the abort itself", async () => {
    const source = stalledSource();
    const controller = new AbortController();
    const all = run(make(), source, { signal: controller.signal }).collect();
    all.catch(() => {});
    await turns();
    const reason = { why: "enough" };
    controller.abort(reason);
    expect(source.closed).toBe(1);
    await expect(soon(all)).rejects.toBe(reason);
  });

  test("C48: abort between two pulls closes the source although nobody pulls; the next pull rejects", async () => {
    const source = watchedSource(Infinity);
    const controller = new AbortController();
    const iterator = run(make(), source, { signal: controller.signal })[Symbol.asyncIterator]();
    await iterator.next();
    controller.abort("stop");
    await turns();
    expect(source.closed).toBe(1);
    await expect(iterator.next()).rejects.toBe("stop");
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
  });

  test("C50: on a signal that is aborted already nothing is opened", async () => {
    const source = watchedSource(Infinity);
    await expect(run(make(), source, { signal: AbortSignal.abort("before") }).collect()).rejects.toBe("before");
    expect(source.opened).toBe(0);
  });

  test("C12: nothing is opened before the first pull", async () => {
    const source = watchedSource(Infinity);
    run(make(), source);
    await turns();
    expect(source.opened).toBe(0);
  });

  test("S28: one listener on the caller's signal while it runs, none after", async () => {
    const controller = new AbortController();
    let listeners = 0;
    let most = 0;
    const { signal } = controller;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners += 1;
      most = Math.max(most, listeners);
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners -= 1;
      removeEventListener.apply(signal, args);
    };
    await run(make(), watchedSource(3), { signal }).collect();
    for await (const _part of run(make(), watchedSource(3), { signal })) break;
    await expect(run(make(), watchedSource(3, { failAt: 1 }), { signal }).collect()).rejects.toThrow();
    expect([listeners, most]).toEqual([0, 1]);
  });

  test("C19: several next() in one turn are answered in order, the source sees one at a time", async () => {
    const waits = Array.from({ length: 4 }, () => gate());
    const source = watchedSource(3, { wait: (index) => waits[index]?.promise });
    const iterator = run(make(), source)[Symbol.asyncIterator]();
    const answers = Array.from({ length: 5 }, () => iterator.next());
    for (const wait of waits) {
      await turns(1);
      wait.open();
    }
    const results = await soon(Promise.all(answers));
    expect(results.map((result) => (result.done === true ? "done" : (result.value as { text: string }).text))).toEqual(["0", "1", "2", "done", "done"]);
    expect(source.mostInFlight).toBe(1);
  });
});

describe("stages that are left", () => {
  test("C41: the finally blocks of three opaque stages before a parked source have run", async () => {
    const finished: number[] = [];
    const stage = (n: number) =>
      async function* (input: AsyncIterable<Part>) {
        try {
          yield* input;
        } finally {
          finished.push(n);
        }
      };
    const source = stalledSource();
    const iterator = run(pipe(stage(1), stage(2), stage(3)), source)[Symbol.asyncIterator]();
    const next = iterator.next();
    await iterator.return?.();
    expect(finished.toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
    expect(await next).toEqual({ value: undefined, done: true });
  });

  test("C43: a stage that waits for input sees that wait reject, so its work after the loop is not done", async () => {
    const seen: string[] = [];
    const stage = async function* (input: AsyncIterable<Part>) {
      try {
        for await (const part of input) yield part;
        seen.push("committed");
      } catch (error) {
        seen.push(isMillraceError(error, "closed") ? "closed" : String(error));
        throw error;
      } finally {
        seen.push("finally");
      }
    };
    const iterator = run(stage, stalledSource())[Symbol.asyncIterator]();
    void iterator.next();
    await iterator.return?.();
    expect(seen).toEqual(["closed", "finally"]);
  });

  test("S21: on abort that wait rejects with the reason", async () => {
    const controller = new AbortController();
    let seen: unknown;
    const stage = async function* (input: AsyncIterable<Part>) {
      try {
        yield* input;
      } catch (error) {
        seen = error;
      }
    };
    const all = run(stage, stalledSource(), { signal: controller.signal }).collect();
    await turns(1);
    controller.abort("why");
    await expect(all).rejects.toBe("why");
    expect(seen).toBe("why");
  });

  test("C51: a stage that catches the abort and goes on does not make the run succeed", async () => {
    const controller = new AbortController();
    const stage = async function* (input: AsyncIterable<Part>) {
      try {
        yield* input;
      } catch {
        yield text("fine");
      }
    };
    const all = run(pipe(stage, each((part) => part)), stalledSource(), { signal: controller.signal }).text();
    await turns(1);
    controller.abort("why");
    await expect(all).rejects.toBe("why");
  });

  test("C45: an error while closing does not hide an earlier one; without one it is thrown", async () => {
    const source = (): AsyncIterable<Part> => ({
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ value: text("a"), done: false }),
        return: async () => {
          throw new Error("closing");
        },
      }),
    });
    const failing = each(() => {
      throw new Error("first");
    });
    await expect(run(failing, source()).collect()).rejects.toThrow("first");
    const leave = async (): Promise<void> => {
      for await (const _part of run(opaque, source())) break;
    };
    await expect(leave()).rejects.toThrow("closing");
  });

  test("C44: calls in flight hear of it; nothing is begun afterwards", async () => {
    let aborted = 0;
    let calls = 0;
    const waits = each(
      (_part, { signal }) => {
        calls += 1;
        return new Promise<undefined>((resolve) =>
          signal.addEventListener("abort", () => {
            aborted += 1;
            resolve(undefined);
          }),
        );
      },
      { concurrency: 4 },
    );
    const iterator = run(waits, watchedSource(Infinity))[Symbol.asyncIterator]();
    void iterator.next();
    await turns();
    expect(calls).toBe(4);
    await iterator.return?.();
    await turns();
    expect([aborted, calls]).toEqual([4, 4]);
  });

  test("C39: take closes its source with the last part, and opens none for 0", async () => {
    const source = watchedSource(Infinity);
    await run(take(2), source).collect();
    expect([source.pulls, source.closed]).toEqual([2, 1]);
    const untouched = watchedSource(Infinity);
    await run(take(0), untouched).collect();
    expect(untouched.opened).toBe(0);
  });

  test("S43: a source is closed when all copies are left, once, also those that were never pulled", async () => {
    const source = watchedSource(Infinity);
    const [a, b, c] = split(source, 3).map((copy) => copy[Symbol.asyncIterator]());
    await a?.next();
    await a?.return?.();
    await b?.return?.();
    expect(source.closed).toBe(0);
    await c?.return?.();
    expect(source.closed).toBe(1);
  });

  test("S19: every source of a merge is closed when the consumer leaves", async () => {
    const sources = [watchedSource(Infinity), watchedSource(["a"]), stalledSource()];
    for await (const _part of run(opaque, merge(...sources))) break;
    expect(sources.map((source) => source.closed)).toEqual([1, 1, 1]);
  });

  test("C46: a ReadableStream is cancelled once and its lock released", async () => {
    let cancelled = 0;
    const stream = new ReadableStream<string>({
      pull: (controller) => controller.enqueue("a"),
      cancel: () => {
        cancelled += 1;
      },
    });
    for await (const _part of run(opaque, stream)) break;
    expect([cancelled, stream.locked]).toEqual([1, false]);
  });

  test("C46: cancelling the reader of toReadableStream() closes the source once; C13: it is not pulled before", async () => {
    const source = watchedSource(Infinity);
    const stream = run(opaque, source).toReadableStream();
    await turns();
    expect(source.opened).toBe(0);
    const reader = stream.getReader();
    await reader.read();
    expect(source.pulls).toBe(1);
    await reader.cancel();
    expect(source.closed).toBe(1);
  });

  test("S24: an error of the run errors the web stream with the same object", async () => {
    const error = new Error("no");
    const reader = run(opaque, watchedSource(["a"], { failAt: 1, error })).toReadableStream().getReader();
    await reader.read();
    await expect(reader.read()).rejects.toBe(error);
  });

  test("the run ends when the input that a stage left open has closed, and not before", async () => {
    let closed = false;
    async function* source(): AsyncGenerator<string> {
      try {
        yield* ["a", "b"];
      } finally {
        await turns(3);
        closed = true;
      }
    }
    const firstOnly = async function* (input: AsyncIterable<Part>) {
      const { value } = (await input[Symbol.asyncIterator]().next()) as { readonly value: Part };
      yield value;
    };
    expect(await run(firstOnly, source()).text()).toBe("a");
    expect(closed).toBe(true);
  });

  test("a stream that was read already fails once, and not at all once it is left", async () => {
    const stream = run(pipe(), "a");
    await stream.collect();
    const again = stream[Symbol.asyncIterator]();
    await expect(again.next()).rejects.toMatchObject({ code: "closed" });
    expect(await again.next()).toEqual({ value: undefined, done: true });
    const left = stream[Symbol.asyncIterator]();
    await left.return?.();
    expect(await left.next()).toEqual({ value: undefined, done: true });
  });
});
