/**
 * The kernel: consecutive part functions as one loop.
 *
 * Each part is driven through all operations depth first; only real promises are awaited, nothing is expanded ahead, and
 * nothing is allocated per part but what the reader demands.
 *
 * @module
 */
import { type Content, notAResult, toPart } from "./content.ts";
import { allClosed, DONE, type Flow, ignore, isPart, isPromise, PASS, type Pulled, type Reader, returnOf, tells, WAIT } from "./flow.ts";
import { closeFrames, Frame } from "./frames.ts";
import { isReserved } from "./guards.ts";
import { OpaqueSource } from "./opaque.ts";
import { Failed, NEED, Outlet, type Step } from "./outlet.ts";
import type { Part } from "./part.ts";
import { Scope, type Why } from "./scope.ts";
import { keepShape } from "./shapes.ts";
import type { Operation } from "./stage.ts";
import { unwound } from "./unwind.ts";

/** What a fused flow reads: another flow, a stage it can't see into, or content. */
export type FusedInput = Flow | OpaqueSource | Content;

// What is being awaited; numbers, because this is looked at per part.
const nothing = 0;
const source = 1;
const call = 2;
const frame = 3;

/** A flow as it is read here: `WAIT` where it will tell. */
interface Upstream extends Pick<Flow, "close"> {
  pull(): Pulled | typeof WAIT;
}

/** A flow that tells its reader. In a class of its own, so that the loop does not ask for each part which sort it reads. */
class Telling implements Upstream {
  private readonly flow: Required<Flow>;
  private readonly reader: Reader;

  constructor(flow: Required<Flow>, reader: Reader) {
    this.flow = flow;
    this.reader = reader;
  }

  pull(): Part | typeof DONE | typeof WAIT {
    return this.flow.pullFor(this.reader);
  }

  close(why: unknown): Promise<void> | undefined {
    return this.flow.close(why);
  }
}

/** One loop over part functions. */
export class Fused extends Outlet implements Reader {
  protected readonly scope: Scope;
  protected input: FusedInput;
  protected operations: readonly Operation[];
  private opened = false;
  private iterator: AsyncIterator<unknown> | null = null;
  private flow: Upstream | null = null;
  private finite = false;
  private base: Frame | null = null;
  private top: Frame | null = null;
  private awaiting = nothing;
  // Where the awaited call was made, and for which part.
  private resume = 0;
  private origin: Part | undefined = undefined;
  private sourceOver = false;
  private closing: Promise<void> | undefined = undefined;

  constructor(input: FusedInput, operations: readonly Operation[], scope: Scope) {
    super();
    this.input = input;
    this.operations = operations;
    this.scope = scope;
  }

  /** Opens at the first pull, then takes one step; a throw becomes a rejected step, handled like any other. */
  protected override begin(): Step {
    try {
      if (!this.opened) this.open();
      else if (this.top === null && this.iterator !== null) return NEED; // the common case: nothing is left of the last part
      return this.step(undefined, 0);
    } catch (error) {
      return new Failed(error);
    }
  }

  protected open(): void {
    this.opened = true;
    const { input } = this;
    if (input instanceof OpaqueSource) this.iterator = input.open();
    else if ("pull" in input) this.flow = tells(input) ? new Telling(input, this) : input;
    else if ("open" in input) this.flow = input.open(this.scope);
    else if ("async" in input) this.iterator = input.async[Symbol.asyncIterator]();
    else {
      this.finite = true;
      const content = this.push(0, undefined);
      if ("items" in input) content.items = input.items;
      else content.sync = input.sync[Symbol.iterator]();
    }
  }

  /** Is something being awaited already? */
  protected get busy(): boolean {
    return this.awaiting !== nothing;
  }

  /** Is nothing left of the last part, so that the source is to be asked for the next? */
  protected get dry(): boolean {
    return this.top === null && this.iterator !== null && this.awaiting === nothing && !this.over;
  }

