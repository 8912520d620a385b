/**
 * Watches the bytes of a `text/event-stream` go by: where events end, how long one gets, and the `[DONE]` that clients swallow.
 *
 * Nothing is decoded or kept but the first bytes of a line, so that the service's own client can do the parsing.
 * Source: WHATWG HTML, server-sent events, §9.2.5 (line ends: LF, CR, CRLF; an event ends at an empty line).
 *
 * @module
 */

const cr = 13;
const lf = 10;
const colon = 58;

/** A line that starts like this and ends there is the terminal marker of OpenAI and its likes. */
const markers = ["data: [DONE]", "data:[DONE]"];
const longestMarker = 12;

/** What has gone by. */
export interface EventWatch {
  push(bytes: Uint8Array): void;
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
  let lineBytes = 0;
  let afterCr = false;
  let head = "";
  let done = false;

  const endOfLine = (): void => {
    if (lineBytes === 0) {
      longestBytes = Math.max(longestBytes, eventBytes);
      hasField = false;
      eventBytes = 0;
      return;
    }
    if (markers.includes(head)) done = true;
    lineBytes = 0;
    head = "";
  };
  return {
    push(bytes) {
      for (const byte of bytes) {
        if (byte === lf) {
          if (!afterCr) endOfLine();
          afterCr = false;
        } else if (byte === cr) {
          endOfLine();
          afterCr = true;
        } else {
          if (lineBytes === 0 && byte !== colon) hasField = true;
          if (lineBytes <= longestMarker) head += String.fromCharCode(byte);
          lineBytes += 1;
          eventBytes += 1;
          afterCr = false;
        }
      }
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
