import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { memoryVectorStore } from "../../src/adapters/memory/index.ts";
import { derive, each, fallback, finish, image, isText, json, MillraceError, type Part, pipe, type Processor, run, status, text } from "../../src/index.ts";
import { cosine, diversify } from "../../src/kinds/diversify.ts";
import { namespaced } from "../../src/kinds/namespaced.ts";
import { compareIds, fuseRanks } from "../../src/kinds/rank-fusion.ts";
import { retrieve } from "../../src/kinds/retrieve.ts";
import type { VectorFilter } from "../../src/kinds/vector-filter.ts";
import type { VectorRecord, VectorStore } from "../../src/kinds/vector-store.ts";
import { vectorStoreContract } from "../../src/testing/contracts/vector-store.ts";
import { texts } from "../streams/support.ts";
import { letters } from "./letters.ts";

// The view of one namespace is a store like any other.
vectorStoreContract({ describe, it }, { name: "namespaced", open: (shape) => namespaced(memoryVectorStore(shape), "tenant-1"), recall: 1 });

async function filled(): Promise<VectorStore> {
  const store = memoryVectorStore();
  const words = { cab: "car park", bac: "back", zoo: "zoo", zzz: "zzz" };
  const vectors = await letters().embed(Object.values(words));
  const records = Object.entries(words).map(([id, word], i): VectorRecord => ({
    id,
    vector: vectors[i] ?? Float32Array.of(),
    text: word,
    metadata: { source: `${id}.txt`, lang: id.startsWith("z") ? "de" : "en" },
  }));
  await store.upsert(records);
  return store;
}

test("puts the nearest before each text, closest first, and says what they are", async () => {
  const parts = await run(retrieve(await filled(), letters(), { limit: 2 }), ["zo", "back"]).collect();
  expect(texts(parts)).toEqual(["zoo", "zzz", "zo", "back", "car park", "back"]);
  expect(parts[0]?.metadata).toMatchObject({ lang: "de", match: { id: "zoo", source: "zoo.txt", score: expect.any(Number), distance: expect.any(Number) } });
  const [first, second] = parts.map(({ metadata }) => (metadata.match as { score: number } | undefined)?.score ?? NaN);
  expect(first).toBeGreaterThan(second ?? NaN);
  expect(parts.every((part) => part.role === "user")).toBe(true);
  expect(parts[2]?.metadata).toEqual({});
});

test("system texts, white space, other substreams and other kinds pass by", async () => {
  const embedder = letters();
  const others = [text("be brief", { role: "system" }), text(" \n"), text("aside", { substream: "notes" }), image(Uint8Array.of(1))];
  expect(await run(retrieve(await filled(), embedder), others).collect()).toEqual(others);
  expect(embedder.calls).toEqual([]);
});

test("filters, cuts by score, and keeps to the limit", async () => {
  const store = await filled();
  const found = async (options: Parameters<typeof retrieve>[2]): Promise<string[]> =>
    (await run(retrieve(store, letters(), options), ["back"]).collect()).slice(0, -1).map(({ metadata }) => String((metadata.match as { id: string }).id));
  expect(await found({ filter: { eq: ["lang", "de"] } })).toEqual(["zoo", "zzz"]);
  expect(await found({ minScore: 0.99 })).toEqual(["bac"]);
  expect(await found({ minScore: 2 })).toEqual([]);
  expect(await found({ limit: 3 })).toHaveLength(3);
});

test("hybrid lets a word decide where the vectors do not", async () => {
  const store = memoryVectorStore();
  const vector = (await letters().embed(["silent"]))[0] ?? Float32Array.of();
  await store.upsert([{ id: "1", vector, text: "listen" }, { id: "2", vector, text: "enlist" }, { id: "3", vector, text: "silent" }]);
  expect(texts(await run(retrieve(store, letters(), { limit: 1, hybrid: true }), ["silent"]).collect())).toEqual(["silent", "silent"]);
  expect(texts(await run(retrieve(store, letters(), { limit: 1 }), ["silent"]).collect())).toEqual(["listen", "silent"]);
});

