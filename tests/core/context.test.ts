import { describe, expect, test } from "vitest";
import { batch, type Context, each, interleave, isMillraceError, isolate, pipe, run, take, text } from "../../src/index.ts";

const contextOf = async (input: string | string[], options = {}): Promise<Context[]> => {
  const seen: Context[] = [];
  const note = each((part, context) => {
    seen.push(context);
    return part;
  });
  await run(pipe(note, note), input, options).collect();
  return seen;
};

describe("ids", () => {
  test("every stage of a run sees one context", async () => {
    const [first, second] = await contextOf("a");
    expect(second).toBe(first);
  });

  test("the caller's correlation id is kept, an empty one is replaced", async () => {
    expect((await contextOf("a", { correlationId: "order-7" }))[0]?.correlationId).toBe("order-7");
    expect((await contextOf("a", { correlationId: "" }))[0]?.correlationId).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("two runs of one pipeline have different run ids, one run has one", async () => {
    const [a, b] = await contextOf("a");
    const [c] = await contextOf("a");
    expect(a?.runId).toBe(b?.runId);
    expect(a?.runId).not.toBe(c?.runId);
  });

  test("state is one map a run, seen by every stage and by nobody else", async () => {
    const count = each((_, context) => {
      const n = Number(context.state.get("n") ?? 0) + 1;
      context.state.set("n", n);
      return String(n);
    });
    const opaque = async function* (input: AsyncIterable<unknown>, context?: Context) {
      for await (const _ of input) yield text(`after ${context?.state.get("n")} `);
    };
    expect(await run(pipe(count, opaque), ["a", "b"]).text()).toBe("after 1 after 2 ");
    expect(await run(count, ["a"]).text()).toBe("1");
  });
});

describe("signal", () => {
  test("S22: what was begun in a run inside a stage hears that it has failed, with its error, also where the failure is contained", async () => {
    const error = new Error("no");
    const reasons: unknown[] = [];
    const begins = each((part, { signal }) => {
      signal.addEventListener("abort", () => reasons.push(signal.reason));
      return part;
    });
    const fails = pipe(begins, async function* (input) {
      for await (const part of input) yield part;
      throw error;
    });
    await expect(run(batch({ count: 2 }, fails), ["a", "b"]).collect()).rejects.toBe(error);
    expect(reasons).toEqual([error, error]);
    await run(isolate(fails), ["a", "b"]).collect();
    expect(reasons).toEqual([error, error, error, error]);
  });

  test("does not abort at a natural end", async () => {
    const [context] = await contextOf("a");
    expect(context?.signal.aborted).toBe(false);
  });

  test("aborts with the caller's reason", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    let seen: unknown;
    const waits = each((_, { signal }) => new Promise<undefined>(() => signal.addEventListener("abort", () => (seen = signal.reason))));
    const text = run(waits, "a", { signal: controller.signal }).text();
    queueMicrotask(() => controller.abort(reason));
    await expect(text).rejects.toBe(reason);
    expect(seen).toBe(reason);
  });

  test("asked for after the run was left, it is aborted already", async () => {
    let context: Context | undefined;
    const iterator = run(
      each((part, given) => {
        context = given;
        return part;
      }),
      ["a", "b"],
    )[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.return?.();
    expect(context?.signal.aborted).toBe(true);
    expect(isMillraceError(context?.signal.reason, "closed")).toBe(true);
  });

  test("a stage that is given up alone hears of it, while the run goes on", async () => {
    const told: string[] = [];
    const slow = async function* (_: AsyncIterable<unknown>, context?: Context) {
      await new Promise<void>((resolve) => context?.signal.addEventListener("abort", () => resolve()));
      told.push("slow");
      yield text("too late");
    };
    const both = pipe(interleave(slow, each((part) => part)), take(2));
    expect((await run(both, ["x", "y", "z"]).collect()).length).toBe(2);
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual(["slow"]);
  });
});

describe("waitUntil", () => {
  test("the run ends only when the work has settled, also work that was added meanwhile", async () => {
    const order: string[] = [];
    const works = each((part, context) => {
      context.waitUntil(
        (async () => {
          await Promise.resolve();
          order.push("first");
          context.waitUntil(
            (async () => {
              await Promise.resolve();
              order.push("second");
            })(),
          );
        })(),
      );
      return part;
    });
    await run(works, "a").collect();
    order.push("end");
    expect(order).toEqual(["first", "second", "end"]);
  });

  test("a rejection fails the run with that error, after its parts", async () => {
    const error = new Error("not written");
    const seen: unknown[] = [];
    const works = each((part, context) => {
      context.waitUntil(Promise.reject(error));
      return part;
    });
    const reading = (async () => {
      for await (const part of run(works, ["a", "b"])) seen.push(part);
    })();
    await expect(reading).rejects.toBe(error);
    expect(seen.length).toBe(2);
  });

  test("abort does not wait for the work", async () => {
    const controller = new AbortController();
    const works = each((part, context) => {
      context.waitUntil(new Promise(() => {}));
      return part;
    });
    const all = run(works, "a", { signal: controller.signal }).collect();
    setImmediate(() => controller.abort("stop"));
    await expect(all).rejects.toBe("stop");
  });
});
