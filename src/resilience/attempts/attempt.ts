/**
 * One try of a processor: a part of the run that can be given up alone.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { derive } from "../../core/derive.ts";
import { allClosed, type Flow } from "../../core/flow.ts";
import type { Limits } from "../../core/limits.ts";
import type { Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import type { Scope } from "../../core/scope.ts";
import { openTold } from "./open-told.ts";

/** Milliseconds that an abandoned attempt gets to unwind; then it is left to itself. */
const unwindMs = 100;

/** What an attempt is made of. */
export interface AttemptOptions {
  /** Counted from 1. */
  readonly number: number;
  readonly limits?: Limits | undefined;
  /** Told of each reserved part: the attempt is alive. */
  readonly heard?: (() => void) | undefined;
}

/** Opens a processor over an input of its own. Nothing runs before the first pull of `flow`. */
export class Attempt {
  readonly number: number;
  readonly flow: Required<Flow>;
  private readonly scope: Scope;
  private over = false;
  /** What was busy when it was left, and still is. */
  private readonly busy = new Set<Promise<unknown>>();
  private waits = false;
  private stopWaiting: (() => void) | undefined = undefined;

  constructor(processor: Processor, input: Flow, parent: Scope, { number, limits, heard }: AttemptOptions) {
    this.number = number;
    const emit = (part: Part): void => {
      if (this.over) return; // it was given up: what it says is not of this call any more
      heard?.();
      parent.emit(number === 1 ? part : derive(part, { metadata: { ...part.metadata, attempt: number } }));
    };
    const unwinding = (rest: Promise<unknown>): void => {
      const free = (): void => void this.busy.delete(rest);
      rest.then(free, free);
      this.busy.add(rest);
      if (!this.waits) parent.unwinding(rest); // whoever gave up more than this attempt waits for all of it
    };
    this.scope = parent.child(undefined, { output: { emit }, unwinding, ...(limits === undefined ? {} : { limits }) });
    this.flow = openTold(processor, input, this.scope);
  }

  /** It came to its natural end. */
  end(): void {
    this.over = true;
    this.scope.release();
  }

  /** It is not wanted any more: the calls in flight hear of it by their signal. The promise is of what can unwind. */
  giveUp(why: unknown): Promise<void> | undefined {
    this.stopWaiting?.();
    if (this.over) return undefined;
    this.over = true;
    return allClosed([this.flow.close(why), this.scope.end(why)]);
  }

  /** Gives it up, and waits for it to unwind, also where it is busy, but not for long. */
  abandon(why: unknown, clock: Clock): Promise<void> | undefined {
    this.waits = true;
    const closing = this.giveUp(why);
    const unwound = allClosed([closing, ...this.busy]);
    if (unwound === undefined) return undefined;
    return new Promise((resolve) => {
      const stop = (): void => {
        this.stopWaiting = undefined;
        cancel();
        resolve();
      };
      const cancel = clock.timeout(unwindMs, stop);
      this.stopWaiting = stop;
      unwound.then(stop, stop); // how it ends is of no interest any more
    });
  }
}