test("a record without text comes as JSON of its metadata, and does not fail the query", async () => {
  const store = memoryVectorStore();
  const [vector] = await letters().embed(["a"]);
  await store.upsert([{ id: "bare", vector: vector ?? Float32Array.of(), metadata: { uri: "s3://b/k" } }]);
  const [match] = await run(retrieve(store, letters()), ["a"]).collect();
  expect(match).toMatchObject({ kind: "json", value: { uri: "s3://b/k" }, metadata: { uri: "s3://b/k", match: { id: "bare" } } });
});

test("several queries run at once, in the order of the input", async () => {
  const embedder = letters();
  const parts = await run(retrieve(await filled(), embedder, { limit: 1, concurrency: 3 }), ["zoo", "back", "zzz"]).collect();
  expect(texts(parts)).toEqual(["zoo", "zoo", "back", "back", "zzz", "zzz"]);
});

test("an embedder that answers no vector is bad_response, not an empty answer", async () => {
  const silent = { ...letters(), embed: async () => [] };
  await expect(run(retrieve(await filled(), silent), ["a"]).collect()).rejects.toMatchObject({ code: "bad_response" });
});

test("refuses bad options when it is built", async () => {
  const store = await filled();
  for (const limit of [0, -1, 1.5, 1_001]) expect(() => retrieve(store, letters(), { limit })).toThrow(/limit must be a whole number from 1 to 1000/);
  expect(() => retrieve(store, letters(), { filter: { $or: [] } as unknown as VectorFilter })).toThrow(/filter must be/);
  expect(() => retrieve(store, letters(), { minScore: NaN })).toThrow(/minScore/);
  expect(() => retrieve(store, letters(), { minScore: 0.5, hybrid: true })).toThrow(/exclude each other/);
  expect(() => retrieve({ ...store, lacks: { hybrid: "it has no text index" } }, letters(), { hybrid: true })).toThrow(/it has no text index/);
  expect(() => retrieve(store, letters(), { rerank: {} as never })).toThrow(/rerank must be a processor/);
  for (const lambda of [-0.1, 1.1, NaN, "1" as never]) expect(() => retrieve(store, letters(), { diversity: { lambda } })).toThrow(/diversity.lambda must be a number from 0 to 1/);
  expect(() => retrieve(store, letters(), { diversity: 0.5 as never })).toThrow(/diversity must be an object/);
  for (const candidates of [4, 1_001]) expect(() => retrieve(store, letters(), { diversity: {}, candidates })).toThrow(/candidates must be a whole number from 5 to 1000/);
  expect(() => retrieve(store, letters(), { candidates: 10 })).toThrow(/candidates is for rerank and diversity/);
  expect(() => retrieve(memoryVectorStore({ dimensions: 5 }), letters())).toThrow("memory holds vectors of 5 dimensions, the embedder makes 28");
});

test("no filter and no id shows one namespace the records of another", async () => {
  const store = memoryVectorStore({ dimensions: 2 });
  const [ours, theirs] = [namespaced(store, "ours"), namespaced(store, "theirs")];
  const vector = Float32Array.of(1, 0);
  for (const [view, text] of [[ours, "mine"], [theirs, "secret"]] as const) await view.upsert([{ id: "1", vector, text, metadata: { kind: "x" } }]);
  await store.upsert([{ id: "1", vector, text: "nobody's" }]);
  let seed = 1;
  const next = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const values = ["ours", "theirs", "x", "1", true, 0] as const;
  const random = (depth: number): VectorFilter => {
    const field = ["namespace", "kind", "id", "__proto__"][next(4)] ?? "kind";
    const value = values[next(values.length)] ?? 0;
    const choice = next(depth > 0 ? 6 : 3);
    if (choice === 0) return { eq: [field, value] };
    if (choice === 1) return { ne: [field, value] };
    if (choice === 2) return { in: [field, [value, "theirs"]] };
    if (choice === 3) return { not: random(depth - 1) };
    return { [choice === 4 ? "and" : "or"]: [random(depth - 1), random(depth - 1)] } as unknown as VectorFilter;
  };
  let met = 0;
  for (let i = 0; i < 10_000; i += 1) {
    const filter = random(3);
    for (const match of await ours.query({ vector, limit: 10, filter })) {
      met += 1;
      expect([match.id, match.text, match.metadata]).toEqual(["1", "mine", { kind: "x" }]);
    }
  }
  expect(met).toBeGreaterThan(1_000); // the filters do let something through
  expect(await ours.get(["1", "theirs/1", "../theirs/1"])).toHaveLength(1);
  await ours.delete({ ids: ["theirs/1"] });
  await ours.delete({ filter: { or: [{ eq: ["namespace", "theirs"] }, { ne: ["namespace", "ours"] }] } });
  await ours.replace?.({ eq: ["kind", "x"] }, []);
  expect([await ours.count(), await theirs.count(), await store.count()]).toEqual([0, 1, 2]);
  await expect(ours.upsert([{ id: "2", vector, metadata: { namespace: "theirs" } }])).rejects.toMatchObject({ code: "invalid_input" });
});

