import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { ollama, type OllamaOptions } from "../../src/adapters/ollama/index.ts";
import { codec } from "../../src/core/codec.ts";
import { bytes, errorPart, finish, image, json, status, text, toolCall, toolResult, uri } from "../../src/core/constructors.ts";
import { derive } from "../../src/core/derive.ts";
import type { Part } from "../../src/core/part.ts";
import { run } from "../../src/core/run.ts";
import type { OllamaRequest } from "../../src/wire/ollama/request.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { wireServer } from "./checked-server.ts";
import { answered, end, line, measures, said } from "./ollama/support.ts";
import { collect, failing, input, key, prompt } from "./openai/support.ts";

/** Asks once; gives the parts, what was sent, and the failure. */
async function ask(options: Partial<OllamaOptions>, parts: readonly (Part | string)[], lines: readonly unknown[] = answered(["ok"])) {
  await using server = await wireServer();
  server.script(said(lines));
  const all: Part[] = [];
  let error: unknown;
  try {
    for await (const part of ollama({ model: "qwen-test", baseUrl: server.url, ...options })(input(...parts))) all.push(part);
  } catch (caught) {
    error = caught;
  }
  return { parts: all, error, requests: server.requests, sent: server.requests[0]?.json() as OllamaRequest };
}

const textsOf = (parts: readonly Part[], substream = ""): string[] => parts.flatMap((part) => (part.kind === "text" && part.substream === substream ? [part.text] : []));

describe("a whole answer", () => {
  test("comes out as deltas and one finish part with reason, usage, model and measures", async () => {
    const { parts, requests } = await ask({}, [prompt], answered(["Hel", "", "lo"]));
    expect(parts.map((part) => [part.kind, part.role, part.substream])).toEqual([
      ["text", "assistant", ""],
      ["text", "assistant", ""],
      ["finish", "assistant", ""],
    ]);
    expect(textsOf(parts)).toEqual(["Hel", "lo"]);
    expect(parts.at(-1)).toMatchObject({ reason: "stop", rawReason: "stop", model: "qwen-test", metadata: { ollama: { usage: measures } } });
    expect((parts.at(-1) as { usage: object }).usage).toEqual({ inputTokens: 26, outputTokens: 282 });
    expect(requests.length).toBe(1);
    expect(requests[0]).toMatchObject({ method: "POST", path: "/api/chat" });
    expect(requests[0]?.headers).not.toHaveProperty("authorization");
  });

  test("may bring its last words with the end, and the end without a line end", async () => {
    await using server = await wireServer({ answer: { headers: { "content-type": "application/x-ndjson; charset=utf-8" }, frames: [JSON.stringify(end({ message: { role: "assistant", content: "all of it" } }))] } });
    expect(await run(ollama({ model: "m", baseUrl: `${server.url}/` }), "hi").text()).toBe("all of it");
    expect(server.requests[0]?.path).toBe("/api/chat");
  });

  test.each([
    ["stop", "stop", undefined],
    ["length", "length", "truncated"],
    ["load", "other", undefined],
    ["something of the future", "other", undefined],
    [undefined, "stop", undefined],
  ] as const)("the reason %s is %s, and %s under strictFinish", async (done_reason, reason, code) => {
    const { done_reason: _, ...open } = end();
    const lines = [line({ content: "a" }), done_reason === undefined ? open : { ...open, done_reason }];
    expect((await ask({}, [prompt], lines)).parts.at(-1)).toMatchObject({ kind: "finish", reason, rawReason: done_reason ?? "" });
    const { error, parts } = await ask({ strictFinish: true }, [prompt], lines);
    if (code === undefined) expect(parts.at(-1)).toMatchObject({ kind: "finish", reason });
    else expect(error).toMatchObject({ code: "interrupted", cause: { code } });
  });

  test("counts that are none are left out, as those of a prompt that was still in memory", async () => {
    const { prompt_eval_count: _, ...rest } = end({ eval_count: -1 });
    const { parts } = await ask({}, [prompt], [line({ content: "a" }), rest]);
    expect((parts.at(-1) as { usage: object }).usage).toEqual({});
    expect(parts.at(-1)).toMatchObject({ metadata: { ollama: { usage: { load_duration: 1_334_875 } } } });
  });

  test("what follows the end is ignored, be it an error or a second end", async () => {
    const { parts, error } = await ask({}, [prompt], [...answered(["a"]), { error: "late" }, ...answered(["b"])]);
    expect(error).toBeUndefined();
    expect(textsOf(parts)).toEqual(["a"]);
  });

  test("a pair of surrogates that was cut in two becomes whole, a lone one U+FFFD", async () => {
    expect(textsOf((await ask({}, [prompt], answered(["a\ud83d", "\udc69b", "c\ud800"]))).parts)).toEqual(["a", "\u{1f469}b", "c", "\ufffd"]);
  });
});

