import { describe, expect, test } from "vitest";
import { debug, each, filter, image, interleave, isImage, isText, json, merge, concat, parallel, type Part, pipe, type Processor, route, run, split, status, take, tap, text, batch, isolate, from } from "../../src/index.ts";
import { stalledSource, watchedSource } from "../../src/testing/index.ts";
import { append, gate, insert, numbers, opaque, soon, texts, textsOf, turns } from "./support.ts";

const nameOf = (part: Part): string => (isText(part) ? part.text : part.kind);
const parked: Processor = async function* () {
  await new Promise(() => {});
};

describe("S37: parallel of part functions", () => {
  test("C67: part by part, in the order of the branches", async () => {
    expect(await textsOf(parallel(insert("1"), insert("2")), ["0", "1"])).toEqual(["1", "0", "2", "0", "1", "1", "2", "1"]);
  });

  test("C68: a branch that refuses adds nothing; what no branch takes passes once, as the same object", async () => {
    const value = json(1);
    const both = parallel(each(() => "f", { match: isText }), each(() => "g", { match: isImage }));
    const out = await run(both, [text("a"), image(new Uint8Array(1)), value]).collect();
    expect(texts(out)).toEqual(["f", "g", "json"]);
    expect(out[2]).toBe(value);
  });

  test("the identity takes every part; a filter takes what it drops; nested parallels pass on what nobody took", async () => {
    expect(await textsOf(parallel(pipe(), each(() => "x", { match: isImage })), "a")).toEqual(["a"]);
    expect(await textsOf(parallel(filter(() => false), each(() => "x", { match: isImage })), "a")).toEqual([]);
    const nobody = each(() => "x", { match: isImage });
    expect(await textsOf(parallel(parallel(nobody, nobody), nobody), "a")).toEqual(["a"]);
    expect(await textsOf(parallel(), "a")).toEqual(["a"]);
  });

  test("C69: the first branch's outputs come first though it is slow; the others have begun meanwhile", async () => {
    const slow = gate();
    const begun: string[] = [];
    const all = textsOf(
      parallel(
        each(async (part) => {
          await slow.promise;
          return `${nameOf(part)}a`;
        }),
        each(async (part) => {
          begun.push(nameOf(part));
          return `${nameOf(part)}b`;
        }),
      ),
      ["1", "2"],
    );
    await turns();
    expect(begun).toEqual(["1"]);
    slow.open();
    expect(await all).toEqual(["1a", "1b", "2a", "2b"]);
  });

  test("chains, generators and asynchronous stages as branches give what they give alone, one after the other", async () => {
    const branches = [
      pipe(insert("a"), append("!")),
      pipe(each(async (part) => part), each((part) => [part, part]), append("?")),
      each(function* (part) {
        yield part;
        yield "g";
      }),
      pipe(each(async function* (part) {
        yield part;
      }), append("~")),
      pipe(each((part) => part, { match: isImage }), append("#")),
    ];
    for (const name of ["x", "y"]) {
      const alone = (await Promise.all(branches.map((branch) => textsOf(branch, name)))).flat();
      expect(await textsOf(parallel(...branches), name)).toEqual(alone);
    }
  });

  test("S32: a later branch that fails within a chain while an earlier one is at work is one error, and silence otherwise", async () => {
    const error = new Error("second");
    const open = gate();
    const slow = each(async (part) => {
      await open.promise;
      return part;
    });
    const failing = pipe(each(() => Promise.reject(error)), append("!"));
    const result = run(parallel(slow, failing), "a").collect();
    result.catch(() => {});
    await turns(); // a rejection that nobody hears of fails the whole run of the tests
    open.open();
    await expect(soon(result)).rejects.toBe(error);
  });

  test("the results of a slower branch that is never reached are closed when the consumer leaves", async () => {
    let closed = 0;
    const generator = each(async function* (part) {
      try {
        yield part;
        yield part;
      } finally {
        closed += 1;
      }
    });
    for await (const _part of run(parallel(generator, generator), ["a"])) break;
    expect(closed).toBe(1);
  });
});

