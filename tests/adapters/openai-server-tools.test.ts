import type { ResponseCreateParamsStreaming, ResponseInputItem, ResponseOutputItem } from "openai/resources/responses/responses";
import { describe, expect, test } from "vitest";
import { azureOpenai } from "../../src/adapters/azure-openai/index.ts";
import { openai, type OpenAIOptions } from "../../src/adapters/openai/index.ts";
import { codec } from "../../src/core/codec.ts";
import { image } from "../../src/core/constructors.ts";
import type { Part } from "../../src/core/part.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { responsesFrames, sseAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "../../src/testing/wire-server.ts";
import { completed, imageEvents, messageEvents, numbered, opening, reasoningEvents, reasoningItem, type Unnumbered } from "./openai/responses-fixture.ts";
import { failing, input, key, prompt } from "./openai/support.ts";

type Sent = ResponseCreateParamsStreaming & { readonly input: ResponseInputItem[] };

const framesOf = (events: readonly Unnumbered[]): string[] => responsesFrames(numbered([...opening, ...events]));

/** Asks once; gives the parts, what was sent, and the failure. */
async function ask(options: Partial<OpenAIOptions>, parts: readonly (Part | string)[], events: readonly Unnumbered[] = messageEvents(["ok"])) {
  await using server = await wireServer({ answer: sseAnswer(framesOf([...events, completed])) });
  const model = openai({ model: "gpt-test", baseUrl: `${server.url}/v1`, apiKey: key, ...options } as OpenAIOptions);
  const all: Part[] = [];
  let error: unknown;
  try {
    for await (const part of model(input(...parts))) all.push(part);
  } catch (caught) {
    error = caught;
  }
  return { parts: all, error, sent: server.requests[0]?.json() as Sent, body: server.requests[0]?.body };
}

const throughCodec = (parts: readonly Part[]): Part[] => parts.map((part) => codec.decode(JSON.parse(JSON.stringify(codec.encode(part))) as never));

/** An item that came whole. */
const done = (item: ResponseOutputItem, output_index = 0): Unnumbered => ({ type: "response.output_item.done", output_index, item });

const searched: ResponseOutputItem = { type: "web_search_call", id: "ws_1", status: "completed", action: { type: "search", query: "soup", queries: ["soup"] } };
const ran: ResponseOutputItem = { type: "code_interpreter_call", id: "ci_1", status: "completed", code: "1 + 1", container_id: "cntr_1", outputs: [{ type: "logs", logs: "2" }] };
const found: ResponseOutputItem = { type: "file_search_call", id: "fs_1", status: "completed", queries: ["soup"], results: null };
const listed: ResponseOutputItem = { type: "mcp_list_tools", id: "mcpl_1", server_label: "cook", tools: [{ name: "mince", input_schema: {} }] };
const called: ResponseOutputItem = { type: "mcp_call", id: "mcp_1", server_label: "cook", name: "mince", arguments: "{}", output: "minced" };
const asking: ResponseOutputItem = { type: "mcp_approval_request", id: "mcpr_1", server_label: "cook", name: "burn", arguments: "{}" };

describe("what is asked", () => {
  test("tools of the service stand behind functions; the choice of one names its type, but for a function of that name", async () => {
    const serverTools = [{ type: "image_generation", partial_images: 2 }, { type: "web_search" }];
    const tool = { name: "web_search", parameters: { type: "object" } };
    const { sent } = await ask({ serverTools, tools: [tool], toolChoice: { name: "image_generation" } }, [prompt]);
    expect(sent.tools).toEqual([{ type: "function", strict: false, ...tool }, ...serverTools]);
    expect(sent.tool_choice).toEqual({ type: "image_generation" } satisfies Sent["tool_choice"]);
    expect((await ask({ serverTools, tools: [tool], toolChoice: { name: "web_search" } }, [prompt])).sent.tool_choice).toEqual({ type: "function", name: "web_search" });
    expect((await ask({ serverTools: [] }, [prompt])).sent).not.toHaveProperty("tools");
  });

  test.each([[{ type: "web_search" }], [["web_search"]], [[{ name: "web_search" }]]])("%j is no list of them", (serverTools) => {
    const build = (): unknown => openai({ model: "m", serverTools } as unknown as OpenAIOptions);
    expect(build).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining("serverTools") as string }) as Error);
  });

  test("Azure's chat has none", () => {
    const build = (): unknown => azureOpenai({ endpoint: "https://example.openai.azure.com", apiVersion: "v1", deployment: "d", serverTools: [{ type: "web_search" }] });
    expect(build).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining("serverTools") as string }) as Error);
  });
});

