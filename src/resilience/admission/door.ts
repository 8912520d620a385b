/**
 * What `bulkhead`, `rateLimit` and `circuitBreaker` share: a door before a processor.
 *
 * The call asks for a permit when it is first pulled, holds it as long as its stream lives, and gives it back once, saying how
 * it ended. Once it is let in, a part that is ready passes without a promise.
 *
 * @module
 */
import { allClosed, DONE, type Flow, isPart, type Pulled, WAIT } from "../../core/flow.ts";
import type { Part } from "../../core/part.ts";
import type { Outcome, Processor } from "../../core/processor.ts";
import type { Scope } from "../../core/scope.ts";
import { openTold } from "../attempts/open-told.ts";
import { type Told, ToldFlow } from "../attempts/told-flow.ts";

/** How a call ended; `unused` says that it never came to any I/O: it was left first, or refused by another door inside. */
export type Ending = Outcome | { readonly kind: "unused" };

/** Leave to run one call. */
export interface Permit {
  /** Sees each part that the call gives. */
  see?(part: Part): void;
  /** Called once, when the call is over. */
  release(ending: Ending): void;
}

/** A place in a queue. */
export interface Waiting {
  /** Rejects where the call is refused after all. */
  readonly permit: Promise<Permit>;
  /** Gives the place up: what comes of `permit` then is given back, or not heard. */
  leave(): void;
}

/** Lets calls in, makes them wait, or refuses them by throwing. */
export interface Door {
  enter(): Permit | Waiting;
}

const refusals = new WeakSet<object>();
/** Scopes inside which some door has let a call in that was made. */
const worked = new WeakSet<Scope>();

/** Was this error the refusal of a call, and no other made in the scope before, as by a retry? Then there was no I/O at all. */
function isUnused(scope: Scope, error: unknown): boolean {
  return typeof error === "object" && error !== null && refusals.has(error) && !worked.has(scope);
}

/**
 * One call behind a door.
 *
 * How it ends: `complete` at the end of the stream, and when the consumer leaves after the terminal marker (a finish part) has
 * come; `failed` by an error of the processor; `left` when it was left or aborted, or its input failed, which says nothing of
 * the processor. A call that is left is over when all that can unwind has.
 */
export class Admitted extends ToldFlow {
  private readonly door: Door;
  private readonly processor: Processor;
  private readonly upstream: Heard;
  private readonly scope: Scope;
  /** The call, once it was let in. */
  private flow: Required<Flow> | undefined = undefined;
  private permit: Permit | undefined = undefined;
  private sees = false;
  private given = false;
  private finished = false;
  /** It has ended, failed, was refused or left. */
  private over = false;
  private closing: Promise<void> | undefined = undefined;
  /** While it waits to be let in. */
  private waiting: Waiting | undefined = undefined;

  constructor(door: Door, processor: Processor, upstream: Flow, scope: Scope) {
    super();
    this.door = door;
    this.processor = processor;
    this.upstream = new Heard(upstream);
    this.scope = scope.child(); // so that those at work inside hear when this call alone is over
  }

  protected override read(): Told {
    const { flow } = this;
    if (this.over) return DONE;
    if (flow === undefined) return this.enter();
    const told = flow.pullFor(this);
    if (isPart(told)) return this.pass(told);
    return told === DONE ? this.end() : WAIT;
  }

  override onPart(part: Part): void {
    if (!this.over) this.answer(this.pass(part));
  }

  override onEnd(): void {
    if (!this.over) this.answer(this.end());
  }

  override onError(error: unknown): void {
    if (this.over) return; // it was left, and this is how the wait ends
    this.over = true;
    if (!this.given && isUnused(this.scope, error)) this.release({ kind: "unused" });
    else this.release(this.upstream.hasFailedWith(error) ? { kind: "left" } : { kind: "failed", error });
    this.refuse(error);
  }

  private pass(part: Part): Part {
    this.given = true;
    if (part.kind === "finish") this.finished = true;
    if (this.sees) this.permit?.see?.(part);
    return part;
  }

  private end(): typeof DONE {
    this.over = true;
    this.scope.release();
    this.release({ kind: "complete" });
    return DONE;
  }

  private release(ending: Ending): void {
    if (ending.kind !== "unused") for (let scope = this.scope.parent; scope !== undefined; scope = scope.parent) worked.add(scope);
    this.permit?.release(ending);
  }

  private enter(): Told {
    let entered: Permit | Waiting;
    try {
      entered = this.door.enter();
    } catch (error) {
      return this.turnAway(error);
    }
    if (!("permit" in entered)) return this.open(entered);
    this.waiting = entered;
    entered.permit.then(
      (granted) => {
        if (this.over) return granted.release({ kind: "unused" });
        const told = this.open(granted);
        if (told !== WAIT) this.answer(told);
      },
      (error: unknown) => {
        if (!this.over) this.turnAway(error);
      },
    );
    return WAIT;
  }

  private open(permit: Permit): Told {
    this.waiting = undefined;
    this.permit = permit;
    this.sees = permit.see !== undefined;
    try {
      this.flow = openTold(this.processor, this.upstream, this.scope);
    } catch (error) {
      this.release({ kind: "unused" });
      return this.giveUp(error);
    }
    return this.read();
  }

  private turnAway(error: unknown): typeof WAIT {
    if (typeof error === "object" && error !== null) refusals.add(error);
    return this.giveUp(error);
  }

  /** It never ran: the input, which nobody has read, is closed before the error is told. */
  private giveUp(error: unknown): typeof WAIT {
    this.over = true;
    this.scope.release();
    const tell = (): void => this.refuse(error);
    (this.upstream.close(error) ?? Promise.resolve()).then(tell, tell);
    return WAIT;
  }

  override close(why: unknown): Promise<void> | undefined {
    if (!this.over) this.closing = this.leave(why);
    this.refuse(why);
    return this.closing;
  }

  private leave(why: unknown): Promise<void> | undefined {
    this.over = true;
    const { flow, scope, waiting } = this;
    waiting?.leave();
    const inside = scope.end(why);
    if (flow === undefined) return this.upstream.close(why);
    const closing = allClosed([flow.close(why), inside]);
    const release = (): void => this.release({ kind: this.finished ? "complete" : "left" });
    if (closing === undefined) release();
    else closing.then(release, release); // until then it is still at work
    return closing;
  }
}

/** The input, and whether it was what failed. */
class Heard implements Flow {
  private readonly flow: Flow;
  private failure: { readonly error: unknown } | undefined = undefined;
  private closed = false;

  constructor(flow: Flow) {
    this.flow = flow;
  }

  hasFailedWith(error: unknown): boolean {
    return this.failure !== undefined && Object.is(this.failure.error, error);
  }

  pull(): Pulled {
    const pulled = this.flow.pull();
    if (pulled instanceof Promise) pulled.catch(this.onFailed); // before the processor hears of it: this handler is the first
    return pulled;
  }

  private readonly onFailed = (error: unknown): void => {
    if (!this.closed) this.failure = { error }; // else a wait that leaving has ended
  };

  close(why: unknown): Promise<void> | undefined {
    this.closed = true;
    return this.flow.close(why);
  }
}