describe("S38: parallel with an opaque branch", () => {
  test("C70: all of branch 1, then all of branch 2", async () => {
    const twice: Processor = async function* (input) {
      for await (const part of input) {
        yield part;
        yield part;
      }
    };
    const zero: Processor = async function* (input) {
      for await (const _part of input) yield text("0");
    };
    expect(await textsOf(parallel(twice, zero), ["1", "2"])).toEqual(["1", "1", "2", "2", "0", "0"]);
  });

  test("C71: 30,000 parts through two opaque identities are 60,000", async () => {
    expect((await run(parallel(opaque, opaque), numbers(30_000)).collect()).length).toBe(60_000);
  });

  test("C72: a branch that ends without reading holds nobody up", async () => {
    const early: Processor = async function* () {
      yield text("early");
    };
    expect(await textsOf(parallel(early, opaque), ["1", "2", "3"])).toEqual(["early", "1", "2", "3"]);
    expect(await textsOf(parallel(opaque, early), numbers(40))).toHaveLength(41);
  });

  test("a branch that would hold more than 100,000 parts for the others fails with too_large and the advice", async () => {
    const endless: Processor = async function* () {
      for (let i = 0; ; i += 1) {
        if (i % 1_000 === 0) await turns(1);
        yield text("x");
      }
    };
    await expect(run(parallel(parked, endless), ["a"]).collect()).rejects.toMatchObject({ code: "too_large", message: expect.stringContaining("interleave") as string });
  });

  test("C57: one branch fails: the error comes out, the input is closed once, the other's finally has run", async () => {
    for (const combine of [parallel, interleave]) {
      for (const order of [0, 1]) {
        let finished = false;
        const bad: Processor = async function* (input) {
          for await (const part of input) if (nameOf(part) === "0") throw new Error("bad");
        };
        const good: Processor = async function* (input) {
          try {
            yield* input;
          } finally {
            await turns(1);
            finished = true;
          }
        };
        const source = watchedSource(Infinity);
        await expect(run(combine(...(order === 0 ? [bad, good] : [good, bad])), source).collect()).rejects.toThrow("bad");
        expect([source.closed, finished]).toEqual([1, true]);
      }
    }
  });

  test("S31: the others get what was read already, then their input rejects with the error, whatever they do then", async () => {
    for (const combine of [parallel, interleave]) {
      const seen: string[] = [];
      const go = gate();
      const late: Processor = async function* (input) {
        try {
          await go.promise;
          for await (const part of input) seen.push(nameOf(part));
          seen.push("ended");
        } catch (error) {
          seen.push(String(error));
          yield text("fine");
        }
      };
      const bad: Processor = async function* (input) {
        for await (const part of input) if (nameOf(part) === "2") throw new Error("bad");
      };
      const all = run(combine(late, bad), watchedSource(Infinity)).collect();
      all.catch(() => {});
      await turns();
      go.open();
      await expect(soon(all)).rejects.toThrow("bad");
      expect(seen).toEqual(["0", "1", "2", "Error: bad"]);
    }
  });
});

describe("S31: what a branch of a route sees when the input breaks off", () => {
  const fails: Processor = async function* (input) {
    for await (const part of input) if (nameOf(part) === "bad") throw new Error("broke");
  };
  const select = (part: Part): string => {
    if (nameOf(part) === "refuse") throw new Error("broke");
    return nameOf(part) === "bad" ? "fails" : "careful";
  };
  const causes: Readonly<Record<string, () => AsyncIterable<Part>>> = {
    "another branch fails": () => watchedSource(["a", "bad", "b"]),
    "select throws": () => watchedSource(["a", "refuse", "b"]),
    "the source fails": () => watchedSource(["a", "b"], { failAt: 1, error: new Error("broke") }),
  };
  for (const [cause, source] of Object.entries(causes)) {
    test(`${cause}: its input rejects with that error, and never looks finished`, async () => {
      const seen: string[] = [];
      const careful: Processor = async function* (input) {
        try {
          for await (const part of input) seen.push(nameOf(part));
          seen.push("ended");
        } catch (error) {
          seen.push(String(error));
          throw error;
        }
      };
      await expect(soon(run(route(select, { routes: { careful, fails } }), source()).collect())).rejects.toThrow("broke");
      expect([seen[0], seen.at(-1)]).toEqual(["a", "Error: broke"]); // what was read already may come in between
    });
  }
});

