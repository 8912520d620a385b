/**
 * What an event of a stream says.
 *
 * The official client passes over an event that does not begin with its data (a comment before it is enough), takes events with an
 * error of another form than its own for empty answers, and keeps no message beside a finish reason.
 *
 * @module
 */
import { shapeOf } from "../json-shape.ts";
import { sentJson } from "../sent-json.ts";
import type { SseEvent } from "../sse-decoder.ts";
import type { GeminiEvent } from "./answer-reader.ts";
import { bodyError, type Reporting } from "./errors.ts";
import { rawArguments } from "./raw-json.ts";

/** The chunk of an event; undefined for one that holds nothing. Throws: the error that it reports; `bad_response` for what is no JSON. */
export function streamEvent({ name, data }: SseEvent, reporting: Reporting): GeminiEvent | undefined {
  if (data === "") return undefined;
  const chunk = sentJson(data, reporting);
  const error = bodyError(name === "error" && shapeOf(chunk)?.error === undefined ? { error: chunk } : chunk, reporting);
  if (error !== undefined) throw error;
  return { chunk, rawArguments: rawArguments(data) };
}
