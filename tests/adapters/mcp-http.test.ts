import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { mcpTools, type McpToolsOptions } from "../../src/adapters/mcp/index.ts";
import { isMillraceError, type Part, run, withTools } from "../../src/index.ts";
import { fakeClock, mockModel } from "../../src/testing/index.ts";
import { jsonAnswer, sseAnswer, sseFrame } from "../../src/testing/wire-answers.ts";
import { type WireAnswer, type WireRequest, type WireServer, wireServer } from "../../src/testing/wire-server.ts";
import { soon, turns } from "../streams/support.ts";
import { mcpHttpServer, type McpHttpServer } from "./mcp/http-server.ts";
import { call, called, failing, resultsIn, until } from "./mcp/support.ts";

/** Of no shape that a key would be known by. */
const key = "opensesame";

describe("a server over HTTP", () => {
  const events: string[] = [];
  let heard = (_: string): void => {};
  let server: McpHttpServer;
  beforeEach(async () => {
    events.length = 0;
    heard = () => {};
    server = await mcpHttpServer({ seen: (event) => (events.push(event), heard(event)) });
  });
  afterEach(() => server.close());
  const tools = (options: Partial<McpToolsOptions> = {}) => mcpTools({ url: server.url, apiKey: key, headers: { "x-tenant": "a" }, ...options });

  test("its tools are called in one session, which is deleted when the run ends; key and headers are on every request", async () => {
    const { results } = await called(tools(), call("echo", { words: "hi" }), call("sum", { a: 1, b: 2 }));
    expect(results).toEqual([["echo", "hi", false], ["sum", { sum: 3 }, false]]);
    expect(server.asked.map(({ method, rpc }) => `${method} ${rpc}`.trim())).toEqual([
      "POST initialize",
      "POST notifications/initialized",
      "POST tools/list",
      "POST tools/call",
      "POST tools/call",
      "DELETE",
    ]);
    expect(new Set(server.asked.map(({ headers }) => `${headers.authorization} ${headers["x-tenant"]}`))).toEqual(new Set([`Bearer ${key} a`]));
    expect(server.sessions.size).toBe(0);
  });

  test("an answer may be JSON instead of a stream", async () => {
    const plain = await mcpHttpServer({ json: true });
    try {
      expect((await called(mcpTools({ url: plain.url }), call("echo", { words: "hi" }))).results).toEqual([["echo", "hi", false]]);
      expect(plain.asked[0]?.headers.authorization).toBeUndefined();
    } finally {
      await plain.close();
    }
  });

  test("progress is shown, and what the server asks of its client is refused", async () => {
    const { parts, results } = await called(tools(), call("progress"), call("asks"));
    expect(results).toEqual([["progress", "there", false], ["asks", "Method not found, Method not found, Method not found", false]]);
    expect(parts.some(({ substream }) => substream === "status")).toBe(true);
  });

  test("the session is deleted after break, and after the model has failed", async () => {
    for await (const part of run(withTools(mockModel([[call("lines")], "end"]), [tools()]), "q")) if (part.kind === "toolResult") break;
    expect(server.sessions.size).toBe(0);
    await expect(run(withTools(mockModel([[{ error: new Error("the model") }]]), [tools()]), "q").collect()).rejects.toThrow("the model");
    expect(server.sessions.size).toBe(0);
    expect(server.asked.filter(({ method }) => method === "DELETE")).toHaveLength(2);
  });

  test("an abort cancels the call at the server before the session is deleted, and its answer is waited for no more", async () => {
    const cancelled = Promise.withResolvers<void>();
    const controller = new AbortController();
    const reason = new Error("enough");
    heard = (event) => (event === "waiting" ? controller.abort(reason) : cancelled.resolve());
    await expect(run(withTools(mockModel([[call("wait")], "end"]), [tools()]), "q", { signal: controller.signal }).collect()).rejects.toBe(reason);
    await soon(cancelled.promise);
    await until(() => server.sessions.size === 0);
    expect(server.asked.slice(-2).map(({ method, rpc }) => `${method} ${rpc}`.trim())).toEqual(["POST notifications/cancelled", "DELETE"]);
    expect(events).toEqual(["waiting", "cancelled"]);
  });

  test("a server that is cut off in a call is an error result, and so are later calls", async () => {
    heard = () => {
      server.cut();
      void server.close();
    };
    const errors: unknown[] = [];
    const parts = await run(withTools(mockModel([[call("wait")], [call("lines")], "end"]), [tools()], { onEvent: ({ error }) => errors.push(error) }), "q").collect();
    expect(resultsIn(parts)).toEqual([["wait", "the tool failed", true], ["lines", "the tool failed", true]]);
    expect(errors.map((error) => isMillraceError(error, "unavailable"))).toEqual([true, true]);
  });

  test("with `keepOpen` runs share a session until it is closed", async () => {
    const kept = tools({ keepOpen: true });
    await called(kept, call("lines"));
    await called(kept, call("lines"));
    expect(server.asked.filter(({ rpc }) => rpc === "initialize")).toHaveLength(1);
    expect(server.sessions.size).toBe(1);
    await kept.close();
    expect(server.sessions.size).toBe(0);
  });
});

