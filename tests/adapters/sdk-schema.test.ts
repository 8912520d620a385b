/** The schemas of the clients' types: that they are those of the installed versions, that they refuse, and that the fixtures keep them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as messages from "./anthropic/messages-fixture.ts";
import * as gemini from "./gemini/fixture.ts";
import * as ollama from "./ollama/support.ts";
import * as chat from "./openai/chat-fixture.ts";
import { embeddings } from "./openai/embeddings-fixture.ts";
import * as responses from "./openai/responses-fixture.ts";
import { type Client, clients, misfit, schemaFile, type Shape } from "./sdk-schema.ts";

const root = join(import.meta.dirname, "..", "..");
const read = (...path: string[]): unknown => JSON.parse(readFileSync(join(root, ...path), "utf8"));

const packages: Readonly<Record<Client, string>> = { openai: "openai", anthropic: "@anthropic-ai/sdk", gemini: "@google/genai", ollama: "ollama" };

describe("the schemas are those of the clients that are installed", () => {
  const { dependencies: pinned } = read("tests", "sdk-schemas", "package.json") as { readonly dependencies: Readonly<Record<string, string>> };
  const { devDependencies: own } = read("package.json") as { readonly devDependencies: Readonly<Record<string, string>> };

  test.each(clients)("%s", (client) => {
    const name = packages[client];
    // the project speaks to Ollama without its client: there is only the pin
    const installed = client === "ollama" ? pinned[name] : (read("node_modules", ...name.split("/"), "package.json") as { readonly version: string }).version;
    expect(schemaFile(client).$comment, "the schemas are old: node tests/sdk-schemas/generate.ts").toBe(`${name} ${installed}`);
    expect(pinned[name], "tests/sdk-schemas/package.json pins another version than package.json").toBe(own[name] ?? installed);
  });
});

describe("the events of the fixtures are of the clients' types", () => {
  const { answered, block, callEvents, ending, opening, ping, searchEvents, textEvents, thinkingEvents } = messages;
  const sent: readonly (readonly [shape: Shape, events: readonly unknown[]])[] = [
    [
      "openai.responsesEvent",
      responses.numbered([
        ...responses.opening,
        ...responses.reasoningEvents,
        ...responses.messageEvents(["a", "b"], 1),
        ...responses.callEvents({ id: "fc_1", callId: "call_1", name: "f", args: "{}" }, 2),
        responses.completed,
      ]),
    ],
    ["openai.chatEvent", [...chat.answered(["a", "b"], "tool_calls"), chat.callChunk({ index: 0, id: "call_1", type: "function", function: { name: "f", arguments: "{}" } })]],
    ["openai.embeddingsAnswer", [embeddings([[1, 0.5]])]],
    [
      "anthropic.messagesEvent",
      [
        ...opening,
        ping,
        ...answered(["a", "b"]),
        ...thinkingEvents(),
        ...block(1, { type: "redacted_thinking", data: "EmwKAhgB" }),
        ...textEvents(["a"], 2, [{ type: "web_search_result_location", cited_text: "a", encrypted_index: "Eo8B", title: null, url: "https://example.com" }]),
        ...callEvents({ id: "toolu_1", name: "f", input: ["{}"] }, 3),
        ...searchEvents(4),
        ...ending("tool_use"),
      ],
    ],
    ["gemini.generateEvent", [...gemini.answered(["a", "b"]), ...gemini.rich]],
    ["ollama.chatEvent", [...ollama.answered(["a", "b"]), ollama.line({ thinking: "hm", tool_calls: [{ id: "c", function: { index: 0, name: "f", arguments: {} } }] })]],
  ];

  test.each(sent)("%s", (shape, events) => {
    for (const event of events) expect(misfit(shape, JSON.parse(JSON.stringify(event)))).toBeUndefined();
  });
});

describe("what the clients have no type for is refused", () => {
  const asked = { model: "m", stream: true, max_tokens: 5, messages: [{ role: "user", content: "hi" }] };

  test("a field that is not there", () => {
    expect(misfit("anthropic.messagesRequest", asked)).toBeUndefined();
    expect(misfit("anthropic.messagesRequest", { ...asked, max_output_tokens: 5 })).toContain("max_output_tokens");
    expect(misfit("openai.chatRequest", { ...asked, max_output_tokens: 5 })).toContain("max_output_tokens");
  });

  test("a field that is missing", () => {
    expect(misfit("anthropic.messagesRequest", { ...asked, max_tokens: undefined })).toContain("max_tokens");
  });

  test("null for what is absent", () => {
    expect(misfit("anthropic.messagesRequest", { ...asked, system: null })).toContain("/system");
  });

  test("a word that is none of the known ones, deep in a message", () => {
    const odd = { contents: [{ role: "user", parts: [{ inlineData: { mime_type: "image/png", data: "AA==" } }] }] };
    expect(misfit("gemini.generateRequest", odd)).toContain("/contents/0/parts/0/inlineData");
    expect(misfit("ollama.chatRequest", { model: "m", messages: [{ role: "user", content: [{ text: "hi" }] }] })).toContain("/messages/0/content");
  });

  test("an event without its usage", () => {
    expect(misfit("openai.chatEvent", chat.usageChunk)).toBeUndefined();
    expect(misfit("openai.chatEvent", { ...chat.usageChunk, usage: { prompt_tokens: 1 } })).toContain("/usage");
  });
});
