/**
 * Tokens of a turn's input, as the Responses API counts them.
 *
 * Kind: token counter. Client: `openai` 7, an optional peer that is loaded at first use.
 * Source: platform.openai.com/docs/api-reference/responses/input-tokens
 *
 * @module
 */
import type { ModelTool } from "../../core/asked.ts";
import { type ServiceTokenCounter, serviceTokenCounter } from "../../kinds/token-counter.ts";
import { shapeOf } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { type OpenAICountingClient, requestOptions } from "../../wire/openai/client.ts";
import { errorOf } from "../../wire/openai/protocols.ts";
import { toResponsesRequest } from "../../wire/openai/responses-request.ts";
import { checkCountingOptions, type CountingOptions, tokenCounting } from "../../wire/token-counting.ts";
import { connection, type ConnectionOptions } from "./client.ts";

const service = "openai";

/** Options of `openaiTokenCounter`. */
export interface OpenAITokenCounterOptions extends ConnectionOptions<OpenAICountingClient>, CountingOptions {
  /** Tools that the model may call: their declarations take tokens too. */
  readonly tools?: readonly ModelTool[];
  /** Fields of the request that have no option here; those that have one win. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/**
 * Counts what parts take as the input of `openai`: one request a count.
 *
 * Throws: as `openai` before anything came; `bad_response` for an answer without a count; `closed` after `close()`. Never a retry.
 * Closes: its connections; `close()` ends what runs with `closed`.
 *
 * @example
 * await using count = openaiTokenCounter({ model: "gpt-5-mini" });
 * console.log(await count([text("hello")]));
 */
export function openaiTokenCounter(options: OpenAITokenCounterOptions): ServiceTokenCounter {
  const who = "openaiTokenCounter";
  checkCountingOptions(who, options);
  const { model, system, systemParts = "refuse", tools, extra = {} } = options;
  const opened = connection(who, options, options.baseUrl === undefined ? undefined : "none");
  const life = lifetime(service, opened.close);
  const fields = { model, instructions: system, tools: tools?.map((tool) => ({ type: "function", strict: false, ...tool })), stream: undefined, store: undefined, stream_options: undefined };
  const count = tokenCounting(
    {
      service,
      toBody: (parts) => toResponsesRequest(parts, { who, service, systemParts, fields, extra }),
      async prepare(signal) {
        const { secrets, client } = await opened.connect(signal);
        return { secrets, send: (body, exchange) => client(exchange).responses.inputTokens.count(body, requestOptions(exchange)) };
      },
      tokensIn: (answer) => shapeOf(answer)?.input_tokens,
      errorOf: (error, redact) => errorOf(error, { service, model, redact }),
    },
    { ...options, life },
  );
  return serviceTokenCounter(count, life.close);
}
