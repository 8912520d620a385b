/**
 * What the sagas of one run have done, in order.
 *
 * Every step is entered under the scope of its saga. When a part of the run fails, is left or aborted, all that was done inside
 * of it is undone, once, the last first; a part that ended well keeps its entries, for the case that what it is part of does not.
 *
 * @module
 */
import { allClosed, ignore } from "../core/flow.ts";
import type { Scope } from "../core/scope.ts";
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
  private readonly active = new Set<ActiveSaga>();
  private readonly watched = new WeakSet<Scope>();
  /** Undoing that is under way: one step at a time. */
  private tail: Promise<unknown> = Promise.resolve();
  private collecting = false;

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
    this.entries.push({ scope, done });
  }

  /**
   * Undoes all that was done in a scope, or is being done; nothing to undo is `undefined`. What could not be undone is put on
   * `why` as `suppressed`; the promise rejects with the first of it, for when there is no other error.
   */
  undo(scope: Scope, why: unknown): Promise<void> | undefined {
    if (this.collecting) return undefined; // whoever closes us here undoes all of it
    this.collecting = true;
    const cuts: (Promise<void> | undefined)[] = [];
    // the innermost first: a step is done after the steps of the sagas inside of it
    for (const saga of [...this.active].reverse()) if (isWithin(saga.scope, scope)) cuts.push(saga.cut(why));
    const mine = this.entries.filter((entry) => isWithin(entry.scope, scope)).reverse();
    this.entries = this.entries.filter((entry) => !isWithin(entry.scope, scope));
    this.collecting = false;
    const closing = allClosed(cuts);
    if (mine.length === 0) return closing;
    const before = this.tail;
    const undoing = this.undoAll(mine, why, Promise.allSettled([before, closing]));
    this.tail = undoing.catch(ignore);
    return undoing;
  }

  private async undoAll(entries: readonly Entry[], why: unknown, before: Promise<unknown>): Promise<void> {
    await before;
    const errors: unknown[] = [];
    for (const { done } of entries) {
      const error = await undoStep(done);
      if (error !== undefined) errors.push(error);
    }
    suppress(why, errors);
    const [first, ...others] = errors;
    if (first === undefined) return;
    suppress(first, others);
    throw first;
  }
}

function isWithin(scope: Scope, outer: Scope): boolean {
  for (let around: Scope | undefined = scope; around !== undefined; around = around.parent) if (around === outer) return true;
  return false;
}
