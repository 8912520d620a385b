// Vision: an image is a part among others. Here a server on this machine stands in for the service, so that you see what is sent.
//
// prints: sent: text text, image_url data:image/png;base64, of 69 bytes
// prints: A single red pixel.
import { image, run, text } from "millrace";
import { openaiChat } from "millrace/adapters/openai";
import { chatFrames, sseAnswer, wireServer } from "millrace/testing";

const delta = (content: string, finish_reason: string | null = null): object => ({ choices: [{ index: 0, delta: { content }, finish_reason }] });
const server = await wireServer({ answer: () => sseAnswer(chatFrames([delta("A single "), delta("red pixel."), delta("", "stop")])) });

// With a key in OPENAI_API_KEY: `openai({ model: "gpt-5-mini" })`.
const model = openaiChat({ model: "gpt-5-mini", baseUrl: `${server.url}/v1`, apiKey: "not-a-key" });

const png = Uint8Array.from(
  atob("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAAC0lEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"),
  (character) => character.charCodeAt(0),
);
const answer = await run(model, [text("What is in this picture?"), image(png)]).text();

const [request] = server.requests;
const sent = request?.json() as { messages: readonly { content: readonly Content[] }[] } | undefined;
interface Content {
  readonly type: string;
  readonly image_url?: { readonly url: string };
}
const said = (sent?.messages[0]?.content ?? []).map(({ type, image_url }) => `${type} ${image_url === undefined ? "text" : described(image_url.url)}`);
console.log("sent:", said.join(", "));
console.log(answer);
await model.close();
await server.close();

function described(url: string): string {
  const [head = "", data = ""] = url.split(",");
  return `${head}, of ${atob(data).length} bytes`;
}
