/**
 * Server-sent events, decoded as they come.
 *
 * Source: WHATWG HTML, server-sent events, §9.2.5 and 9.2.6: lines end with LF, CR or CRLF, events with an empty line, and one without
 * data is none. Of the fields only `event` and `data` matter here.
 *
 * @module
 */

/** One event. */
export interface SseEvent {
  /** `""` for one without a name. */
  readonly name: string;
  readonly data: string;
}

/** Decodes bytes that may be cut anywhere. */
export interface SseDecoder {
  /** Takes bytes; what came before has been read out. */
  push(bytes: Uint8Array): void;
  /** The next whole event; undefined when more bytes are needed. */
  next(): SseEvent | undefined;
  /** At the end of the bytes: what stands there without its empty line, comments aside. */
  rest(): SseEvent | undefined;
  /** UTF-16 units of the event that `next` gave, or of the one that is not whole yet; a byte makes one at most. */
  readonly length: number;
}

/** May stand at the beginning, and is part of nothing. */
const byteOrderMark = "\ufeff";
const cr = "\r";
const lf = "\n";

/** Starts a stream. */
export function sseDecoder(): SseDecoder {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // joins what was cut within a character
  let isFirst = true;
  let text = "";
  let from = 0;
  let nextCr = -1; // what there is none of any more is not searched again: few texts have both
  let nextLf = -1;
  let line = ""; // what came of one before this text
  let afterCr = false;
  let name = "";
  let data: string | undefined;
  let hasField = false;
  let length = 0;
  let isWhole = false;

  const field = (whole: string): void => {
    const colon = whole.indexOf(":");
    if (colon === 0) return; // a comment
    hasField = true;
    const key = colon < 0 ? whole : whole.slice(0, colon);
    const value = colon < 0 ? "" : whole.slice(whole[colon + 1] === " " ? colon + 2 : colon + 1);
    if (key === "data") data = data === undefined ? value : `${data}\n${value}`;
    else if (key === "event") name = value;
  };
  const begin = (): void => {
    name = "";
    data = undefined;
    hasField = false;
    length = 0;
    isWhole = false;
  };
  /** Where the line ends that the text stands in, or -1. */
  const lineEnd = (): number => {
    if (nextCr >= 0 && nextCr < from) nextCr = text.indexOf(cr, from);
    if (nextLf >= 0 && nextLf < from) nextLf = text.indexOf(lf, from);
    return nextCr >= 0 && (nextLf < 0 || nextCr < nextLf) ? nextCr : nextLf;
  };
  return {
    push(bytes) {
      text = decoder.decode(bytes, { stream: true });
      if (isFirst && text !== "") {
        isFirst = false;
        if (text.startsWith(byteOrderMark)) text = text.slice(1); // here, as Deno's decoder drops later ones too
      }
      from = afterCr && text.startsWith(lf) ? 1 : 0;
      if (text !== "") afterCr = text.endsWith(cr);
      nextCr = text.indexOf(cr);
      nextLf = text.indexOf(lf);
    },
    next() {
      if (isWhole) begin();
      for (let end = lineEnd(); end >= 0; end = lineEnd()) {
        const whole = line + text.slice(from, end);
        length += end - from;
        line = "";
        from = end === nextCr && text[end + 1] === lf ? end + 2 : end + 1;
        if (whole !== "") {
          field(whole);
        } else if (data === undefined) {
          begin();
        } else {
          isWhole = true;
          return { name, data };
        }
      }
      line += text.slice(from);
      length += text.length - from;
      from = text.length;
      return undefined;
    },
    rest() {
      if (isWhole) begin();
      line += decoder.decode();
      if (line !== "") field(line);
      return hasField ? { name, data: data ?? "" } : undefined;
    },
    get length() {
      return length;
    },
  };
}
