/**
 * Server-sent events, decoded as they come.
 *
 * Source: WHATWG HTML, server-sent events, §9.2.6; an event without data is none, and one that is not ended by an empty line is
 * not given out: who watches the bytes tells that it was cut.
 *
 * @module
 */

/** One event. */
export interface SseEvent {
  readonly name: string;
  readonly data: string;
}

/** Decodes bytes that may be cut anywhere. */
export interface SseDecoder {
  push(bytes: Uint8Array): SseEvent[];
}

/** Starts a stream. */
export function sseDecoder(): SseDecoder {
  const decoder = new TextDecoder(); // drops a byte order mark, and joins what was cut within a character
  let unfinished: string[] = []; // pieces of a line: joined once, as a line may be megabytes in a thousand pieces
  let afterCr = false;
  let name = "";
  let data: string[] = [];

  const endOfLine = (line: string, events: SseEvent[]): void => {
    if (line === "") {
      const joined = data.join("\n");
      if (joined !== "") events.push({ name, data: joined });
      name = "";
      data = [];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") data.push(value);
    else if (field === "event") name = value;
  };
  return {
    push(bytes) {
      const text = decoder.decode(bytes, { stream: true });
      const events: SseEvent[] = [];
      if (text === "") return events;
      let from = afterCr && text.startsWith("\n") ? 1 : 0;
      afterCr = text.endsWith("\r");
      const ends = /\r\n|\r|\n/g;
      ends.lastIndex = from;
      for (let end = ends.exec(text); end !== null; end = ends.exec(text)) {
        unfinished.push(text.slice(from, end.index));
        endOfLine(unfinished.join(""), events);
        unfinished = [];
        from = ends.lastIndex;
      }
      if (from < text.length) unfinished.push(text.slice(from));
      return events;
    },
  };
}