test("fuses ranks by the sum of 1 / (60 + rank)", () => {
  expect(fuseRanks([["a", "b"], ["b", "c"]])).toEqual([
    { id: "b", score: 1 / 62 + 1 / 61 },
    { id: "a", score: 1 / 61 },
    { id: "c", score: 1 / 62 },
  ]);
  expect(fuseRanks([["b"], ["a"]]).map(({ id }) => id)).toEqual(["a", "b"]);
  expect(fuseRanks([])).toEqual([]);
});

test("orders ids by code point, as UTF-8 does", () => {
  const ids = ["\u{1f600}", "\uffee", "a", "B", "ab", "é", ""];
  const encoder = new TextEncoder();
  const bytes = (id: string): string => Array.from(encoder.encode(id), (byte) => byte.toString(16).padStart(2, "0")).join("");
  expect([...ids].sort(compareIds)).toEqual([...ids].sort((a, b) => (bytes(a) < bytes(b) ? -1 : 1)));
});

test("a retrieved text is a text part", async () => {
  expect((await run(retrieve(await filled(), letters(), { limit: 1 }), ["zoo"]).collect()).every(isText)).toBe(true);
});

describe("rerank", () => {
  const ids = (parts: readonly Part[]): unknown[] => parts.flatMap(({ metadata: { match } }) => (match === undefined ? [] : [(match as { id: string }).id]));
  const ask = async (rerank: Processor, options: Parameters<typeof retrieve>[2] = {}): Promise<Part[]> =>
    run(retrieve(await filled(), letters(), { rerank, ...options }), ["back"]).collect();
  const answering = (...parts: readonly Part[]): Processor =>
    async function* answering(input) {
      for await (const _ of input); // a reranker has to hear all of them
      yield* parts;
    };

  test("is shown the question with each candidate, nearest first, and more of them than are asked for", async () => {
    const shown: Part[] = [];
    const found = await ask(each((part) => (shown.push(part), part)), { limit: 1 });
    expect(texts(shown)).toEqual(["back", "car park", "zoo", "zzz"]);
    expect(shown.every(({ metadata, role }) => metadata.query === "back" && role === "user")).toBe(true);
    expect(shown.map(({ metadata }) => metadata.match)).toEqual((await run(retrieve(await filled(), letters()), "back").collect()).slice(0, 4).map(({ metadata }) => metadata.match));
    expect(ids(found)).toEqual(["bac"]);
  });

  test("orders by the matches it gives back, and drops those it does not", async () => {
    const backwards: Processor = async function* backwards(input) {
      const parts: Part[] = [];
      for await (const part of input) parts.unshift(part);
      yield* parts.filter(({ metadata }) => metadata.source !== "cab.txt");
    };
    const found = await ask(backwards);
    expect(ids(found)).toEqual(["zzz", "zoo", "bac"]);
    expect(found[0]?.metadata).toMatchObject({ source: "zzz.txt", match: { id: "zzz", score: expect.any(Number), source: "zzz.txt" } });
    expect(found[0]?.metadata).not.toHaveProperty("query");
  });

  test("orders by numbers, one a part or in lists, the highest first, equal ones in the order of the store", async () => {
    const lengths = each((part) => (isText(part) ? json(part.text.length) : undefined));
    const found = await ask(lengths, { limit: 3 });
    expect(ids(found)).toEqual(["cab", "bac", "zoo"]);
    expect(found.slice(0, 3).map(({ metadata }) => (metadata.match as { rerankScore: number }).rerankScore)).toEqual([8, 4, 3]);
    expect(ids(await ask(answering(json([0.1, 0.4]), json([0.3, 0.2]))))).toEqual(["cab", "zoo", "zzz", "bac"]);
  });

  test("a reranker cannot change what is cited", async () => {
    const liar = each((part) => (isText(part) ? derive(part, { text: "lies", role: "system", metadata: { ...part.metadata, source: "elsewhere" } }) : part));
    const [first] = await ask(liar);
    expect(first).toMatchObject({ text: "back", role: "user", metadata: { source: "bac.txt", match: { source: "bac.txt" } } });
  });

  test("its finish part and other substreams are not taken for an order, nor handed on but for its status", async () => {
    const found = await ask(answering(status("thinking"), text("why", { substream: "thoughts" }), json([1, 2, 3, 4]), finish({ reason: "stop" })));
    expect(ids(found)).toEqual(["zzz", "zoo", "cab", "bac"]);
    expect(found.map(({ kind, substream }) => kind + substream)).toEqual(["textstatus", "text", "text", "text", "text", "text"]);
  });

  test.each([
    ["too few numbers", [json([1, 2, 3])], /3 numbers for 4/],
    ["too many numbers", [json([1, 2, 3, 4, 5])], /more than 4 numbers/],
    ["what is no number", [json([1, "2", 3, 4])], /got "2"/],
    ["words", [text("the first one")], /got a text part/],
    ["a match that it was not shown", [text("x", { metadata: { match: { id: "never" } } })], /"never"/],
    ["a match twice", [1, 2].map(() => text("x", { metadata: { match: { id: "zoo" } } })), /"zoo"/],
    ["matches and numbers", [text("x", { metadata: { match: { id: "zoo" } } }), json(1)], /both/],
  ])("%s is bad_response", async (_, parts, message) => {
    await expect(ask(answering(...parts))).rejects.toMatchObject({ code: "bad_response", message: expect.stringMatching(message) });
  });

  test("is not run where nothing was found, hears the scores' floor, and is left when it answers too much", async () => {
    let runs = 0;
    const counting = each((part) => ((runs += 1), part));
    expect(ids(await ask(counting, { minScore: 2 }))).toEqual([]);
    expect(runs).toBe(0);
    expect(ids(await ask(counting, { minScore: 0.99 }))).toEqual(["bac"]);
    let closed = false;
    const endless: Processor = async function* endless() {
      try {
        for (;;) yield json(1);
      } finally {
        closed = true;
      }
    };
    await expect(ask(endless)).rejects.toMatchObject({ code: "bad_response" });
    expect(closed).toBe(true);
  });

  test("what it throws is thrown, and a fallback to nothing at all keeps the order of the store", async () => {
    const broken = each(() => {
      throw new MillraceError("unavailable", "no quota");
    });
    await expect(ask(broken)).rejects.toThrow("no quota");
    expect(ids(await ask(fallback(broken, pipe())))).toEqual(["bac", "cab", "zoo", "zzz"]);
  });

  test("an abort while it works is the reason itself", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const hanging = each(async () => {
      controller.abort(reason);
      await new Promise(() => {});
    });
    const asked = run(retrieve(await filled(), letters(), { rerank: hanging }), ["back"], { signal: controller.signal }).collect();
    await expect(asked).rejects.toBe(reason);
  });
});

