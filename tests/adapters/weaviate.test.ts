import { inspect } from "node:util";
import fc from "fast-check";
import { Status, ServerError } from "nice-grpc";
import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from "vitest";
import { weaviate, type WeaviateOptions } from "../../src/adapters/weaviate/index.ts";
import { uuidOf } from "../../src/adapters/weaviate/ids.ts";
import { isMillraceError } from "../../src/index.ts";
import { filterHolds } from "../../src/kinds/vector-filter.ts";
import type { VectorStore } from "../../src/kinds/vector-store.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { vectorStoreContract } from "../../src/testing/contracts/vector-store.ts";
import { anyFields, anyFilter, anyRecord, runs } from "./vector-properties.ts";
import { fakeWeaviate, type FakeWeaviate } from "./weaviate/fake.ts";

const lacks = { replace: "Weaviate has no transactions" };
const key = "canary-5f1c0b7e9d";
const vector = Float32Array.of(1, 0);
let collections = 0;
const named = (): string => `T${Date.now().toString(36)}_${(collections += 1)}`;

let fake: FakeWeaviate;
beforeAll(async () => {
  fake = await fakeWeaviate();
});
afterAll(() => fake.close());
beforeEach(() => {
  fake.before = () => {};
  fake.rest = () => false;
  fake.refuse = () => undefined;
  fake.maxDeleted = 10_000;
  fake.requests.length = 0;
  fake.givenUp.length = 0;
});
const at = (options: Partial<WeaviateOptions> = {}): VectorStore =>
  weaviate({ collection: named(), dimensions: 2, baseUrl: fake.baseUrl, grpcUrl: fake.grpcUrl, ...options });
const open = async (options: Partial<WeaviateOptions> = {}): Promise<VectorStore> => {
  const store = at(options);
  await store.setup();
  return store;
};
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
};

// side by side: the client lets half a second pass with each insertion of several objects
const runner = { describe: describe.concurrent, it };
vectorStoreContract(runner, { name: "weaviate, a stand-in", open: (shape) => at(shape), lacks });
vectorStoreContract(runner, { name: "weaviate, a stand-in, of a tenant", open: (shape) => at({ ...shape, tenant: "us" }), lacks });

const real = process.env.WEAVIATE_URL;
describe.skipIf(real === undefined)(`on Weaviate${real === undefined ? " (skipped: no WEAVIATE_URL)" : ""}`, () => {
  const grpcUrl = process.env.WEAVIATE_GRPC_URL;
  const address = { ...(real === undefined ? {} : { baseUrl: real }), ...(grpcUrl === undefined ? {} : { grpcUrl }) };
  vectorStoreContract({ describe, it }, { name: "weaviate", open: (shape) => weaviate({ ...shape, ...address, collection: named() }), lacks });
});