describe("images that the service makes", () => {
  test("are bytes of the format that it names; what there is of them before comes on `partial`", async () => {
    const { parts } = await ask({}, [prompt], [...imageEvents("AQID", ["AQ==", "AQI="], { output_format: "webp", revised_prompt: "soup, oil on canvas" }), ...messageEvents(["Here."], 1)]);
    expect(parts).toMatchObject([
      { kind: "bytes", mimeType: "image/webp", bytes: Uint8Array.of(1), substream: "partial", role: "assistant", metadata: { openai: { partialImage: { id: "ig_1", index: 0 } } } },
      { kind: "bytes", mimeType: "image/webp", bytes: Uint8Array.of(1, 2), substream: "partial", metadata: { openai: { partialImage: { index: 1 } } } },
      { kind: "bytes", mimeType: "image/webp", bytes: Uint8Array.of(1, 2, 3), substream: "", role: "assistant", metadata: { openai: { item: { id: "ig_1", revised_prompt: "soup, oil on canvas" } } } },
      { kind: "text", text: "Here." },
      { kind: "finish", reason: "stop" },
    ]);
    expect(JSON.stringify(parts[2]?.metadata)).not.toContain("AQID");
  });

  test.each([[undefined, "image/png"], ["jpeg", "image/jpeg"], ["svg", "image/svg+xml"]] as const)("format %s is %s", async (output_format, mimeType) => {
    const { parts } = await ask({}, [prompt], imageEvents("AQID", [], output_format === undefined ? {} : { output_format }));
    expect(parts[0]).toMatchObject({ kind: "bytes", mimeType });
  });

  test("go back in their place, whole and without what only answers have, behind the reasoning that led to them; what was partial does not", async () => {
    const { parts } = await ask({}, [prompt], [...reasoningEvents, ...imageEvents("AQID", ["AQ=="], { action: "generate", status: "generating" }, 1), ...messageEvents(["Here."], 2)]);
    const { sent } = await ask({}, [prompt, ...throughCodec(parts), "make it blue"]);
    expect(sent.input).toEqual([
      { role: "user", content: [{ type: "input_text", text: prompt }] },
      reasoningItem,
      { type: "image_generation_call", id: "ig_1", status: "completed", result: "AQID" } satisfies ResponseInputItem,
      { role: "assistant", content: [{ type: "output_text", text: "Here.", annotations: [] }] },
      { role: "user", content: [{ type: "input_text", text: "make it blue" }] },
    ]);
  });

  test("are of their service: another refuses them as any image by the assistant", async () => {
    const { parts } = await ask({}, [prompt], imageEvents("AQID"));
    const azure = azureOpenai({ endpoint: "https://example.openai.azure.com", apiVersion: "v1", deployment: "d", api: "responses", apiKey: key });
    expect((await failing(azure(input(prompt, ...parts, "and now?")))).error).toMatchObject({ code: "invalid_input", message: expect.stringContaining("role assistant") as string });
  });

  test.each([null, ""])("one that came to nothing (%j) is JSON on `sources`, and does not go back", async (result) => {
    const { parts } = await ask({}, [prompt], imageEvents(result, [], { status: "failed" }));
    expect(parts).toMatchObject([{ kind: "json", substream: "sources", value: { type: "image_generation_call", status: "failed" } }, { kind: "finish" }]);
    expect((await ask({}, [prompt, ...parts, "again"])).body).not.toContain("ig_1");
  });

  test.each([
    ["a whole image that is no base64", imageEvents("A")],
    ["a partial one that is no base64", imageEvents("AQID", ["*"])],
    ["a format that is none", imageEvents("AQID", [], { output_format: "png; x" as "png" })],
  ])("%s is a bad answer", async (_, events) => {
    const { parts, error } = await ask({}, [prompt], events);
    expect(parts).toEqual([]);
    expect(error).toMatchObject({ code: "bad_response" });
  });

  test("may come in events of more than 8 MiB, where they were asked for", async () => {
    const big = imageEvents("AAAA".repeat(3_000_000));
    const { parts } = await ask({ serverTools: [{ type: "image_generation" }] }, [prompt], big);
    expect(parts[0]?.kind === "bytes" && parts[0].bytes.byteLength).toBe(9_000_000);
    expect((await ask({ serverTools: [{ type: "web_search" }] }, [prompt], big)).error).toMatchObject({ code: "too_large" });
  });
});

