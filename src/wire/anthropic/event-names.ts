/**
 * Gives another name to events that the client drops unread for theirs: those without one, and those that are called pings.
 *
 * Gateways strip names, and where bytes were lost two events may have become one under the name of the first: the stream would look
 * whole all the same. The type that counts is in the data.
 *
 * @module
 */
import type { Fetch } from "../answer.ts";
import { lineEnds } from "../line-ends.ts";

const cr = 13;
const lf = 10;
/** Bytes of a byte order mark, which may stand before a name and is no part of it. */
const byteOrderMark: ReadonlySet<number> = new Set([0xef, 0xbb, 0xbf]);

/** The name that the standard gives events without one (WHATWG HTML, §9.2.6); of several in an event the last counts. */
const name = new TextEncoder().encode("event: message\n");

/** More of a line than it takes to tell `event: ping` from longer names. */
const headLength = 12;

/** What comes in, with names put in. */
export function eventNames(): (bytes: Uint8Array) => readonly Uint8Array[] {
  let head = "";
  let afterCr = false;
  let given: string | undefined;
  let hasData = false;
  const endOfLine = (): void => {
    const [field, value = ""] = head.split(/: ?/, 2);
    if (field === "event") given = value;
    if (field === "data") hasData = true;
    head = "";
  };
  return (bytes) => {
    const named: Uint8Array[] = [];
    const lineEnd = lineEnds(bytes);
    let from = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at] ?? 0;
      const isEnd = byte === cr || (byte === lf && !afterCr);
      afterCr = byte === cr;
      if (isEnd && head !== "") {
        endOfLine();
      } else if (isEnd) {
        if (hasData && (given === undefined || given === "ping")) {
          named.push(bytes.subarray(from, at), name);
          from = at;
        }
        given = undefined;
        hasData = false;
      } else if (byte !== lf) {
        if (head === "" && byteOrderMark.has(byte)) continue;
        if (head.length < headLength) head += String.fromCharCode(byte);
        else at = lineEnd(at) - 1;
      }
    }
    named.push(bytes.subarray(from));
    return named.filter((piece) => piece.byteLength > 0);
  };
}

/** A `fetch` whose streams have no event that the client would drop unread. */
export function namedEvents(fetch: Fetch): Fetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    if (!response.ok || response.body === null) return response;
    const reader = response.body.getReader();
    const named = eventNames();
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await reader.read();
          if (done) return controller.close();
          for (const piece of named(value)) controller.enqueue(piece);
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 }, // nothing is read ahead of the client
    );
    const { status, statusText, headers } = response;
    return new Response(body, { status, statusText, headers });
  };
}
