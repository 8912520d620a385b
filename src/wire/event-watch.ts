/**
 * Watches the bytes of a `text/event-stream` go by: where events end, how long one gets, the `[DONE]` that clients swallow, and
 * events without data, which nobody must see.
 *
 * Nothing is decoded or kept but the first bytes of a line and the lines of an event before its data, so that the service's own
 * client can do the parsing.
 * Source: WHATWG HTML, server-sent events, §9.2.5 and 9.2.6 (line ends: LF, CR, CRLF; an event ends at an empty line, and is none
 * without data; clients of services fail on those all the same).
 *
 * @module
 */
import { lineEnds } from "./line-ends.ts";

const cr = 13;
const lf = 10;
const colon = 58;
/** May stand before everything, and is part of no line. */
const byteOrderMark = [0xef, 0xbb, 0xbf];

/** A line that starts like this and ends there is the terminal marker of OpenAI and its likes. */
const markers = ["data: [DONE]", "data:[DONE]"];
const longestMarker = 12;

/** What has gone by. */
export interface EventWatch {
  /** Gives what is to be handed on, in order: events with data, from the time that their data begins. */
  push(bytes: Uint8Array): readonly Uint8Array[];
  /** Does the stream stand inside an event? Then what came of it is lost. */
  readonly inside: boolean;
  /** Bytes of the longest event so far. */
  readonly longestBytes: number;
  /** Has `data: [DONE]` come? */
  readonly done: boolean;
}

/** Starts watching. */
export function watchEvents(): EventWatch {
  let eventBytes = 0;
  let longestBytes = 0;
  let hasField = false; // a comment alone is no event
  let hasData = false;
  let held: Uint8Array[] = [];
  let lineBytes = 0;
  let afterCr = false;
  let head = "";
  let done = false;
  let markBytes: number | undefined = 0;

  const endOfEvent = (): void => {
    longestBytes = Math.max(longestBytes, eventBytes);
    hasField = false;
    hasData = false;
    eventBytes = 0;
  };
  const endOfLine = (): void => {
    if (markers.includes(head)) done = true;
    lineBytes = 0;
    head = "";
  };
  return {
    push(bytes) {
      const passed: Uint8Array[] = [];
      const lineEnd = lineEnds(bytes);
      let from = 0;
      const data = (): void => {
        if (hasData || lineBytes !== 4 || head !== "data") return;
        hasData = true;
        passed.push(...held.splice(0));
      };
      for (let at = 0; at < bytes.length; at += 1) {
        const byte = bytes[at] ?? 0;
        if (markBytes !== undefined) {
          if (byte === byteOrderMark[markBytes]) {
            markBytes += 1;
            continue;
          }
          markBytes = undefined;
        }
        const isEnd = byte === cr || (byte === lf && !afterCr);
        if (isEnd && lineBytes > 0) {
          data();
          endOfLine();
        } else if (isEnd) {
          if (hasData) passed.push(bytes.subarray(from, at + 1));
          held = [];
          from = at + 1;
          endOfEvent();
        } else if (byte !== lf) {
          if (byte === colon) data();
          if (lineBytes === 0 && byte !== colon) hasField = true;
          if (lineBytes <= longestMarker) head += String.fromCharCode(byte);
          // what is behind the longest marker only counts
          const end = lineBytes > longestMarker ? lineEnd(at) : at + 1;
          lineBytes += end - at;
          eventBytes += end - at;
          at = end - 1;
        }
        afterCr = byte === cr;
      }
      if (from < bytes.length) (hasData ? passed : held).push(bytes.subarray(from));
      return passed;
    },
    get inside() {
      return hasField && !markers.includes(head);
    },
    get longestBytes() {
      return Math.max(longestBytes, eventBytes);
    },
    get done() {
      return done || markers.includes(head); // some servers end without a line end
    },
  };
}