describe("tools that the service runs", () => {
  test("are JSON on `sources`, in their place, and go back unchanged", async () => {
    const items = [searched, ran, found, listed, called];
    const { parts } = await ask({}, [prompt], [...reasoningEvents, ...items.map((item, at) => done(item, at + 1)), ...messageEvents(["ok"], 9)]);
    expect(parts.filter(({ substream }) => substream === "sources").map((part) => part.kind === "json" && part.value)).toEqual(items);
    const { sent } = await ask({}, [prompt, ...throughCodec(parts)]);
    expect(sent.input.slice(1, -1)).toEqual([reasoningItem, ...items]);
  });

  test("one that waits for an approval is JSON too, and does not go back: no part approves", async () => {
    const { parts } = await ask({}, [prompt], [done(asking)]);
    expect(parts[0]).toMatchObject({ kind: "json", substream: "sources", value: asking });
    expect((await ask({}, [prompt, ...parts, "and now?"])).body).not.toContain("mcpr_1");
  });

  test("JSON on `sources` that is no item of this service is not sent", async () => {
    const { parts } = await ask({}, [prompt], [done(searched)]);
    const others = parts.flatMap((part): Part[] => [
      { ...part, metadata: {} },
      { ...part, metadata: { openai: { item: true, service: "azure-openai" } } },
      { ...part, role: "user" },
    ]);
    expect((await ask({}, [prompt, ...others])).sent.input.length).toBe(1);
  });

  test("are signs of life, and may be silent for two minutes", async () => {
    const clock = fakeClock();
    const searching = numbered([...opening, { type: "response.web_search_call.in_progress", item_id: "ws_1", output_index: 0 }]);
    await using server = await wireServer({ answer: sseAnswer(responsesFrames(searching), { fault: { kind: "stall", after: 9 } }) });
    const seen = Promise.withResolvers<void>();
    const counted: typeof fetch = async (...args) => {
      const response = await fetch(...args);
      let events = 0;
      const body = response.body?.pipeThrough(new TransformStream<Uint8Array, Uint8Array>({
        transform(bytes, controller) {
          events += new TextDecoder().decode(bytes).split("event: ").length - 1;
          controller.enqueue(bytes);
          if (events === searching.length) setImmediate(seen.resolve);
        },
      }));
      return new Response(body ?? null, response);
    };
    const model = openai({ model: "m", baseUrl: server.url, apiKey: key, clock, firstPartMs: 5_000, fetch: counted, serverTools: [{ type: "web_search" }] });
    const pending = failing(model(input(prompt)));
    await seen.promise;
    await clock.advance(119_000);
    expect(server.requests[0]?.isClosed).toBe(false);
    await clock.advance(2_000);
    expect((await pending).error).toMatchObject({ code: "timeout", phase: "idle", message: expect.stringContaining("120000 ms") as string });
  });
});

test("an image by the assistant that no service made is invalid_input", async () => {
  const forged = image(Uint8Array.of(1), "image/png", { role: "assistant", metadata: { openai: { item: { type: "image_generation_call" } } } });
  expect((await ask({}, [prompt, forged])).error).toMatchObject({ code: "invalid_input" });
});
