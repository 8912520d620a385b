/**
 * Tokens of a turn's input, as the Messages API counts them.
 *
 * Kind: token counter. Client: `@anthropic-ai/sdk` 1, an optional peer that is loaded at first use.
 * Source: platform.claude.com/docs/en/build-with-claude/token-counting
 *
 * @module
 */
import type { ModelTool } from "../../core/asked.ts";
import { type ServiceTokenCounter, serviceTokenCounter } from "../../kinds/token-counter.ts";
import { bodyError, clientError } from "../../wire/anthropic/errors.ts";
import { declared, toMessagesRequest } from "../../wire/anthropic/request.ts";
import { shapeOf } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { checkCountingOptions, type CountingOptions, tokenCounting } from "../../wire/token-counting.ts";
import { type AnthropicCountingClient, connection, type ConnectionOptions, requestOptions } from "./client.ts";

const service = "anthropic";

/** Options of `anthropicTokenCounter`. */
export interface AnthropicTokenCounterOptions extends ConnectionOptions<AnthropicCountingClient>, CountingOptions {
  /** Tools that the model may call: their declarations take tokens too. */
  readonly tools?: readonly ModelTool[];
  /** Fields of the request that have no option here, such as `thinking`; those that have one win. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/**
 * Counts what parts take as the input of `anthropic`: one request a count. The service calls the count an estimate.
 *
 * Throws: as `anthropic` before anything came; `bad_response` for an answer without a count; `closed` after `close()`. Never a retry.
 * Closes: its connections; `close()` ends what runs with `closed`.
 *
 * @example
 * await using count = anthropicTokenCounter({ model: "claude-sonnet-5-5" });
 * console.log(await count([text("hello")]));
 */
export function anthropicTokenCounter(options: AnthropicTokenCounterOptions): ServiceTokenCounter {
  const who = "anthropicTokenCounter";
  checkCountingOptions(who, options);
  const { model, system, systemParts = "refuse", tools, extra = {} } = options;
  const opened = connection(who, options, extra);
  const life = lifetime(service, opened.close);
  const fields = { model, tools: tools?.map(declared), max_tokens: undefined, stream: undefined };
  const count = tokenCounting(
    {
      service,
      toBody: (parts) => toMessagesRequest(parts, { who, system, systemParts, cited: false, fields, extra }),
      async prepare(signal) {
        const { secrets, client } = await opened.connect(signal);
        return { secrets, send: (body, exchange) => client(exchange).messages.countTokens(body, requestOptions(exchange)) };
      },
      tokensIn: (answer) => shapeOf(answer)?.input_tokens,
      errorOf(error, redact) {
        const reporting = { service, model, redact };
        return error instanceof Error ? clientError(error, reporting) : bodyError(error, reporting);
      },
    },
    { ...options, life },
  );
  return serviceTokenCounter(count, life.close);
}
