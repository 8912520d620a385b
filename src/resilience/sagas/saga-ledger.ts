/**
 * What the sagas of one run have done, in order.
 *
 * Every step is entered under the scope of its saga. When a part of the run fails, is left or aborted, all that was done inside
 * of it is undone, once, the last first; a part that ended well keeps its entries, for the case that what it is part of does not.
 *
 * @module
 */
import type { MillraceError } from "../../core/errors.ts";
import { allClosed, ignore } from "../../core/flow.ts";
import type { Scope } from "../../core/scope.ts";
import { type DoneStep, suppress, undoStep } from "./undo.ts";

/** A saga at work. */
export interface ActiveSaga {
  readonly scope: Scope;
  /** Stops it: a step in progress is closed and entered, as it may have happened. */
  cut(why: unknown): Promise<void> | undefined;
}

interface Entry {
  readonly scope: Scope;
  readonly done: DoneStep;
  /** Which of the run's steps it was. */
  readonly order: number;
}

/** What one and the same event ends: it reaches scopes from the inside out, and steps must be undone from the outside in. */
interface Batch {
  readonly entries: Entry[];
  /** Steps being closed: nothing is undone before. */
  readonly closings: Promise<void>[];
  /** What could not be undone. */
  readonly over: Promise<readonly (readonly [Entry, MillraceError])[]>;
}

const ledgers = new WeakMap<Scope, Ledger>();

/** The ledger of the run that a scope belongs to; from now on it hears how the scope and all around it end. */
export function ledgerOf(scope: Scope): Ledger {
  let root = scope;
  while (root.parent !== undefined) root = root.parent;
  let ledger = ledgers.get(root);
  if (ledger === undefined) {
    ledger = new Ledger();
    ledgers.set(root, ledger);
  }
  for (let around: Scope | undefined = scope; around !== undefined; around = around.parent) ledger.watch(around);
  return ledger;
}

/** The steps of one run that can be undone. */
export class Ledger {
  private entries: Entry[] = [];
  private steps = 0;
  private readonly active = new Set<ActiveSaga>();
  private readonly watched = new WeakSet<Scope>();
  private batch: Batch | undefined = undefined;
  private cutting = false;
  /** Undoing that is under way: one step at a time. */
  private tail: Promise<unknown> = Promise.resolve();

  /** Undoes what was done in a scope when that ends without being complete. */
  watch(scope: Scope): void {
    if (this.watched.has(scope)) return;
    this.watched.add(scope);
    scope.child((why) => this.undo(scope, why));
  }

  begin(saga: ActiveSaga): void {
    this.active.add(saga);
  }

  end(saga: ActiveSaga): void {
    this.active.delete(saga);
  }

  enter(scope: Scope, done: DoneStep): void {
    this.steps += 1;
    this.entries.push({ scope, done, order: this.steps });
  }

  /**
   * Undoes all that was done in a scope, or is being done; nothing to undo is `undefined`. What could not be undone is put on
   * `why` as `suppressed`; the promise rejects with the first of it, for when there is no other error.
   */
  undo(scope: Scope, why: unknown): Promise<void> | undefined {
    const closings: Promise<void>[] = [];
    const { cutting } = this;
    this.cutting = true;
    // the innermost first: a step ends after the steps of the sagas inside of it
    for (const saga of [...this.active].reverse()) {
      const closing = isWithin(saga.scope, scope) ? saga.cut(why) : undefined;
      if (closing !== undefined) closings.push(closing);
    }
    this.cutting = cutting;
    const mine = this.entries.filter((entry) => isWithin(entry.scope, scope));
    if (mine.length === 0) return allClosed(closings);
    this.entries = this.entries.filter((entry) => !mine.includes(entry));
    this.batch ??= this.openBatch();
    this.batch.entries.push(...mine);
    this.batch.closings.push(...closings);
    const told = this.batch.over.then((failed) => {
      const errors = failed.filter(([entry]) => isWithin(entry.scope, scope)).map(([, error]) => error);
      suppress(why, errors);
      const [first, ...others] = errors;
      suppress(first, others);
      if (first !== undefined) throw first;
    });
    told.catch(ignore); // heard by whoever waits for it
    // A step that is being cut is waited for before anything is undone, so it must not wait for that.
    return cutting ? undefined : told;
  }

  /** Takes all that is ended in this turn of the loop. */
  private openBatch(): Batch {
    const entries: Entry[] = [];
    const closings: Promise<void>[] = [];
    const before = this.tail;
    const over = Promise.resolve().then(async () => {
      this.batch = undefined;
      await Promise.allSettled([before, ...closings]);
      const failed: [Entry, MillraceError][] = [];
      for (const entry of entries.sort((a, b) => b.order - a.order)) {
        const error = await undoStep(entry.done);
        if (error !== undefined) failed.push([entry, error]);
      }
      return failed;
    });
    this.tail = over;
    return { entries, closings, over };
  }
}

function isWithin(scope: Scope, outer: Scope): boolean {
  for (let around: Scope | undefined = scope; around !== undefined; around = around.parent) if (around === outer) return true;
  return false;
}
