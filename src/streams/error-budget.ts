/**
 * When bad parts are too many to be the parts' fault.
 *
 * The share is looked at once a whole window has come: of five parts one is a fifth and proves nothing. In shorter streams only
 * a row of failures tells.
 *
 * @module
 */
import { invalidOption, isMillraceError, MillraceError, wholeNumber } from "../core/errors.ts";

/** How many parts may fail before it is taken for the fault of something else. */
export interface ErrorBudget {
  /** Share of the last `window` parts that may fail, from 0 to 1; looked at once so many have come. @default 0.05 */
  readonly rate?: number;
  /** @default 200 */
  readonly window?: number;
  /** So many in a row, also of a stream shorter than the window, are too many. @default 20 */
  readonly inARow?: number;
}

/** Counts failures among the last parts, in the order in which they end. */
export class ErrorCount {
  readonly budget: Required<ErrorBudget>;
  /** Whether each of the last parts failed, in a ring. */
  private readonly last: Uint8Array;
  private seen = 0;
  private failures = 0;
  inARow = 0;

  constructor(budget: Required<ErrorBudget>) {
    this.budget = budget;
    this.last = new Uint8Array(budget.window);
  }

  passed(): void {
    this.note(0);
    this.inARow = 0;
  }

  /** Counts one; true when it is one too many. */
  failed(): boolean {
    this.note(1);
    this.inARow += 1;
    return this.exceeded;
  }

  get exceeded(): boolean {
    const { rate, window, inARow } = this.budget;
    return this.inARow >= inARow || (this.seen >= window && this.failures > rate * window);
  }

  private note(failed: 0 | 1): void {
    const at = this.seen % this.last.length;
    this.failures += failed - (this.last[at] ?? 0);
    this.last[at] = failed;
    this.seen += 1;
  }

  get inWords(): string {
    const { window, inARow } = this.budget;
    return this.inARow >= inARow ? `${this.inARow} parts in a row failed` : `${this.failures} of the last ${window} parts failed`;
  }
}

/** The last error, as one of whatever all parts depend on. */
export function systemic(error: unknown, count: ErrorCount): MillraceError {
  const known = isMillraceError(error);
  // The text of a foreign error may quote anything, so only its kind is told.
  const why = known ? error.message : error instanceof Error ? error.name : typeof error;
  return new MillraceError(known ? error.code : "bad_response", `isolate: ${count.inWords}, the last: ${why}`, {
    scope: "dependency",
    retryable: false,
    cause: error,
  });
}

/** Refuses what is no budget; `false` is none. */
export function budgetOf(who: string, budget: unknown): Required<ErrorBudget> | undefined {
  if (budget === false) return undefined;
  if (typeof budget !== "object" || budget === null) throw invalidOption(who, "errorBudget", "an object or false", budget);
  const { rate = 0.05, window = 200, inARow = 20 } = budget as ErrorBudget; // its fields are checked below
  if (typeof rate !== "number" || !(rate >= 0 && rate <= 1)) throw invalidOption(who, "errorBudget.rate", "a number from 0 to 1", rate);
  wholeNumber(who, "errorBudget.window", window, 1, 1_000_000);
  wholeNumber(who, "errorBudget.inARow", inARow, 1);
  return { rate, window, inARow };
}