  /**
   * The heart. With a part: runs it on from an operation. Without: takes the next from the deepest frame, else from the
   * source. Depth first, so at most one frame an operation is alive.
   */
  protected step(start: Part | undefined, from: number): Step {
    const { operations, scope } = this;
    const count = operations.length;
    let part = start;
    let i = from;
    for (;;) {
      while (part !== undefined) {
        if (i === count) return part;
        const result = (operations[i] as Operation)(part, scope); // i < count
        i += 1;
        // the likely result first; written out, because a check that is shared would see every shape that flows in the process
        if (typeof result === "object" && result !== null && (result as Part).substream === "" && typeof (result as Part).kind === "string") {
          part = result as Part;
        } else if (result === undefined) {
          part = undefined;
        } else if (Array.isArray(result)) {
          part = this.spread(result, part, i);
        } else if (result === PASS) {
          continue;
        } else if (isPromise(result)) {
          this.awaiting = call;
          this.resume = i;
          this.origin = part;
          return result;
        } else {
          part = isPart(result) ? (this.setAside(result) ? undefined : result) : this.spread(result, part, i);
        }
      }
      const { top } = this;
      if (top !== null) {
        i = top.stage;
        if (top.async !== null) return this.callFrame(top, top.async);
        part = this.takeFrom(top);
        if (part !== undefined && part.substream !== "" && this.setAside(part)) part = undefined;
      } else if (this.finite) {
        return DONE;
      } else if (this.flow !== null) {
        const pulled = this.flow.pull();
        if (!isPart(pulled)) {
          this.awaiting = source;
          return pulled;
        }
        part = pulled;
        i = 0;
      } else {
        return NEED;
      }
    }
  }

  /** The next part of a frame, which is left before its last part runs. */
  private takeFrom(top: Frame): Part | undefined {
    const { items, origin } = top;
    if (items !== null) {
      const { at } = top;
      if (at >= items.length) {
        this.pop(top);
        return undefined;
      }
      const item = items[at];
      if (at + 1 < items.length) top.at = at + 1;
      else this.pop(top);
      return isPart(item) ? item : toPart(item, origin);
    }
    let result: IteratorResult<unknown> | undefined;
    try {
      result = top.sync?.next();
    } catch (error) {
      this.pop(top); // it has thrown: it is over and must not be returned
      throw error;
    }
    if (result === undefined || result.done === true) {
      this.pop(top);
      return undefined;
    }
    return isPart(result.value) ? result.value : toPart(result.value, origin);
  }

  private callFrame(top: Frame, iterator: AsyncIterator<unknown>): Step {
    try {
      const result = iterator.next();
      this.awaiting = frame;
      return result;
    } catch (error) {
      this.pop(top);
      throw error;
    }
  }

