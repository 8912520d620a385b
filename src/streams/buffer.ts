/**
 * @module
 */
import { wholeNumber } from "../core/errors.ts";
import { Fifo } from "../core/fifo.ts";
import { DONE, type Flow, isPart, type Pulled } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";

/**
 * Lets what is before it run ahead: from the first pull on it keeps up to `count` parts ready, asked or not.
 *
 * Throws: what its input throws, after the parts before it.
 *
 * @example
 * const eager = pipe(each(async (part) => part), buffer(8), each(async (part) => part));
 * console.log(await run(eager, "a").text()); // a
 */
export function buffer(count: number): Processor {
  wholeNumber("buffer", "count", count, 0);
  return processorOf([{ kind: "flow", name: "buffer", open: (upstream) => new Buffered(upstream, count) }]);
}

class Buffered implements Flow {
  private readonly upstream: Flow;
  private readonly count: number;
  private readonly ready = new Fifo<Part>();
  private pending = false;
  private over = false;
  private failure: { readonly error: unknown } | undefined = undefined;
  private resolve: ((part: Part | typeof DONE) => void) | undefined = undefined;
  private reject: ((why: unknown) => void) | undefined = undefined;

  constructor(upstream: Flow, count: number) {
    this.upstream = upstream;
    this.count = count;
  }

  pull(): Pulled {
    const part = this.ready.shift();
    if (part !== undefined) {
      this.fill();
      return part;
    }
    const answer = new Promise<Part | typeof DONE>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.serve();
    this.fill();
    return answer;
  }

  /** Runs ahead as far as there is room, a waiting reader counting as room for one. */
  private fill(): void {
    while (!this.pending && !this.over && this.ready.length < this.count + (this.resolve === undefined ? 0 : 1)) {
      const pulled = this.upstream.pull();
      if (isPart(pulled)) this.take(pulled);
      else if (pulled === DONE) this.take(DONE);
      else {
        this.pending = true;
        pulled.then(this.onPulled, this.onFailed);
      }
    }
  }

  private readonly onPulled = (pulled: Part | typeof DONE): void => {
    this.pending = false;
    this.take(pulled);
    this.fill();
  };

  private readonly onFailed = (error: unknown): void => {
    this.pending = false;
    this.over = true;
    this.failure ??= { error };
    this.serve();
  };

  private take(pulled: Part | typeof DONE): void {
    if (this.over) return;
    if (pulled === DONE) this.over = true;
    else this.ready.push(pulled);
    this.serve();
  }

  private serve(): void {
    const { resolve, reject, failure } = this;
    if (resolve === undefined || reject === undefined) return;
    const part = this.ready.shift();
    if (part === undefined && !this.over) return;
    this.resolve = this.reject = undefined;
    if (part !== undefined) resolve(part);
    else if (failure === undefined) resolve(DONE);
    else {
      this.failure = undefined;
      reject(failure.error);
    }
  }

  close(why: unknown): Promise<void> | undefined {
    this.over = true;
    this.ready.clear();
    this.failure = undefined;
    this.reject?.(why);
    this.resolve = this.reject = undefined;
    return this.upstream.close(why);
  }
}
