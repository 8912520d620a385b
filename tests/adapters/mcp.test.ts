import { Client, InMemoryTransport } from "@modelcontextprotocol/client";
import { Server } from "@modelcontextprotocol/server";
import { describe, expect, test, vi } from "vitest";
import { calledTool } from "../../src/adapters/mcp/call.ts";
import { type McpClient, mcpTools, type McpToolsOptions } from "../../src/adapters/mcp/index.ts";
import { isMillraceError, type Part, run, type ToolSource, withTools } from "../../src/index.ts";
import { fakeClock, mockModel } from "../../src/testing/index.ts";
import { soon } from "../streams/support.ts";
import { call, called, failing, resultsIn } from "./mcp/support.ts";
import { png, type Seen, toolServer } from "./mcp/tools.ts";

/** A client of the official package, connected to a server in this process. */
async function connectedTo(server: Pick<Server, "connect">, options: ConstructorParameters<typeof Client>[1] = {}): Promise<Client> {
  const [near, far] = InMemoryTransport.createLinkedPair();
  const client = new Client({ name: "test", version: "1" }, options);
  await Promise.all([server.connect(far), client.connect(near)]);
  return client;
}

const everything = async (options: Partial<McpToolsOptions> = {}, seen?: Seen) => mcpTools({ client: await connectedTo(toolServer(seen)), ...options });

/** A server that lists what it is told to. */
async function listing(pages: readonly (readonly object[])[]): Promise<Client> {
  const server = new Server({ name: "odd", version: "1" }, { capabilities: { tools: {} } });
  server.setRequestHandler("tools/list", ({ params }) => {
    const at = Number(params?.cursor ?? 0);
    return { tools: [...(pages[at] ?? [])] as never, ...(at + 1 < pages.length ? { nextCursor: String(at + 1) } : {}) };
  });
  return connectedTo(server);
}

const object = { type: "object" };

describe("what a tool gives", () => {
  test("text is the result, one block a line", async () => {
    const { results, errors } = await called(await everything(), call("echo", { words: "hi" }), call("lines"));
    expect(results).toEqual([["echo", "hi", false], ["lines", "one\ntwo", false]]);
    expect(errors).toEqual([]);
  });

  test("a structured value stands for the text that repeats it", async () => {
    expect((await called(await everything(), call("sum", { a: 2, b: 3 }))).results).toEqual([["sum", { sum: 5 }, false]]);
  });

  test("images, audio and embedded files are behind the result, for the model too", async () => {
    const { read } = await called(await everything(), call("media"));
    expect(read).toMatchObject([
      { kind: "toolResult", result: "a dot\n# Notes", isError: false },
      { kind: "bytes", mimeType: "image/png", bytes: png, role: "tool" },
      { kind: "bytes", mimeType: "audio/wav", bytes: png },
      { kind: "bytes", mimeType: "application/octet-stream", metadata: { mcp: { uri: "file:///dot.bin" } } },
    ]);
  });

  test("the model reads where a link points, and the consumer alone gets it as a part", async () => {
    const { read, parts } = await called(await everything(), call("link"));
    expect(read).toMatchObject([{ kind: "toolResult", result: "report: last year (file:///report.pdf)" }]);
    expect(read).toHaveLength(1);
    expect(parts.filter(({ kind }) => kind === "uri")).toMatchObject([
      { uri: "file:///report.pdf", mimeType: "application/pdf", substream: "tools", metadata: { mcp: { name: "report" }, tool: { name: "link" } } },
    ]);
  });

  test("a tool that says it failed is an error result in its own words, cut to 300 characters", async () => {
    const { results, errors } = await called(await everything(), call("fail"), call("throws"), call("echo", { words: 7 }));
    expect(results).toEqual([
      ["fail", "no such file ".repeat(40).slice(0, 300), true],
      ["throws", "out of paper", true],
      ["echo", expect.stringContaining("words"), true],
    ]);
    expect(errors.map((error) => isMillraceError(error, "tool_failed"))).toEqual([true, true, true]);
  });

  test("progress comes as status parts before the result, without what could clear a screen", async () => {
    const { parts } = await called(await everything(), call("progress"));
    const shown = parts.flatMap((part) => (part.kind === "text" && part.substream === "status" ? [part.text] : part.kind === "toolResult" ? [String(part.result)] : []));
    expect(shown.at(-1)).toBe("there");
    expect(["half[2J way", "2/2"]).toEqual(expect.arrayContaining(shown.slice(0, -1)));
    expect(shown.length).toBeGreaterThan(1);
  });

  test("what is no result of MCP is an error result, and no word of it reaches the model", async () => {
    const odd = (result: object | string | undefined): McpClient => ({ listTools: () => Promise.resolve({ tools: [{ name: "odd", inputSchema: object }] }), callTool: () => Promise.resolve(result) });
    const bad: readonly (object | string | undefined)[] = [
      undefined,
      "text",
      {},
      { content: "text" },
      { content: [{ type: "text", text: 7 }] },
      { content: [{ type: "image", data: "?", mimeType: "image/png" }] },
      { content: [{ type: "image" }] },
      { content: [{ type: "resource_link" }] },
      { content: [{ type: "hologram" }] },
      { content: [null] },
      { content: [], structuredContent: JSON.parse('{"__proto__":{"x":1}}') as object },
    ];
    for (const result of bad) {
      const { results, errors } = await called(mcpTools({ client: odd(result) }), call("odd"));
      expect(results).toEqual([["odd", "the tool failed", true]]);
      expect(isMillraceError(errors[0], "bad_response"), JSON.stringify(result)).toBe(true);
    }
  });
});