  /** A result that is neither part nor promise: the first part goes on at once, a frame remembers the others. */
  private spread(result: unknown, origin: Part, next: number): Part | undefined {
    let first: Part | undefined;
    if (typeof result === "string") {
      first = toPart(result, origin);
    } else if (Array.isArray(result)) {
      if (result.length === 0) return undefined;
      if (result.length > 1) {
        const rest = this.push(next, origin);
        rest.items = result;
        rest.at = 1;
      }
      const item: unknown = result[0];
      first = isPart(item) ? item : toPart(item, origin);
    } else if (typeof result === "object" && result !== null && Symbol.asyncIterator in result) {
      this.push(next, origin).async = (result as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    } else if (typeof result === "object" && result !== null && Symbol.iterator in result) {
      this.push(next, origin).sync = (result as Iterable<unknown>)[Symbol.iterator]();
    } else {
      throw notAResult(result);
    }
    return first !== undefined && first.substream !== "" && this.setAside(first) ? undefined : first;
  }

  private push(stage: number, origin: Part | undefined): Frame {
    const { top } = this;
    const pushed = top === null ? (this.base ??= new Frame(null)) : (top.above ??= new Frame(top));
    pushed.stage = stage;
    pushed.origin = origin;
    pushed.at = 0;
    this.top = pushed;
    return pushed;
  }

  private pop(top: Frame): void {
    this.top = top.below;
    top.clear();
  }

  /** A reserved part leaves here, for the output of the run. */
  private setAside(part: Part): boolean {
    if (isReserved(part)) {
      this.scope.emit(part);
      return true;
    }
    if (typeof part.substream !== "string") throw notAResult(part);
    return false;
  }

  /** Waits for what a step gave, by callbacks that were made once. */
  protected override wait(step: Step): void {
    if (step === NEED) {
      this.ask();
    } else if (isPart(step)) {
      this.settle(step);
    } else if (step === DONE) {
      this.finish();
    } else if (step === WAIT) {
      // told by `onPart`, `onEnd` or `onError`
    } else if (step instanceof Failed) {
      this.fail(step.error);
    } else if (step instanceof Promise) {
      step.then(this.onValue, this.onThrown);
    } else {
      Promise.resolve(step).then(this.onValue, this.onThrown); // a thenable, or a result that is no promise
    }
  }

  /** Asks the source for its next part. */
  protected ask(): void {
    this.awaiting = source;
    let result: Promise<IteratorResult<unknown>> | undefined;
    try {
      result = this.iterator?.next();
    } catch (error) {
      return this.onThrown(error);
    }
    if (result instanceof Promise) result.then(this.onNext, this.onThrown);
    else Promise.resolve(result).then(this.onNext, this.onThrown);
  }

  /** What a step gave goes to whoever reads. */
  protected hand(step: Step): void {
    if (isPart(step)) this.settle(step);
    else this.wait(step);
  }

  onPart(part: Part): void {
    this.onValue(part);
  }

  onEnd(): void {
    this.onValue(DONE);
  }

  onError(error: unknown): void {
    this.onThrown(error);
  }

  // The callbacks below are made once a flow, not once a part.

  private readonly onValue = (value: unknown): void => {
    if (this.over) return this.rest();
    this.hand(this.received(value));
  };

  private readonly onNext = (result: IteratorResult<unknown> | undefined): void => {
    this.awaiting = nothing;
    if (!this.over) this.hand(this.taken(result));
  };

  private readonly onThrown = (error: unknown): void => {
    if (this.over) return this.rest();
    // What has thrown by itself is over, and is not returned again.
    if (this.awaiting === source) this.sourceOver = true;
    else if (this.awaiting === frame && this.top !== null) this.pop(this.top);
    this.awaiting = nothing;
    this.fail(error);
  };

  /** What was awaited has come after all; nobody wants it, but leaving can now go on behind it. */
  private rest(): void {
    this.awaiting = nothing;
  }

  /** Goes on with what was awaited. */
  private received(value: unknown): Step {
    const { awaiting } = this;
    this.awaiting = nothing;
    try {
      if (awaiting === call) return this.resumeWith(value);
      if (awaiting === source && this.flow !== null) return isPart(value) ? this.step(value, 0) : DONE;
      const result = value as IteratorResult<unknown> | undefined;
      const { top } = this;
      if (top === null) return DONE;
      if (result?.done === true) {
        this.pop(top);
        return this.step(undefined, 0);
      }
      return this.enter(isPart(result?.value) ? result.value : toPart(result?.value, top.origin), top.stage);
    } catch (error) {
      return new Failed(error);
    }
  }

  /** The source's next item. */
  private taken(result: IteratorResult<unknown> | undefined): Step {
    try {
      if (result === undefined || result.done === true) return DONE;
      return this.enter(isPart(result.value) ? result.value : toPart(result.value, undefined), 0);
    } catch (error) {
      return new Failed(error);
    }
  }

  /** A part that came from outside goes on, unless it is none or reserved. */
  private enter(part: Part | undefined, stage: number): Step {
    if (part === undefined || (part.substream !== "" && this.setAside(part))) return this.step(undefined, 0);
    return this.step(part, stage);
  }

  /** The awaited call has given its result. */
  private resumeWith(result: unknown): Step {
    const { origin, resume } = this;
    this.origin = undefined;
    if (result === undefined || origin === undefined) return this.step(undefined, 0);
    if (result === PASS) return this.step(origin, resume);
    return isPart(result) ? this.enter(result, resume) : this.step(this.spread(result, origin, resume), resume);
  }

  /** The natural end. A stage that stopped early has its input closed first. */
  private finish(): void {
    this.over = true;
    const closing = this.input instanceof OpaqueSource ? this.input.ended() : undefined;
    if (closing === undefined) this.settle(DONE);
    else closing.then(this.onEnded, this.onEndFailed);
  }

  private readonly onEnded = (): void => this.settle(DONE);
  private readonly onEndFailed = (error: unknown): void => this.settleWithError(error);

  /** Closes everything behind, waits for it, then rejects with the first error: closing never hides it. */
  protected fail(error: unknown): void {
    const closing = this.shut({ reason: error });
    const settle = (): void => this.settleWithError(error);
    if (closing === undefined) settle();
    else closing.then(settle, settle);
  }

  /** Closes frames, then the source, once; also while one of them is pending, which is then not waited for. */
  protected override shut(why: Why): Promise<void> | undefined {
    if (this.over) return this.closing;
    this.over = true;
    const frames = closeFrames(this.top, this.awaiting === frame);
    this.top = null;
    this.closing = allClosed([frames, this.closeSource(why)]);
    return this.closing;
  }

  private closeSource(why: Why): Promise<unknown> | undefined {
    const { input } = this;
    const pending = this.awaiting === source;
    if (input instanceof OpaqueSource) return this.sourceOver ? input.ended() : input.close(why.reason, pending);
    if (this.sourceOver) return undefined;
    if (this.flow !== null) return this.flow.close(why.reason);
    if ("pull" in input) return input.close(why.reason);
    if (this.iterator === null) return !this.opened && "async" in input ? input.unread?.() : undefined;
    const returned = returnOf(this.iterator);
    // A generator answers return() only after its pending next(), which may never come.
    return pending ? unwound(returned, () => this.awaiting === nothing) : returned;
  }
}

keepShape(new Fused({ items: [] }, [], new Scope({}, { emit: ignore })));
