import { randomUUID } from "node:crypto";
import { QdrantClient } from "@qdrant/js-client-rest";
import fc from "fast-check";
import { afterAll, describe, expect, it, test } from "vitest";
import type { QdrantRestClient } from "../../src/adapters/qdrant/client.ts";
import { toFilter } from "../../src/adapters/qdrant/filter.ts";
import { qdrant, type QdrantOptions } from "../../src/adapters/qdrant/index.ts";
import { batchesOf, pointId, toEntry, toPoint } from "../../src/adapters/qdrant/points.ts";
import { askedVector, textVector } from "../../src/adapters/qdrant/words.ts";
import { filterHolds, type VectorFilter } from "../../src/kinds/vector-filter.ts";
import type { VectorRecord, VectorStore } from "../../src/kinds/vector-store.ts";
import { vectorStoreContract, type VectorStoreSubject } from "../../src/testing/contracts/vector-store.ts";
import { jsonAnswer } from "../../src/testing/wire-answers.ts";
import { holds } from "./qdrant/conditions.ts";
import { qdrantStandIn } from "./qdrant/stand-in.ts";
import { propertyRuns, someFilter, someMetadata } from "./vector-filters.ts";

const standIn = await qdrantStandIn();
afterAll(() => standIn.close());

let collections = 0;
const named = (): string => `c${(collections += 1)}`;
const opening = (options: Partial<QdrantOptions>, name = named): VectorStoreSubject["open"] => (shape) => qdrant({ ...shape, ...options, collection: name() });
const replace = "the service applies one operation after the other, and readers see what is between them";

vectorStoreContract({ describe, it }, { name: "qdrant on a stand-in, not the server", open: opening({ baseUrl: standIn.url }), lacks: { replace }, recall: 1 });
vectorStoreContract(
  { describe, it },
  {
    name: "qdrant on a stand-in, without hybrid",
    open: opening({ baseUrl: standIn.url, hybrid: false }),
    lacks: { hybrid: "texts are not stored as words (hybrid: false)", replace },
    recall: 1,
  },
);

const serverUrl = process.env["SERVICES"] === "none" ? undefined : process.env["QDRANT_URL"];
const why = process.env["SERVICES"] === "none" ? "SERVICES=none" : "no QDRANT_URL; neither npm nor Debian has a server";
describe.skipIf(serverUrl === undefined)(serverUrl === undefined ? `on Qdrant itself (skipped: ${why})` : "on Qdrant itself", () => {
  const mine: string[] = [];
  const name = (): string => {
    mine.push(`millrace-test-${randomUUID()}`);
    return mine.at(-1) ?? "";
  };
  afterAll(async () => {
    const apiKey = process.env["QDRANT_API_KEY"];
    const client = new QdrantClient({ url: serverUrl ?? "", checkCompatibility: false, ...(apiKey === undefined ? {} : { apiKey }) });
    for (const collection of mine) await client.deleteCollection(collection);
  });
  vectorStoreContract({ describe, it }, { name: "qdrant", open: opening(serverUrl === undefined ? {} : { baseUrl: serverUrl }, name), lacks: { replace } });
});

describe("the stand-in, asked by the official client", () => {
  const client = new QdrantClient({ url: standIn.url, checkCompatibility: false });

  test("keeps, finds, counts and deletes points", async () => {
    const collection = named();
    await client.createCollection(collection, { vectors: { size: 2, distance: "Cosine" } });
    await client.upsert(collection, { wait: true, points: [{ id: 1, vector: [1, 0], payload: { a: ["x", "y"] } }, { id: 2, vector: [0, 1], payload: { a: "z" } }] });
    const { points } = await client.query(collection, { query: [1, 0.1], limit: 5, with_payload: true, filter: { must: [{ key: "a", match: { value: "y" } }] } });
    expect(points.map(({ id, payload }) => [id, payload])).toEqual([[1, { a: ["x", "y"] }]]);
    await client.delete(collection, { wait: true, points: [1] });
    expect(await client.count(collection)).toEqual({ count: 1 });
    expect((await client.getCollection(collection)).config.params.vectors).toEqual({ size: 2, distance: "Cosine" });
  });

  test.each([
    ["an unknown field", () => client.upsert("c", { wait: true, points: [{ id: 1, vektor: [1] } as never] })],
    ["an unknown metric", () => client.createCollection("other", { vectors: { size: 2, distance: "Cosinus" as never } })],
    ["a wrong dimension", () => client.upsert("c", { wait: true, points: [{ id: 1, vector: [1, 2, 3], payload: {} }] })],
    ["an id that is no UUID", () => client.upsert("c", { wait: true, points: [{ id: "a", vector: [1, 2], payload: {} }] })],
    ["a path that is none", () => client.count("c", { filter: { must: [{ key: 'metadata."a"b"', match: { value: 1 } }] } })],
    ["an empty filter", () => client.count("c", { filter: {} })],
  ])("refuses %s", async (_, call) => {
    if (!standIn.collections.has("c")) await client.createCollection("c", { vectors: { size: 2, distance: "Dot" } });
    if (!standIn.collections.get("c")?.points.size) await client.upsert("c", { wait: true, points: [{ id: 7, vector: [1, 2], payload: {} }] });
    await expect(call()).rejects.toMatchObject({ status: 400 });
  });
});

