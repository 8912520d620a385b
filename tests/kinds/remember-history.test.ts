/** What is found of sources while they are stored, after a crash at any write, and after the run that follows; against a model. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { memoryVectorStore } from "../../src/adapters/memory/index.ts";
import { isText, type Part, run, text } from "../../src/index.ts";
import { forget, remember, type RememberOptions } from "../../src/kinds/remember.ts";
import { retrieve } from "../../src/kinds/retrieve.ts";
import type { VectorStore } from "../../src/kinds/vector-store.ts";
import { letters } from "./letters.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);

/** Where a process dies: at its `at`th write, before it, when half of it is done, or after it. */
interface Crash {
  readonly at: number;
  readonly done: "nothing" | "first half" | "last half" | "all";
}

class Killed extends Error {}

/** A store without the swap for one process: it shows each state to `look`, and takes nothing after its crash. */
function mortal(store: VectorStore, crash: Crash | undefined, look: () => Promise<void>): VectorStore {
  const { replace: _, ...rest } = store;
  let writes = 0;
  const step = async (all: () => Promise<void>, half: (which: "first half" | "last half") => Promise<void>): Promise<void> => {
    writes += 1;
    if (crash === undefined || writes < crash.at) await all();
    else {
      if (writes > crash.at) throw new Killed("used after its death");
      if (crash.done === "all") await all();
      else if (crash.done !== "nothing") await half(crash.done);
    }
    await look();
    if (crash !== undefined && writes >= crash.at) throw new Killed("killed");
  };
  const halfOf = <T>(items: readonly T[], which: string): readonly T[] => {
    const middle = Math.ceil(items.length / 2);
    return which === "first half" ? items.slice(0, middle) : items.slice(middle);
  };
  return {
    ...rest,
    dimensions: store.dimensions,
    lacks: { replace: "left out by the test" },
    upsert: (records) => step(() => store.upsert(records), (which) => store.upsert(halfOf(records, which))),
    delete: (selection) =>
      step(() => store.delete(selection), async (which) => {
        if ("ids" in selection) return store.delete({ ids: halfOf(selection.ids, which) });
        const ids = (await store.query({ vector: new Float32Array(28).fill(1), limit: 1_000, filter: selection.filter })).map(({ id }) => id);
        await store.delete({ ids: halfOf(ids.sort(), which) });
      }),
  };
}

interface Seen {
  /** What is found of each source, its chunks in order. */
  readonly found: Readonly<Record<string, string>>;
  readonly unfinished: readonly string[];
}

/** What a reader finds, as long as nobody else writes. */
async function seen(store: VectorStore): Promise<Seen> {
  const { replace: _, ...rest } = store;
  const parts = await run(retrieve({ ...rest, dimensions: 28 }, letters(), { limit: 1_000 }), "a").collect();
  const found: Record<string, string> = {};
  const chunks = parts.filter((part) => part.metadata.match !== undefined).sort((a, b) => Number(a.metadata.chunk) - Number(b.metadata.chunk));
  for (const part of chunks) found[String(part.metadata.source)] = `${found[String(part.metadata.source)] ?? ""}${isText(part) ? part.text : "?"} `;
  return { found, unfinished: parts.flatMap(({ metadata: { unfinished } }) => (unfinished as string[] | undefined) ?? []) };
}

const parts = (contents: Readonly<Record<string, readonly string[]>>): Part[] =>
  Object.entries(contents).flatMap(([source, words]) => words.map((word) => text(word, { metadata: { source } })));

const anyCrash: fc.Arbitrary<Crash | undefined> = fc.option(
  fc.record({ at: fc.integer({ min: 1, max: 9 }), done: fc.constantFrom("nothing", "first half", "last half", "all") }),
  { nil: undefined },
);
const anyWords = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 });
const anyRun = fc.record({
  contents: fc.dictionary(fc.constantFrom("one", "two", "three"), anyWords, { noNullPrototype: true }),
  removeMissing: fc.boolean(),
  forgets: fc.subarray(["one", "two", "three"]),
  batch: fc.constantFrom(1, 64),
  crash: anyCrash,
});

test("at every write and after every crash a source is found as it was, as it will be, or not at all, and the next run stores it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyRun, { minLength: 1, maxLength: 6 }), async (history) => {
      const store = memoryVectorStore();
      for (const { contents, removeMissing, forgets, batch, crash } of history) {
        const before = (await seen(store)).found;
        const look = async (): Promise<void> => {
          const now = await seen(store);
          for (const source of ["one", "two", "three"]) {
            const words = contents[source];
            const goes = forgets.includes(source) || (words === undefined && removeMissing);
            const allowed = [before[source], ...(words === undefined ? [] : [`${words.join(" ")} `, undefined]), ...(goes ? [undefined] : [])];
            expect(allowed, `of ${source}`).toContain(now.found[source]);
            const stored = await store.count({ eq: ["source", source] });
            if (stored > 0 && now.found[source] === undefined) expect(now.unfinished).toContain(source);
          }
        };
        const own = mortal(store, crash, look);
        const options: RememberOptions = { removeMissing, batch };
        const process = (async () => {
          if (forgets.length > 0) await forget(own, forgets);
          await run(remember(own, letters(), options), parts(contents)).collect();
        })();
        const died = await process.then(() => false, (error: unknown) => (error instanceof Killed ? true : Promise.reject(error)));
        if (died) {
          await look();
          continue;
        }
        const after = (await seen(store)).found;
        for (const [source, words] of Object.entries(contents)) expect(after[source]).toBe(`${words.join(" ")} `);
        if (removeMissing) expect(Object.keys(after).sort()).toEqual(Object.keys(contents).sort());
      }
    }),
    { numRuns: runs },
  );
});

test("a reader finds what is whole though chunks that are not crowd its first answer", async () => {
  const store = memoryVectorStore();
  const words = Array.from({ length: 40 }, () => "aaa");
  await run(remember(store, letters()), parts({ whole: ["aab", "aac"], half: words })).collect();
  const [head] = await store.query({ vector: new Float32Array(28).fill(1), limit: 1, filter: { and: [{ eq: ["source", "half"] }, { eq: ["chunk", 0] }] } });
  await store.delete({ ids: [head?.id ?? ""] });
  const { replace: _, ...rest } = store;
  const found = await run(retrieve({ ...rest, dimensions: 28 }, letters(), { limit: 2 }), "aaa").collect();
  expect(found.map((part) => part.metadata.source ?? part.substream)).toEqual(["debug", "whole", "whole", ""]);
  expect(found[0]).toMatchObject({ metadata: { unfinished: ["half"] }, text: expect.stringContaining("half") });
});