describe("what the model is told", () => {
  const told = async (client: McpClient, options: Partial<McpToolsOptions> = {}) => {
    const model = mockModel(["end"]);
    await run(withTools(model, [mcpTools({ client, ...options })]), "q").collect();
    return model.calls[0]?.asked.tools ?? [];
  };

  test("every page of the list is read, and those are taken that are included and not excluded", async () => {
    const client = await listing([[{ name: "a", inputSchema: object }, { name: "b", inputSchema: object }], [{ name: "c", inputSchema: object }], [{ name: "d", inputSchema: object }]]);
    expect((await told(client)).map(({ name }) => name)).toEqual(["a", "b", "c", "d"]);
    expect((await told(client, { include: ["d", "b"], exclude: ["b"], prefix: "far" })).map(({ name }) => name)).toEqual(["far_d"]);
  });

  test("a call goes to the tool that the server knows by another name", async () => {
    const { results } = await called(await everything({ prefix: "all" }), call("all_echo", { words: "hi" }), call("echo", { words: "hi" }));
    expect(results).toEqual([["all_echo", "hi", false], ["echo", expect.stringContaining("there is no tool"), true]]);
  });

  test("descriptions are cut and hold nothing that only a model sees, in schemas too", async () => {
    const description = "Reads\u202e a\u{e0041} file.\u0007\n";
    const inputSchema = { $schema: "https://json-schema.org/draft/2020-12/schema", type: "object", properties: { description: { type: "string", description: "a\u200bb" } } };
    const client = await listing([[{ name: "read", description, inputSchema }, { name: "long", description: "😀".repeat(50), inputSchema: object }]]);
    expect(await told(client, { maxDescriptionChars: 20 })).toMatchObject([
      { description: "Reads a file.\n", parameters: { type: "object", properties: { description: { type: "string", description: "ab" } } } },
      { description: `${"😀".repeat(9)}…` },
    ]);
    expect((await told(client))[0]?.parameters).not.toHaveProperty("$schema");
  });

  test("lists that cannot be taken whole are errors that name what is wrong", async () => {
    const tool = (name: string, inputSchema: unknown = object) => ({ name, inputSchema });
    const list = (...tools: readonly unknown[]): McpClient => ({ listTools: () => Promise.resolve({ tools }), callTool: () => Promise.resolve({}) });
    const cases: readonly (readonly [McpClient, Partial<McpToolsOptions>, string, RegExp])[] = [
      [list(tool("a"), tool("b")), { maxTools: 1 }, "too_large", /2 tools, at most 1/],
      [list(tool("a")), { include: ["b"] }, "not_found", /no tool "b", it has: a/],
      [list(tool("a"), tool("a")), {}, "bad_response", /two tools named "a"/],
      [list({ inputSchema: object }), {}, "bad_response", /without a name/],
      [list(tool("a", { type: "array" })), {}, "bad_response", /arguments are no object/],
      [list(tool("a", "object")), {}, "bad_response", /usable schema/],
      [list(tool("a", JSON.parse('{"type":"object","__proto__":{}}'))), {}, "bad_response", /usable schema/],
      [list(tool("a", { type: "object", title: "x".repeat(500) })), { maxToolBytes: 400 }, "too_large", /more than 400 bytes/],
    ];
    for (const [client, options, code, message] of cases) {
      const error = await failing(told(client, options));
      expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    }
  });

  test("a server without tools is not asked for any", async () => {
    const client = await connectedTo(new Server({ name: "bare", version: "1" }, { capabilities: {} }));
    expect(await told(client)).toEqual([]);
  });

  test("the list is read anew for each run, and stays as it is during one", async () => {
    const server = toolServer();
    const client = await connectedTo(server);
    expect(await told(client, { include: ["echo"] })).toHaveLength(1);
    server.registerTool("later", {}, () => ({ content: [] }));
    expect(await told(client, { include: ["later"] })).toHaveLength(1);
  });
});

