/**
 * The whole input of a turn: a model answers nothing before it has heard everything.
 *
 * @module
 */
import type { Part } from "../core/part.ts";
import { heard } from "./heard.ts";

/** Reads the input to its end, or until the signal; then the source is left. */
export async function collect(input: AsyncIterable<Part>, signal: AbortSignal): Promise<Part[]> {
  const parts: Part[] = [];
  const iterator = input[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await heard(iterator.next(), signal);
      if (done === true) return parts;
      parts.push(value);
    }
  } catch (error) {
    // A source that waits cannot be waited for; one that failed has ended and hears nothing of this.
    void Promise.resolve(iterator.return?.()).catch(() => {});
    throw error;
  }
}
