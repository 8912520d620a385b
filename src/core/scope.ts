/**
 * A run's scope: the context that its stages see, and what the run keeps for them.
 *
 * @module
 */
import { MillraceError } from "./errors.ts";
import { allClosed, ignore } from "./flow.ts";
import { type Limits, noLimits } from "./limits.ts";
import type { Part } from "./part.ts";
import type { Context, Observer } from "./processor.ts";

/** What a caller of `run` may say. */
export interface RunOptions {
  /** Aborts the run: it rejects with the signal's reason, at once. */
  readonly signal?: AbortSignal;
  /** @default a new one */
  readonly correlationId?: string;
  /** Hears of the run and its stages. */
  readonly observe?: Observer;
}

/** Why something is closed; asked only where somebody hears of it. */
export interface Why {
  readonly reason: unknown;
}

/** The consumer has left. The error is made when it is asked for: its stack costs as much as the rest of a short run. */
export class Left implements Why {
  #error: MillraceError | undefined;

  get reason(): MillraceError {
    return (this.#error ??= left());
  }
}

/** What reserved parts come out of. */
export interface Output {
  emit(part: Part): void;
}

/** What a part of a run may have of its own. */
export interface Own {
  /** Where its reserved parts go, instead of the output of the run. */
  readonly output?: Output;
  /** What holds inside, beside what holds further out. */
  readonly limits?: Limits;
  /** What is in the state of a run from its beginning. */
  readonly state?: Iterable<readonly [unknown, unknown]>;
  /** Told of what was busy inside when it was left, and is not waited for. */
  readonly unwinding?: (rest: Promise<unknown>) => void;
}

/** The context of one run, or of a part of it that may be given up alone (`child`). */
export class Scope implements Context {
  declare readonly observe?: Observer;
  // Made when somebody asks: most runs never do.
  #correlationId: string | undefined;
  #runId: string | undefined;
  #state: Map<unknown, unknown> | undefined;
  readonly #parent: Scope | undefined;
  #children: Set<Scope> | undefined;
  /** Where reserved parts go: the output of the run. */
  readonly #output: Output;
  #controller: AbortController | undefined;
  #close: ((why: unknown) => Promise<unknown> | undefined) | undefined;
  #ended: Why | undefined;
  #work: Promise<unknown>[] | undefined;
  readonly #limits: Limits;
  readonly #given: Own["state"];
  readonly #unwinding: Own["unwinding"];

  constructor(options: RunOptions, output: Output, parent?: Scope, own?: Own) {
    this.#correlationId = options.correlationId;
    if (options.observe !== undefined) this.observe = options.observe;
    this.#output = output;
    this.#parent = parent;
    this.#limits = own?.limits === undefined ? (parent?.limits ?? noLimits) : parent === undefined ? own.limits : { ...parent.limits, ...own.limits };
    this.#given = own?.state;
    this.#unwinding = own?.unwinding ?? (parent === undefined ? undefined : parent.#unwinding);
  }

  /** What wrappers further out have settled. */
  get limits(): Limits {
    return this.#limits;
  }

  /** The scope that this one is a part of. */
  get parent(): Scope | undefined {
    return this.#parent;
  }

  get correlationId(): string {
    return this.#parent?.correlationId ?? (this.#correlationId ||= crypto.randomUUID());
  }

  get runId(): string {
    return this.#parent?.runId ?? (this.#runId ??= crypto.randomUUID());
  }

  get state(): Map<unknown, unknown> {
    return this.#parent?.state ?? (this.#state ??= new Map(this.#given));
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#ended !== undefined) this.#controller.abort(this.#ended.reason);
      else if (this.#parent !== undefined) void this.#parent.signal; // so that the parent knows somebody listens
    }
    return this.#controller.signal;
  }

  waitUntil(work: Promise<unknown>): void {
    if (this.#parent !== undefined) return this.#parent.waitUntil(work);
    Promise.resolve(work).catch(ignore); // heard at the end of the run
    (this.#work ??= []).push(work);
  }

  /** Something inside was busy when it was left; whoever gave up this part of the run may wait for it a little. */
  unwinding(rest: Promise<unknown>): void {
    this.#unwinding?.(rest);
  }

  /** A reserved part goes straight to the output of the run. */
  emit(part: Part): void {
    this.#output.emit(part);
  }

  /** A scope inside this one, which can be given up alone. What is opened in it is closed with `close`, if that is given. */
  child(close?: (why: unknown) => Promise<unknown> | undefined, own?: Own): Scope {
    const child = new Scope(this.observe === undefined ? {} : { observe: this.observe }, own?.output ?? this.#output, this, own);
    child.#close = close;
    (this.#children ??= new Set()).add(child);
    if (this.#ended !== undefined) void child.close(this.#ended)?.catch(ignore);
    return child;
  }

  /** The run, or this part of it, is left or has failed: those still at work hear of it, what is open inside is closed. */
  end(reason: unknown): Promise<void> | undefined {
    return this.close({ reason });
  }

  /** As `end`, for a reason that is made only if somebody asks. */
  close(why: Why): Promise<void> | undefined {
    if (this.#ended !== undefined) return undefined;
    this.#ended = why;
    this.release();
    this.#controller?.abort(why.reason);
    if (this.#children === undefined) return allClosed([this.#close?.(why.reason)]);
    const inner = [...this.#children].map((child) => child.close(why));
    return allClosed([...inner, this.#close?.(why.reason)]);
  }

  /** This part of the run came to its natural end. */
  release(): void {
    this.#parent?.forget(this);
  }

  private forget(child: Scope): void {
    this.#children?.delete(child);
  }

  /** Settles when all that was handed to `waitUntil` has, also what was handed over meanwhile. */
  async settled(): Promise<void> {
    while (this.#work !== undefined) {
      const work = this.#work;
      this.#work = undefined;
      await Promise.all(work);
    }
  }

  /** Is there anything to wait for? */
  get working(): boolean {
    return this.#work !== undefined;
  }
}

/** Why a stage's wait for input rejects when the consumer has gone. */
export function left(): MillraceError {
  return new MillraceError("closed", "run: the consumer has left, nothing more will be read");
}
