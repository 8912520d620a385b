/**
 * What the bytes of an answer say, read in the plainest way: all at once, by the standards, with nothing of what the adapters or the
 * services' clients are made of.
 */

/** The text of the answer as far as it can be read, and whether its terminal event came. */
export interface Reading {
  readonly text: string;
  readonly complete: boolean;
}

/** What an event says: text, the end of the answer, or neither. */
interface Said {
  readonly text?: unknown;
  readonly ends?: boolean;
}

type Shape = Readonly<Record<string, unknown>>;

const shapeOf = (value: unknown): Shape => (typeof value === "object" && value !== null ? (value as Shape) : {});
const listOf = (value: unknown): readonly Shape[] => (Array.isArray(value) ? value.map(shapeOf) : []);
/** The answer that counts where there may be several; one without a number is the first. */
const first = (value: unknown): Shape => listOf(value).find(({ index }) => !(typeof index === "number" && index > 0)) ?? {};
const isReason = (value: unknown): boolean => typeof value === "string" && value !== "" && value !== "FINISH_REASON_UNSPECIFIED";

/** How an API speaks. */
interface Api {
  readonly path: RegExp;
  /** Is `[DONE]` an end by itself? */
  readonly marked?: boolean;
  says(event: Shape): readonly Said[];
}

const apis: readonly Api[] = [
  {
    path: /\/responses$/,
    says: ({ type, delta }) => [type === "response.output_text.delta" ? { text: delta } : { ends: type === "response.completed" || type === "response.incomplete" }],
  },
  {
    path: /\/chat\/completions$/,
    marked: true,
    says({ choices }) {
      const { delta, finish_reason: reason } = first(choices);
      return [{ text: shapeOf(delta).content, ends: isReason(reason) }];
    },
  },
  {
    path: /\/v1\/messages$/,
    says({ type, delta }) {
      const { type: kind, text } = shapeOf(delta);
      return [type === "content_block_delta" && kind === "text_delta" ? { text } : { ends: type === "message_stop" }];
    },
  },
  {
    path: /:streamGenerateContent$/,
    says({ candidates }) {
      const { content, finishReason } = first(candidates);
      const parts = listOf(shapeOf(content).parts).filter(({ thought }) => thought !== true);
      return [...parts.map(({ text }) => ({ text })), { ends: isReason(finishReason) }];
    },
  },
  { path: /\/api\/chat$/, says: ({ message, done }) => [{ text: shapeOf(message).content, ends: done === true }] },
];

/** Reads the answer of the API at a path. What is no JSON ends the reading, as the terminal event does. */
export function plainReading(path: string, contentType: string, bytes: Uint8Array): Reading {
  const api = apis.find((each) => each.path.test(path.replace(/\?.*/, "")));
  if (api === undefined) throw new Error(`nothing is known of answers from ${path}`);
  let text = "";
  let complete = false;
  for (const data of contentType.includes("ndjson") ? linesIn(bytes) : eventsIn(bytes)) {
    const said = data === "[DONE]" ? [{ ends: api.marked === true }] : saidIn(data, api);
    if (said === undefined) break;
    for (const one of said) if (typeof one.text === "string") text += one.text;
    complete = said.some(({ ends }) => ends === true);
    if (complete) break;
  }
  return { text: text.toWellFormed(), complete };
}

function saidIn(data: string, api: Api): readonly Said[] | undefined {
  try {
    return api.says(shapeOf(JSON.parse(data)));
  } catch {
    return undefined;
  }
}

/** The data of each event. Source: WHATWG HTML, server-sent events, §9.2.5 and 9.2.6. */
function eventsIn(bytes: Uint8Array): string[] {
  const events: string[] = [];
  let data: string[] = [];
  const lines = new TextDecoder().decode(bytes).split(/\r\n|\r|\n/);
  lines.pop(); // a line without its end is none
  for (const line of lines) {
    const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === "data") data.push(value);
    if (line !== "") continue;
    if (data.join("") !== "") events.push(data.join("\n"));
    data = [];
  }
  return events;
}

/** Each line that holds something; the last may lack its end. */
function linesIn(bytes: Uint8Array): string[] {
  return new TextDecoder().decode(bytes).split("\n").filter((line) => line.trim() !== "");
}