describe("qdrant", () => {
  const store = (options: Partial<QdrantOptions> = {}): VectorStore => qdrant({ collection: named(), dimensions: 2, baseUrl: standIn.url, ...options });
  const lastCollection = (): string => `c${collections}`;
  const east = Float32Array.of(1, 0);

  test("takes a client of one's own, whatever it was made with", async () => {
    const client: QdrantRestClient = new QdrantClient({ url: standIn.url, checkCompatibility: false, timeout: 1_000 });
    await using notes = qdrant({ collection: named(), dimensions: 2, client });
    await notes.setup();
    await notes.upsert([{ id: "a", vector: east }]);
    expect(await notes.count()).toBe(1);
  });

  test("tells what is to be done where there is no collection", async () => {
    await using notes = store();
    await expect(notes.count()).rejects.toMatchObject({ code: "not_found", scope: "dependency", message: `qdrant: there is no collection "${lastCollection()}"; setup() makes it` });
    expect(standIn.collections.has(lastCollection())).toBe(false);
  });

  test.each([
    ["another dimension", { dimensions: 3 }, "holds vectors of 2 dimensions by Cosine, the options say 3 by Cosine"],
    ["another metric", { metric: "l2" }, "holds vectors of 2 dimensions by Cosine, the options say 2 by Euclid"],
    ["no words", { hybrid: true }, 'was made without a sparse vector "words" with idf; say hybrid: false, or make it anew'],
  ] as const)("a collection with %s is a conflict, in setup and in every call", async (_, differing, message) => {
    await using made = store({ hybrid: false });
    await made.setup();
    await using notes = qdrant({ collection: lastCollection(), dimensions: 2, baseUrl: standIn.url, hybrid: false, ...differing });
    for (const call of [() => notes.setup(), () => notes.count(), () => notes.delete({ ids: ["a"] })]) {
      await expect(call()).rejects.toMatchObject({ code: "conflict", message: `qdrant: "${lastCollection()}" ${message}` });
    }
  });

  test("a collection of named vectors is a conflict that names them", async () => {
    await using notes = store();
    standIn.script(jsonAnswer({ status: "ok", result: { config: { params: { vectors: { image: { size: 2, distance: "Cosine" } } } } } }));
    await expect(notes.count()).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("vectors with names (image)") as string });
  });

  test("two may set up at once", async () => {
    const collection = named();
    const both = [1, 2].map(() => qdrant({ collection, dimensions: 2, baseUrl: standIn.url }));
    await Promise.all(both.map((notes) => notes.setup()));
    expect(standIn.collections.has(collection)).toBe(true);
    await Promise.all(both.map((notes) => notes.close()));
  });

  test("setup makes an index of each field that remember and namespaced ask for: a server may refuse filters on others", async () => {
    await using notes = store();
    await notes.setup();
    const fields = ["source", "sourceHash", "sourceKey", "chunk", "namespace"].map((field) => `metadata."${field}"`);
    expect([...(standIn.collections.get(lastCollection())?.indexes ?? [])].map(([field]) => field)).toEqual(fields);
  });

  test("setup makes an index of each field that filters often ask for", async () => {
    await using notes = store({ filterFields: { "a.b": "string", year: "number", draft: "boolean" } });
    await notes.setup();
    expect([...(standIn.collections.get(lastCollection())?.indexes ?? [])]).toEqual([
      ['metadata."a.b"', "keyword"],
      ['metadata."year"', "float"],
      ['metadata."draft"', "bool"],
    ]);
  });

  test("asks once for the collection, and once for each 256 records", async () => {
    await using notes = store();
    await notes.setup();
    const before = standIn.requests.length;
    await notes.upsert(Array.from({ length: 513 }, (_, i) => ({ id: `r${i}`, vector: east })));
    const asked = standIn.requests.slice(before).map((request) => [request.path.split("?")[1], (request.json() as { points: unknown[] }).points.length]);
    expect(asked).toEqual([["wait=true", 256], ["wait=true", 256], ["wait=true", 1]]);
  });

  test("sends no more than 16 MiB at once, unless a single record has more", async () => {
    const points = await Promise.all([7, 7, 7, 17].map((mebibytes, i) => toPoint({ id: `r${i}`, vector: east, text: "x".repeat(mebibytes * 1_048_576) }, false)));
    expect(batchesOf(points).map((batch) => batch.map(({ payload }) => payload.id))).toEqual([["r0", "r1"], ["r2"], ["r3"]]);
    const wide = await Promise.all([1, 2, 3].map((i) => toPoint({ id: `w${i}`, vector: new Float32Array(300_000) }, false)));
    expect(batchesOf(wide).map((batch) => batch.length)).toEqual([2, 1]);
  });

  test("a point's id is a UUID of version 5, the same every time, and the record's id is in the payload", async () => {
    const point = await toPoint({ id: "Grüße\u0000'--", vector: east }, false);
    expect(point.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    // by another program's uuid5, in the namespace 3c5f0e62-2d1b-4a8e-9f37-6a41d28c70e5
    expect(await pointId("a")).toBe("84aba73e-a05d-56b8-bd95-39f5393e15a4");
    expect(point.payload.id).toBe("Grüße\u0000'--");
  });

  test("keeps NUL, lone joiners and metadata near the limit", async () => {
    await using notes = store();
    await notes.setup();
    const record: VectorRecord = { id: "\u0000\u200d", vector: east, text: "a\u0000b", metadata: { big: "é".repeat(130_000), "\u0000": "\u0000" } };
    await notes.upsert([record]);
    expect(await notes.get([record.id])).toEqual([{ id: record.id, text: record.text, metadata: record.metadata }]);
    expect(await notes.count({ eq: ["\u0000", "\u0000"] })).toBe(1);
  });

  test("a list equals none of its items, and an object is no path", async () => {
    await using notes = store();
    await notes.setup();
    await notes.upsert([{ id: "a", vector: east, metadata: { tags: ["x"], file: { name: "x" } } }]);
    expect([await notes.count({ eq: ["tags", "x"] }), await notes.count({ eq: ["file.name", "x"] }), await notes.count({ ne: ["tags", "x"] })]).toEqual([0, 0, 1]);
  });

  test("whole numbers beyond 2^53 come back as numbers", async () => {
    await using notes = store();
    await notes.setup();
    const metadata = { big: 2 ** 60, inside: { list: [2 ** 60] } };
    await notes.upsert([{ id: "a", vector: east, metadata }]);
    expect((await notes.get(["a"]))[0]?.metadata).toEqual(metadata);
    expect(await notes.count({ eq: ["big", 2 ** 60] })).toBe(1);
  });

  test("a point that somebody else stored goes by its own id", () => {
    expect(toEntry({ id: 7, payload: null })).toEqual({ id: "7", metadata: {} });
    expect(toEntry({ id: "u", payload: { id: 5, text: 6, metadata: [] } })).toEqual({ id: "u", metadata: {} });
    expect(() => toEntry({ payload: {} })).toThrow(expect.objectContaining({ code: "bad_response" }) as Error);
  });

  test.each([
    ["a match without score", { points: [{ id: 1, payload: {} }] }],
    ["a score that is no number", { points: [{ id: 1, score: "1", payload: {} }] }],
  ])("%s is a bad response", async (_, result) => {
    await using notes = store();
    await notes.setup();
    standIn.script(jsonAnswer({ status: "ok", result }));
    await expect(notes.query({ vector: east, limit: 1 })).rejects.toMatchObject({ code: "bad_response" });
  });

  test("an error in a 200 is an error", async () => {
    await using notes = store();
    standIn.script(jsonAnswer({ status: { error: "shard is lost" }, result: null }));
    await expect(notes.count()).rejects.toMatchObject({ code: "bad_response", message: expect.stringContaining("shard is lost") as string });
  });

  test("a record that the text alone found has no distance", async () => {
    await using notes = store();
    await notes.setup();
    await notes.upsert([...Array.from({ length: 60 }, (_, i) => ({ id: `near${i}`, vector: Float32Array.of(1, i / 1_000) })), { id: "far", vector: Float32Array.of(-1, 0), text: "quokka" }]);
    const found = await notes.query({ vector: east, text: "a Quokka", limit: 3 });
    const far = found.find(({ id }) => id === "far");
    expect([far?.score, far?.distance]).toEqual([1 / 61, undefined]);
    expect(found.find(({ id }) => id === "near0")?.distance).toBeCloseTo(0);
  });

  test("words are one dimension each, whatever their case and form", () => {
    expect(askedVector("Quokka quokka ＱＵＯＫＫＡ")?.indices).toEqual(textVector("quokka")?.indices);
    expect([askedVector("?! …"), textVector("")]).toEqual([undefined, undefined]);
    const [once, twice] = [textVector("a b c d")?.values[0] ?? 0, textVector("a a b c")?.values[0] ?? 0];
    expect(twice).toBeGreaterThan(once);
    expect(twice).toBeLessThan(2 * once);
    expect(new Set(Array.from({ length: 2_000 }, (_, i) => textVector(`w${i}`)?.indices[0])).size).toBe(2_000);
  });

  test("takes filters as deep as the kind does, with two sides on each level", async () => {
    await using notes = store({ filterFields: {} });
    await notes.setup();
    await notes.upsert([{ id: "a", vector: east, metadata: { lang: "de" } }]);
    const yes: VectorFilter = { eq: ["lang", "de"] };
    const no: VectorFilter = { eq: ["lang", "en"] };
    const joins: readonly ((inner: VectorFilter) => VectorFilter)[] = [(inner) => ({ and: [yes, inner] }), (inner) => ({ or: [no, inner] }), (inner) => ({ not: inner })];
    for (const order of [[0, 1], [0, 2], [1, 2], [0, 0], [1, 1], [2, 2]]) {
      let filter: VectorFilter = yes;
      for (let level = 1; level < 64; level += 1) filter = joins[order[level % 2] ?? 0]?.(filter) ?? filter;
      expect(await notes.count(filter)).toBe(filterHolds(filter, { lang: "de" }) ? 1 : 0);
    }
  });

  test("of several alternatives side by side each must hold", async () => {
    const oneOf = (field: string): VectorFilter => ({ or: [{ eq: [field, 1] }, { gt: [field, 5] }] });
    for (const filter of [{ and: [oneOf("a"), oneOf("b")] }, { not: { or: [{ not: oneOf("a") }, { not: oneOf("b") }] } }]) {
      for (const [x, y] of [[1, 1], [1, 2], [2, 1], [6, 1], [6, 2], [2, 2]]) {
        const { id, payload } = await toPoint({ id: "a", vector: east, metadata: { a: x, b: y } }, false);
        expect([x, y, holds(toFilter(filter), { id, payload })]).toEqual([x, y, x !== 2 && y !== 2]);
      }
    }
  });

  test("equal matches come in the order of their ids", async () => {
    await using notes = store();
    await notes.setup();
    for (const id of ["c", "a", "b"]) await notes.upsert([{ id, vector: east }]);
    expect((await notes.query({ vector: east, limit: 3 })).map(({ id }) => id)).toEqual(["a", "b", "c"]);
  });

  test("metadata comes back as it was, whatever its fields are called", async () => {
    await fc.assert(
      fc.asyncProperty(someMetadata, async (metadata) => {
        expect(toEntry(await toPoint({ id: "a", vector: east, metadata }, true)).metadata).toEqual(metadata);
      }),
      { numRuns: propertyRuns },
    );
  });

  test("a filter holds for the point of a record where it holds for the record", async () => {
    await fc.assert(
      fc.asyncProperty(someFilter, someMetadata, async (filter, metadata) => {
        const { id, payload } = await toPoint({ id: "a", vector: east, metadata }, false);
        expect(holds(toFilter(filter), { id, payload })).toBe(filterHolds(filter, metadata));
      }),
      { numRuns: propertyRuns },
    );
  });

  test.each([
    ["collection", { collection: "a/b" }],
    ["collection", { collection: ".." }],
    ["dimensions", { dimensions: 0 }],
    ["dimensions", { dimensions: 65_536 }],
    ["metric", { metric: "toString" }],
    ["hybrid", { hybrid: "no" }],
    ["filterFields.a", { filterFields: { a: "text" } }],
    ["timeoutMs", { timeoutMs: 0 }],
    ["baseUrl", { baseUrl: "http://example.com" }],
    ["baseUrl", { baseUrl: standIn.url, client: new QdrantClient({ checkCompatibility: false }) }],
    ["client", { baseUrl: undefined, client: {} }],
    ["apiKey", { apiKey: "a\nb" }],
  ])("a bad %s is refused when the store is built", (name, options) => {
    expect(() => store(options as never)).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(name) as string }) as Error);
  });
});
