/**
 * Who answers: OpenAI, Ollama, or the reader, whichever there is.
 *
 * @module
 */
import type { Processor } from "millrace";
import { openai, openaiChat } from "millrace/adapters/openai";
import { instructions } from "./passages.ts";
import { readerModel, readerServer } from "./reader-server.ts";

/** A model, and how it is called in the output. */
export interface Answerer extends AsyncDisposable {
  readonly model: Processor;
  readonly name: string;
}

/** Opens it. */
export async function openAnswerer(env: NodeJS.ProcessEnv = process.env): Promise<Answerer> {
  const { OPENAI_API_KEY, OPENAI_MODEL = "gpt-5-mini", OLLAMA_HOST, OLLAMA_MODEL = "llama3.2" } = env;
  if (OPENAI_API_KEY !== undefined && OPENAI_API_KEY !== "") {
    const model = openai({ model: OPENAI_MODEL, system: instructions });
    return { model, name: `${OPENAI_MODEL} at OpenAI`, [Symbol.asyncDispose]: () => model.close() };
  }
  if (OLLAMA_HOST !== undefined && OLLAMA_HOST !== "") {
    const host = /^https?:\/\//.test(OLLAMA_HOST) ? OLLAMA_HOST : `http://${OLLAMA_HOST}`;
    const model = openaiChat({ model: OLLAMA_MODEL, baseUrl: new URL("/v1", host).href, system: instructions });
    return { model, name: `${OLLAMA_MODEL} at Ollama`, [Symbol.asyncDispose]: () => model.close() };
  }
  const server = await readerServer();
  const model = openai({ model: readerModel, baseUrl: server.baseUrl, apiKey: "none", system: instructions, reasoning: false });
  return {
    model,
    name: "the extractive reader, which quotes sentences and is no language model",
    async [Symbol.asyncDispose]() {
      await model.close();
      await server[Symbol.asyncDispose]();
    },
  };
}
