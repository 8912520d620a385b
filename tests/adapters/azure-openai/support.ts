/** The APIs as Azure serves them: at other paths, with another key header, and with its filter's findings. */
import type { AzureOpenAIOptions } from "../../../src/adapters/azure-openai/index.ts";
import { azureOpenai } from "../../../src/adapters/azure-openai/index.ts";
import type { Model } from "../../../src/kinds/model.ts";
import { azureOpenaiVoice } from "../../../src/testing/voices/openai-chat.ts";
import { type Api, apis as openaiApis, key } from "../openai/support.ts";

export const version = "2025-04-01-preview";
export const deployment = "gpt-deployed";

export const azure = (endpoint: string, options: Partial<AzureOpenAIOptions> = {}): Model =>
  azureOpenai({ endpoint, deployment, apiVersion: version, ...(options.credential === undefined ? { apiKey: key } : {}), ...options } as AzureOpenAIOptions);

function served(api: "chat" | "responses", apiVersion: string, path: string): Api {
  const original = openaiApis[api === "responses" ? 0 : 1];
  if (original === undefined) throw new Error("there are two");
  return { ...original, voice: api === "chat" ? azureOpenaiVoice : original.voice, name: `azureOpenai ${api} ${apiVersion}`, path, model: (url, options) => azure(url, { api, apiVersion, ...options }) };
}

export const apis: readonly Api[] = [
  served("chat", version, `/openai/deployments/${deployment}/chat/completions?api-version=${version}`),
  served("chat", "v1", "/openai/v1/chat/completions"),
  served("responses", version, `/openai/responses?api-version=${version}`),
];
