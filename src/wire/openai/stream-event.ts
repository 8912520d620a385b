/**
 * What an event of a stream says, of either API, as the official client of version 7 reads it.
 *
 * @module
 */
import { shapeOf } from "../json-shape.ts";
import { sentJson } from "../sent-json.ts";
import type { SseEvent } from "../sse-decoder.ts";
import { reportedError, type Reporting } from "./errors.ts";

/** The value of an event. Throws: the error that it is by its name, or that it holds; `bad_response` for what is no JSON. */
export function streamEvent({ name, data }: SseEvent, reporting: Reporting): unknown {
  const value = sentJson(data, reporting);
  const error = shapeOf(value)?.error;
  if (name === "error") throw reportedError(error ?? value, reporting);
  if (typeof error === "object" ? error !== null : typeof error === "string" && error !== "") throw reportedError(error, reporting);
  return value;
}
