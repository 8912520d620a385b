/**
 * What `run` gives: a stream of parts that is read once, and its terminals.
 *
 * @module
 */
import { MillraceError, received } from "./errors.ts";
import { isReserved } from "./guards.ts";
import type { JsonValue, Part } from "./part.ts";
import { isReset } from "./reset.ts";
import type { Run } from "./runner.ts";

/** The parts of one run. Iterate it, or use one terminal; a second reading is an error, never silent emptiness. */
export class PartStream implements AsyncIterable<Part> {
  readonly #open: () => Run;
  #read = false;

  /** @internal Made by `run`. */
  constructor(open: () => Run) {
    this.#open = open;
  }

  [Symbol.asyncIterator](): AsyncIterator<Part, undefined> {
    return this.#read ? readTwice() : this.#take();
  }

  /** All parts, reserved ones included, in the order of emission. A reset drops what it takes back, and itself. */
  async collect(): Promise<Part[]> {
    let parts: Part[] = [];
    await this.#drain((part) => {
      if (part.kind === "json" && isReset(part)) parts = parts.filter(isReserved);
      else parts.push(part);
    });
    return parts;
  }

  /** The text of the main substream, or of the one named. */
  async text(options: { readonly substream?: string } = {}): Promise<string> {
    const substream = options.substream ?? "";
    let text = "";
    await this.#drain((part) => {
      if (part.kind === "text" && part.substream === substream) text += part.text;
      else if (part.kind === "json" && isReset(part)) text = "";
    });
    return text;
  }

  /**
   * The value of the one JSON part of the main substream, else the joined text, parsed.
   *
   * Throws `bad_response` for text that is no JSON and for more than one JSON part; the text is in `partial`.
   */
  async json<T = JsonValue>(): Promise<T> {
    let values: JsonValue[] = [];
    let text = "";
    let parts = 0;
    await this.#drain((part) => {
      if (part.substream !== "") return;
      if (part.kind === "json" && isReset(part)) {
        values = [];
        text = "";
        parts = 0;
        return;
      }
      parts += 1;
      if (part.kind === "json") values.push(part.value);
      else if (part.kind === "text") text += part.text;
    });
    if (values.length > 1) throw new MillraceError("bad_response", `json: needs one JSON part, got ${values.length}`);
    if (values.length === 1) return values[0] as T; // the caller names the type of what the pipeline makes
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new MillraceError("bad_response", `json: the text is no JSON: ${received(text)}`, { cause, partial: { parts, text } });
    }
  }

  /** Calls a function with every part and waits for it before the next is pulled; what it throws closes the run. */
  forEach(fn: (part: Part) => unknown): Promise<void> {
    return this.#drain(fn);
  }

  /** The parts as a web stream, pulled on demand; cancelling it leaves the run. */
  toReadableStream(): ReadableStream<Part> {
    const iterator = this[Symbol.asyncIterator]();
    return new ReadableStream<Part>(
      {
        async pull(controller) {
          const result = await iterator.next();
          if (result.done === true) controller.close();
          else controller.enqueue(result.value);
        },
        async cancel() {
          await iterator.return?.();
        },
      },
      { highWaterMark: 0 }, // nothing is pulled that nobody asked for
    );
  }

  #take(): Run {
    this.#read = true;
    return this.#open();
  }

  #drain(fn: (part: Part) => unknown): Promise<void> {
    return this.#read ? Promise.reject(alreadyRead()) : this.#take().drain(fn);
  }
}

function alreadyRead(): MillraceError {
  return new MillraceError("closed", "run: this stream was read already; run the processor again for another");
}

/** An iterator that fails once, at the first pull: where a loop can catch it. */
function readTwice(): AsyncIterator<Part, undefined> {
  let told = false;
  return {
    async next() {
      if (told) return { value: undefined, done: true };
      told = true;
      throw alreadyRead();
    },
    async return() {
      told = true;
      return { value: undefined, done: true };
    },
  };
}
