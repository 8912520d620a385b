import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { inspect } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { chroma, type ChromaOptions } from "../../src/adapters/chroma/index.ts";
import { isMillraceError } from "../../src/index.ts";
import { fakeClock } from "../../src/testing/clock.ts";

const vector = Float32Array.of(1, 0);
const key = "canary-5f1c0b7e9d";
const notes = { id: "0c5f1d8e-0000-4000-8000-000000000001", name: "notes", tenant: "default_tenant", database: "default_database", metadata: { "millrace:dimensions": 2 }, configuration_json: { hnsw: { space: "cosine" } } };

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
const json = (status: number, body: unknown): Answer => (_, response) => void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));

/** A server that knows the collection `notes` and answers everything else as it is told. */
interface Fake {
  readonly baseUrl: string;
  /** Method and last part of each path. */
  readonly requests: string[];
  /** Requests whose connection the client gave up. */
  readonly cut: string[];
  answer: Answer;
  close(): Promise<void>;
}
const fakes: Fake[] = [];
afterEach(async () => {
  for (const it of fakes.splice(0)) await it.close();
});

async function fake(answer: Answer): Promise<Fake> {
  const server: Server = createServer((request, response) => {
    const name = `${request.method} ${request.url?.split("/").at(-1)}`;
    it.requests.push(name);
    response.on("close", () => {
      if (!response.writableFinished) it.cut.push(name);
    });
    request.resume().on("end", () => (name === "GET notes" ? json(200, notes) : it.answer)(request, response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const it: Fake = {
    baseUrl: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    requests: [],
    cut: [],
    answer,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  fakes.push(it);
  return it;
}

const store = ({ baseUrl }: { readonly baseUrl: string }, options: Partial<ChromaOptions> = {}) => chroma({ collection: "notes", dimensions: 2, baseUrl, apiKey: key, ...options });
const never: Answer = () => {};
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
};

describe("answers that are none", () => {
  const html: Answer = (_, response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>hello</html>");
  const torn: Answer = (_, response) => void response.writeHead(200, { "content-type": "application/json" }).end('{"ids": [["a"');
  // within the answer: Deno sends a request again whose connection ends before it
  const hangUp: Answer = (request, response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": 100 }).write('{"ids":', () => request.socket.destroy());
  };
  test.each<[string, Answer, object]>([
    ["400", json(400, { error: "InvalidArgumentError", message: "no such thing" }), { code: "invalid_input", message: "chroma: query: no such thing" }],
    ["401", json(401, {}), { code: "unauthorized" }],
    ["403", json(403, {}), { code: "unauthorized" }],
    ["404", json(404, {}), { code: "not_found" }],
    ["409", json(409, {}), { code: "conflict" }],
    ["413", (_, response) => void response.writeHead(413).end(), { code: "too_large" }],
    ["422", json(422, { message: "wrong" }), { code: "invalid_input" }],
    ["422 for a quota", json(422, { message: "Quota exceeded: 300 results" }), { code: "rate_limited", retryable: false }],
    ["429", json(429, {}), { code: "rate_limited", retryable: true }],
    ["500", json(500, { message: "oh" }), { code: "unavailable", retryable: true }],
    ["503 without a body", (_, response) => void response.writeHead(503).end(), { code: "unavailable", retryable: true }],
    ["a page", html, { code: "bad_response" }],
    ["JSON that is cut", torn, { code: "bad_response" }],
    ["JSON of another kind", json(200, {}), { code: "bad_response" }],
    ["a match without a distance", json(200, { ids: [["a"]], metadatas: [[null]], documents: [["x"]] }), { code: "bad_response" }],
    ["a connection that ends within the answer", hangUp, { code: "unavailable", retryable: true }],
  ])("%s is an error of its code, after one request", async (_, answer, expected) => {
    const server = await fake(answer);
    await using it = store(server);
    await expect(it.query({ vector, limit: 1 })).rejects.toMatchObject({ ...expected, service: "chroma" });
    expect(server.requests).toEqual(["GET notes", "POST query"]);
  });

  test("a redirect is not followed: the other origin sees neither key nor records", async () => {
    const other = await fake(json(200, {}));
    for (const status of [301, 302, 303, 307, 308]) {
      const server = await fake((_, response) => void response.writeHead(status, { location: `${other.baseUrl}/api` }).end());
      await using it = store(server);
      await expect(it.query({ vector, limit: 1 })).rejects.toMatchObject({ code: "bad_response" });
    }
    expect(other.requests).toEqual([]);
  });

  test("no server at all is unavailable", async () => {
    const server = await fake(never);
    await server.close();
    await using it = store(server);
    await expect(it.setup()).rejects.toMatchObject({ code: "unavailable", retryable: true });
  });

  test("what a service echoes of key and text is in no error, and the store shows no key", async () => {
    const said = "the quick brown fox jumps over the lazy dog";
    const server = await fake(json(400, { message: `token ${key} may not write ${said}` }));
    await using it = store(server);
    for (const call of [() => it.upsert([{ id: "a", vector, text: said }]), () => it.get([said]), () => it.query({ vector, limit: 1, filter: { eq: ["a", said] } })]) {
      const error: unknown = await call().catch((reason: unknown) => reason);
      expect(isMillraceError(error, "invalid_input")).toBe(true);
      const shown = `${inspect(error, { depth: 10, showHidden: true })}${JSON.stringify(error)}`;
      expect(shown).not.toContain(key);
      expect(shown).not.toContain(said);
    }
    expect(inspect(it, { depth: 10, showHidden: true })).not.toContain(key);
  });
});

describe("calls that are given up", () => {
  test("an abort rejects with its reason, and the server sees the connection close", async () => {
    const server = await fake(never);
    await using it = store(server);
    for (const name of ["POST query", "GET count"]) {
      const abort = new AbortController();
      const reason = new Error("enough");
      const call = name === "GET count" ? it.count(undefined, abort) : it.query({ vector, limit: 1 }, abort);
      const settled = call.catch((error: unknown) => error);
      await until(() => server.requests.includes(name));
      abort.abort(reason);
      expect(await settled).toBe(reason);
      await until(() => server.cut.includes(name));
    }
    server.answer = json(200, 7);
    expect(await it.count()).toBe(7); // the client of an interrupted call is not used again
  });

  test("a request without an answer is a timeout, and its connection closes", async () => {
    const server = await fake(never);
    const clock = fakeClock();
    await using it = store(server, { clock, timeoutMs: 5_000 });
    const call = it.count().catch((error: unknown) => error);
    await until(() => server.requests.includes("GET count"));
    await clock.advance(4_999);
    expect(clock.pending).toBe(1);
    await clock.advance(1);
    expect(await call).toMatchObject({ code: "timeout", retryable: true });
    await until(() => server.cut.length === 1);
    expect(clock.pending).toBe(0);
  });

  test("close ends calls in progress with closed", async () => {
    const server = await fake(never);
    const it = store(server);
    const call = it.count().catch((error: unknown) => error);
    await until(() => server.requests.includes("GET count"));
    await it.close();
    expect(await call).toMatchObject({ code: "closed" });
    await until(() => server.cut.length === 1);
  });

  test("a write that waits for another is given up without a request", async () => {
    const server = await fake(never);
    await using it = store(server);
    const first = it.upsert([{ id: "a", vector }]).catch((error: unknown) => error);
    await until(() => server.requests.includes("POST get"));
    const abort = new AbortController();
    const second = it.upsert([{ id: "b", vector }], abort).catch((error: unknown) => error);
    abort.abort("enough");
    expect(await second).toBe("enough");
    await it.close();
    expect(await first).toMatchObject({ code: "closed" });
    expect(server.requests).toEqual(["GET notes", "POST get"]);
  });
});

test("asks for the collection once, then one request a query; nothing before the first call, nor after an abort", async () => {
  const server = await fake(json(200, { ids: [[]], distances: [[]], metadatas: [[]], documents: [[]] }));
  await using it = store(server);
  await expect(it.query({ vector, limit: 1 }, { signal: AbortSignal.abort("no") })).rejects.toBe("no");
  expect(server.requests).toEqual([]);
  for (let n = 0; n < 3; n += 1) expect(await it.query({ vector, limit: 1 })).toEqual([]);
  expect(await it.query({ vector, limit: 1, filter: { or: [] } })).toEqual([]);
  expect(server.requests).toEqual(["GET notes", "POST query", "POST query", "POST query"]);
});

test("a key may be given anew for each call", async () => {
  const seen: unknown[] = [];
  const server = await fake((request, response) => {
    seen.push(request.headers["x-chroma-token"]);
    json(200, 0)(request, response);
  });
  let turn = 0;
  await using it = store(server, { apiKey: () => `key-${(turn += 1)}` });
  for (let n = 0; n < 3; n += 1) await it.count();
  expect(seen).toEqual(["key-1", "key-2", "key-3"]);
});

test.each<[string, object]>([
  ["collection", { collection: "x" }],
  ["collection", { collection: "../etc" }],
  ["dimensions", { dimensions: 0 }],
  ["metric", { metric: "cosinus" }],
  ["metric", { metric: "toString" }],
  ["hnsw.efSearch", { hnsw: { efSearch: 0 } }],
  ["baseUrl", { baseUrl: "http://chroma.example.com" }],
  ["baseUrl", { baseUrl: "http://127.0.0.1:8000/v1" }],
  ["baseUrl", { baseUrl: "https://me:secret@chroma.example.com" }],
  ["tenant", { tenant: "a/b" }],
  ["database", { database: "" }],
  ["header", { headers: { "x-a": "b\r\nc: d" } }],
  ["apiKey", { apiKey: "a\nb" }],
  ["timeoutMs", { timeoutMs: 0 }],
])("refuses a bad %s when it is built", (option, options) => {
  const build = (): unknown => chroma({ collection: "notes", dimensions: 2, ...options });
  expect(build).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(option) }));
  expect(build).not.toThrow(/secret/);
});

test("refuses options that are none", () => {
  // @ts-expect-error: as from untyped code
  expect(() => chroma()).toThrow(expect.objectContaining({ code: "invalid_input" }));
});
