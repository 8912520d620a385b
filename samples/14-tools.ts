// Tools: a model calls functions of yours, gets their results, and goes on. Calls of one turn run at the same time; what goes wrong in
// a tool is told to the model, which may do better.
//
// prints: -> weather {"city":"Oslo"}
// prints: -> weather {"city":"Atlantis"}
// prints: <- weather failed: no such city: Atlantis
// prints: <- weather {"city":"Oslo","celsius":4}
// prints: It is 4 °C in Oslo; I know nothing of Atlantis.
// prints: asked 2 times
import { isText, MillraceError, run, tool, withTools } from "millrace";
import { mockModel } from "millrace/testing";
import { z } from "zod";

const celsius: Readonly<Record<string, number>> = { Oslo: 4, Cairo: 31 };

const weather = tool({
  name: "weather",
  description: "The weather in a city now.",
  input: z.object({ city: z.string() }), // any Standard Schema, or a JSON Schema
  timeoutMs: 5_000,
  idempotent: true,
  run: async ({ city }) => {
    const found = celsius[city];
    if (found === undefined) throw new MillraceError("tool_failed", `no such city: ${city}`); // the model reads this, and of other errors nothing
    return { city, celsius: found };
  },
});

// In place of a model: `openai({ model: "gpt-5-mini" })`, or any other.
const model = mockModel([
  [{ toolCall: { name: "weather", arguments: { city: "Oslo" } } }, { toolCall: { name: "weather", arguments: { city: "Atlantis" } } }],
  "It is 4 °C in Oslo; I know nothing of Atlantis.",
]);

let answer = "";
for await (const part of run(withTools(model, [weather], { maxTurns: 4 }), "How warm is it in Oslo and in Atlantis?")) {
  if (part.kind === "toolCall") console.log("->", part.name, JSON.stringify(part.arguments));
  if (part.kind === "toolResult") console.log("<-", part.name, part.isError ? `failed: ${String(part.result)}` : JSON.stringify(part.result));
  if (isText(part)) answer += part.text;
}
console.log(answer);
console.log(`asked ${model.calls.length} times`);
