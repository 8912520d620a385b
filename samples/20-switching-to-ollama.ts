// Switching providers is one line: a pipeline takes its model as an argument. With OLLAMA_HOST in the environment this one asks your own
// Ollama; without, a server on this machine speaks its protocol in its place.
//
// prints: The sea is salt. (stop, 4 tokens)
import { isFinish, pipe, type Processor, prompt, content, run } from "millrace";
import { ollama } from "millrace/adapters/ollama";
import { openai } from "millrace/adapters/openai";
import { jsonLineFrames, jsonLinesAnswer, wireServer } from "millrace/testing";

const summary = (model: Processor): Processor => pipe(prompt`Say in five words: ${content}`, model);

const { OLLAMA_HOST, OPENAI_API_KEY } = process.env;
const stand = OLLAMA_HOST === undefined ? await wireServer({ answer: () => jsonLinesAnswer(jsonLineFrames(lines(["The sea ", "is salt."]))) }) : undefined;

const model = OPENAI_API_KEY === undefined ? ollama({ model: "qwen3:8b", baseUrl: stand?.url ?? `http://${OLLAMA_HOST}` }) : openai({ model: "gpt-5-mini" });

const parts = await run(summary(model), "Water in the sea holds salt that rivers wash out of the rocks.").collect();
const end = parts.find(isFinish);
const text = parts.map((part) => (part.kind === "text" && part.substream === "" ? part.text : "")).join("");
console.log(`${text} (${end?.reason}, ${end?.usage.outputTokens} tokens)`);
await model.close();
await stand?.close();

/** What Ollama sends. */
function lines(deltas: readonly string[]): object[] {
  const line = (more: object): object => ({ model: "qwen3:8b", created_at: "2026-01-01T00:00:00Z", ...more });
  return [
    ...deltas.map((words) => line({ message: { role: "assistant", content: words }, done: false })),
    line({ message: { role: "assistant", content: "" }, done: true, done_reason: "stop", prompt_eval_count: 30, eval_count: 4 }),
  ];
}