describe("S39: interleave", () => {
  test("C73: a parked branch does not hold back another, up to the lag; leaving closes both", async () => {
    const source = watchedSource(Infinity);
    const iterator = run(interleave(parked, opaque), source)[Symbol.asyncIterator]();
    for (let i = 0; i < 16; i += 1) expect((await soon(iterator.next())).value).toMatchObject({ text: String(i) });
    const stuck = iterator.next();
    await turns();
    expect(source.pulls).toBe(16);
    await soon(Promise.resolve(iterator.return?.()));
    expect(await stuck).toMatchObject({ done: true });
    expect(source.closed).toBe(1);
  });

  test("each branch's own order is kept", async () => {
    const out = await textsOf(interleave(append("a"), pipe(opaque, append("b"))), numbers(50));
    for (const mark of ["a", "b"]) expect(out.filter((name) => name.endsWith(mark))).toEqual(Array.from({ length: 50 }, (_, i) => `${i}${mark}`));
  });
});

describe("S40: route", () => {
  const slow = each(async (part) => {
    await turns(2);
    return isText(part) ? part.text.toUpperCase() : part;
  });
  const upper = each((part) => (isText(part) ? part.text.toUpperCase() : part));

  test("C74: of part functions it keeps the order of the input, also with an async select", async () => {
    for (const select of [(part: Part) => nameOf(part)[0] ?? "", async (part: Part) => nameOf(part)[0] ?? ""]) {
      expect(await textsOf(route(select, { routes: { a: slow, b: upper } }), ["a1", "b1", "a2"])).toEqual(["A1", "B1", "A2"]);
    }
  });

  test("C75: only own keys count; the parts before are delivered, then no_route with the known ones", async () => {
    for (const name of ["constructor", "__proto__", "toString", "c", ""]) {
      const seen: string[] = [];
      const reading = (async () => {
        for await (const part of run(route((each) => (nameOf(each) === "bad" ? name : "a"), { routes: { a: upper, b: upper } }), ["x", "bad"])) seen.push(nameOf(part));
      })();
      await expect(reading).rejects.toMatchObject({ code: "no_route", message: expect.stringContaining("a, b") as string });
      expect(seen).toEqual(["X"]);
      await expect(run(route(() => name, { routes: { a: opaque } }), "x").collect()).rejects.toMatchObject({ code: "no_route" });
    }
  });

  test("otherwise takes what has no route; a route that refuses lets the part pass", async () => {
    expect(await textsOf(route(() => "zzz", { routes: { a: upper }, otherwise: append("!") }), "x")).toEqual(["x!"]);
    expect(await textsOf(route(() => "a", { routes: { a: each(() => "y", { match: isImage }) } }), "x")).toEqual(["x"]);
  });

  test("C76: a thousand routes, ten parts to one: one branch is started", async () => {
    let started = 0;
    const routes = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, i) => [
        `r${i}`,
        async function* (input: AsyncIterable<Part>) {
          started += 1;
          yield* input;
        },
      ]),
    );
    expect((await run(route(() => "r7", { routes }), numbers(10)).collect()).length).toBe(10);
    expect(started).toBe(1);
  });

  test("opaque routes keep the order within a branch; a slow one does not hold back another", async () => {
    const never: Processor = async function* (input) {
      for await (const _part of input) await new Promise(() => {});
    };
    const iterator = run(route((part) => (nameOf(part) === "0" ? "never" : "on"), { routes: { never, on: opaque } }), watchedSource(Infinity))[Symbol.asyncIterator]();
    expect(texts([(await soon(iterator.next())).value as Part, (await soon(iterator.next())).value as Part])).toEqual(["1", "2"]);
    await iterator.return?.();
  });

  test("a select that throws or rejects fails the run with that error", async () => {
    const error = new Error("select");
    for (const select of [() => { throw error; }, () => Promise.reject(error)]) {
      await expect(run(route(select, { routes: { a: upper } }), "x").collect()).rejects.toBe(error);
      await expect(run(route(select, { routes: { a: opaque } }), "x").collect()).rejects.toBe(error);
    }
  });

  test("a failing branch closes the source and the other branches", async () => {
    const source = watchedSource(Infinity);
    let finished = false;
    const good: Processor = async function* (input) {
      try {
        yield* input;
      } finally {
        finished = true;
      }
    };
    const bad: Processor = async function* (input) {
      for await (const _part of input) throw new Error("bad");
    };
    await expect(run(route((part) => (nameOf(part) === "3" ? "bad" : "good"), { routes: { bad, good } }), source).collect()).rejects.toThrow("bad");
    expect([source.closed, finished]).toEqual([1, true]);
  });
});