describe("the run", () => {
  test("nothing is asked before the first pull", async () => {
    let lists = 0;
    const client: McpClient = { listTools: () => ((lists += 1), Promise.resolve({ tools: [] })), callTool: () => Promise.resolve({}) };
    const stream = run(withTools(mockModel(["end"]), [mcpTools({ client })]), "q");
    expect(lists).toBe(0);
    await stream.collect();
    expect(lists).toBe(1);
  });

  test("an abort cancels the call at the server, and the run rejects with the reason", async () => {
    const events: string[] = [];
    const waiting = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<void>();
    const tools = await everything({}, (event) => (events.push(event), event === "waiting" ? waiting.resolve() : cancelled.resolve()));
    const controller = new AbortController();
    const reason = new Error("enough");
    const done = run(withTools(mockModel([[call("wait")], "end"]), [tools]), "q", { signal: controller.signal }).collect();
    await waiting.promise;
    controller.abort(reason);
    await expect(soon(done)).rejects.toBe(reason);
    await soon(cancelled.promise);
    expect(events).toEqual(["waiting", "cancelled"]);
  });

  test("a call that is left at its progress is cancelled, and hears the run no more", async () => {
    const signals: AbortSignal[] = [];
    const client: McpClient = {
      listTools: () => Promise.resolve({ tools: [] }),
      callTool: (_, { signal, onprogress }) => (signals.push(signal), onprogress?.({ progress: 1 }), new Promise(() => {})),
    };
    const connection = { client, server: "s", redact: String, isLost: false, failure: () => undefined, close: () => Promise.resolve() };
    const { signal } = new AbortController();
    const [added, removed] = [vi.spyOn(signal, "addEventListener"), vi.spyOn(signal, "removeEventListener")];
    const parts = calledTool(connection, { remote: "t", name: "t", parameters: {} }, {}, { signal, ended: () => undefined });
    expect((await parts.next()).value).toMatchObject({ text: "1", substream: "status", metadata: { mcp: { tool: "t" } } });
    expect(signals[0]?.aborted).toBe(false);
    await parts.return();
    expect(signals[0]?.aborted).toBe(true);
    expect([added.mock.calls.length, removed.mock.calls.length]).toEqual([1, 1]);
  });

  test("S50: a call that takes longer than `timeoutMs` is cancelled and an error result", async () => {
    const clock = fakeClock();
    const cancelled = Promise.withResolvers<void>();
    const tools = await everything({ timeoutMs: 50, clock }, (event) => void (event === "waiting" ? clock.advance(50) : cancelled.resolve()));
    const parts = await soon(run(withTools(mockModel([[call("wait"), call("lines")], "end"]), [tools], { clock }), "q").collect());
    expect(parts.flatMap((part) => (part.kind === "toolResult" ? [[part.name, part.result]] : []))).toEqual(
      expect.arrayContaining([["wait", "the tool took longer than 50 ms"], ["lines", "one\ntwo"]]),
    );
    await soon(cancelled.promise);
  });

  test("a list that does not come in `connectMs` fails the run", async () => {
    const clock = fakeClock();
    const asked = Promise.withResolvers<void>();
    const client: McpClient = { listTools: () => (asked.resolve(), new Promise(() => {})), callTool: () => Promise.resolve({}) };
    const done = failing(run(withTools(mockModel(["end"]), [mcpTools({ client, connectMs: 100, clock })]), "q").collect());
    await asked.promise;
    await clock.advance(100);
    expect(await soon(done)).toMatchObject({ code: "timeout", phase: "connect", message: "mcp: client: no list of tools for 100 ms" });
    expect(clock.pending).toBe(0);
  });

  test("a server that is gone is an error result in this run, and an error of the next", async () => {
    const client = await connectedTo(toolServer());
    const tools = mcpTools({ client });
    const errors: unknown[] = [];
    const parts: Part[] = [];
    await run(withTools(mockModel([[call("lines")], [call("lines")], "end"]), [tools], { onEvent: ({ error }) => errors.push(error) }), "q").forEach(async (part) => {
      parts.push(part);
      if (part.kind === "toolResult") await client.close();
    });
    expect(resultsIn(parts)).toEqual([["lines", "one\ntwo", false], ["lines", "the tool failed", true]]);
    expect(errors.map((error) => isMillraceError(error, "unavailable"))).toEqual([true]);
    expect((await failing(run(withTools(mockModel(["end"]), [tools]), "q").collect())).code).toBe("unavailable");
  });

  test("a passed client stays open, through runs and `close()`", async () => {
    const client = await connectedTo(toolServer());
    const tools = mcpTools({ client });
    await called(tools, call("lines"));
    await called(tools, call("lines"));
    await tools.close();
    await tools.close();
    expect((await client.listTools()).tools.length).toBeGreaterThan(5);
    expect((await failing(called(tools, call("lines")))).code).toBe("closed");
  });

  test("it is a source of tools, disposable, and shows no key", async () => {
    const tools: ToolSource & AsyncDisposable = mcpTools({ url: "https://tools.example/mcp", apiKey: "sk-canary-1234567890" });
    expect([tools.name, JSON.stringify(tools)]).toEqual(["tools.example", '{"name":"tools.example"}']);
    await tools[Symbol.asyncDispose]();
  });
});

