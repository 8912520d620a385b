/**
 * Tokens of a turn's input, as Gemini counts them.
 *
 * Kind: token counter. Client: `@google/genai` 3, an optional peer that is loaded at first use.
 * Source: ai.google.dev/api/tokens
 *
 * @module
 */
import { type ServiceTokenCounter, serviceTokenCounter } from "../../kinds/token-counter.ts";
import { bodyError, clientError } from "../../wire/gemini/errors.ts";
import { guardedAnswer } from "../../wire/gemini/guarded-answer.ts";
import { type GeminiContent, toGeminiRequest } from "../../wire/gemini/request.ts";
import { shapeOf } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { checkCountingOptions, type CountingOptions, tokenCounting } from "../../wire/token-counting.ts";
import { connection, type ConnectionOptions, type GeminiCountingClient } from "./client.ts";
import { checkModel } from "./model-name.ts";

const service = "gemini";

/** Options of `geminiTokenCounter`. */
export interface GeminiTokenCounterOptions extends ConnectionOptions<GeminiCountingClient>, CountingOptions {}

/**
 * Counts what parts take as the input of `gemini`: one request a count. The Gemini API counts neither system text nor tools: system
 * text is sent as if the user had said it, and tools are to be allowed for.
 *
 * Throws: as `gemini` before anything came; `bad_response` for an answer without a count; `closed` after `close()`. Never a retry.
 * Closes: its connections; `close()` ends what runs with `closed`.
 *
 * @example
 * await using count = geminiTokenCounter({ model: "gemini-2.5-flash" });
 * console.log(await count([text("hello")]));
 */
export function geminiTokenCounter(options: GeminiTokenCounterOptions): ServiceTokenCounter {
  const who = "geminiTokenCounter";
  checkCountingOptions(who, options);
  const { model, system, systemParts = "refuse" } = options;
  checkModel(who, model);
  const opened = connection(who, options);
  const life = lifetime(service, opened.close);
  const settings = { who, model, system, systemParts, fields: { automaticFunctionCalling: undefined, automaticContinuation: undefined }, extra: {} };
  const count = tokenCounting(
    {
      service,
      toBody(parts): readonly GeminiContent[] | undefined {
        const request = toGeminiRequest(parts, settings);
        const said = request?.config.systemInstruction?.parts ?? [];
        return said.length === 0 ? request?.contents : [{ role: "user", parts: [...said] }, ...(request?.contents ?? [])];
      },
      async prepare(signal) {
        const { secrets, client, options: optionsOf } = await opened.connect(signal);
        return {
          secrets,
          send(contents, exchange, redact) {
            const { fetch } = guardedAnswer(exchange, "application/json", { service, model, redact });
            return client.models.countTokens({ model, contents, config: optionsOf(exchange, fetch) });
          },
        };
      },
      tokensIn: (answer) => shapeOf(answer)?.totalTokens,
      errorOf(error, redact) {
        const reporting = { service, model, redact };
        return error instanceof Error ? clientError(error, reporting) : bodyError(error, reporting);
      },
    },
    { ...options, fetch: opened.fetch, life },
  );
  return serviceTokenCounter(count, life.close);
}
