import { randomUUID } from "node:crypto";
import { Pinecone } from "@pinecone-database/pinecone";
import fc from "fast-check";
import { afterAll, describe, expect, it, test } from "vitest";
import { toFilter } from "../../src/adapters/pinecone/filter.ts";
import { pinecone, type PineconeOptions } from "../../src/adapters/pinecone/index.ts";
import { addressesOf, batchesOf, recordId, toEntry, toRecord } from "../../src/adapters/pinecone/records.ts";
import { filterHolds, type VectorFilter } from "../../src/kinds/vector-filter.ts";
import type { VectorStore } from "../../src/kinds/vector-store.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { vectorStoreContract, type VectorStoreSubject } from "../../src/testing/contracts/vector-store.ts";
import { jsonAnswer } from "../../src/testing/wire-answers.ts";
import { holds } from "./pinecone/conditions.ts";
import { pineconeStandIn } from "./pinecone/stand-in.ts";
import { propertyRuns, someFilter, someMetadata } from "./vector-filters.ts";

const apiKey = "pc-stand-in-key";
const standIn = await pineconeStandIn({ apiKey });
afterAll(() => standIn.close());

let indexes = 0;
const lastIndex = (): string => `i${indexes}`;
const create = { cloud: "aws", region: "us-east-1" };
const opening = (options: Partial<PineconeOptions> = {}): VectorStoreSubject["open"] => (shape) =>
  pinecone({ ...shape, index: `i${(indexes += 1)}`, apiKey, baseUrl: standIn.url, create, ...options });
const lacks = {
  hybrid: "an index of dense vectors keeps no words: those need sparse vectors of a model, in an index of their own",
  replace: "the service has no step that deletes and stores",
  countFilter: "the service counts the records of a namespace, not those of a filter",
};

vectorStoreContract({ describe, it }, { name: "pinecone on a stand-in, not the service", open: opening(), lacks, recall: 1 });
vectorStoreContract({ describe, it }, { name: "pinecone on a stand-in, in a namespace", open: opening({ namespace: "ours" }), lacks, recall: 1 });

const ownKey = process.env["SERVICES"] === "none" ? undefined : process.env["PINECONE_API_KEY"];
const why = process.env["SERVICES"] === "none" ? "SERVICES=none" : "no PINECONE_API_KEY; the service runs nowhere else";
describe.skipIf(ownKey === undefined)(ownKey === undefined ? `on Pinecone itself (skipped: ${why})` : "on Pinecone itself", () => {
  const prefix = `mr-${randomUUID().slice(0, 8)}`;
  const made = new Set<string>();
  afterAll(async () => {
    const client = new Pinecone({ apiKey: ownKey ?? "" });
    for (const index of made) await client.indexes.delete(index);
  });
  vectorStoreContract(
    { describe, it },
    {
      name: "pinecone",
      lacks,
      // an index for each shape, and a namespace for each test
      open(shape) {
        const index = `${prefix}-${shape.dimensions}-${shape.metric}`;
        made.add(index);
        return pinecone({ ...shape, index, namespace: randomUUID(), create, ...(ownKey === undefined ? {} : { apiKey: ownKey }) });
      },
      // the count comes last of what is seen
      async settled(store) {
        for (let [same, last] = [0, -1]; same < 5; ) {
          await new Promise((resolve) => setTimeout(resolve, 2_000));
          const count = await store.count();
          same = count === last ? same + 1 : 0;
          last = count;
        }
      },
    },
  );
});

