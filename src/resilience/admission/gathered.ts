/**
 * An input that is read to its end before the first part of it is handed on: to know what a call costs before it is made.
 *
 * @module
 */
import { Fifo } from "../../core/fifo.ts";
import { DONE, type Flow, isPart, type Pulled } from "../../core/flow.ts";
import type { Part } from "../../core/part.ts";

/** Reads, counts, then gives what it read. */
export class Gathered implements Flow {
  private readonly upstream: Flow;
  private readonly take: (part: Part) => void;
  private readonly parts = new Fifo<Part>();

  /** `take` sees every part as it is read, and may end the reading by throwing. */
  constructor(upstream: Flow, take: (part: Part) => void) {
    this.upstream = upstream;
    this.take = take;
  }

  /** Resolves at the end of the input; rejects with its error, with what `take` throws, and when it is closed. */
  async read(): Promise<void> {
    for (;;) {
      const pulled = this.upstream.pull();
      const part = isPart(pulled) || pulled === DONE ? pulled : await pulled;
      if (part === DONE) return;
      this.take(part);
      this.parts.push(part);
    }
  }

  pull(): Pulled {
    return this.parts.shift() ?? DONE;
  }

  close(why: unknown): Promise<void> | undefined {
    this.parts.clear();
    return this.upstream.close(why);
  }
}