describe("diversity", () => {
  const vectors = { one: [1, 0.3, 0], same: [1, 0.31, 0], other: [1, -0.35, 0], aside: [0.6, 0, 0.8] } as const;
  const embedder = { ...letters(), dimensions: 3, embed: async () => [Float32Array.of(1, 0, 0)] };
  const stored = async (metric: "cosine" | "dot" | "l2" = "cosine"): Promise<VectorStore> => {
    const store = memoryVectorStore({ metric });
    await store.upsert(Object.entries(vectors).map(([id, vector]) => ({ id, vector: Float32Array.from(vector), text: id })));
    return store;
  };
  const found = async (options: Parameters<typeof retrieve>[2], metric?: "cosine" | "dot" | "l2"): Promise<string[]> =>
    texts(await run(retrieve(await stored(metric), embedder, options), ["?"]).collect()).slice(0, -1);

  test("takes what is unlike the chosen before what says the same again, the more the lower lambda is", async () => {
    expect(await found({ limit: 3 })).toEqual(["one", "same", "other"]);
    expect(await found({ limit: 3, diversity: { lambda: 1 } })).toEqual(["one", "same", "other"]);
    expect(await found({ limit: 3, diversity: { lambda: 0.8 } })).toEqual(["one", "other", "same"]);
    expect(await found({ limit: 3, diversity: {} })).toEqual(["one", "other", "aside"]);
    expect(await found({ limit: 3, diversity: { lambda: 0 } })).toEqual(["one", "aside", "other"]);
  });

  test("chooses of the candidates alone, and gives what there is where that is less than the limit", async () => {
    expect(await found({ limit: 2, diversity: { lambda: 0 }, candidates: 3 })).toEqual(["one", "other"]);
    expect(await found({ limit: 10, diversity: { lambda: 0 } })).toHaveLength(4);
  });

  test("measures by the cosine whatever the store measures by", async () => {
    for (const metric of ["dot", "l2"] as const) expect(await found({ limit: 3, diversity: { lambda: 0.8 } }, metric)).toEqual(["one", "other", "same"]);
  });

  test("starts from the order of rerank where there is one", async () => {
    const rerank = each((part) => json(isText(part) && part.text === "aside" ? 1 : 0));
    expect((await found({ limit: 2, diversity: { lambda: 0.9 }, rerank }))[0]).toBe("aside");
  });

  test("starts from the order of a hybrid query, in which the words have their say", async () => {
    const store = memoryVectorStore();
    await store.upsert(Object.entries(vectors).map(([id, vector]) => ({ id, vector: Float32Array.from(vector), text: id === "aside" ? "the quokka" : "the cat" })));
    const options = { limit: 2, hybrid: true } as const;
    const plain = texts(await run(retrieve(store, embedder, options), ["quokka"]).collect());
    expect(plain[0]).toBe("the quokka");
    expect(texts(await run(retrieve(store, embedder, { ...options, diversity: { lambda: 1 } }), ["quokka"]).collect())).toEqual(plain);
  });

  test("a store that gives no vectors is bad_response", async () => {
    const store = await stored();
    const silent: VectorStore = { ...store, query: ({ vectors: _, ...query }, context) => store.query(query, context) };
    await expect(run(retrieve(silent, embedder, { diversity: {} }), ["?"]).collect()).rejects.toMatchObject({ code: "bad_response", message: expect.stringContaining("memory") });
  });

  test("agrees with the definition, chosen by trying all", () => {
    const number = fc.double({ min: -1, max: 1, noNaN: true });
    const candidate = fc.record({ relevance: number, vector: fc.tuple(number, number).map((it) => Float32Array.from(it)) });
    fc.assert(
      fc.property(fc.array(candidate, { maxLength: 12 }), fc.integer({ min: 1, max: 12 }), fc.double({ min: 0, max: 1, noNaN: true }), (candidates, limit, lambda) => {
        const chosen = diversify(candidates, limit, lambda);
        expect(new Set(chosen).size).toBe(Math.min(limit, candidates.length));
        for (const [place, at] of chosen.entries()) {
          const before = chosen.slice(0, place).map((it) => candidates[it]?.vector ?? Float32Array.of());
          const gain = ({ relevance, vector }: (typeof candidates)[number]): number =>
            lambda * relevance - (place === 0 ? 0 : (1 - lambda) * Math.max(...before.map((it) => cosine(vector, it))));
          const rest = candidates.filter((_, it) => !chosen.slice(0, place).includes(it));
          const own = candidates[at];
          expect(own === undefined ? NaN : gain(own)).toBeCloseTo(Math.max(...rest.map(gain)), 9);
        }
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
    );
  });
});