describe("thoughts and tool calls", () => {
  test("thoughts go out on their own substream, and go back with the answer they led to", async () => {
    const { parts } = await ask({ think: "low" }, [prompt], [line({ thinking: "Let me " }), line({ thinking: "see." }), ...answered(["Hel", "lo"])]);
    expect(textsOf(parts, "reasoning")).toEqual(["Let me ", "see."]);
    expect(textsOf(parts)).toEqual(["Hel", "lo"]);
    const kept = parts.map((part) => codec.decode(JSON.parse(JSON.stringify(codec.encode(part))) as never));
    const { sent } = await ask({}, [prompt, text("not mine", { role: "assistant", substream: "reasoning" }), ...kept, "and now?"]);
    expect(sent.messages).toEqual([
      { role: "user", content: prompt },
      { role: "assistant", content: "Hello", thinking: "Let me see." },
      { role: "user", content: "and now?" },
    ]);
  });

  test("tool calls go out whole, with the server's ids; results go back to their calls", async () => {
    const called = line({
      tool_calls: [
        { id: "call_a1", function: { index: 0, name: "weather", arguments: { city: "Oslo", days: [1, 2] } } },
        { id: "call_b2", function: { index: 1, name: "now", arguments: {} } },
      ],
    });
    const tools = [{ name: "weather", description: "Tells the weather", parameters: { type: "object", properties: { city: { type: "string" } } } }];
    const { parts, sent } = await ask({ tools }, [prompt], [line({ content: "One moment." }), called, end()]);
    expect(sent.tools).toEqual([{ type: "function", function: tools[0] }]);
    expect(parts).toMatchObject([
      { kind: "text", text: "One moment." },
      { kind: "toolCall", role: "assistant", id: "call_a1", name: "weather", arguments: { city: "Oslo", days: [1, 2] } },
      { kind: "toolCall", id: "call_b2", name: "now", arguments: {} },
      { kind: "finish", reason: "tool_calls", rawReason: "stop" },
    ]);
    const results = [toolResult({ id: "call_a1", name: "weather", result: { degrees: -3 } }), toolResult({ id: "call_b2", name: "now", result: "noon" })];
    const second = await ask({}, [prompt, ...parts, ...results]);
    expect(second.sent.messages.slice(1)).toEqual([
      {
        role: "assistant",
        content: "One moment.",
        tool_calls: [
          { id: "call_a1", function: { name: "weather", arguments: { city: "Oslo", days: [1, 2] } } },
          { id: "call_b2", function: { name: "now", arguments: {} } },
        ],
      },
      { role: "tool", content: '{"degrees":-3}', tool_name: "weather", tool_call_id: "call_a1" },
      { role: "tool", content: "noon", tool_name: "now", tool_call_id: "call_b2" },
    ]);
  });

  test("images of tools follow behind the results of the turn, as the user's", async () => {
    const seen = (id: string, byte: number): Part[] => [
      toolResult({ id, name: "look", result: id }),
      image(Uint8Array.of(byte), "image/png", { role: "tool", metadata: { toolResult: { id } } }),
    ];
    const calls = ["a", "b"].map((id) => toolCall({ id, name: "look", arguments: {} }));
    const { sent } = await ask({}, ["look", ...calls, ...seen("a", 1), ...seen("b", 2), "well?"]);
    expect(sent.messages.slice(2)).toEqual([
      { role: "tool", content: "a", tool_name: "look", tool_call_id: "a" },
      { role: "tool", content: "b", tool_name: "look", tool_call_id: "b" },
      { role: "user", content: "well?", images: ["AQ==", "Ag=="] },
    ]);
  });

  test("calls of a server that gives no ids get some, which never repeat", async () => {
    const call = { function: { name: "now", arguments: {} } };
    const lines = [line({ tool_calls: [call, call] }), line({ tool_calls: [call] }), end()];
    const ids = [...(await ask({}, [prompt], lines)).parts, ...(await ask({}, [prompt], lines)).parts].flatMap((part) => (part.kind === "toolCall" ? [part.id] : []));
    expect(ids.length).toBe(6);
    expect(new Set(ids).size).toBe(6);
  });

  test("arguments that are no object, as of another service's answer, go back within one", async () => {
    const call = toolCall({ id: "c", name: "f", arguments: '{"a":' });
    const { sent } = await ask({}, [prompt, call, toolResult({ id: "c", name: "f", result: "no" })]);
    expect(sent.messages[1]).toMatchObject({ tool_calls: [{ function: { arguments: { arguments: '{"a":' } } }] });
  });

  test("an answer that was cut after a call still says so", async () => {
    const { parts } = await ask({}, [prompt], [line({ tool_calls: [{ function: { name: "f", arguments: {} } }] }), end({ done_reason: "length" })]);
    expect(parts.at(-1)).toMatchObject({ reason: "length" });
  });

  test.each([
    ["a name that reaches a prototype", '{"name":"__proto__","arguments":{}}'],
    ["no name", '{"arguments":{}}'],
    ["a key that reaches a prototype", '{"name":"f","arguments":{"a":{"__proto__":1}}}'],
    ["arguments 10,000 deep", `{"name":"f","arguments":${"[".repeat(10_000)}${"]".repeat(10_000)}}`],
  ])("a tool call with %s is a bad answer", async (_, called) => {
    await using server = await wireServer({
      answer: { headers: { "content-type": "application/x-ndjson" }, frames: [`{"message":{"role":"assistant","content":"","tool_calls":[{"function":${called}}]},"done":false}\n`, `${JSON.stringify(end())}\n`] },
    });
    const { parts, error } = await failing(ollama({ model: "m", baseUrl: server.url })(input(prompt)));
    expect(parts).toEqual([]);
    expect(error).toMatchObject({ code: "bad_response" });
  });
});

