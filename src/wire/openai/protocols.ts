/**
 * OpenAI's two APIs as protocols of a turn, whoever serves them.
 *
 * @module
 */
import type { Asked } from "../../core/asked.ts";
import type { MillraceError } from "../../core/errors.ts";
import { asking } from "../asking.ts";
import { compact } from "../json-shape.ts";
import type { ModelProtocol } from "../model-turn.ts";
import type { Redact } from "../redact.ts";
import type { SseEvent } from "../sse-decoder.ts";
import { chatReader } from "./chat-events.ts";
import { type ChatRequest, toChatRequest } from "./chat-request.ts";
import { type Connect, type OpenAIChatClient, type OpenAIResponsesClient, requestOptions } from "./client.ts";
import { bodyError, clientError, reportedError, type Reporting } from "./errors.ts";
import type { ChatOptions, ResponsesOptions } from "./options.ts";
import { type ResponsesReader, responsesReader } from "./responses-events.ts";
import { type ResponsesRequest, toResponsesRequest } from "./responses-request.ts";
import { streamEvent } from "./stream-event.ts";

/** Who asks which model, and how it is sent. */
export interface ProtocolSettings<Client> {
  /** Name of the factory, for messages. */
  readonly who: string;
  readonly service: string;
  readonly model: string;
  readonly connect: Connect<Client>;
}

/** The Responses API, read by a reader that can say whether it stands between two things. */
export interface ResponsesProtocol extends ModelProtocol<ResponsesRequest> {
  reader(redact: Redact): ResponsesReader;
  /** For its senders. */
  readonly eventOf: (event: SseEvent, redact: Redact) => unknown;
}

/** The Responses API; nothing is stored there, unless answers are to be resumable. */
export function responsesProtocol({ who, service, model, connect }: ProtocolSettings<OpenAIResponsesClient>, options: ResponsesOptions): ResponsesProtocol {
  const { system, systemParts = "refuse", reasoning, serverTools = [], resumable = false, strictFinish = false, extra = {} } = options;
  const standing = {
    model,
    stream: true as const,
    store: resumable,
    background: resumable ? (true as const) : undefined,
    stream_options: { include_obfuscation: false } as const,
    include: reasoning === false ? undefined : (["reasoning.encrypted_content"] as const), // a model without reasoning refuses the question
    instructions: system,
    max_output_tokens: options.maxOutputTokens,
    temperature: options.temperature,
    top_p: options.topP,
    reasoning: reasoning === false || reasoning === undefined ? undefined : compact<{ effort?: string; summary?: string }>({ effort: reasoning.effort, summary: reasoning.summary }),
  };
  const fieldsOf = (asked: Asked): { readonly [K in keyof Omit<ResponsesRequest, "input">]: ResponsesRequest[K] | undefined } => {
    const { tools = [], toolChoice, output } = asking(who, options, asked);
    const all = [...tools.map((tool) => ({ type: "function", strict: false, ...tool })), ...serverTools];
    const isServers = (name: string): boolean => !tools.some((tool) => tool.name === name) && serverTools.some(({ type }) => type === name);
    return {
      ...standing,
      tools: all.length === 0 ? undefined : all,
      tool_choice: typeof toolChoice !== "object" ? toolChoice : isServers(toolChoice.name) ? { type: toolChoice.name } : { type: "function", name: toolChoice.name },
      text: output && { format: { type: "json_schema", strict: true, ...output } },
    };
  };
  const eventOf: ResponsesProtocol["eventOf"] = (event, redact) => streamEvent(event, { service, model, redact });
  return {
    service,
    eventOf,
    toBody: (parts, asked) => toResponsesRequest(parts, { who, service, systemParts, fields: fieldsOf(asked), extra }),
    async prepare(signal) {
      const { secrets, client } = await connect(signal);
      return { secrets, send: (body, exchange) => client(exchange).responses.create(body, requestOptions(exchange)), eventOf };
    },
    reader: (redact) => responsesReader({ service, strictFinish, stored: resumable, errorOf: (error) => reportedError(error, { service, model, redact }) }),
    errorOf: (error, redact) => errorOf(error, { service, model, redact }),
  };
}

/** Chat Completions. */
export function chatProtocol({ who, service, model, connect }: ProtocolSettings<OpenAIChatClient>, options: ChatOptions): ModelProtocol<ChatRequest> {
  const { system, systemParts = "refuse", usage = true, strictFinish = false, extra = {} } = options;
  const standing = {
    model,
    stream: true as const,
    stream_options: usage ? ({ include_usage: true } as const) : undefined,
    max_completion_tokens: options.maxOutputTokens,
    temperature: options.temperature,
    top_p: options.topP,
    stop: options.stop,
  };
  const fieldsOf = (asked: Asked): { readonly [K in keyof Omit<ChatRequest, "messages">]: ChatRequest[K] | undefined } => {
    const { tools, toolChoice, output } = asking(who, options, asked);
    return {
      ...standing,
      tools: tools?.map((tool) => ({ type: "function", function: tool })),
      tool_choice: typeof toolChoice === "object" ? { type: "function", function: { name: toolChoice.name } } : toolChoice,
      response_format: output && { type: "json_schema", json_schema: { strict: true, ...output } },
    };
  };
  return {
    service,
    toBody: (parts, asked) => toChatRequest(parts, { who, system, systemParts, fields: fieldsOf(asked), extra }),
    async prepare(signal) {
      const { secrets, client } = await connect(signal);
      return {
        secrets,
        send: (body, exchange) => client(exchange).chat.completions.create(body, requestOptions(exchange)),
        eventOf: (event, redact) => streamEvent(event, { service, model, redact }),
      };
    },
    reader: (redact) => chatReader({ service, strictFinish, errorOf: (error) => reportedError(error, { service, model, redact }) }),
    errorOf: (error, redact) => errorOf(error, { service, model, redact }),
  };
}

/** The error in a JSON body, or one of the client's. */
export function errorOf(error: unknown, reporting: Reporting): MillraceError | undefined {
  return error instanceof Error ? clientError(error, reporting) : bodyError(error, reporting);
}