test("bad options are refused by name, and no key is in the message", () => {
  const url = "https://tools.example/mcp";
  const refusals: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /options/],
    [{}, /one of url, command and client, got none/],
    [{ url, command: "node" }, /got url and command/],
    [{ url, args: [] }, /args belongs to command, not to url/],
    [{ command: "node", apiKey: "sk-canary" }, /apiKey belongs to url/],
    [{ url: "tools" }, /url must be an absolute URL/],
    [{ url: "http://tools.example/mcp" }, /url must be https/],
    [{ url: "https://me:sk-canary@tools.example" }, /url must hold no user name/],
    [{ url, apiKey: "sk-canary\n" }, /apiKey/],
    [{ url, headers: { "x-key": "sk-canary\r\n" } }, /x-key/],
    [{ command: "" }, /command/],
    [{ command: "a\0b" }, /command/],
    [{ command: "node", args: "sk-canary" }, /args/],
    [{ command: "node", env: { KEY: 7 } }, /env/],
    [{ command: "node", cwd: 7 }, /cwd/],
    [{ client: null }, /client/],
    [{ client: { callTool: () => {} } }, /client/],
    [{ url, prefix: "two words" }, /prefix/],
    [{ url, include: "a" }, /include/],
    [{ url, exclude: [1] }, /exclude/],
    [{ url, timeoutMs: 0 }, /timeoutMs/],
    [{ url, connectMs: Number.NaN }, /connectMs/],
    [{ url, maxTools: 0 }, /maxTools/],
    [{ url, maxToolBytes: 0.5 }, /maxToolBytes/],
    [{ url, maxDescriptionChars: 0 }, /maxDescriptionChars/],
    [{ url, maxMessageBytes: 0 }, /maxMessageBytes/],
    [{ url, idempotent: 1 }, /idempotent/],
    [{ url, keepOpen: "yes" }, /keepOpen/],
  ];
  for (const [options, message] of refusals) {
    expect(() => mcpTools(options as never)).toThrow(message);
    expect(() => mcpTools(options as never)).not.toThrow(/canary/);
  }
});