describe("what is sent", () => {
  const png = Uint8Array.of(137, 80, 78, 71);

  test("texts, JSON and images of one role are one message, the deltas of an answer one text", async () => {
    const { sent } = await ask({}, ["look", image(png), json({ a: [1] }), image(png, "image/webp"), text("Hel", { role: "assistant" }), text("lo", { role: "assistant" }), text("tool says", { role: "tool" })]);
    expect(sent.messages).toEqual([
      { role: "user", content: 'look\n\n{"a":[1]}', images: ["iVBORw==", "iVBORw=="] },
      { role: "assistant", content: "Hello" },
      { role: "user", content: "tool says" },
    ]);
  });

  test("status, debug, sources, other models' reasoning, finish and error parts are not sent", async () => {
    const { sent } = await ask({}, [
      status("working"),
      text("thought", { role: "assistant", substream: "reasoning", metadata: { openai: { item: {} } } }),
      json({ url: "x" }, { substream: "sources" }),
      finish({ reason: "stop" }),
      errorPart({ code: "timeout", message: "secret failure", ordinal: 0 }),
      "only this",
    ]);
    expect(sent.messages).toEqual([{ role: "user", content: "only this" }]);
  });

  test("the options, and no key that has no value", async () => {
    const { sent } = await ask(
      {
        system: "Be brief.",
        maxOutputTokens: 100,
        contextTokens: 8_192,
        temperature: 0.5,
        topP: 0.9,
        seed: 7,
        stop: ["END"],
        think: false,
        keepAliveMs: 60_000,
        output: { schema: { type: "object" } },
        extra: { logprobs: true, stream: false, model: "other", options: { top_k: 5, temperature: 2 } },
      },
      [prompt],
    );
    expect(sent).toEqual({
      model: "qwen-test",
      messages: [{ role: "system", content: "Be brief." }, { role: "user", content: prompt }],
      stream: true,
      truncate: false,
      shift: false,
      format: { type: "object" },
      think: false,
      keep_alive: "60000ms",
      logprobs: true,
      options: { num_predict: 100, num_ctx: 8_192, temperature: 0.5, top_p: 0.9, top_k: 5, seed: 7, stop: ["END"] },
    });
    const bare = (await ask({ truncateInput: true }, [prompt])).sent;
    expect(Object.keys(bare).sort()).toEqual(["messages", "model", "stream"]);
    expect((await ask({ keepAliveMs: Infinity, output: "json" }, [prompt])).sent).toMatchObject({ keep_alive: -1, format: "json" });
  });

  test.each([
    ["no parts", []],
    ["nothing but system text", [text("be brief", { role: "system" })]],
    ["nothing but empty text", [""]],
    ["nothing but a finish part", [finish({ reason: "stop" })]],
  ])("%s: no request, which would only load the model, and no parts", async (_, parts) => {
    const { parts: out, error, requests } = await ask({ system: "s" }, parts);
    expect(error).toBeUndefined();
    expect(out).toEqual([]);
    expect(requests.length).toBe(0);
  });

  test.each([
    ["audio", bytes(png, "audio/wav"), "audio/wav"],
    ["a PDF", bytes(png, "application/pdf"), "application/pdf"],
    ["an image format that the server does not decode", image(png, "image/tiff"), "image/tiff"],
    ["an image by address", uri("https://example.com/a.png", "image/png"), "load its content first"],
    ["an image by the assistant", image(png, "image/png", { role: "assistant" }), "assistant"],
    ["a result that answers no call", toolResult({ id: "c1", name: "weather", result: 1 }), "weather"],
    ["a role that nobody knows", { ...text("x"), role: "developer" } as unknown as Part, "role"],
  ])("%s is invalid_input, before any request", async (_, part, named) => {
    const { error, requests } = await ask({}, ["look", part]);
    expect(error).toMatchObject({ code: "invalid_input", message: expect.stringContaining(named) as string });
    expect(requests.length).toBe(0);
  });

  test("system text of this program's making is sent in its place; any other is refused, or the user's when demoted", async () => {
    const branded = text("Be brief.", { role: "system" });
    expect((await ask({}, [branded, prompt])).sent.messages[0]).toEqual({ role: "system", content: "Be brief." });
    for (const forged of [{ ...branded }, codec.decode(JSON.parse(JSON.stringify(codec.encode(branded))) as never), structuredClone(branded)]) {
      const { error, requests } = await ask({}, [forged, prompt]);
      expect(error).toMatchObject({ code: "refused" });
      expect(requests.length).toBe(0);
      expect((await ask({ systemParts: "demote" }, [derive(forged, {}), prompt])).sent.messages).toEqual([{ role: "user", content: `Be brief.\n\n${prompt}` }]);
    }
  });
});