test("gives back any metadata, text and id as they were", async () => {
  await using store = await open();
  await fc.assert(
    fc.asyncProperty(anyRecord, async ({ id, text, metadata }) => {
      const record = { id, metadata, ...(text === undefined ? {} : { text }) };
      await store.upsert([{ ...record, vector }]);
      const [entry] = await store.get([id]);
      expect({ ...entry, metadata: { ...entry?.metadata } }).toEqual(record);
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
  await expect(store.count({ gt: ["a", 1e20] })).rejects.toMatchObject({ code: "invalid_input" });
});

test("an id becomes the same UUID of version 5 everywhere", async () => {
  // as Python's uuid.uuid5 has it
  expect([await uuidOf("a"), await uuidOf("日本語\u0000")]).toEqual(["951b2b99-ca78-562f-928e-bca221bd7bfb", "71419fd3-719d-584a-84e7-65bcca9b258c"]);
});

test("of the tenants of a collection each sees and touches its own records alone", async () => {
  const collection = named();
  await using ours = await open({ collection, tenant: "ours" });
  await using theirs = await open({ collection, tenant: "theirs" });
  await ours.upsert([{ id: "a", vector, text: "ours" }]);
  await theirs.upsert([{ id: "a", vector, text: "theirs" }]);
  await theirs.delete({ filter: { and: [] } });
  expect([(await ours.query({ vector, limit: 5 })).map(({ text }) => text), await theirs.count()]).toEqual([["ours"], 0]);
  await expect(at({ collection, tenant: "nobody" }).count()).rejects.toMatchObject({ code: "not_found" });
  await expect(at({ collection }).count()).rejects.toMatchObject({ code: "conflict" });
});

test("refuses a collection of other dimensions or another metric, at the first call", async () => {
  const collection = named();
  await using made = await open({ collection });
  expect(await made.count()).toBe(0);
  for (const other of [{ dimensions: 3 }, { metric: "l2" as const }, { tenant: "x" }]) {
    await using store = at({ collection, ...other });
    await expect(store.count()).rejects.toMatchObject({ code: "conflict", scope: "process", message: expect.stringContaining(collection) });
    await expect(store.setup()).rejects.toMatchObject({ code: "conflict" });
  }
});

test("takes the dimensions of a collection that somebody else made from its first object", async () => {
  const collection = named();
  await fetch(`${fake.baseUrl}/v1/schema`, { method: "POST", body: JSON.stringify({ ...theirSchema, class: collection }) });
  await using fits = at({ collection });
  await fits.upsert([{ id: "a", vector }]);
  await using differs = at({ collection, dimensions: 3 });
  await expect(differs.count()).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("2 dimensions") });
});
const text = (name: string, more: object = {}): object => ({ name, dataType: ["text"], ...more });
const theirSchema = {
  vectorizer: "none",
  vectorIndexConfig: { distance: "cosine" },
  properties: [text("key"), text("text", { indexSearchable: true }), text("metadata"), { name: "terms", dataType: ["text[]"], indexFilterable: true }],
};

test("says what is missing where there is no collection, and finds one that was made anew", async () => {
  const collection = named();
  await using store = at({ collection });
  await expect(store.count()).rejects.toMatchObject({ code: "not_found", scope: "dependency", message: expect.stringContaining("setup()") });
  await store.setup();
  await store.upsert([{ id: "a", vector, metadata: { n: 1 } }]);
  await fetch(`${fake.baseUrl}/v1/schema/${collection}`, { method: "DELETE" });
  await expect(store.count()).rejects.toMatchObject({ code: "not_found" });
  await using other = await open({ collection });
  await store.upsert([{ id: "b", vector, metadata: { n: 2 } }]); // the new collection has no number n yet
  expect([await other.count(), await store.count({ gt: ["n", 1] })]).toEqual([1, 1]);
});

test("stores that add the same numeric field at once both may, and a third filters by it", async () => {
  const collection = named();
  const stores = await Promise.all([1, 2, 3].map(() => open({ collection })));
  await stores[2]?.count();
  await Promise.all(stores.slice(0, 2).map((store, n) => store.upsert([{ id: `${n}`, vector, metadata: { "a size": n } }])));
  expect(await stores[2]?.count({ gte: ["a size", 1] })).toBe(1);
  for (const store of stores) await store.close();
});

test("names the records that were refused among others, and quotes none of their text", async () => {
  await using store = await open();
  const said = "the quick brown fox jumps over the lazy dog";
  const refused = await uuidOf("b");
  fake.refuse = ({ uuid }) => (uuid === refused ? `cannot store: ${said}` : undefined);
  const error: unknown = await store.upsert([{ id: "a", vector }, { id: "b", vector, text: said }]).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "invalid_input", message: expect.stringContaining('1 of 2 records were refused, "b": cannot store: …') });
});

test("deletes more than the server does at a time", async () => {
  await using store = await open();
  await store.upsert(Array.from({ length: 7 }, (_, n) => ({ id: `${n}`, vector, metadata: { n } })));
  fake.maxDeleted = 2;
  await store.delete({ filter: { gte: ["n", 1] } });
  expect(await store.count()).toBe(1);
});

test("one request a query, nothing before the first call nor after an abort", async () => {
  await using store = await open();
  fake.requests.length = 0;
  await expect(store.query({ vector, limit: 1 }, { signal: AbortSignal.abort("no") })).rejects.toBe("no");
  expect(fake.requests).toEqual([]);
  for (let n = 0; n < 2; n += 1) await store.query({ vector, limit: 1 });
  expect(fake.requests).toEqual(["Search", "Search"]);
});

test("sends the key by both ways, and shows it nowhere", async () => {
  fake.credentials.clear();
  await using store = await open({ apiKey: async () => key });
  await store.query({ vector, limit: 1 });
  expect(fake.credentials).toEqual(new Set([`Bearer ${key}`]));
  fake.before = () => {
    throw new ServerError(Status.INTERNAL, `token ${key} is bad`);
  };
  const error: unknown = await store.query({ vector, limit: 1 }).catch((reason: unknown) => reason);
  expect(isMillraceError(error, "unavailable")).toBe(true);
  expect(`${inspect(error, { depth: 10, showHidden: true })}${JSON.stringify(error)}${inspect(store, { depth: 10, showHidden: true })}`).not.toContain(key);
});

