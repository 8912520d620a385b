/**
 * An answer whose events are counted, so that each of its parts says where it stands: from there another stream can go on.
 *
 * Source: developers.openai.com/api/docs/guides/background (events have a `sequence_number`, each one more than the last)
 *
 * @module
 */
import { derive } from "../../core/derive.ts";
import { MillraceError } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import { countOf, shapeOf, wordsOf } from "../json-shape.ts";
import type { AnswerReader } from "../model-turn.ts";
import type { ResponsesReader } from "./responses-events.ts";

/** Where to go on: behind an event at which nothing was half read. */
export interface Place {
  /** Id of the response. */
  readonly response: string;
  /** Sequence number of that event; -1 for the beginning. */
  readonly after: number;
  /** Parts that came of the answer up to there. */
  readonly before: number;
}

/** Where a part stands: its place in the answer, and where to go on to make it again. */
export interface Cursor extends Place {
  readonly part: number;
}

/** A reader of an answer that may be gone on with. */
export interface NumberedReader extends AnswerReader {
  /** Id of the response, once it is known. */
  readonly response: string | undefined;
}

/**
 * Drops events that came before, and gives each part its `metadata.openai.cursor`; the finish part needs none.
 *
 * Throws: `bad_response` where an event is missing.
 */
export function numberedAnswer(service: string, reader: ResponsesReader, from?: Place): NumberedReader {
  let response = from?.response;
  let last = from?.after;
  let made = from?.before ?? 0;
  let settled: Omit<Place, "response"> = { after: from?.after ?? -1, before: made };

  const bad = (what: string): MillraceError => new MillraceError("bad_response", `${service}: ${what}`, { service });
  const placed = (part: Part, id: string): Part => {
    const cursor: Cursor = { response: id, ...settled, part: made };
    made += 1;
    return derive(part, { metadata: { ...part.metadata, openai: { ...shapeOf(part.metadata.openai), cursor } } });
  };
  return {
    read(value) {
      const event = shapeOf(value);
      if (event === undefined || event.type === "error") return reader.read(value);
      const number = countOf(event.sequence_number);
      if (number === undefined) throw bad("an event has no sequence number");
      if (last !== undefined && number <= last) return [];
      if (last !== undefined && number > last + 1) throw bad(`event ${number} came where ${last + 1} was due`);
      last = number;
      response ??= wordsOf(shapeOf(event.response)?.id);
      const parts = reader.read(value);
      const id = response;
      const cursored = id === undefined ? parts : parts.map((part) => placed(part, id));
      if (reader.settled) settled = { after: number, before: made };
      return cursored;
    },
    get steps() {
      return reader.steps;
    },
    get complete() {
      return reader.complete;
    },
    get final() {
      return reader.final;
    },
    get usage() {
      return reader.usage;
    },
    get response() {
      return response;
    },
    end: (answer) => reader.end(answer),
  };
}

/** Where a part stands, if it is of such an answer. */
export function cursorOf(part: Part): Cursor | undefined {
  const cursor = shapeOf(shapeOf(part.metadata.openai)?.cursor);
  const response = wordsOf(cursor?.response);
  const [number, before] = [countOf(cursor?.part), countOf(cursor?.before)];
  const after = cursor?.after === -1 ? -1 : countOf(cursor?.after);
  if (response === undefined || number === undefined || before === undefined || after === undefined) return undefined;
  return { response, after, before, part: number };
}
