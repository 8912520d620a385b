/**
 * What every vector store must do. Runs under any runner: it takes `describe` and `it`.
 *
 * @module
 */
import { type VectorFilter } from "../../kinds/vector-filter.ts";
import type { VectorAbility, VectorMetric, VectorRecord, VectorStore } from "../../kinds/vector-store.ts";
import { check, equal, failsAs, failsWith } from "./check.ts";
import type { TestRunner } from "./runner.ts";
import { withOpen } from "./with-open.ts";
import { deep, filterCases, hostileTexts, library, malformedFilters, randomVectors } from "./vector-cases.ts";

/** The store under test. */
export interface VectorStoreSubject {
  readonly name: string;
  /** Opens a store that holds nothing; called once for each test, which calls `setup` and closes it. */
  open(shape: { readonly dimensions: number; readonly metric: VectorMetric }): Promise<VectorStore> | VectorStore;
  /** What the store declares in `lacks`: those tests are skipped with the reason, and the declaration is compared. */
  readonly lacks?: VectorStore["lacks"];
  /** @default all three */
  readonly metrics?: readonly VectorMetric[];
  /** Waits until what was written is seen by reads. @default reads see it at once */
  settled?(store: VectorStore): Promise<void>;
  /** Share of the true nearest that a query over many must find. @default 0.95 */
  readonly recall?: number;
}

/**
 * The contract of the vector-store kind.
 *
 * @example
 * import { describe, it } from "node:test";
 *
 * vectorStoreContract({ describe, it }, { name: "memory", open: (shape) => memoryVectorStore(shape) });
 */
