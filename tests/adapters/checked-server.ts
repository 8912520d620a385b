/** A server on loopback as `wireServer` gives it, with a test failing that sends it what the service's own client has no type for. */
import { afterEach, expect } from "vitest";
import { wireServer as plainServer, type WireRequest, type WireScript, type WireServer } from "../../src/testing/wire-server.ts";
import { misfit, type Shape } from "./sdk-schema.ts";

export type { WireAnswer, WireRequest, WireScript, WireServer } from "../../src/testing/wire-server.ts";

/** What is sent where. */
const shapes: readonly (readonly [path: RegExp, shape: Shape | undefined])[] = [
  [/\/responses$/, "openai.responsesRequest"],
  [/\/chat\/completions$/, "openai.chatRequest"],
  [/\/embeddings$/, "openai.embeddingsRequest"],
  [/\/v1\/messages$/, "anthropic.messagesRequest"],
  [/:streamGenerateContent$/, "gemini.generateRequest"],
  [/:batchEmbedContents$/, "gemini.embedRequest"],
  [/:(?:predict|embedContent)$/, undefined], // Vertex AI's, for which the client has no type
  [/\/api\/chat$/, "ollama.chatRequest"],
  [/\/api\/embed$/, "ollama.embedRequest"],
];

const misfits: string[] = [];
afterEach(() => {
  expect(misfits.splice(0)).toEqual([]);
});

function check(request: WireRequest): void {
  const [path = ""] = request.path.split("?");
  const known = shapes.find(([pattern]) => pattern.test(path));
  const found = known === undefined ? `nothing is known of requests to ${path}` : known[1] === undefined ? undefined : misfit(known[1], request.json());
  if (found !== undefined) misfits.push(found);
}

const checked = (script: WireScript): WireScript => (request) => {
  check(request);
  return typeof script === "function" ? script(request) : script;
};

/** Starts a server. Requests are held against the types of the service's own client; after the test it fails if one did not fit. */
export async function wireServer(options: { readonly answer?: WireScript } = {}): Promise<WireServer> {
  const server = await plainServer(options.answer === undefined ? {} : { answer: checked(options.answer) });
  return {
    ...server,
    get connections() {
      return server.connections;
    },
    script: (...scripts) => server.script(...scripts.map(checked)),
  };
}
