/**
 * What several branches made of one part, one branch after the other.
 *
 * @module
 */
import { notAResult, toPart } from "./content.ts";
import { allClosed, ignore, isPart, isPromise, PASS, returnOf } from "./flow.ts";
import type { Part } from "./part.ts";

/**
 * The results of all branches for a part: at once where they are at hand, else as a stream in the order of the branches, the
 * first of which is live. `PASS` when no branch took the part.
 */
export function inOrder(results: readonly unknown[], origin: Part): unknown {
  const merged: unknown[] = [];
  let taken = false;
  for (const result of results) {
    if (result === PASS) continue;
    taken = true;
    if (result === undefined) continue;
    if (isPart(result) || typeof result === "string") merged.push(result);
    else if (Array.isArray(result)) merged.push(...result);
    else return new InOrder(results, origin);
  }
  if (!taken) return PASS;
  return merged.length === 1 ? merged[0] : merged;
}

/** Releasable, unlike a generator: leaving closes every branch, also while one is being awaited. */
class InOrder implements AsyncIterableIterator<Part> {
  private readonly results: unknown[];
  private readonly origin: Part;
  private readonly open: (Iterator<unknown> | AsyncIterator<unknown> | undefined)[];
  private at = 0;
  private taken = false;
  private pending = false;
  private left = false;

  constructor(results: readonly unknown[], origin: Part) {
    this.origin = origin;
    this.open = results.map(() => undefined);
    this.results = results.map((result) => {
      if (isPromise(result)) result.then(undefined, ignore); // heard when its turn comes
      return result;
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Part, undefined>> {
    this.pending = true;
    try {
      const part = await this.take();
      return part === undefined ? { value: undefined, done: true } : { value: part, done: false };
    } catch (error) {
      await this.close(this.at)?.catch(ignore);
      throw error;
    } finally {
      this.pending = false;
    }
  }

  async return(): Promise<IteratorResult<Part, undefined>> {
    await this.close(this.pending ? this.at : undefined);
    return { value: undefined, done: true };
  }

  private async take(): Promise<Part | undefined> {
    while (!this.left) {
      const { at } = this;
      if (at >= this.results.length) {
        if (this.taken) return undefined;
        this.taken = true;
        return this.origin; // no branch took it: it passes once
      }
      const iterator = this.open[at];
      if (iterator !== undefined) {
        const result = await iterator.next();
        if (result.done === true) this.step();
        else {
          const part = toPart(result.value, this.origin);
          if (part !== undefined) return part;
        }
        continue;
      }
      const result = await this.results[at];
      this.results[at] = undefined;
      if (result !== PASS) this.taken = true;
      if (isPart(result) || typeof result === "string") {
        this.step();
        return toPart(result, this.origin);
      }
      if (result === undefined || result === PASS) this.step();
      else this.open[at] = iteratorOf(result);
    }
    return undefined;
  }

  private step(): void {
    this.open[this.at] = undefined;
    this.at += 1;
  }

  /** Closes what is open; `pending` is not waited for, and was over if it threw. */
  private close(pending: number | undefined): Promise<void> | undefined {
    if (this.left) return undefined;
    this.left = true;
    const closings: (Promise<unknown> | undefined)[] = [];
    for (const [index, result] of this.results.entries()) {
      const iterator = this.open[index] ?? (index > this.at ? openIterator(result) : undefined);
      if (iterator === undefined) continue;
      const closing = returnOf(iterator);
      if (index === pending) closing?.catch(ignore);
      else closings.push(closing);
    }
    return allClosed(closings);
  }
}

function iteratorOf(result: unknown): Iterator<unknown> | AsyncIterator<unknown> {
  const iterator = openIterator(result);
  if (iterator === undefined) throw notAResult(result);
  return iterator;
}

function openIterator(result: unknown): Iterator<unknown> | AsyncIterator<unknown> | undefined {
  if (typeof result !== "object" || result === null || isPart(result)) return undefined;
  if (Symbol.asyncIterator in result) return (result as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  if (Symbol.iterator in result) return (result as Iterable<unknown>)[Symbol.iterator]();
  return undefined;
}
