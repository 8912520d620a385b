import { randomUUID } from "node:crypto";
import { ChromaClient } from "chromadb";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { chroma, type ChromaOptions } from "../../src/adapters/chroma/index.ts";
import { mockEmbedder } from "../../src/testing/mock-embedder.ts";
import { filterHolds, type VectorFilter } from "../../src/kinds/vector-filter.ts";
import type { VectorStore } from "../../src/kinds/vector-store.ts";
import { remember, retrieve, run, text } from "../../src/index.ts";
import { vectorStoreContract, type VectorStoreSubject } from "../../src/testing/contracts/vector-store.ts";
import { anyFields, anyFilter, anyRecord, runs } from "./vector-properties.ts";
import { startChroma, type ChromaServer } from "../services/chroma.ts";
import { type Host, openHost } from "../services/host.ts";
import { service, titled } from "../services.ts";

const lacks = { hybrid: "Chroma's server ranks by vectors alone; words only filter", replace: "Chroma has no transactions" };
const named = (): string => `t-${randomUUID()}`;
const opening = (options: Partial<ChromaOptions>): VectorStoreSubject["open"] => (shape) => chroma({ ...shape, collection: named(), ...options });
const vector = Float32Array.of(1, 0);

const server = await service("chroma");
describe.skipIf(server.skip !== undefined)(titled("on Chroma", server), () => {
  const baseUrl = server.url ?? "";
  const { hostname, port, protocol } = new URL(server.url ?? "http://localhost");
  const client = new ChromaClient({ host: hostname, port: Number(port), ssl: protocol === "https:", tenant: "default_tenant", database: "default_database" });
  const open = async (options: Partial<ChromaOptions> = {}): Promise<VectorStore> => {
    const store = chroma({ collection: named(), dimensions: 2, baseUrl, ...options });
    await store.setup();
    return store;
  };

  vectorStoreContract({ describe, it }, { name: "chroma", open: opening({ baseUrl }), lacks });
  vectorStoreContract({ describe, it }, { name: "chroma by a ready client", open: opening({ client }), lacks });

  test("refuses a collection of other dimensions or another metric, at the first call", async () => {
    const collection = named();
    await using made = await open({ collection });
    expect(await made.count()).toBe(0);
    for (const other of [{ dimensions: 3 }, { metric: "l2" as const }]) {
      await using store = chroma({ collection, dimensions: 2, baseUrl, ...other });
      await expect(store.count()).rejects.toMatchObject({ code: "conflict", scope: "process", message: expect.stringContaining(collection) });
      await expect(store.setup()).rejects.toMatchObject({ code: "conflict" });
    }
  });

  test("takes the dimensions of a collection that somebody else made from its first record", async () => {
    const name = named();
    const theirs = await client.createCollection({ name, embeddingFunction: null, configuration: { hnsw: { space: "cosine" } } });
    await theirs.add({ ids: ["a"], embeddings: [[1, 0]], metadatas: [{ lang: "de" }], documents: ["theirs"] });
    await using fits = chroma({ collection: name, dimensions: 2, baseUrl });
    expect(await fits.query({ vector, limit: 5 })).toMatchObject([{ id: "a", text: "theirs", metadata: { lang: "de" } }]);
    await using differs = chroma({ collection: name, dimensions: 3, baseUrl });
    await expect(differs.count()).rejects.toMatchObject({ code: "conflict" });
  });

  test("says what is missing where there is no collection, and finds one that was made anew", async () => {
    const collection = named();
    await using absent = chroma({ collection, dimensions: 2, baseUrl });
    await expect(absent.count()).rejects.toMatchObject({ code: "not_found", scope: "dependency", message: expect.stringContaining("setup()") });
    await using store = await open({ collection });
    await store.upsert([{ id: "a", vector }]);
    await client.deleteCollection({ name: collection });
    await expect(store.count()).rejects.toMatchObject({ code: "not_found" });
    await absent.setup();
    expect(await store.count()).toBe(0);
  });

  test("leaves nothing of the records that it stores over, also when two writes meet", async () => {
    await using store = await open();
    await store.upsert([{ id: "a", vector, text: "old", metadata: { gone: 1, nested: { x: 1 }, stays: true } }]);
    await Promise.all([
      store.upsert([{ id: "a", vector, metadata: { first: "x" } }]),
      store.upsert([{ id: "a", vector, metadata: { second: 2 } }]),
    ]);
    const [entry] = await store.get(["a"]);
    expect([{ id: "a", metadata: { first: "x" } }, { id: "a", metadata: { second: 2 } }]).toContainEqual(entry);
    expect(await store.count({ or: [{ eq: ["gone", 1] }, { eq: ["stays", true] }] })).toBe(0);
    expect(await store.count({ not: { gt: ["gone", 0] } })).toBe(1);
  });

  test("writes, reads, counts and deletes more than one request holds", async () => {
    await using store = await open();
    const records = Array.from({ length: 701 }, (_, n) => ({ id: `r${n}`, vector: Float32Array.of(n + 1, 1), metadata: { n, odd: n % 2 === 1 } }));
    await store.upsert(records);
    const ids = records.map(({ id }) => id);
    expect([await store.count(), await store.count({ lt: ["n", 650] }), (await store.get(ids)).length]).toEqual([701, 650, 701]);
    await store.delete({ ids: ids.slice(0, 350) });
    expect(await store.count()).toBe(351);
    await store.delete({ filter: { and: [] } });
    expect(await store.count()).toBe(0);
  });

  test("gives back any metadata, text and id as they were", async () => {
    await using store = await open();
    await fc.assert(
      fc.asyncProperty(anyRecord, async ({ id, text: words, metadata }) => {
        await store.upsert([{ id, vector, metadata, ...(words === undefined ? {} : { text: words }) }]);
        const [entry] = await store.get([id]);
        expect({ ...entry, metadata: { ...entry?.metadata } }).toEqual({ id, metadata, ...(words === undefined ? {} : { text: words }) });
      }),
      { numRuns: runs },
    );
  });

  test("filters as the kind says, whatever the filter and whatever is stored", async () => {
    await using store = await open();
    const shelf = fc.sample(anyFields, { numRuns: 40, seed: 7 }).map((metadata, n) => ({ id: `m${n}`, vector, metadata }));
    await store.upsert(shelf);
    await fc.assert(
      fc.asyncProperty(anyFilter, async (filter) => {
        const expected = shelf.filter(({ metadata }) => filterHolds(filter, metadata)).map(({ id }) => id);
        const found = await store.query({ vector, limit: 100, filter });
        expect([found.map(({ id }) => id).sort(), await store.count(filter)]).toEqual([expected.sort(), expected.length]);
      }),
      { numRuns: runs },
    );
  });

  test("takes a filter of as many terms as the kind allows", async () => {
    await using store = await open();
    await store.upsert([{ id: "a", vector, metadata: { n: 997 } }, { id: "b", vector, metadata: { n: -1 } }]);
    const each = (step: number): VectorFilter => ({ or: Array.from({ length: 998 }, (_, n): VectorFilter => ({ eq: ["n", n * step] })) });
    const found = async (filter: VectorFilter): Promise<string[]> => (await store.query({ vector, limit: 5, filter })).map(({ id }) => id);
    expect([await found(each(1)), await found({ not: each(1) }), await found(each(1 / 3))]).toEqual([["a"], ["b"], []]);
    expect(await found({ in: ["n", Array.from({ length: 998 }, (_, n) => n + (n % 2) / 2)] })).toEqual([]);
  });

  test("is a store for remember and retrieve", async () => {
    await using store = await open({ dimensions: mockEmbedder().dimensions ?? 0 });
    const chunks = (words: readonly string[]) => words.map((it) => text(it, { metadata: { source: "notes.md" } }));
    for (const words of [["We go on Tuesday. ", "By train. "], ["We go on Friday. "]]) await run(remember(store, mockEmbedder(), { namespace: "us" }), chunks(words)).collect();
    expect(await run(retrieve(store, mockEmbedder(), { namespace: "us" }), "When?").text()).toBe("We go on Friday. When?");
    expect(await run(retrieve(store, mockEmbedder(), { namespace: "them" }), "When?").text()).toBe("When?");
  });
});