describe("calls that are given up", () => {
  const never = (): Promise<void> => new Promise(() => {});

  test("an abort rejects with its reason, and the server sees the search end", async () => {
    await using store = await open();
    fake.before = never;
    const abort = new AbortController();
    const reason = new Error("enough");
    const call = store.query({ vector, limit: 1 }, abort).catch((error: unknown) => error);
    await until(() => fake.requests.includes("Search"));
    abort.abort(reason);
    expect(await call).toBe(reason);
    await until(() => fake.givenUp.includes("Search"));
  });

  test("a request without an answer is a timeout", async () => {
    const clock = fakeClock();
    await using store = await open({ clock, timeoutMs: 5_000 });
    fake.before = never;
    const call = store.count().catch((error: unknown) => error);
    await until(() => fake.requests.includes("Aggregate"));
    await clock.advance(5_000);
    expect(await call).toMatchObject({ code: "timeout", retryable: true });
    expect(clock.pending).toBe(0);
  });

  test("close ends calls in progress with closed, and the client", async () => {
    const store = await open();
    fake.before = never;
    const call = store.query({ vector, limit: 1 }).catch((error: unknown) => error);
    await until(() => fake.requests.includes("Search"));
    await store.close();
    expect(await call).toMatchObject({ code: "closed" });
    await until(() => fake.givenUp.includes("Search"));
  });
});

describe("answers that are none", () => {
  test.each<[Status, string, object]>([
    [Status.INVALID_ARGUMENT, "bad", { code: "invalid_input" }],
    [Status.UNKNOWN, "vector lengths don't match", { code: "invalid_input" }],
    [Status.UNKNOWN, "oh", { code: "unavailable" }],
    [Status.PERMISSION_DENIED, "no", { code: "unauthorized" }],
    [Status.UNAUTHENTICATED, "no", { code: "unauthorized" }],
    [Status.RESOURCE_EXHAUSTED, "slow down", { code: "rate_limited", retryable: true }],
    [Status.RESOURCE_EXHAUSTED, "received message larger than max (1 vs. 0)", { code: "too_large" }],
    [Status.INTERNAL, "oh", { code: "unavailable", retryable: true }],
    [Status.DATA_LOSS, "oh", { code: "bad_response" }],
  ])("gRPC status %i, %s, is an error of its code, after one request", async (status, details, expected) => {
    await using store = await open();
    fake.requests.length = 0;
    fake.before = () => {
      throw new ServerError(status, details);
    };
    await expect(store.query({ vector, limit: 1 })).rejects.toMatchObject({ ...expected, service: "weaviate" });
    expect(fake.requests).toEqual(["Search"]);
  });

  test.each<[number, string, object]>([
    [401, "{}", { code: "unauthorized" }],
    [403, "{}", { code: "unauthorized" }],
    [429, "{}", { code: "rate_limited", status: 429 }],
    [500, "", { code: "unavailable", status: 500 }],
    [200, "<html>hello</html>", { code: "bad_response" }],
    [200, "", { code: "bad_response" }],
  ])("REST status %i with %j is an error of its code", async (status, body, expected) => {
    fake.rest = (_, response) => {
      response.writeHead(status).end(body);
      return true;
    };
    await using store = at();
    await expect(store.setup()).rejects.toMatchObject({ ...expected, service: "weaviate" });
  });

  test("a server that does not tell its version is an error of the call, and nothing rejects unheard", async () => {
    fake.rest = (request, response) => {
      if (request.url !== "/v1/meta") return false;
      response.writeHead(503).end();
      return true;
    };
    await using store = at();
    await expect(store.setup()).rejects.toMatchObject({ code: "unavailable" });
    fake.rest = () => false;
    await store.setup();
    expect(await store.count()).toBe(0);
  });

  test("no server at all is unavailable, and nothing rejects unheard", async () => {
    const gone = await fakeWeaviate();
    await gone.close();
    await using store = at({ baseUrl: gone.baseUrl, grpcUrl: gone.grpcUrl });
    for (const call of [() => store.setup(), () => store.count(), () => store.query({ vector, limit: 1 })]) {
      await expect(call()).rejects.toMatchObject({ code: "unavailable", retryable: true });
    }
  });
});

test.each<[string, object]>([
  ["collection", { collection: "notes" }],
  ["collection", { collection: "N/../x" }],
  ["dimensions", { dimensions: 0 }],
  ["metric", { metric: "cosinus" }],
  ["tenant", { tenant: "a/b" }],
  ["baseUrl", { baseUrl: "http://weaviate.example.com" }],
  ["baseUrl", { baseUrl: "http://127.0.0.1:8080/v1" }],
  ["baseUrl", { baseUrl: "https://me:secret@weaviate.example.com" }],
  ["baseUrl", { baseUrl: "nowhere" }],
  ["grpcUrl", { grpcUrl: "http://127.0.0.1:50051/x" }],
  ["header", { headers: { "x-a": "b\r\nc: d" } }],
  ["apiKey", { apiKey: "a\nb" }],
  ["timeoutMs", { timeoutMs: 0 }],
])("refuses a bad %s when it is built", (option, options) => {
  const build = (): unknown => weaviate({ collection: "Notes", dimensions: 2, ...options });
  expect(build).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(option) }));
  expect(build).not.toThrow(/secret/);
});

test("refuses options that are none", () => {
  // @ts-expect-error: as from untyped code
  expect(() => weaviate()).toThrow(expect.objectContaining({ code: "invalid_input" }));
});
