import type { MessageCreateParamsStreaming } from "@anthropic-ai/sdk/resources/messages/messages";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { codec } from "../../src/core/codec.ts";
import { toolResult } from "../../src/core/constructors.ts";
import type { Part } from "../../src/core/part.ts";
import { ending, opening } from "./anthropic/messages-fixture.ts";
import { collect, framesOf, input, modelAt, prompt } from "./anthropic/support.ts";

/** A block of an answer: how it comes, in deltas, and how it must go back. */
interface Told {
  readonly start: { readonly type: string; readonly [field: string]: unknown };
  readonly deltas: readonly object[];
  readonly back: object;
}

/** Cuts a text anywhere, within characters of two code units too. */
const pieces = (whole: string, at: readonly number[]): string[] => {
  const places = [0, ...at.map((place) => place % (whole.length + 1)).sort((a, b) => a - b), whole.length];
  return places.slice(1).map((place, index) => whole.slice(places[index], place));
};

const words = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((it) => it.isWellFormed());
const visible = words.filter((it) => it.trim() !== "");
const cuts = fc.array(fc.nat(40), { maxLength: 3 });
const opaque = fc.base64String({ minLength: 4, maxLength: 40 });

const textBlock: fc.Arbitrary<Told> = fc.tuple(visible, cuts, fc.array(fc.tuple(visible, opaque), { maxLength: 2 })).map(([text, at, cited]) => {
  const citations = cited.map(([cited_text, encrypted_index]) => ({ type: "web_search_result_location", cited_text, encrypted_index, title: null, url: "https://example.com" }));
  return {
    start: { type: "text", text: "", citations: null },
    deltas: [...citations.map((citation) => ({ type: "citations_delta", citation })), ...pieces(text, at).map((piece) => ({ type: "text_delta", text: piece }))],
    back: { type: "text", text, ...(citations.length === 0 ? {} : { citations }) },
  };
});
const thinking: fc.Arbitrary<Told> = fc.tuple(fc.oneof(words, fc.constant("")), cuts, opaque).map(([thought, at, signature]) => ({
  start: { type: "thinking", thinking: "", signature: "" },
  deltas: [...pieces(thought, at).map((piece) => ({ type: "thinking_delta", thinking: piece })), { type: "signature_delta", signature }],
  back: { type: "thinking", thinking: thought, signature },
}));
const redacted: fc.Arbitrary<Told> = opaque.map((data) => ({ start: { type: "redacted_thinking", data }, deltas: [], back: { type: "redacted_thinking", data } }));
const searched: fc.Arbitrary<Told> = fc.tuple(words, opaque).map(([title, encrypted_content]) => {
  const block = { type: "web_search_tool_result", tool_use_id: "srvtoolu_1", caller: { type: "direct" }, content: [{ type: "web_search_result", url: "https://example.com", title, encrypted_content, page_age: null }] };
  return { start: block, deltas: [], back: block };
});
const argument = fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.oneof(words, fc.integer(), fc.boolean(), fc.constant(null)), { maxKeys: 3, noNullPrototype: true });
const used = (type: "tool_use" | "server_tool_use", caller: object): fc.Arbitrary<Told> =>
  fc.tuple(fc.uuid(), argument, cuts).map(([id, value, at]) => ({
    start: { type, id, name: "web_search", input: {}, caller },
    deltas: pieces(JSON.stringify(value), at).map((partial_json) => ({ type: "input_json_delta", partial_json })),
    back: type === "tool_use" ? { type, id, name: "web_search", input: value } : { type, id, name: "web_search", input: value, caller },
  }));
const answer = fc.array(fc.oneof(textBlock, thinking, redacted, searched, used("tool_use", { type: "direct" }), used("server_tool_use", { type: "direct" })), { minLength: 1, maxLength: 8 });

const eventsOf = (blocks: readonly Told[]): { readonly type: string }[] => [
  ...opening,
  ...blocks.flatMap(({ start, deltas }, index) => [{ type: "content_block_start", index, content_block: start }, ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })), { type: "content_block_stop", index }]),
  ...ending("end_turn"),
];

/** Asks without a network; gives the parts and what was sent, to the letter. */
async function ask(parts: readonly (Part | string)[], blocks: readonly Told[]): Promise<{ readonly parts: Part[]; readonly sent: string }> {
  let sent = "";
  const fetch = async (_: unknown, init?: RequestInit): Promise<Response> => {
    sent = String(init?.body);
    return new Response(framesOf(eventsOf(blocks)).join(""), { headers: { "content-type": "text/event-stream" } });
  };
  return { parts: await collect(modelAt("http://127.0.0.1:1", { fetch })(input(...parts))), sent };
}

test("whatever an answer holds goes back as it came, byte for byte, after a trip through the codec", async () => {
  await fc.assert(
    fc.asyncProperty(answer, fc.boolean(), async (blocks, binary) => {
      const { parts } = await ask([prompt], blocks);
      const kept = parts.map((part) => (binary ? codec.decodeBinary(codec.encodeBinary(part)) : codec.decode(JSON.parse(JSON.stringify(codec.encode(part))) as never)));
      const results = kept.flatMap((part) => (part.kind === "toolCall" ? [toolResult({ id: part.id, name: part.name, result: "done" })] : []));
      const { sent } = await ask([prompt, ...kept, ...results, "and now?"], []);
      const { messages } = JSON.parse(sent) as MessageCreateParamsStreaming;
      expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
      expect(JSON.stringify(messages[1]?.content)).toBe(JSON.stringify(blocks.map(({ back }) => back)));
    }),
    { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
  );
});
