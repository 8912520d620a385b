/**
 * An opaque processor as a flow: the kernel's loop without what only part functions need, because every part of an attempt
 * comes this way.
 *
 * @module
 */
import { toPart } from "../../core/content.ts";
import { allClosed, DONE, isPart, WAIT } from "../../core/flow.ts";
import { isReserved } from "../../core/guards.ts";
import type { OpaqueSource } from "../../core/opaque.ts";
import type { Part } from "../../core/part.ts";
import type { Scope } from "../../core/scope.ts";
import { type Told, ToldFlow } from "./told-flow.ts";

/** Reads it one part at a time. A failure is told to the calls in flight before what it reads is closed, as in a run. */
export class OpaqueFlow extends ToldFlow {
  private readonly source: OpaqueSource;
  private readonly scope: Scope;
  private iterator: AsyncIterator<unknown> | null = null;
  private pending = false;
  private over = false;
  private closing: Promise<void> | undefined = undefined;

  constructor(source: OpaqueSource, scope: Scope) {
    super();
    this.source = source;
    this.scope = scope;
  }

  protected override read(): Told {
    if (this.over) return DONE;
    this.ask();
    return WAIT;
  }

  private ask(): void {
    this.pending = true;
    let result: unknown;
    try {
      this.iterator ??= this.source.open();
      result = this.iterator.next();
    } catch (error) {
      result = Promise.reject(error);
    }
    if (result instanceof Promise) result.then(this.onResult, this.onThrown);
    else Promise.resolve(result as IteratorResult<unknown>).then(this.onResult, this.onThrown); // a thenable, or a result that is no promise
  }

  private readonly onResult = (result: IteratorResult<unknown> | undefined): void => {
    this.pending = false;
    if (this.over) return;
    if (result === undefined || result.done === true) return this.onEnd();
    const { value } = result;
    let part: Part | undefined;
    try {
      part = isPart(value) ? value : toPart(value, undefined);
    } catch (error) {
      return this.fail(error, false);
    }
    if (part !== undefined && (part.substream === "" || !isReserved(part))) return this.onPart(part);
    if (part !== undefined) this.scope.emit(part);
    this.ask();
  };

  private readonly onThrown = (error: unknown): void => this.onError(error);

  override onPart(part: Part): void {
    const { reader } = this;
    this.reader = null;
    reader?.onPart(part);
  }

  override onEnd(): void {
    this.over = true;
    this.closing = this.source.ended();
    if (this.closing === undefined) this.answer(DONE);
    else this.closing.then(() => this.answer(DONE), (error: unknown) => this.refuse(error));
  }

  override onError(error: unknown): void {
    this.pending = false;
    if (!this.over) this.fail(error, true);
  }

  /** What has thrown by itself is over, and is not returned again. */
  private fail(error: unknown, hasEnded: boolean): void {
    this.over = true;
    const inside = this.scope.end(error);
    this.closing = allClosed([inside, hasEnded ? this.source.ended() : this.source.close(error, false)]);
    const tell = (): void => this.refuse(error);
    if (this.closing === undefined) tell();
    else this.closing.then(tell, tell);
  }

  override close(why: unknown): Promise<void> | undefined {
    if (!this.over) {
      this.over = true;
      this.closing = this.source.close(why, this.pending);
    }
    this.refuse(why);
    return this.closing;
  }
}