describe("S41–S43: sources", () => {
  test("C77: a silent source holds nobody up; C78: an ever-ready one starves nobody", async () => {
    expect(texts(await run(take(3), merge(stalledSource(), ["a", "b", "c"])).collect())).toEqual(["a", "b", "c"]);
    const ready = (name: string): AsyncIterable<Part> => from((function* () { for (;;) yield name; })());
    const parts = texts(await run(take(100), merge(ready("a"), ready("b"))).collect());
    for (const name of ["a", "b"]) expect(parts.filter((each) => each === name).length).toBeGreaterThanOrEqual(10);
    expect(await run(pipe(), merge()).collect()).toEqual([]);
  });

  test("merge runs at most one part ahead in each source, and keeps each one's order", async () => {
    const sources = [watchedSource(Infinity), watchedSource(Infinity)];
    const iterator = merge(...sources)[Symbol.asyncIterator]();
    for (let i = 0; i < 6; i += 1) await iterator.next();
    await turns();
    expect(sources.reduce((sum, source) => sum + source.pulls, 0)).toBeLessThanOrEqual(8);
    await iterator.return?.();
    expect(sources.map((source) => source.closed)).toEqual([1, 1]);
  });

  test("C57: a failing source closes its siblings, once", async () => {
    const endless = watchedSource(Infinity);
    await expect(run(opaque, merge(watchedSource(1, { failAt: 1, error: "bad" }), endless)).collect()).rejects.toBe("bad");
    expect(endless.closed).toBe(1);
  });

  test("C79: concat opens each when its turn comes, and none after an error", async () => {
    const later = watchedSource(["c"]);
    const seen: string[] = [];
    const reading = (async () => {
      for await (const part of concat(["a"], watchedSource(["b"], { failAt: 0, error: "bad" }), later)) seen.push(nameOf(part));
    })();
    await expect(reading).rejects.toBe("bad");
    expect([seen, later.opened]).toEqual([["a"], 0]);
    const unopened = watchedSource(["b"]);
    for await (const _part of run(pipe(), concat(["a", "a"], unopened))) break;
    expect(unopened.opened).toBe(0);
    expect(texts(await run(opaque, concat("a", [], ["b", "c"], watchedSource(["d"]))).collect())).toEqual(["a", "b", "c", "d"]);
  });

  test("C80: a copy waits when it is lag ahead, and goes on when the slow one is left", async () => {
    const source = watchedSource(Infinity);
    const [a, b] = split(source, 2, { lag: 4 }).map((copy) => copy[Symbol.asyncIterator]());
    for (let i = 0; i < 4; i += 1) await soon(a?.next() ?? Promise.reject(new Error()));
    let fifth = false;
    const next = a?.next().then(() => { fifth = true; });
    await turns();
    expect([fifth, source.pulls <= 5]).toEqual([false, true]);
    await b?.return?.();
    await next;
    expect(fifth).toBe(true);
    await a?.return?.();
    expect(source.closed).toBe(1);
  });

  test("C81: copies read at different speeds are equal, reserved parts included; an error reaches each after the parts", async () => {
    const input = ["a", status("s"), "b", debug("d"), "c"];
    const copies = split(input, 3, { lag: 2 });
    const all = await Promise.all(copies.map(async (copy, i) => {
      const seen: string[] = [];
      for await (const part of copy) {
        await turns(i);
        seen.push(nameOf(part));
      }
      return seen;
    }));
    expect(all).toEqual([1, 2, 3].map(() => ["a", "s", "b", "d", "c"]));
    const failing = split(watchedSource(2, { failAt: 2, error: "E" }), 2);
    const seen = await Promise.all(failing.map(async (copy) => {
      const parts: string[] = [];
      try {
        for await (const part of copy) parts.push(nameOf(part));
      } catch (error) {
        parts.push(`error ${String(error)}`);
      }
      return parts;
    }));
    expect(seen).toEqual([["0", "1", "error E"], ["0", "1", "error E"]]);
  });
});

