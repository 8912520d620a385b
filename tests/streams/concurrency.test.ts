import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buffer, each, isText, parallel, type Part, pipe, type Processor, route, run, status, text } from "../../src/index.ts";
import { stalledSource, watchedSource } from "../../src/testing/index.ts";
import { type Gate, gate, numbers, opaque, soon, texts, textsOf, turns } from "./support.ts";

const nameOf = (part: Part): string => (isText(part) ? part.text : part.kind);
/** A random number of turns of the event loop. */
const anyTurns = async (random: () => number): Promise<void> => {
  for (let left = Math.floor(random() * 4); left > 0; left -= 1) await new Promise((resolve) => setTimeout(resolve, 0));
};
/** Repeatable: a linear congruential generator. */
const randomFrom = (seed: number) => {
  let state = seed >>> 0;
  return (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
};

describe("S14: concurrency is a hard limit, and is reached", () => {
  test("C28: 200 parts, 7 at once, irregular latencies", async () => {
    const random = randomFrom(7);
    let now = 0;
    let most = 0;
    const calls = new Map<string, number>();
    const stage = each(async (part) => {
      now += 1;
      most = Math.max(most, now);
      calls.set(nameOf(part), (calls.get(nameOf(part)) ?? 0) + 1);
      await anyTurns(random);
      now -= 1;
      return part;
    }, { concurrency: 7 });
    const input = numbers(200);
    expect(await textsOf(stage, input)).toEqual(input);
    expect(most).toBe(7);
    expect([...calls.values()].every((count) => count === 1)).toBe(true);
  });

  test("a call is in progress until its result stream has ended", async () => {
    let now = 0;
    let most = 0;
    const stage = each(async function* (part) {
      now += 1;
      most = Math.max(most, now);
      yield part;
      await turns(1);
      yield part;
      now -= 1;
    }, { concurrency: 3 });
    expect((await run(stage, numbers(20)).collect()).length).toBe(40);
    expect(most).toBe(3);
  });

  test("inside parallel and route, each stage keeps its own limit, and one after the other stays so", async () => {
    const make = (limit: number) => {
      const seen = { now: 0, most: 0, order: [] as string[] };
      const stage = each(async (part) => {
        seen.now += 1;
        seen.most = Math.max(seen.most, seen.now);
        seen.order.push(nameOf(part));
        await turns(1);
        seen.now -= 1;
        return part;
      }, { concurrency: limit });
      return { seen, stage };
    };
    const [wide, one, routed] = [make(6), make(1), make(4)];
    const input = numbers(24);
    const out = await textsOf(parallel(pipe(wide.stage, one.stage), route(() => "a", { routes: { a: routed.stage } })), input);
    expect(out).toEqual(input.flatMap((name) => [name, name]));
    expect([wide.seen.most, one.seen.most, routed.seen.most]).toEqual([6, 1, 4]);
    expect(one.seen.order).toEqual(input);
  });

  test("a call that gives a reserved part frees its place", async () => {
    const parts = await run(each(async (part) => (isText(part) && part.text === "a" ? status("at work") : part), { concurrency: 2 }), ["a", "a", "a", "a", "b"]).collect();
    expect(parts.map((part) => (isText(part) ? part.substream + part.text : part.kind))).toEqual(["statusat work", "statusat work", "statusat work", "statusat work", "b"]);
  });
});

describe("S15: order", () => {
  const finishing = async (ordered: boolean): Promise<string[]> => {
    const gates = new Map(["1", "2", "3"].map((name) => [name, gate()]));
    const all = textsOf(each(async (part) => {
      await gates.get(nameOf(part))?.promise;
      return part;
    }, { concurrency: 3, ordered }), ["1", "2", "3"]);
    for (const name of ["3", "2", "1"]) {
      await turns(1);
      gates.get(name)?.open();
    }
    return soon(all);
  };

  test("C29: in input order, or as they come", async () => {
    expect(await finishing(true)).toEqual(["1", "2", "3"]);
    expect(await finishing(false)).toEqual(["3", "2", "1"]);
  });

  test("C30: the head is live: what it has made goes out while the source stalls", async () => {
    const gates = [gate(), gate()];
    const stage = each(async function* () {
      for (const [i, each] of gates.entries()) {
        await each.promise;
        yield String(i);
      }
    }, { concurrency: 4 });
    const iterator = run(stage, stalledSource(["x"]))[Symbol.asyncIterator]();
    for (const [i, each] of gates.entries()) {
      const next = iterator.next();
      each.open();
      expect((await soon(next)).value).toMatchObject({ text: String(i) });
    }
    await iterator.return?.();
  });

  test("outputs of one part stay together and in their order", async () => {
    const random = randomFrom(3);
    const stage = each(async function* (part) {
      for (const n of [1, 2, 3]) {
        await anyTurns(random);
        yield `${nameOf(part)}${n}`;
      }
    }, { concurrency: 4 });
    const input = ["a", "b", "c", "d", "e", "f"];
    expect(await textsOf(stage, input)).toEqual(input.flatMap((name) => [1, 2, 3].map((n) => `${name}${n}`)));
    const unordered = await textsOf(each(async function* (part) {
      for (const n of [1, 2, 3]) {
        await anyTurns(random);
        yield `${nameOf(part)}${n}`;
      }
    }, { concurrency: 4, ordered: false }), input);
    for (const name of input) expect(unordered.filter((each) => each.startsWith(name))).toEqual([1, 2, 3].map((n) => `${name}${n}`));
  });
});

describe("S16: in a fused chain a part goes on alone", () => {
  test("C31: part 2 leaves stage 2 while part 1 waits for that in stage 1", async () => {
    const left = gate();
    const first = each(async (part) => {
      if (nameOf(part) === "1") await left.promise;
      return part;
    }, { concurrency: 2 });
    const second = each(async (part) => {
      if (nameOf(part) === "2") left.open();
      return part;
    }, { concurrency: 2 });
    expect(await soon(textsOf(pipe(first, second), ["1", "2"]))).toEqual(["1", "2"]);
  });

  test.each([
    ["a stage before it that takes one at a time", (): Processor => each((part) => part), 40],
    ["one part that becomes many", () => each(() => numbers(40)), 1],
    ["one part that becomes many in a concurrent stage", () => each(() => numbers(40), { concurrency: 2 }), 1],
  ] as const)("C32: eight calls at once after %s", async (_, before, parts) => {
    let now = 0;
    let most = 0;
    const call = each(async (part) => {
      now += 1;
      most = Math.max(most, now);
      await turns(1);
      now -= 1;
      return part;
    }, { concurrency: 8 });
    expect((await run(pipe(before(), call), numbers(parts)).collect()).length).toBe(40);
    expect(most).toBe(8);
  });

  test("whatever waits for whatever before it, nothing waits in a circle", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 2, max: 4 }), { minLength: 1, maxLength: 4 }), fc.integer(), fc.integer({ min: 1, max: 12 }), async (limits, seed, count) => {
        const random = randomFrom(seed);
        const stages = limits.map((concurrency, stage) =>
          each(async (part) => {
            await anyTurns(random);
            const width = Math.floor(random() * 4);
            return Array.from({ length: width }, (_, i) => `${nameOf(part)}.${stage}${i}`);
          }, { concurrency }),
        );
        const out = await textsOf(pipe(...stages), numbers(count));
        // depth first: the paths of the outputs are in order
        const paths = out.map((name) => name.split("."));
        const sorted = [...paths].sort((a, b) => {
          for (const [i, step] of a.entries()) if (Number(step) !== Number(b[i])) return Number(step) - Number(b[i]);
          return 0;
        });
        expect(paths).toEqual(sorted);
      }),
      { numRuns: 40 },
    );
  });
});

