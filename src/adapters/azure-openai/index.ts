/**
 * OpenAI's models on Azure, by Chat Completions or the Responses API.
 *
 * Kind: model. Client: `openai` 7 (6 fits too), an optional peer that is loaded at first use.
 * Source: learn.microsoft.com/azure/ai-foundry/openai/reference
 *
 * Parts and events are mapped as in the adapter of OpenAI, by the same code. What Azure's filter says of prompt and answer is in
 * `metadata.openai.promptFilter` and `answerFilter` of the finish part; a prompt that it refuses is `refused`.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../../core/errors.ts";
import { resumable } from "../../core/resumable.ts";
import { type Model, modelOf } from "../../kinds/model.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { modelTurn } from "../../wire/model-turn.ts";
import type { OpenAIChatClient, OpenAIResponsesClient } from "../../wire/openai/client.ts";
import { type ChatOptions, checkResponsesOptions, ofChat, ofResponses, type ResponsesOptions, responsesSettings, turnSettings } from "../../wire/openai/options.ts";
import { chatProtocol } from "../../wire/openai/protocols.ts";
import { checkResponsesClient, responsesTurns } from "../../wire/openai/responses-turns.ts";
import { type AzureConnectionOptions, checkedDeployment, connection } from "./client.ts";

export type { AzureConnectionOptions } from "./client.ts";
export { azureOpenaiEmbedder, type AzureOpenAIEmbedderOptions } from "./embedder.ts";

const service = "azure-openai";

/** What is called of a client: the method of the API that was chosen. */
export type AzureOpenAIClient = Partial<OpenAIChatClient & OpenAIResponsesClient>;

/** Options of `azureOpenai`. */
export interface AzureOpenAIOptions extends AzureConnectionOptions<AzureOpenAIClient>, ChatOptions, ResponsesOptions {
  /** Name of the deployment, which need not be the model's. */
  readonly deployment: string;
  /** `usage` and `stop` are of chat, `reasoning`, `serverTools` and `resumable` of responses. @default "chat" */
  readonly api?: "chat" | "responses";
}

/**
 * Asks a model that is deployed on Azure.
 *
 * Reads:  as `openaiChat`, or with `api: "responses"` as `openai`; reasoning goes back only to the service that it came from.
 * Yields: the same; sources of "on your data" as JSON on `sources`. What Azure's filter found is in the finish part's
 *         `metadata.openai`, as `promptFilter` and `answerFilter`.
 * Throws: the same; a prompt that the filter stopped is `refused`.
 * Closes: the connection, on end, break, throw and abort; `close()` ends what runs with `closed`.
 *
 * @example
 * const model = azureOpenai({ endpoint: "https://example.openai.azure.com", apiVersion: "v1", deployment: "gpt-5-mini" });
 * for await (const part of run(model, "Why is the sky blue?")) if (isText(part)) process.stdout.write(part.text);
 */
export function azureOpenai(options: AzureOpenAIOptions): Model {
  const who = "azureOpenai";
  checkResponsesOptions(who, options);
  const { api = "chat" } = options;
  if (api !== "chat" && api !== "responses") throw invalidOption(who, "api", "chat or responses", api);
  const stray = (api === "chat" ? ofResponses : ofChat).find((name) => options[name] !== undefined);
  if (stray !== undefined) throw new MillraceError("invalid_input", `${who}: ${stray} is no option of api ${api}`);
  const deployment = checkedDeployment(who, options.deployment);
  if (options.client !== undefined && options.client[api] === undefined) throw invalidOption(who, "client", `a client with ${api}`, options.client);
  return api === "chat" ? chat(who, deployment, options) : responses(who, deployment, options);
}

function chat(who: string, deployment: string, options: AzureOpenAIOptions): Model {
  const opened = connection<OpenAIChatClient>(who, deployment, options as AzureConnectionOptions<OpenAIChatClient>); // a client has the method: it was looked for
  const life = lifetime(service, opened.close);
  const protocol = chatProtocol({ who, service, model: deployment, connect: opened.connect }, options);
  const settings = turnSettings(options, life);
  return modelOf(who, (input, context) => modelTurn(protocol, settings, input, context), life.close);
}

function responses(who: string, deployment: string, options: AzureOpenAIOptions): Model {
  checkResponsesClient(who, options.client, options);
  const opened = connection<OpenAIResponsesClient>(who, deployment, options as AzureConnectionOptions<OpenAIResponsesClient>); // likewise
  const life = lifetime(service, opened.close);
  const { turn, resumption } = responsesTurns({ who, service, model: deployment, connect: opened.connect }, options, responsesSettings(options, life));
  const asking = modelOf(who, turn, life.close);
  return resumption === undefined ? asking : resumable(asking, resumption);
}