export function vectorStoreContract({ describe, it }: TestRunner, subject: VectorStoreSubject): void {
  const { lacks = {}, recall = 0.95, metrics = ["cosine", "dot", "l2"] } = subject;
  const [metric = "cosine"] = metrics;
  const settled = async (store: VectorStore): Promise<void> => subject.settled?.(store);
  type Body = (store: VectorStore) => Promise<void>;
  const test = (name: string, body: Body, { needs, dimensions = 3, by = metric }: { needs?: VectorAbility; dimensions?: number; by?: VectorMetric } = {}): void => {
    const reason = needs === undefined ? undefined : lacks[needs];
    const run = async (): Promise<void> =>
      withOpen(await subject.open({ dimensions, metric: by }), async (store) => {
        await store.setup();
        await body(store);
      });
    if (reason === undefined) it(name, run);
    else it.skip(`${name} (${reason})`, run);
  };
  const put = async (store: VectorStore, records: readonly VectorRecord[]): Promise<void> => {
    await store.upsert(records);
    await settled(store);
  };
  const ids = async (store: VectorStore, limit = 100, filter?: VectorFilter, vector = xyz(1, 0, 0)): Promise<string[]> =>
    (await store.query({ vector, limit, ...(filter === undefined ? {} : { filter }) })).map(({ id }) => id);

  describe(`vector store contract: ${subject.name}`, () => {
    test("declares its metric, its dimensions and what it lacks", async (store) => {
      equal([store.metric, store.dimensions ?? 3, store.lacks], [metric, 3, lacks], "declarations");
      equal(/^[a-z0-9-]+$/.test(store.service), true, "service name in kebab-case");
      equal(store.replace === undefined, lacks.replace !== undefined, "replace is absent where it is lacking, and only there");
    });

    test("is set up twice without harm, and empty at first", async (store) => {
      await store.setup();
      await store.upsert([]);
      equal(await ids(store), [], "matches in an empty store");
      equal([await store.count(), (await store.get(["a"])).length, (await store.get([])).length], [0, 0, 0], "counts");
      await put(store, [{ id: "a", vector: xyz(1, 0, 0) }]);
      await store.setup();
      equal(await store.count(), 1, "records after another setup");
    });

    test("gives back id, text and metadata as they were put", async (store) => {
      const metadata = { lang: "de", year: 2024, draft: false, empty: "", price: -1.5e-7, big: 9_007_199_254_740_991 };
      await put(store, [
        { id: "full", vector: xyz(1, 0, 0), text: "Grüße 👋 \"'\\ $1", metadata },
        { id: "empty-text", vector: xyz(0, 1, 0), text: "" },
        { id: "bare", vector: xyz(0, 0, 1) },
      ]);
      const [match] = await store.query({ vector: xyz(1, 0, 0), limit: 1 });
      equal([match?.id, match?.text, sorted(match?.metadata)], ["full", "Grüße 👋 \"'\\ $1", sorted(metadata)], "the match");
      const entries = (await store.get(["bare", "never", "full", "empty-text", "full"])).sort((a, b) => (a.id < b.id ? -1 : 1));
      equal(entries.map((it) => [it.id, it.text, Object.keys(it.metadata).length]), [["bare", undefined, 0], ["empty-text", "", 0], ["full", match?.text, 6]], "entries");
    });

    test("gives back nested metadata", async (store) => {
      const metadata = { file: { name: "a.txt", sizes: [1, 2] }, tags: ["x", "y"], nothing: null };
      await put(store, [{ id: "a", vector: xyz(1, 0, 0), metadata }]);
      equal(sorted((await store.get(["a"]))[0]?.metadata), sorted(metadata), "metadata");
    }, { needs: "nested" });

    for (const by of metrics) {
      test(`ranks by ${by}, closest first, and says how close`, async (store) => {
        await put(store, [
          { id: "same", vector: xyz(1, 2, 2) },
          { id: "twice", vector: xyz(2, 4, 4) },
          { id: "aside", vector: xyz(2, -1, 2) },
          { id: "opposite", vector: xyz(-1, -2, -2) },
        ]);
        const found = await store.query({ vector: xyz(1, 2, 2), limit: 10 });
        const expected = {
          cosine: [["same", 1, 0], ["twice", 1, 0], ["aside", 4 / 9, 5 / 9], ["opposite", -1, 2]],
          dot: [["twice", 18, -18], ["same", 9, -9], ["aside", 4, -4], ["opposite", -9, 9]],
          l2: [["same", 1, 0], ["twice", 1 / 4, 3], ["aside", 1 / (1 + Math.sqrt(10)), Math.sqrt(10)], ["opposite", 1 / 7, 6]],
        }[by];
        equal(found.map(({ id }) => id).slice(by === "cosine" ? 2 : 0), expected.map(([id]) => id).slice(by === "cosine" ? 2 : 0), "order");
        for (const [id, score, distance] of expected) {
          const match = found.find((it) => it.id === id);
          check(close(match?.score, score) && close(match?.distance, distance), `${id}: expected ${score} at ${distance}, got ${match?.score} at ${match?.distance}`);
        }
      }, { by });
    }

    test("finds the nearest among many, and orders ties the same way each time", async (store) => {
      const vectors = randomVectors(400, 16);
      await put(store, vectors.map((vector, i) => ({ id: `v${i}`, vector })));
      let hits = 0;
      for (const [at, query] of randomVectors(10, 16, 99).entries()) {
        const truth = exact(by(metric), vectors, query).slice(0, 10);
        const found = await ids(store, 10, undefined, query);
        equal(found.length, 10, `matches of query ${at}`);
        hits += found.filter((id) => truth.includes(id)).length;
      }
      check(hits / 100 >= recall, `found ${hits} of the 100 nearest`);
      equal((await ids(store, 300, undefined, vectors[0])).length, 300, "matches with a large limit");
      await put(store, Array.from({ length: 5 }, (_, i) => ({ id: `tie${i}`, vector: new Float32Array(16).fill(0.9) })));
      const ties = (): Promise<string[]> => ids(store, 5, undefined, new Float32Array(16).fill(0.9));
      equal(await ties(), await ties(), "the order of ties");
    }, { dimensions: 16 });

    test("gives the vectors of matches where they are asked for, and only there", async (store) => {
      await put(store, library);
      const query = { vector: xyz(1, 0, 0), limit: 100 };
      equal((await store.query(query)).filter(({ vector }) => vector !== undefined).length, 0, "vectors that nobody asked for");
      const hybrid = lacks.hybrid === undefined ? await store.query({ ...query, text: "one", vectors: true }) : [];
      for (const { id, vector } of [...(await store.query({ ...query, vectors: true })), ...hybrid]) {
        const own = library.find((it) => it.id === id)?.vector ?? xyz();
        const scale = metric === "cosine" && vector !== undefined ? Math.hypot(...own) / Math.hypot(...vector) : 1; // it may be kept at length 1
        const near = vector?.length === own.length && own.every((number, i) => Math.abs(number - (vector[i] ?? NaN) * scale) < 1e-2 * Math.hypot(...own));
        check(near, `${id}: expected the vector ${[...own]}, got ${vector === undefined ? "none" : [...vector]}`);
      }
      await failsWith("invalid_input", () => store.query({ ...query, vectors: 1 as never }), "vectors that is no boolean");
    });

    test("keeps to the limit, and refuses one outside 1 to 1000", async (store) => {
      await put(store, library);
      equal((await ids(store, 2)).length, 2, "matches");
      for (const limit of [0, -1, 1.5, NaN, Infinity, 1_001, 10_001]) await failsWith("invalid_input", () => ids(store, limit), `limit ${limit}`);
    });

    test("refuses bad vectors and ids, and then stores nothing of the call", async (store) => {
      const bad: readonly Float32Array[] = [xyz(1, 2), xyz(1, 2, 3, 4), xyz(), xyz(1, NaN, 0), xyz(1, 0, Infinity), ...(metric === "cosine" ? [xyz(0, 0, -0)] : [])];
      for (const vector of bad) {
        await failsWith("invalid_input", () => store.upsert([{ id: "good", vector: xyz(1, 1, 1) }, { id: "bad", vector }]), `upsert of ${[...vector]}`);
        await failsWith("invalid_input", () => ids(store, 5, undefined, vector), `query by ${[...vector]}`);
      }
      for (const id of ["", "x".repeat(513), "\ud800"]) await failsWith("invalid_input", () => store.upsert([{ id, vector: xyz(1, 1, 1) }]), "a bad id");
      await failsWith("invalid_input", () => store.upsert([{ id: "x", vector: xyz(1, 1, 1), text: "\udc00" }]), "a lone surrogate");
      await failsWith("too_large", () => store.upsert([{ id: "x", vector: xyz(1, 1, 1), metadata: { a: "x".repeat(262_145) } }]), "much metadata");
      equal(await store.count(), 0, "records stored");
    });

    test("stores over what was there; of one id in a call the last wins", async (store) => {
      await put(store, [{ id: "a", vector: xyz(1, 0, 0), text: "old", metadata: { a: 1, b: 2 } }]);
      await put(store, [{ id: "a", vector: xyz(0, 1, 0), text: "first" }, { id: "b", vector: xyz(1, 0, 0) }, { id: "a", vector: xyz(1, 1, 0), metadata: { a: 3 } }]);
      equal([await store.count(), await store.get(["a"])], [2, [{ id: "a", metadata: { a: 3 } }]], "what is stored");
      equal(await ids(store, 1, undefined, xyz(1, 1, 0)), ["a"], "found by its last vector");
    });

    test("keeps hostile ids, texts and metadata as they are", async (store) => {
      const records = hostileTexts.map((text, i) => ({ id: text, vector: xyz(1, i, 0), text, metadata: { [text]: text, n: i } }));
      await put(store, records);
      equal(await store.count(), records.length, "records");
      for (const { id, text } of records) {
        const [entry] = await store.get([id]);
        equal([entry?.id, entry?.text, entry?.metadata[id]], [id, text, text], "entry");
        equal(await ids(store, 10, { eq: [id, text] }), [id], `filter on the field ${id}`);
      }
      await store.delete({ ids: [records[0]?.id ?? ""] });
      await settled(store);
      equal(await store.count(), records.length - 1, "records after one was deleted");
      equal(await store.get(["__proto__", "constructor"]), [], "ids that were never put");
    });

    for (const { name, filter, expected, needs } of filterCases) {
      test(`filters: ${name}`, async (store) => {
        await put(store, library);
        equal((await ids(store, 100, filter)).sort(), [...expected].sort(), JSON.stringify(filter));
        if (lacks.countFilter === undefined) equal(await store.count(filter), expected.length, "count");
      }, needs === undefined ? {} : { needs });
    }

    test("takes filters of 60 levels, and refuses much deeper ones and what is no filter", async (store) => {
      await put(store, library);
      equal((await ids(store, 100, deep(60))).sort(), ["one", "two"], "60 levels");
      for (const filter of [deep(70), ...malformedFilters]) {
        for (const call of [() => ids(store, 5, filter), () => store.delete({ filter }), ...(lacks.countFilter === undefined ? [() => store.count(filter)] : [])]) {
          await failsWith("invalid_input", call, JSON.stringify(filter).slice(0, 100));
        }
      }
      equal(await store.count(), library.length, "records afterwards");
    });

    test("finds what a filter lets through, however far it is", async (store) => {
      const near = randomVectors(400, 3, 7).map((v, i) => ({ id: `near${i}`, vector: xyz(10 + (v[0] ?? 0), v[1] ?? 0, v[2] ?? 0), metadata: { far: false } }));
      const far = [1, 2, 3].map((i) => ({ id: `far${i}`, vector: xyz(-10, i, 0), metadata: { far: true } }));
      await put(store, [...near, ...far]);
      equal((await ids(store, 10, { eq: ["far", true] })).sort(), ["far1", "far2", "far3"], "matches");
    });

    test("deletes by ids and by filter, and refuses to delete by nothing", async (store) => {
      await put(store, library);
      await store.delete({ ids: ["one", "never"] });
      await store.delete({ ids: [] });
      await store.delete({ filter: { eq: ["lang", "en"] } });
      await settled(store);
      equal((await ids(store)).sort(), library.map(({ id }) => id).filter((id) => id !== "one" && id !== "three").sort(), "records left");
      for (const selection of [{}, undefined, { ids: "one" }, { filter: {} }, { ids: [1] }]) {
        await failsWith("invalid_input", () => store.delete(selection as never), JSON.stringify(selection) ?? "undefined");
      }
    });

    test("swaps a set of records in one step", async (store) => {
      const of = (doc: string, version: number, count: number): VectorRecord[] =>
        Array.from({ length: count }, (_, i) => ({ id: `${doc}-${i}`, vector: xyz(1, i, 0), text: `${version}`, metadata: { doc, version } }));
      const swap = async (doc: string, version: number, count: number): Promise<void> => store.replace?.({ eq: ["doc", doc] }, of(doc, version, count));
      await put(store, [...of("a", 1, 5), ...of("b", 1, 2)]);
      await swap("a", 2, 3);
      equal((await store.get(of("a", 1, 5).map(({ id }) => id))).map(({ id, text }) => `${id} ${text}`).sort(), ["a-0 2", "a-1 2", "a-2 2"], "of a");
      equal(await store.count({ eq: ["doc", "b"] }), 2, "of b");
      await failsWith("invalid_input", () => store.replace?.({ eq: ["doc", "a"] }, [{ id: "x", vector: xyz(1) }]), "a bad record");
      equal(await store.count({ eq: ["doc", "a"] }), 3, "of a after a refused swap");
      await Promise.all([3, 4, 5, 6].map((version) => swap("a", version, version)));
      const left = await store.query({ vector: xyz(1, 0, 0), limit: 100, filter: { eq: ["doc", "a"] } });
      equal(left.length, left[0]?.metadata["version"], "records of the swap that came last, and of no other");
      await swap("a", 0, 0);
      equal(await store.count(), 2, "records when a is emptied");
    }, { needs: "replace" });

    test("ranks by text and vector together", async (store) => {
      await put(store, [
        ...randomVectors(30, 3, 5).map((v, i) => ({ id: `near${i}`, vector: xyz(5, v[1] ?? 0, v[2] ?? 0), text: "apples and pears", metadata: { kind: "fruit" } })),
        { id: "far", vector: xyz(-5, 1, 1), text: "The quokka sleeps", metadata: { kind: "animal" } },
      ]);
      const hybrid = async (text: string, filter?: VectorFilter): Promise<string[]> =>
        (await store.query({ vector: xyz(1, 0, 0), text, limit: 5, ...(filter === undefined ? {} : { filter }) })).map(({ id }) => id);
      check((await hybrid("Quokka?")).includes("far"), "the text finds what the vector alone would not");
      check(!(await ids(store, 5)).includes("far"), "the vector alone does not");
      check(!(await hybrid("quokka", { eq: ["kind", "fruit"] })).includes("far"), "the filter holds for the text too");
      equal(await hybrid("xyzzy"), await hybrid(""), "a text that occurs nowhere leaves the order of the vectors");
      for (const text of hostileTexts) check((await hybrid(text)).length > 0, `matches for the text ${text}`);
      const scores = (await store.query({ vector: xyz(1, 0, 0), text: "quokka", limit: 31 })).map(({ score }) => score);
      equal(scores, [...scores].sort((a, b) => b - a), "scores, highest first");
      equal(scores.length, 31, "each record once");
    }, { needs: "hybrid" });

    test("takes writes of the same records from several callers at once", async (store) => {
      const batch = Array.from({ length: 40 }, (_, i) => ({ id: `r${i}`, vector: xyz(1, i, 0) }));
      await Promise.all(Array.from({ length: 8 }, (_, n) => store.upsert(n % 2 === 0 ? batch : [...batch].reverse())));
      await settled(store);
      equal(await store.count(), 40, "records");
    });

    test("hears a signal that has aborted, before any I/O", async (store) => {
      const reason = new Error("enough");
      const context = { signal: AbortSignal.abort(reason) };
      await failsAs(reason, () => store.setup(context), "setup");
      await failsAs(reason, () => store.upsert([{ id: "a", vector: xyz(1, 0, 0) }], context), "upsert");
      await failsAs(reason, () => store.query({ vector: xyz(1, 0, 0), limit: 1 }, context), "query");
      await failsAs(reason, () => store.get(["a"], context), "get");
      await failsAs(reason, () => store.delete({ ids: ["a"] }, context), "delete");
      await failsAs(reason, () => store.count(undefined, context), "count");
      equal(await store.count(), 0, "records");
    });

    test("is closed twice without harm, and refuses work afterwards", async (store) => {
      await store.close();
      await store.close();
      await failsWith("closed", () => store.setup(), "setup");
      await failsWith("closed", () => store.upsert([{ id: "a", vector: xyz(1, 0, 0) }]), "upsert");
      await failsWith("closed", () => ids(store), "query");
      await failsWith("closed", () => store.get(["a"]), "get");
      await failsWith("closed", () => store.delete({ ids: ["a"] }), "delete");
      await failsWith("closed", () => store.count(), "count");
    });
  });
}

function xyz(...numbers: number[]): Float32Array {
  return Float32Array.from(numbers);
}

function close(actual: number | undefined, expected: number | string | undefined): boolean {
  return typeof actual === "number" && Math.abs(actual - Number(expected)) < 1e-4 * Math.max(1, Math.abs(Number(expected)));
}

/** Entries in the order of their names: databases keep no order of keys. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, sorted(item)]);
}

function by(metric: VectorMetric): (a: Float32Array, b: Float32Array) => number {
  const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);
  if (metric === "dot") return (a, b) => -dot(a, b);
  if (metric === "l2") return (a, b) => dot(a, a) + dot(b, b) - 2 * dot(a, b);
  return (a, b) => -dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

function exact(distance: (a: Float32Array, b: Float32Array) => number, vectors: readonly Float32Array[], query: Float32Array): string[] {
  return vectors.map((vector, i) => ({ id: `v${i}`, d: distance(vector, query) })).sort((a, b) => a.d - b.d).map(({ id }) => id);
}