describe("S17: run-ahead is bounded", () => {
  test("C34: with the head stuck at most ten of an endless source are pulled, for ever", async () => {
    const source = watchedSource(Infinity);
    const stage = each((part) => (nameOf(part) === "0" ? new Promise<undefined>(() => {}) : part), { concurrency: 8 });
    const iterator = run(stage, source)[Symbol.asyncIterator]();
    void iterator.next();
    await turns(20);
    expect(source.pulls).toBeGreaterThanOrEqual(8);
    expect(source.pulls).toBeLessThanOrEqual(10);
    await iterator.return?.();
  });

  test("C35: an endless result stream behind a stuck head is read ahead 1,024 times at most", async () => {
    let made = 0;
    const stage = each(async function* (part) {
      if (nameOf(part) === "0") await new Promise(() => {});
      for (;;) {
        made += 1;
        yield part;
        if (made % 50 === 0) await turns(1);
      }
    }, { concurrency: 2 });
    const iterator = run(stage, ["0", "1"])[Symbol.asyncIterator]();
    void iterator.next();
    await turns(100);
    expect(made).toBeGreaterThan(1);
    expect(made).toBeLessThanOrEqual(1_024);
    await iterator.return?.();
  });

  test("the lead is what the stages and buffers say, whatever stands between", async () => {
    const shapes = [
      { stage: pipe(each(async (part) => part, { concurrency: 2 }), each((part) => part), each(async (part) => part, { concurrency: 3 })), most: 3 + 4 + 1 },
      { stage: pipe(opaque, buffer(2)), most: 3 },
      { stage: buffer(0), most: 1 },
      { stage: pipe(each(async (part) => part, { concurrency: 4, ordered: false }), opaque), most: 6 },
    ];
    for (const { stage, most } of shapes) {
      const source = watchedSource(Infinity);
      const iterator = run(stage, source)[Symbol.asyncIterator]();
      const taken = 3;
      for (let i = 0; i < taken; i += 1) await iterator.next();
      await turns(20);
      expect(source.pulls - taken).toBeLessThanOrEqual(most);
      await iterator.return?.();
    }
  });

  test("C82: a buffer keeps its parts ready, and no more", async () => {
    const source = watchedSource(Infinity);
    const iterator = run(pipe(opaque, buffer(2)), source)[Symbol.asyncIterator]();
    await iterator.next();
    await turns(10);
    expect(source.pulls).toBeGreaterThanOrEqual(3);
    expect(source.pulls).toBeLessThanOrEqual(4);
    await iterator.return?.();
  });
});