const killed = server.from === "CHROMA_URL" ? { skip: "the server is somebody else's" } : server;
describe.skipIf(killed.skip !== undefined)(titled("on a Chroma that is killed", killed), () => {
  let host: Host;
  let running: ChromaServer;
  let data: string;
  beforeAll(async () => {
    host = openHost();
    data = host.directory("chroma");
    running = await startChroma(host, data);
  });
  afterAll(() => host.close());

  test("says unavailable while the server is gone, and goes on with the same store and the same records after it is back", async () => {
    const { port } = new URL(running.url);
    await using store = chroma({ collection: named(), dimensions: 2, baseUrl: running.url });
    await store.setup();
    await store.upsert([{ id: "a", vector, text: "kept" }]);
    await running.process.stop("SIGKILL");
    for (const call of [() => store.count(), () => store.upsert([{ id: "b", vector }]), () => store.query({ vector, limit: 1 }), () => store.delete({ ids: ["a"] })]) {
      await expect(call()).rejects.toMatchObject({ code: "unavailable", retryable: true, service: "chroma" });
    }
    running = await startChroma(host, data, Number(port));
    await store.upsert([{ id: "b", vector: Float32Array.of(0, 1) }]);
    expect((await store.query({ vector, limit: 5 })).map(({ id, text: words }) => [id, words])).toEqual([["a", "kept"], ["b", undefined]]);
  });

  test("a write that the server dies in is stored whole or not at all, request by request", async () => {
    const { port } = new URL(running.url);
    await using store = chroma({ collection: named(), dimensions: 2, baseUrl: running.url });
    await store.setup();
    const records = Array.from({ length: 3_000 }, (_, n) => ({ id: `r${n}`, vector: Float32Array.of(n + 1, 1), metadata: { n } }));
    const writing = store.upsert(records).then(() => "stored", (error: unknown) => error);
    for (let count = 0; count === 0; ) count = await store.count(); // some steps are in, the others are not
    await running.process.stop("SIGKILL");
    expect(await writing).toMatchObject({ code: "unavailable" });
    running = await startChroma(host, data, Number(port));
    const stored = await store.count();
    expect([stored % 300, stored > 0, stored < 3_000]).toEqual([0, true, true]);
    await store.upsert(records);
    expect(await store.count()).toBe(3_000);
  });
});