describe("what goes wrong over HTTP", () => {
  let server: WireServer;
  let answers: Readonly<Record<string, WireAnswer>> = {};
  beforeEach(async () => {
    answers = {};
    server = await wireServer({ answer: (request) => answerTo(request, answers) });
  });
  afterEach(() => server.close());
  const tools = (options: Partial<McpToolsOptions> = {}) => mcpTools({ url: `${server.url}/mcp`, apiKey: key, ...options });
  const opening = (options?: Partial<McpToolsOptions>) => failing(called(tools(options)));

  const refusals: readonly (readonly [name: string, answer: WireAnswer, code: string, details?: object])[] = [
    ["401", jsonAnswer({ error: `bad key ${key}` }, { status: 401 }), "unauthorized", { status: 401 }],
    ["404", { status: 404, frames: ["nothing here"] }, "not_found", { scope: "dependency" }],
    ["405", { status: 405, frames: [] }, "missing_config"],
    ["429 with Retry-After", { status: 429, headers: { "retry-after": "2" }, frames: [] }, "rate_limited", { retryAfterMs: 2_000 }],
    ["500", { status: 500, frames: ["oops"] }, "unavailable", { retryable: true, message: expect.stringMatching(/answered 500: oops$/) }],
    ["a redirect to another origin", { status: 307, headers: { location: "http://127.0.0.1:1/elsewhere" }, frames: [] }, "bad_response", { retryable: false }],
    ["a page", { headers: { "content-type": "text/html" }, frames: ["<html>"] }, "bad_response"],
    ["broken JSON", { headers: { "content-type": "application/json" }, frames: ["{"] }, "bad_response"],
    ["JSON that is no JSON-RPC", jsonAnswer({ hello: "world" }), "bad_response"],
    ["an unknown revision", jsonAnswer(rpc({ protocolVersion: "1999-01-01", capabilities: {}, serverInfo: { name: "s", version: "1" } })), "bad_response"],
    ["a JSON-RPC error", jsonAnswer({ jsonrpc: "2.0", id: 0, error: { code: -32_603, message: "broken" } }), "unavailable"],
    ["a broken connection", { fault: { kind: "cut", after: "nothing" } }, "unavailable"],
    ["a stream that ends without an answer", sseAnswer([sseFrame("", "message")]), "truncated"],
    ["a stream that is cut", sseAnswer([": ping\n\n", "data: {}\n\n"], { fault: { kind: "cut", after: 1 } }), "unavailable"],
  ];
  for (const [name, answer, code, details = {}] of refusals) {
    test(`${name} instead of an answer fails the run before the model is asked: ${code}`, async () => {
      answers = { initialize: answer };
      const error = await opening();
      expect({ ...error, message: error.message }).toMatchObject({ code, ...details });
      expect(`${error.message} ${String(error.cause)}`).not.toContain(key);
      expect(server.requests.filter(({ body }) => body.includes('"initialize"'))).toHaveLength(1);
    });
  }

  test("a call whose stream ends without an answer is `truncated`, whose message is too large `too_large`: error results", async () => {
    const big = sseFrame(JSON.stringify(rpc({ content: [{ type: "text", text: "x".repeat(20_000) }] }, 2)));
    for (const [answer, code] of [
      [sseAnswer([": ping\n\n"]), "truncated"],
      [sseAnswer([big]), "too_large"],
      [jsonAnswer(rpc({ content: [{ type: "text", text: "x".repeat(20_000) }] }, 2)), "too_large"],
      [jsonAnswer({ jsonrpc: "2.0", id: 2, error: { code: -32_000, message: "odd" } }), "bad_response"],
      [{ status: 503, frames: [] }, "unavailable"],
      [{ status: 404, frames: ["no such session"] }, "unavailable"],
    ] as const) {
      answers = { "tools/call": answer };
      const { results, errors } = await called(tools({ maxMessageBytes: 10_000 }), call("t"));
      expect(results).toEqual([["t", "the tool failed", true]]);
      expect(errors).toMatchObject([{ code }]);
    }
  });

  test("a refusal that repeats what was sent is quoted without it", async () => {
    answers = { "tools/call": { status: 400, frames: ["cannot read the private letter of the caller, sorry"] } };
    const { errors } = await called(tools(), call("t", { text: "the private letter of the caller" }));
    expect(errors).toMatchObject([{ code: "invalid_input", message: expect.stringMatching(/answered 400: cannot read …, sorry$/) }]);
  });

  test("what the server says of the arguments is for the model", async () => {
    answers = { "tools/call": jsonAnswer({ jsonrpc: "2.0", id: 2, error: { code: -32_602, message: "path must be absolute" } }) };
    expect((await called(tools(), call("t"))).results).toEqual([["t", "path must be absolute", true]]);
  });

  test("an answer that never comes: the run is aborted, the connection closed", async () => {
    answers = { initialize: { fault: { kind: "stall", after: "nothing" } } };
    const controller = new AbortController();
    const reason = new Error("enough");
    const asked = server.nextRequest();
    const done = run(withTools(mockModel(["end"]), [tools()]), "q", { signal: controller.signal }).collect();
    const request = await asked;
    controller.abort(reason);
    await expect(soon(done)).rejects.toBe(reason);
    await soon(request.closed);
  });

  test("an answer that never comes in `connectMs` is a `timeout`", async () => {
    const clock = fakeClock();
    answers = { initialize: { fault: { kind: "stall", after: "nothing" } } };
    const asked = server.nextRequest();
    const done = opening({ clock, connectMs: 500 });
    const request = await asked;
    await clock.advance(500);
    expect(await soon(done)).toMatchObject({ code: "timeout", phase: "connect" });
    await soon(request.closed);
    expect(clock.pending).toBe(0);
  });

  test("a server that does not answer to being left holds the run up for two seconds, by the clock", async () => {
    const clock = fakeClock();
    answers = { DELETE: { fault: { kind: "stall", after: "nothing" } } };
    const parts: Part[] = [];
    const left = server.nextRequest(4);
    const done = run(withTools(mockModel(["end"]), [tools({ clock })]), "q").forEach((part) => void parts.push(part));
    expect((await left).method).toBe("DELETE");
    await clock.advance(2_000);
    await soon(done);
    expect(clock.pending).toBe(0);
  });

  test("a kept session that the server has forgotten fails one run, and the next begins another", async () => {
    const kept = tools({ keepOpen: true });
    await called(kept, call("t"));
    answers = { "tools/list": { status: 404, frames: ["no such session"] } };
    expect(await failing(called(kept, call("t")))).toMatchObject({ code: "unavailable", retryable: true });
    answers = {};
    expect((await called(kept, call("t"))).results).toEqual([["t", "ok", false]]);
    await kept.close();
    expect(server.requests.filter(({ body }) => body.includes('"initialize"'))).toHaveLength(2);
  });

  test("an answer that breaks off is gone on with where the server keeps it", async () => {
    const clock = fakeClock();
    const priming = "id: e1\nretry: 3000\ndata:\n\n";
    answers = { "tools/call": sseAnswer([priming]), GET: sseAnswer([sseFrame(JSON.stringify(rpc({ content: [{ type: "text", text: "kept" }] }, 2)))]) };
    const asked = server.nextRequest(4);
    const done = called(tools({ clock }), call("t"));
    await (await asked).answered;
    await until(() => clock.pending === 1); // the pause that the server asked for
    await clock.advance(3_000);
    expect((await soon(done)).results).toEqual([["t", "kept", false]]);
    expect(server.requests.find(({ method }) => method === "GET")?.headers).toMatchObject({ "last-event-id": "e1", authorization: `Bearer ${key}` });
    expect(clock.pending).toBe(0);
  });

  test("a run that is left while that is waited for leaves no timer", async () => {
    const clock = fakeClock();
    answers = { "tools/call": sseAnswer(["id: e1\nretry: 3000\ndata:\n\n"]) };
    const controller = new AbortController();
    const reason = new Error("enough");
    const asked = server.nextRequest(5);
    const done = run(withTools(mockModel([[call("t"), call("t")], "end"]), [tools({ clock })]), "q", { signal: controller.signal }).collect();
    await asked;
    await until(() => clock.pending === 2);
    controller.abort(reason);
    await expect(done).rejects.toBe(reason);
    await until(() => server.requests.at(-1)?.method === "DELETE" && clock.pending === 0);
  });

  test("a call that is cancelled gives up its connection, also where the session is kept", async () => {
    answers = { "tools/call": { fault: { kind: "stall", after: "nothing" } } };
    const kept = tools({ keepOpen: true });
    const controller = new AbortController();
    const reason = new Error("the caller's own words");
    const asked = server.nextRequest(4);
    const done = run(withTools(mockModel([[call("t")], "end"]), [kept]), "q", { signal: controller.signal }).collect();
    const request = await asked;
    controller.abort(reason);
    await expect(done).rejects.toBe(reason);
    await soon(request.closed);
    expect(server.requests.at(-1)?.json()).toMatchObject({ method: "notifications/cancelled", params: { requestId: 2 } });
    expect(server.requests.some(({ body, method }) => body.includes(reason.message) || method === "DELETE")).toBe(false);
    await kept.close();
  });

  test("the session is deleted only when the server has heard what is cancelled", async () => {
    answers = { "tools/call": { fault: { kind: "stall", after: "nothing" } }, "notifications/cancelled": { status: 202, frames: ["."], fault: { kind: "stall", after: 0 } } };
    const controller = new AbortController();
    const [asked, cancelled, deleted] = [server.nextRequest(4), server.nextRequest(5), server.nextRequest(6)];
    const done = run(withTools(mockModel([[call("t")], "end"]), [tools()]), "q", { signal: controller.signal }).collect();
    await asked;
    controller.abort(new Error("enough"));
    await expect(done).rejects.toThrow("enough");
    const hearing = await cancelled;
    await turns(20);
    expect(server.requests).toHaveLength(5);
    hearing.end();
    expect((await soon(deleted)).method).toBe("DELETE");
  });

  test("no capability is declared", async () => {
    await called(tools(), call("t"));
    expect(server.requests.slice(0, 1).map((request) => request.json())).toEqual([
      { jsonrpc: "2.0", id: 0, method: "initialize", params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "millrace", version: "0" } } },
    ]);
  });

  test("the key is asked for with each request, and what is no key is refused before one", async () => {
    let count = 0;
    await called(tools({ apiKey: () => `key-${(count += 1)}-abcdef` }), call("t"));
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(server.requests.map((_, at) => `Bearer key-${at + 1}-abcdef`));
    const before = server.requests.length;
    expect((await opening({ apiKey: () => "two\nlines" })).code).toBe("missing_config");
    expect(server.requests).toHaveLength(before);
  });
});

function rpc(result: object, id = 0): object {
  return { jsonrpc: "2.0", id, result };
}

/** A server with one tool, `t`; what it answers is by method. */
function answerTo(request: WireRequest, answers: Readonly<Record<string, WireAnswer>>): WireAnswer {
  const { id, method = request.method } = (request.body === "" ? {} : request.json()) as { readonly id?: number; readonly method?: string };
  const given = answers[method];
  if (given !== undefined) return given;
  if (method === "initialize") {
    return jsonAnswer(rpc({ protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } }, id), { headers: { "mcp-session-id": "s1" } });
  }
  if (method === "tools/list") return jsonAnswer(rpc({ tools: [{ name: "t", inputSchema: { type: "object" } }] }, id));
  if (method === "tools/call") return jsonAnswer(rpc({ content: [{ type: "text", text: "ok" }] }, id));
  return { status: 202, frames: [] };
}
