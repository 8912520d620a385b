/**
 * Models against the services themselves: run where a key is in the environment, skipped with the reason where none is.
 *
 * They cost a few cents, and are the only tests that leave the machine. `OPENAI_API_KEY=… npx vitest run tests/live`.
 */
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { anthropic } from "../../src/adapters/anthropic/index.ts";
import { azureOpenai } from "../../src/adapters/azure-openai/index.ts";
import { gemini } from "../../src/adapters/gemini/index.ts";
import { ollama } from "../../src/adapters/ollama/index.ts";
import { openai, openaiChat } from "../../src/adapters/openai/index.ts";
import { isText, isToolCall, type ModelTool, type Part, run, text, toolResult } from "../../src/index.ts";
import type { Model } from "../../src/kinds/model.ts";

const { env } = process;

/** What the tests vary. */
interface Options {
  readonly apiKey?: string;
  readonly tools?: readonly ModelTool[];
}

interface Service {
  readonly name: string;
  /** Environment variables without which there is nothing to ask. */
  readonly needs: readonly string[];
  /** Why a wrong key is no error, where it is none. */
  readonly keyless?: string;
  model(options?: Options): Model;
}

const services: readonly Service[] = [
  { name: "openai", needs: ["OPENAI_API_KEY"], model: (options) => openai({ model: env.OPENAI_MODEL ?? "gpt-5-mini", ...options }) },
  { name: "openaiChat", needs: ["OPENAI_API_KEY"], model: (options) => openaiChat({ model: env.OPENAI_MODEL ?? "gpt-5-mini", ...options }) },
  {
    name: "azureOpenai",
    needs: ["AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_DEPLOYMENT"],
    model: (options) =>
      azureOpenai({ endpoint: env.AZURE_OPENAI_ENDPOINT ?? "", deployment: env.AZURE_OPENAI_DEPLOYMENT ?? "", apiVersion: env.AZURE_OPENAI_API_VERSION ?? "v1", ...options }),
  },
  { name: "anthropic", needs: ["ANTHROPIC_API_KEY"], model: (options) => anthropic({ model: env.ANTHROPIC_MODEL ?? "claude-sonnet-5-5", ...options }) },
  { name: "gemini", needs: ["GEMINI_API_KEY"], model: (options) => gemini({ model: env.GEMINI_MODEL ?? "gemini-2.5-flash", ...options }) },
  {
    name: "ollama",
    needs: ["OLLAMA_URL"],
    keyless: "a server of one's own asks for no key",
    model: (options) => ollama({ model: env.OLLAMA_MODEL ?? "qwen3", baseUrl: env.OLLAMA_URL ?? "", ...options }),
  },
];

const weather: ModelTool = {
  name: "weather",
  description: "Tells the temperature in a city, in degrees Celsius.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

const textOf = (parts: readonly Part[]): string => parts.flatMap((part) => (isText(part) && part.substream === "" ? [part.text] : [])).join("");

for (const { name, needs, keyless, model } of services) {
  const missing = needs.filter((variable) => (env[variable] ?? "") === "");
  const title = missing.length === 0 ? name : `${name} (skipped: ${missing.join(", ")} not in the environment)`;

  describe.skipIf(missing.length > 0)(title, () => {
    test("answers with text, and a finish part with counts", async () => {
      await using asked = model();
      const parts = await run(asked, "Answer with the one word: blue").collect();
      expect(textOf(parts)).toMatch(/blue/i);
      expect(parts.at(-1)).toMatchObject({ kind: "finish", reason: "stop", usage: { inputTokens: expect.any(Number) as number, outputTokens: expect.any(Number) as number } });
    });

    test("calls a tool, and takes its result", async () => {
      await using asked = model({ tools: [weather] });
      const question = text("How warm is it in Oslo? Ask the tool; then answer with the number alone.");
      const first = await run(asked, question).collect();
      const call = first.find(isToolCall);
      expect(call).toMatchObject({ name: "weather", arguments: { city: expect.stringMatching(/oslo/i) as string } });
      expect(first.at(-1)).toMatchObject({ kind: "finish", reason: "tool_calls" });
      const results = first.filter(isToolCall).map(({ id, name: called }) => toolResult({ id, name: called, result: { degrees: 17 } }));
      expect(textOf(await run(asked, [question, ...first, ...results]).collect())).toContain("17");
    });

    test("an abort ends it with the reason", async () => {
      await using asked = model();
      const controller = new AbortController();
      const reason = new Error("enough");
      const counting = run(asked, "Count from 1 to 300, a number a line, and leave none out.", { signal: controller.signal });
      await expect(counting.forEach(() => controller.abort(reason))).rejects.toBe(reason);
    });

    test.skipIf(keyless !== undefined)(keyless === undefined ? "a wrong key is unauthorized, and shown nowhere" : `a wrong key (skipped: ${keyless})`, async () => {
      const apiKey = "wrong-key-0123456789abcdef";
      await using asked = model({ apiKey });
      const error: unknown = await run(asked, "Hello").collect().catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: "unauthorized", retryable: false });
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(apiKey);
    });
  });
}
