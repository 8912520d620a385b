import { describe, expect, test } from "vitest";
import { DONE, type Flow, type Reader, WAIT } from "../../src/core/flow.ts";
import { processorOf } from "../../src/core/pipeline.ts";
import { each, type Part, pipe, type Processor, run, text } from "../../src/index.ts";
import { opaque, soon, texts, turns } from "../streams/support.ts";

/** A flow of texts, each ready or told of later, which says how it is read. */
const telling = (script: readonly (string | { readonly later: string } | { readonly fails: unknown })[]) => {
  const record = { told: 0, promised: 0, closed: [] as unknown[] };
  let at = 0;
  let reader: Reader | undefined;
  const flow: Flow = {
    pull() {
      record.promised += 1;
      const read = this.pullFor?.({ onPart: () => {}, onEnd: () => {}, onError: () => {} });
      if (read !== WAIT && read !== undefined) return read;
      return new Promise((resolve, reject) => {
        reader = { onPart: resolve, onEnd: () => resolve(DONE), onError: reject };
      });
    },
    pullFor(who) {
      record.told += 1;
      const next = script[at];
      at += 1;
      if (next === undefined) return DONE;
      if (typeof next === "string") return text(next);
      reader = who;
      void turns(1).then(() => ("later" in next ? reader?.onPart(text(next.later)) : reader?.onError(next.fails)));
      return WAIT;
    },
    close(why) {
      record.closed.push(why);
      const waiting = reader;
      reader = undefined;
      queueMicrotask(() => waiting?.onError(why));
      return undefined;
    },
  };
  const processor: Processor = processorOf([{ kind: "flow", name: "telling", open: () => flow }]);
  return { processor, record };
};

describe("a flow that tells its reader", () => {
  test("is read without promises by a loop over parts, and gives the same", async () => {
    const { processor, record } = telling(["a", { later: "b" }, { later: "c" }, "d"]);
    const seen: Part[] = [];
    for await (const part of run(pipe(processor, each((part) => part)), "in")) seen.push(part);
    expect([texts(seen), record.told, record.promised]).toEqual([["a", "b", "c", "d"], 5, 0]);
  });

  test("parts that later functions drop are asked for again, told or ready", async () => {
    const { processor } = telling(["x", { later: "x" }, { later: "x" }, "x", { later: "y" }, "x", { later: "x" }]);
    const keep = each((part) => (texts([part])[0] === "x" ? undefined : part));
    const seen: Part[] = [];
    for await (const part of run(pipe(processor, keep), "in")) seen.push(part);
    expect(texts(seen)).toEqual(["y"]);
  });

  test("is read without promises by a terminal too", async () => {
    const { processor, record } = telling(["a", { later: "b" }]);
    expect(await run(processor, "in").text()).toBe("ab");
    expect([record.told, record.promised]).toEqual([3, 0]);
  });

  test("its failure comes out as the very object, after the parts before it", async () => {
    const error = { not: "an Error" };
    const { processor } = telling(["a", { fails: error }]);
    const seen: Part[] = [];
    const reading = (async () => {
      for await (const part of run(pipe(processor, opaque), "in")) seen.push(part);
    })();
    await expect(reading).rejects.toBe(error);
    expect(texts(seen)).toEqual(["a"]);
  });

  test.each(["abort", "return"])("%s while it waits closes it once; what it tells afterwards is not heard", async (how) => {
    const { processor, record } = telling([{ later: "too late" }]);
    const controller = new AbortController();
    const iterator = run(processor, "in", { signal: controller.signal })[Symbol.asyncIterator]();
    const next = iterator.next();
    next.catch(() => {});
    if (how === "abort") controller.abort("stop");
    else await soon(Promise.resolve(iterator.return?.()));
    if (how === "abort") await expect(soon(next)).rejects.toBe("stop");
    else expect(await soon(next)).toEqual({ value: undefined, done: true });
    await turns();
    expect(record.closed.length).toBe(1);
    expect((await iterator.next()).done).toBe(true);
  });
});