describe("the stand-in, asked by the official client", () => {
  const client = new Pinecone({ apiKey, controllerHostUrl: standIn.url, maxRetries: 0 });
  const made = async (): Promise<ReturnType<Pinecone["index"]>> => {
    const model = await client.indexes.create({ name: `i${(indexes += 1)}`, dimension: 2, metric: "euclidean", spec: { serverless: create } });
    return client.index({ host: model?.host ?? "" });
  };

  test("keeps, finds, counts and deletes records", async () => {
    const index = await made();
    await index.upsert({ records: [{ id: "a", values: [1, 0], metadata: { tags: ["x", "y"] } }, { id: "b", values: [0, 3] }] });
    const { matches } = await index.query({ vector: [1, 2], topK: 5, includeMetadata: true, filter: { tags: { $eq: "x" } } });
    expect(matches.map(({ id, score, metadata }) => [id, score, metadata])).toEqual([["a", 4, { tags: ["x", "y"] }]]);
    await index.deleteMany({ ids: ["a"] });
    expect(await index.describeIndexStats()).toMatchObject({ dimension: 2, totalRecordCount: 1, namespaces: { __default__: { recordCount: 1 } } });
    expect(Object.keys((await index.fetch({ ids: ["a", "b"] })).records)).toEqual(["b"]);
  });

  const record = { id: "a", values: [1, 0] };
  test.each<readonly [string, (index: ReturnType<Pinecone["index"]>) => Promise<unknown>]>([
    ["a wrong dimension", (index) => index.upsert({ records: [{ id: "a", values: [1, 2, 3] }] })],
    ["zeros", (index) => index.upsert({ records: [{ id: "a", values: [0, 0] }] })],
    ["an id beyond ASCII", (index) => index.upsert({ records: [{ ...record, id: "ä" }] })],
    ["nested metadata", (index) => index.upsert({ records: [{ ...record, metadata: { a: { b: 1 } } as never }] })],
    ["null in metadata", (index) => index.upsert({ records: [{ ...record, metadata: { a: null } as never }] })],
    ["a field that begins with $", (index) => index.upsert({ records: [{ ...record, metadata: { $a: 1 } }] })],
    ["more than 40 KiB of metadata", (index) => index.upsert({ records: [{ ...record, metadata: { a: "x".repeat(40_960) } }] })],
    ["an unknown operator", (index) => index.query({ vector: [1, 0], topK: 1, filter: { a: { $like: "x" } } })],
    ["booleans in $in", (index) => index.query({ vector: [1, 0], topK: 1, filter: { a: { $in: [true] } } })],
    ["an unknown metric", () => client.indexes.create({ name: "j", dimension: 2, metric: "cosinus" as never, spec: { serverless: create } })],
  ])("refuses %s", async (_, call) => {
    const index = await made();
    await index.upsert({ records: [record] });
    await expect(call(index)).rejects.toThrow();
  });
});

