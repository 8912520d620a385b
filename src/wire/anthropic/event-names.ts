/**
 * Gives a name to events that come without one: the client drops those, and what they say with them.
 *
 * Gateways strip names, and the stream would look whole all the same. The type that counts is in the data.
 *
 * @module
 */
import type { Fetch } from "../answer.ts";

const cr = 13;
const lf = 10;
const colon = 58;
/** Bytes of a byte order mark, which may stand before a name and is no part of it. */
const byteOrderMark: ReadonlySet<number> = new Set([0xef, 0xbb, 0xbf]);

/** The name that the standard gives such events (WHATWG HTML, §9.2.6). */
const name = new TextEncoder().encode("event: message\n");

/** What comes in, with names put in. */
export function eventNames(): (bytes: Uint8Array) => readonly Uint8Array[] {
  let head = "";
  let lineBytes = 0;
  let afterCr = false;
  let hasName = false;
  let hasData = false;
  const field = (): void => {
    if (head === "event") hasName = true;
    if (head === "data") hasData = true;
  };
  return (bytes) => {
    const named: Uint8Array[] = [];
    let from = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at] ?? 0;
      const isEnd = byte === cr || (byte === lf && !afterCr);
      afterCr = byte === cr;
      if (isEnd && lineBytes > 0) {
        if (!head.includes(":")) field();
        head = "";
        lineBytes = 0;
      } else if (isEnd) {
        if (hasData && !hasName) {
          named.push(bytes.subarray(from, at), name);
          from = at;
        }
        hasName = false;
        hasData = false;
      } else if (byte !== lf) {
        if (lineBytes === 0 && byteOrderMark.has(byte)) continue;
        lineBytes += 1;
        if (head.length > 5) continue; // longer than the names that matter
        if (byte === colon) field();
        head += String.fromCharCode(byte);
      }
    }
    named.push(bytes.subarray(from));
    return named.filter((piece) => piece.byteLength > 0);
  };
}

/** A `fetch` whose streams have no event without a name. */
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
