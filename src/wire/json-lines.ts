/**
 * A body of JSON values, a line each (`application/x-ndjson`), as it comes.
 *
 * Source: github.com/ndjson/ndjson-spec; a last line without its line end is taken when it is whole.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";

/** Characters of a line: as many as an event of a stream may have bytes. */
const maxLineChars = 8_388_608;
const lineEnd = 0x0a;

/**
 * The values, in order; empty lines are none. Leaving it lets go of the body.
 *
 * Throws: `bad_response` for a line that is no JSON and for bytes that are no UTF-8, `truncated` for a body that ends within a
 * line, `too_large` for a line of more than 8 Mi characters; what the body throws.
 */
export async function* jsonLines(service: string, body: ReadableStream<Uint8Array> | null): AsyncGenerator<unknown, void, undefined> {
  if (body === null) return;
  const reader = body.getReader();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      for (let from = 0, to = 0; from < value.length; from = to) {
        const end = value.indexOf(lineEnd, from);
        to = end < 0 ? value.length : end + 1;
        // a line at a time: bytes that are none must not take the lines before them, which came with them
        line += attempt(
          () => decoder.decode(value.subarray(from, to), { stream: true }),
          () => bad(service, "the answer holds bytes that are no UTF-8"),
        );
        if (end < 0) break;
        const whole = line;
        line = "";
        if (whole.trim() !== "") yield attempt((): unknown => JSON.parse(whole), () => bad(service, "sent a line that is no JSON"));
      }
      if (line.length > maxLineChars) throw new MillraceError("too_large", `${service}: a line has more than ${maxLineChars} characters`, { service });
    }
    if (line.trim() === "") return;
    yield attempt((): unknown => JSON.parse(line), () => new MillraceError("truncated", `${service}: the answer ends within a line`, { service }));
  } finally {
    void reader.cancel().catch(() => {});
  }
}

/** What failed stays out of the error, also as its cause: it quotes what the model said. */
function attempt<T>(work: () => T, failure: () => MillraceError): T {
  try {
    return work();
  } catch {
    throw failure();
  }
}

function bad(service: string, what: string): MillraceError {
  return new MillraceError("bad_response", `${service}: ${what}`, { service });
}
