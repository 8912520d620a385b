/**
 * @module
 */
import { wholeNumber } from "../core/errors.ts";
import { DONE, type Flow, ignore, isPart, type Pulled } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { left } from "../core/scope.ts";

/**
 * The first `count` parts.
 *
 * Closes: its input with the delivery of the last part; it is not pulled again. `take(0)` opens nothing.
 *
 * @example
 * console.log(await run(take(2), ["a", "b", "c"]).text()); // ab
 */
export function take(count: number): Processor {
  wholeNumber("take", "count", count, 0);
  return processorOf([{ kind: "flow", name: "take", open: (upstream) => new Take(upstream, count) }]);
}

class Take implements Flow {
  private readonly upstream: Flow;
  private missing: number;
  private closing: Promise<void> | undefined = undefined;

  constructor(upstream: Flow, count: number) {
    this.upstream = upstream;
    this.missing = count;
  }

  pull(): Pulled {
    const { closing } = this;
    if (this.missing === 0) {
      this.closing = undefined;
      return closing === undefined ? DONE : closing.then(() => DONE);
    }
    const pulled = this.upstream.pull();
    return isPart(pulled) || pulled === DONE ? this.count(pulled) : pulled.then((part) => this.count(part));
  }

  private count(part: Part | typeof DONE): Part | typeof DONE {
    if (part === DONE) this.missing = 0;
    else {
      this.missing -= 1;
      if (this.missing === 0) {
        this.closing = this.upstream.close(left());
        this.closing?.catch(ignore); // told at the next pull
      }
    }
    return part;
  }

  close(why: unknown): Promise<void> | undefined {
    this.missing = 0;
    return this.upstream.close(why);
  }
}