test("C66: a status part of part 2 comes out while the head is parked for ever", async () => {
  const stage = each(async (part) => {
    if (nameOf(part) === "1") await new Promise(() => {});
    return status("here");
  }, { concurrency: 4 });
  const iterator = run(stage, ["1", "2"])[Symbol.asyncIterator]();
  expect((await soon(iterator.next())).value).toMatchObject({ text: "here", substream: "status" });
  await iterator.return?.();
});

describe("S30, S32: errors with calls in flight", () => {
  test("C55: earlier parts come first; calls begun hear of it; none is begun once it is known", async () => {
    const gates = new Map<string, Gate>();
    let aborted = 0;
    let begun = 0;
    const stage = each(async (part, { signal }) => {
      begun += 1;
      const name = nameOf(part);
      if (name === "5") throw new Error("five");
      if (Number(name) > 5) {
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => {
          aborted += 1;
          resolve();
        }));
        return part;
      }
      const waiting = gate();
      gates.set(name, waiting);
      await waiting.promise;
      return part;
    }, { concurrency: 8 });
    const seen: Part[] = [];
    const reading = (async () => {
      for await (const part of run(stage, Array.from({ length: 20 }, (_, i) => String(i + 1)))) seen.push(part);
    })();
    await turns();
    expect(begun).toBeLessThanOrEqual(8);
    const known = begun;
    for (const name of ["4", "3", "2", "1"]) gates.get(name)?.open();
    await expect(soon(reading)).rejects.toThrow("five");
    expect(texts(seen)).toEqual(["1", "2", "3", "4"]);
    expect(begun).toBe(known);
    expect(aborted).toBe(known - 5);
  });

  test("C59: all sixteen calls fail in one turn: one error, silence otherwise", async () => {
    const stage = each(async (part) => {
      await turns(1);
      throw new Error(nameOf(part));
    }, { concurrency: 16 });
    await expect(run(stage, numbers(40)).collect()).rejects.toThrow("0");
    await turns();
  });

  test("C58: a buffered failure that nobody pulls is silent", async () => {
    for await (const _part of run(buffer(8), watchedSource(10, { failAt: 3 }))) break;
    await turns();
  });

  test("C56: a source's parts, then its error, through buffers and copies", async () => {
    const seen: string[] = [];
    const reading = (async () => {
      for await (const part of run(pipe(buffer(8), opaque), watchedSource(["a", "b"], { failAt: 2, error: "E" }))) seen.push(nameOf(part));
    })();
    await expect(reading).rejects.toBe("E");
    expect(seen).toEqual(["a", "b"]);
  });

  test("unordered: what was ready is delivered, then the error", async () => {
    const stage = each(async (part) => {
      if (nameOf(part) === "bad") throw new Error("bad");
      return part;
    }, { concurrency: 2, ordered: false });
    await expect(run(stage, [text("a"), text("bad"), text("c")]).collect()).rejects.toThrow("bad");
  });
});
