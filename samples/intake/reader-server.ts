/**
 * The reader behind an endpoint that speaks OpenAI's Responses API, on loopback: so the same adapter asks it and the real thing.
 *
 * @module
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { readAnswer } from "./reader.ts";

/** The name it goes by. */
export const readerModel = "extractive-reader";

/** A running endpoint. */
export interface ReaderServer extends AsyncDisposable {
  /** To give to the adapter as `baseUrl`. */
  readonly baseUrl: string;
}

/** No prompt of this sample is longer. */
const maxBodyBytes = 1_048_576;

/** Listens on 127.0.0.1, on a free port. */
export async function readerServer(): Promise<ReaderServer> {
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => refuse(response, 400, error instanceof Error ? error.message : String(error)));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the reader has no address");
  return {
    baseUrl: `http://127.0.0.1:${address.port}/v1`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "POST" || request.url !== "/v1/responses") return refuse(response, 404, "there is only POST /v1/responses here");
  let body = "";
  request.setEncoding("utf8");
  for await (const chunk of request) {
    body += String(chunk);
    if (body.length > maxBodyBytes) return refuse(response, 413, "the request is too large");
  }
  const prompt = promptOf(JSON.parse(body));
  const quotes = readAnswer(prompt);
  const text = quotes.length === 0 ? "The documents do not say." : quotes.map(({ passage, sentence }) => `${sentence} [${passage}]`).join(" ");
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  for (const event of eventsOf(text, prompt)) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  response.end();
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: { message, type: "invalid_request_error", param: null, code: null } }));
}

/** The last user message of a request. */
function promptOf(request: unknown): string {
  const input: unknown = typeof request === "object" && request !== null && "input" in request ? request.input : undefined;
  const messages: readonly { readonly role?: unknown; readonly content?: unknown }[] = Array.isArray(input) ? input : [];
  const content = messages.findLast(({ role }) => role === "user")?.content;
  const pieces: readonly { readonly text?: unknown }[] = Array.isArray(content) ? content : [{ text: content }];
  const prompt = pieces.map(({ text }) => (typeof text === "string" ? text : "")).join("\n");
  if (!prompt.includes("Question: ")) throw new Error("the reader needs passages and a question");
  return prompt;
}

/** The events of a streamed response: its text comes a word at a time. */
function* eventsOf(text: string, prompt: string): Generator<{ readonly type: string }> {
  let sequence_number = 0;
  const event = (type: string, fields: object): { readonly type: string; readonly sequence_number: number } => ({ type, sequence_number: sequence_number++, ...fields });
  const words = text.match(/\S+\s*/g) ?? [];
  const place = { item_id: "msg_1", output_index: 0, content_index: 0 };
  const part = { type: "output_text", text, annotations: [] };
  const item = { id: "msg_1", type: "message", role: "assistant", status: "completed", content: [part] };
  const about = { id: "resp_1", object: "response", created_at: Math.floor(Date.now() / 1_000), model: readerModel };
  // it counts words where a model counts tokens
  const input_tokens = prompt.split(/\s+/).length;
  const usage = { input_tokens, output_tokens: words.length, total_tokens: input_tokens + words.length };

  yield event("response.created", { response: { ...about, status: "in_progress", output: [] } });
  yield event("response.output_item.added", { output_index: 0, item: { ...item, status: "in_progress", content: [] } });
  yield event("response.content_part.added", { ...place, part: { ...part, text: "" } });
  for (const delta of words) yield event("response.output_text.delta", { ...place, delta });
  yield event("response.output_text.done", { ...place, text });
  yield event("response.content_part.done", { ...place, part });
  yield event("response.output_item.done", { output_index: 0, item });
  yield event("response.completed", { response: { ...about, status: "completed", output: [item], usage } });
}
