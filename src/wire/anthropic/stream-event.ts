/**
 * What an event of a stream says.
 *
 * The official client passes over events without a name and those that are called pings. But gateways strip names, and where bytes
 * were lost two events may have become one under the name of the first: the stream would look whole all the same. The type that
 * counts is in the data, but for errors, which may be no JSON.
 *
 * @module
 */
import { sentJson } from "../sent-json.ts";
import type { SseEvent } from "../sse-decoder.ts";
import { reportedError, type Reporting } from "./errors.ts";

/** The value of an event; undefined for one that holds nothing. Throws: the error that it is by its name; `bad_response` for what is no JSON. */
export function streamEvent({ name, data }: SseEvent, reporting: Reporting): unknown {
  if (name === "error") throw reportedError(jsonOr(data), reporting);
  return data === "" ? undefined : sentJson(data, reporting);
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text) ?? text;
  } catch {
    return text;
  }
}