describe("S34–S36: reserved substreams", () => {
  const seenBy = () => {
    const seen: string[] = [];
    const note = tap((part) => seen.push(nameOf(part)));
    return { seen, note };
  };

  test("C61: only the two exact names are reserved", async () => {
    const upper = each((part) => (isText(part) ? part.text.toUpperCase() : part));
    for (const substream of ["statusful", "Status", "status2", "debug/x", "my-status"]) {
      expect(texts(await run(pipe(upper, opaque), [text("a", { substream })]).collect())).toEqual(["A"]);
    }
  });

  test("C62: from the input, past every form of stage, once, as the same object", async () => {
    const s = status("s");
    const { seen, note } = seenBy();
    const forms: Record<string, Processor> = {
      each: note,
      opaque: pipe(note, opaque),
      chain: pipe(note, opaque, note, each(async (part) => part, { concurrency: 2 }), note),
      parallel: parallel(note, note, note),
      "parallel opaque": parallel(pipe(note, opaque), opaque),
      interleave: interleave(note, opaque),
      route: route((part) => { seen.push(nameOf(part)); return "a"; }, { routes: { a: note } }),
      "route opaque": route((part) => { seen.push(nameOf(part)); return "a"; }, { routes: { a: opaque } }),
      isolate: isolate(note),
      batch: batch({ count: 1 }, note),
    };
    for (const [name, form] of Object.entries(forms)) {
      const out = await run(form, [s, "a"]).collect();
      expect(out.filter((part) => part === s).length, name).toBe(1);
    }
    expect(new Set(seen)).toEqual(new Set(["a"]));
  });

  test("C63: from a branch inside a route inside a parallel, once", async () => {
    const emits = each((part) => [status("s"), part]);
    const nested = parallel(route(() => "a", { routes: { a: pipe(emits, opaque) } }), each(() => undefined));
    expect((await textsOf(nested, "x")).filter((name) => name === "s").length).toBe(1);
    expect((await textsOf(parallel(route(() => "a", { routes: { a: emits } }), each(() => undefined)), "x")).filter((name) => name === "s").length).toBe(1);
  });

  test("C64: they count for nothing", async () => {
    expect(await textsOf(take(2), ["a", status("s"), "b", "c"])).toEqual(["a", "s", "b"]);
    const groups: string[] = [];
    const join: Processor = async function* (input) {
      let all = "";
      for await (const part of input) all += nameOf(part);
      groups.push(all);
      yield text(all);
    };
    expect((await textsOf(batch({ count: 2 }, join), ["a", status("s"), "b"])).sort()).toEqual(["ab", "s"]);
    expect(groups).toEqual(["ab"]);
  });

  test("C65: a status comes before what its call makes later, though a later stage collects everything", async () => {
    const works = async function* (input: AsyncIterable<Part>) {
      for await (const part of input) {
        yield status(`working on ${nameOf(part)}`);
        await turns(1);
        yield part;
      }
    };
    const collects: Processor = async function* (input) {
      let all = "";
      for await (const part of input) all += nameOf(part);
      yield text(all);
    };
    for (const stage of [works, each(async function* (part) { yield status(`working on ${nameOf(part)}`); await turns(1); yield part; }, { concurrency: 2 })]) {
      expect(await textsOf(pipe(stage, collects), ["a", "b"])).toEqual(["working on a", "working on b", "ab"]);
    }
  });

  test("in a terminal, too, they come at once, one call of the function at a time", async () => {
    const seen: string[] = [];
    const go = gate();
    let inside = 0;
    const reading = run(async function* () {
      yield status("1");
      await go.promise;
      yield status("2");
      yield text("a");
    }, []).forEach(async (part) => {
      inside += 1;
      expect(inside).toBe(1);
      await turns(1);
      seen.push(nameOf(part));
      inside -= 1;
    });
    await turns();
    expect(seen).toEqual(["1"]);
    go.open();
    await reading;
    expect(seen).toEqual(["1", "2", "a"]);
  });
});