describe("pinecone", () => {
  const east = Float32Array.of(1, 0);
  const store = (options: Partial<PineconeOptions> = {}): VectorStore => pinecone({ index: `i${(indexes += 1)}`, dimensions: 2, apiKey, baseUrl: standIn.url, create, ...options });
  const ready = async (options: Partial<PineconeOptions> = {}): Promise<VectorStore> => {
    const notes = store(options);
    await notes.setup();
    return notes;
  };

  test("makes no index unless it is told where, and says so", async () => {
    await using notes = pinecone({ index: "never", dimensions: 2, apiKey, baseUrl: standIn.url });
    for (const call of [() => notes.setup(), () => notes.count()]) {
      await expect(call()).rejects.toMatchObject({ code: "not_found", scope: "dependency", message: 'pinecone: there is no index "never"; setup() makes it where the option create says' });
    }
    expect(standIn.indexes.has("never")).toBe(false);
  });

  test.each([
    ["another dimension", { dimensions: 3 }, "holds vectors of 2 dimensions by cosine, the options say 3 by cosine"],
    ["another metric", { metric: "dot" }, "holds vectors of 2 dimensions by cosine, the options say 2 by dotproduct"],
  ] as const)("an index with %s is a conflict, in setup and in every call", async (_, differing, message) => {
    await (await ready()).close();
    await using notes = pinecone({ index: lastIndex(), dimensions: 2, apiKey, baseUrl: standIn.url, ...differing });
    for (const call of [() => notes.setup(), () => notes.count(), () => notes.delete({ ids: ["a"] })]) {
      await expect(call()).rejects.toMatchObject({ code: "conflict", message: `pinecone: "${lastIndex()}" ${message}` });
    }
  });

  test("an index that holds documents is a conflict", async () => {
    await using notes = store();
    const fields = { title: { type: "string", full_text_search: {} } };
    standIn.script(jsonAnswer({ name: "n", host: "h", schema: { fields }, deployment: { deployment_type: "managed" }, status: { ready: true, state: "Ready" }, deletion_protection: "disabled" }));
    await expect(notes.count()).rejects.toMatchObject({ code: "conflict" });
  });

  const unready = (name: string): ReturnType<typeof jsonAnswer> =>
    jsonAnswer({ name, host: "h", schema: { fields: {} }, deployment: { deployment_type: "managed" }, status: { ready: false, state: "Initializing" }, deletion_protection: "disabled" });

  test("setup waits until the index is ready; other calls do not", async () => {
    const clock = fakeClock();
    await using notes = await ready();
    await using later = pinecone({ index: lastIndex(), dimensions: 2, apiKey, baseUrl: standIn.url, clock });
    standIn.script(unready(lastIndex()));
    await expect(later.count()).rejects.toMatchObject({ code: "unavailable", message: `pinecone: the index "${lastIndex()}" is not ready` });
    standIn.script(unready(lastIndex()), unready(lastIndex()));
    const before = standIn.requests.length;
    let isReady = false;
    const pending = later.setup().then(() => (isReady = true));
    while (standIn.requests.length < before + 2) await clock.advance(500);
    expect(isReady).toBe(false);
    while (!isReady) await clock.advance(500);
    await pending;
    expect(standIn.requests.length - before).toBe(3);
    expect(await notes.count()).toBe(0);
  });

  test("an index that is ready as soon as it is made is not waited for", async () => {
    const clock = fakeClock();
    await using notes = store({ clock });
    await notes.setup();
    expect(clock.now()).toBe(0);
  });

  test("an abort ends the wait for an index at once", async () => {
    const clock = fakeClock();
    const asleep = Promise.withResolvers<void>();
    await using notes = store({
      clock: {
        ...clock,
        sleep(ms, signal) {
          asleep.resolve();
          return clock.sleep(ms, signal);
        },
      },
    });
    standIn.script(unready(lastIndex()));
    const controller = new AbortController();
    const reason = new Error("enough");
    const pending = notes.setup({ signal: controller.signal });
    await asleep.promise;
    controller.abort(reason);
    await expect(pending).rejects.toBe(reason);
    expect(clock.pending).toBe(0);
  });

  test("a failing look is not repeated, however long setup may wait", async () => {
    await using notes = store();
    const before = standIn.requests.length;
    standIn.script(jsonAnswer({ error: { code: "UNAVAILABLE", message: "down" }, status: 503 }, { status: 503 }));
    await expect(notes.setup()).rejects.toMatchObject({ code: "unavailable", status: 503 });
    expect(standIn.requests.length - before).toBe(1);
  });

  test("two may set up at once", async () => {
    const index = `i${(indexes += 1)}`;
    const both = [1, 2].map(() => store({ index }));
    await Promise.all(both.map((notes) => notes.setup()));
    expect(standIn.indexes.has(index)).toBe(true);
    await Promise.all(both.map((notes) => notes.close()));
  });

  test("with a host nothing is looked up, and the dimension is still checked", async () => {
    await (await ready()).close();
    const host = `${standIn.url}/hosts/${lastIndex()}`;
    const index = lastIndex();
    const before = standIn.requests.length;
    await using notes = pinecone({ index, host, dimensions: 2, apiKey });
    await notes.upsert([{ id: "a", vector: east }]);
    expect(standIn.requests.slice(before).map(({ path }) => path)).toEqual([`/hosts/${index}/describe_index_stats`, `/hosts/${index}/vectors/upsert`]);
    await using other = pinecone({ index, host, dimensions: 3, apiKey });
    await expect(other.count()).rejects.toMatchObject({ code: "conflict" });
    await using plain = pinecone({ index, host: "http://example.com", dimensions: 2, apiKey });
    await expect(plain.count()).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining("https") as string });
  });

  test("namespaces see nothing of each other", async () => {
    await using ours = await ready({ namespace: "ours" });
    await using theirs = pinecone({ index: lastIndex(), dimensions: 2, apiKey, baseUrl: standIn.url, namespace: "theirs" });
    await ours.upsert([{ id: "a", vector: east, text: "ours" }]);
    await theirs.delete({ filter: { and: [] } });
    expect([await theirs.count(), (await theirs.get(["a"])).length, (await theirs.query({ vector: east, limit: 1 })).length]).toEqual([0, 0, 0]);
    expect([await ours.count(), (await ours.get(["a"]))[0]?.text]).toEqual([1, "ours"]);
  });

  test("asks once for the index, and once for each 1000 records", async () => {
    await using notes = await ready();
    const before = standIn.requests.length;
    await notes.upsert(Array.from({ length: 2_001 }, (_, i) => ({ id: `r${i}`, vector: east })));
    expect(standIn.requests.slice(before).map((request) => (request.json() as { vectors: unknown[] }).vectors.length)).toEqual([1_000, 1_000, 1]);
    const ids = Array.from({ length: 250 }, (_, i) => `r${i}`);
    const reads = standIn.requests.length;
    expect((await notes.get(ids)).length).toBe(250);
    expect(standIn.requests.length - reads).toBe(3);
    await notes.delete({ filter: { and: [] } });
    expect(await notes.count()).toBe(0);
  });

  test("requests stay below 2 MB and addresses below 8 KiB", async () => {
    const records = await Promise.all(Array.from({ length: 120 }, (_, i) => toRecord({ id: `r${i}`, vector: new Float32Array(1_536).fill(-0.123456789), text: "é".repeat(10_000) })));
    for (const batch of batchesOf(records)) expect(new TextEncoder().encode(JSON.stringify({ vectors: batch })).length).toBeLessThan(2_000_000);
    const ids = Array.from({ length: 300 }, (_, i) => `${"%".repeat(500)}${i}`);
    const groups = addressesOf(ids);
    expect(groups.flat()).toEqual(ids);
    for (const group of groups) expect(new URLSearchParams(group.map((id) => ["ids", id])).toString().length).toBeLessThan(8_000);
  });

  test("more text and metadata than the service keeps is too_large, and nothing of the call is stored", async () => {
    await using notes = await ready();
    const before = standIn.requests.length;
    const records = [{ id: "a", vector: east }, { id: "b", vector: east, text: "x".repeat(40_960) }];
    await expect(notes.upsert(records)).rejects.toMatchObject({ code: "too_large", message: expect.stringContaining('record "b" has') as string });
    expect(standIn.requests.length).toBe(before);
  });

  test("ids of printable ASCII stay as they are; others become a hash and come back", async () => {
    expect(await Promise.all(["a", "doc#1/2 b", "~a", " a", "ä", "\u0000"].map(async (id) => (await recordId(id)) === id))).toEqual([true, true, false, false, false, false]);
    expect(await recordId("ä")).toMatch(/^~[0-9a-f]{64}$/);
    const record = await toRecord({ id: "ä\u0000", vector: east, text: "t\u0000", metadata: { $or: "x", "~text": "y", "": 1, list: ["a"], nothing: null } });
    expect(record.metadata).toEqual({ "~id": "ä\u0000", "~text": "t\u0000", "~$or": "x", "~~text": "y", "~": 1, "~strings": ["~$or", "~~text"], "~more": '{"list":["a"],"nothing":null}' });
    expect(toEntry(record)).toEqual({ id: "ä\u0000", text: "t\u0000", metadata: { $or: "x", "~text": "y", "": 1, list: ["a"], nothing: null } });
  });

  test("records that somebody else stored are given back as they are", () => {
    expect(toEntry({ id: "a" })).toEqual({ id: "a", metadata: {} });
    expect(toEntry({ id: "a", metadata: { tags: ["x"], content: "c" } })).toEqual({ id: "a", metadata: { tags: ["x"], content: "c" } });
    for (const broken of [{}, { id: "a", metadata: { "~more": "{" } }]) expect(() => toEntry(broken)).toThrow(expect.objectContaining({ code: "bad_response" }) as Error);
  });

  test.each([
    ["a match without score", { matches: [{ id: "a" }] }],
    ["a score that is no number", { matches: [{ id: "a", score: "1" }] }],
  ])("%s is a bad response", async (_, answer) => {
    await using notes = await ready();
    standIn.script(jsonAnswer(answer));
    await expect(notes.query({ vector: east, limit: 1 })).rejects.toMatchObject({ code: "bad_response" });
  });

  test("counting by a filter is refused before any I/O", async () => {
    await using notes = await ready();
    const before = standIn.requests.length;
    await expect(notes.count({ eq: ["a", 1] })).rejects.toMatchObject({ code: "invalid_input", message: `pinecone: count with a filter: ${lacks.countFilter}` });
    expect(standIn.requests.length).toBe(before);
  });

  test("a filter that is never true asks and deletes nothing", async () => {
    await using notes = await ready();
    await notes.upsert([{ id: "a", vector: east }]);
    const before = standIn.requests.length;
    expect(await notes.query({ vector: east, limit: 5, filter: { in: ["a", []] } })).toEqual([]);
    await notes.delete({ filter: { or: [] } });
    expect(standIn.requests.length).toBe(before);
    expect(await notes.count()).toBe(1);
  });

  test("equal matches come in the order of their ids", async () => {
    await using notes = await ready();
    for (const id of ["c", "a", "b"]) await notes.upsert([{ id, vector: east }]);
    expect((await notes.query({ vector: east, limit: 3 })).map(({ id }) => id)).toEqual(["a", "b", "c"]);
  });

  test.each([
    ["gt", 2],
    ["gte", 1],
    ["lt", 1],
    ["lte", 0],
  ] as const)("not %s holds for all that is no such number", async (operator, bound) => {
    const filter = { not: { [operator]: ["a", bound] } } as unknown as VectorFilter;
    const compiled = toFilter(filter);
    for (const value of [true, false, "", "3", 0, 1, 2, 3, null, ["x"], undefined]) {
      const metadata: Record<string, unknown> = value === undefined ? {} : { a: value };
      const stored = (await toRecord({ id: "a", vector: east, metadata })).metadata;
      expect([value, typeof compiled === "boolean" ? compiled : holds(compiled, stored, { absentDiffers: false })]).toEqual([value, filterHolds(filter, metadata)]);
    }
  });

  test("metadata comes back as it was, whatever its fields are called", async () => {
    await fc.assert(
      fc.asyncProperty(someMetadata, async (metadata) => {
        expect(toEntry(await toRecord({ id: "a", vector: east, metadata })).metadata).toEqual(metadata);
      }),
      { numRuns: propertyRuns },
    );
  });

  test.each([true, false])("a filter holds for what is stored of a record where it holds for the record (absent fields differ: %s)", async (absentDiffers) => {
    await fc.assert(
      fc.asyncProperty(someFilter, someMetadata, async (filter, metadata) => {
        const stored = (await toRecord({ id: "a", vector: east, metadata })).metadata;
        const compiled = toFilter(filter);
        expect(typeof compiled === "boolean" ? compiled : holds(compiled, stored, { absentDiffers })).toBe(filterHolds(filter, metadata));
      }),
      { numRuns: propertyRuns },
    );
  });

  test.each([
    ["index", { index: "Notes" }],
    ["index", { index: "-a" }],
    ["dimensions", { dimensions: 20_001 }],
    ["metric", { metric: "toString" }],
    ["namespace", { namespace: "a/b" }],
    ["namespace", { namespace: "" }],
    ["timeoutMs", { timeoutMs: Number.NaN }],
    ["baseUrl", { baseUrl: "http://example.com" }],
    ["apiKey", { apiKey: "a\nb" }],
  ])("a bad %s is refused when the store is built", (name, options) => {
    expect(() => store(options as never)).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(name) as string }) as Error);
  });
});