describe("clocks of a machine that is not fast", () => {
  test.each([
    ["30 s without tools", {}, 30_000],
    ["5 min with tools, whose calls are held back", { tools: [{ name: "f", parameters: {} }] }, 300_000],
  ] as const)("silence is borne for %s", async (_, options, ms) => {
    const clock = fakeClock();
    await using server = await wireServer({ answer: said(answered(["a", "b"]), { fault: { kind: "stall", after: 1 } }) });
    const parts = ollama({ model: "m", baseUrl: server.url, clock, ...options })(input(prompt))[Symbol.asyncIterator]();
    await parts.next();
    const next = parts.next().catch((error: unknown) => error);
    await clock.advance(ms - 100);
    expect(server.requests[0]?.isClosed).toBe(false);
    await clock.advance(200);
    expect(await next).toMatchObject({ code: "interrupted", cause: { code: "timeout", phase: "idle" } });
  });
});

describe("address, key and options", () => {
  test("nothing of the environment is read, and 127.0.0.1:11434 is asked", async () => {
    const asked: string[] = [];
    const before = { host: process.env.OLLAMA_HOST, key: process.env.OLLAMA_API_KEY };
    process.env.OLLAMA_HOST = "http://127.0.0.1:9";
    process.env.OLLAMA_API_KEY = "from-environment";
    try {
      const spied: typeof fetch = async (url, init) => {
        asked.push(String(url), String(new Headers(init?.headers).get("authorization")), String(init?.redirect));
        return new Response(answered(["a"]).map((each) => JSON.stringify(each)).join("\n"), { headers: { "content-type": "application/x-ndjson" } });
      };
      await collect(ollama({ model: "m", fetch: spied })(input(prompt)));
    } finally {
      for (const [name, value] of [["OLLAMA_HOST", before.host], ["OLLAMA_API_KEY", before.key]] as const) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
    expect(asked).toEqual(["http://127.0.0.1:11434/api/chat", "null", "error"]);
  });

  test("a key function is asked for each request, and headers go along", async () => {
    let count = 0;
    await using server = await wireServer({ answer: said(answered(["a"])) });
    const model = ollama({ model: "m", baseUrl: server.url, apiKey: async () => `key-number-${++count}`, headers: { "x-team": "blue" } });
    await collect(model(input(prompt)));
    await collect(model(input(prompt)));
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer key-number-1", "Bearer key-number-2"]);
    expect(server.requests[0]?.headers["x-team"]).toBe("blue");
  });

  test("http to another machine is for those who ask for it, and never with a key", async () => {
    const asked: string[] = [];
    const spied: typeof fetch = async (url) => {
      asked.push(String(url));
      return new Response(JSON.stringify(end()), { headers: { "content-type": "application/x-ndjson" } });
    };
    await collect(ollama({ model: "m", baseUrl: "http://ollama:11434/", allowHttp: true, fetch: spied })(input(prompt)));
    await collect(ollama({ model: "m", baseUrl: "https://ollama.example.com", allowHttp: true, fetch: spied })(input(prompt)));
    expect(asked).toEqual(["http://ollama:11434/api/chat", "https://ollama.example.com/api/chat"]);
  });

  test.each([
    ["model", { model: "" }, "model"],
    ["http to another machine", { baseUrl: "http://192.168.1.5:11434" }, "https"],
    ["http with a password", { baseUrl: "http://me:hunter2@box", allowHttp: true }, "password"],
    ["http with a key", { baseUrl: "http://box", allowHttp: true, apiKey: key }, "allowHttp"],
    ["ftp", { baseUrl: "ftp://box", allowHttp: true }, "https"],
    ["an address that is none", { baseUrl: "nowhere" }, "baseUrl"],
    ["a header over two lines", { headers: { "x-a": "1\r\nx-b: 2" } }, "x-a"],
    ["a key over two lines", { apiKey: "sk-a\nb" }, "apiKey"],
    ["temperature", { temperature: -1 }, "temperature"],
    ["topP", { topP: 2 }, "topP"],
    ["think", { think: "extreme" }, "think"],
    ["output", { output: "xml" }, "output"],
    ["keepAliveMs", { keepAliveMs: -1 }, "keepAliveMs"],
    ["contextTokens", { contextTokens: 1.5 }, "contextTokens"],
    ["maxOutputTokens", { maxOutputTokens: 0 }, "maxOutputTokens"],
    ["seed", { seed: -1 }, "seed"],
    ["system", { system: 5 }, "system"],
    ["systemParts", { systemParts: "allow" }, "systemParts"],
    ["allowHttp", { allowHttp: "yes" }, "allowHttp"],
  ])("a bad option is refused when the model is built: %s", (_, options, named) => {
    const build = (): unknown => ollama({ model: "m", ...options } as unknown as OllamaOptions);
    expect(build).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(named) as string }) as Error);
    expect(build).not.toThrow(/hunter2|x-b|sk-/);
  });

  test.each([0, -1, Number.NaN, Infinity])("a clock of %s ms is missing_config", (ms) => {
    for (const name of ["firstPartMs", "idleMs"]) {
      expect(() => ollama({ model: "m", [name]: ms })).toThrow(expect.objectContaining({ code: "missing_config", message: expect.stringContaining(name) as string }) as Error);
    }
  });

  test("the model shows no key", () => {
    expect(inspect(ollama({ model: "m", apiKey: key }), { depth: 10, showHidden: true })).not.toContain(key);
  });
});
