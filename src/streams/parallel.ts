/**
 * @module
 */
import { openBranch, operationsOf, paceOf } from "../core/branch.ts";
import { Branches } from "../core/branches.ts";
import { MillraceError, requireProcessors } from "../core/errors.ts";
import { Fifo } from "../core/fifo.ts";
import { DONE, type Flow, isPart, type Pulled } from "../core/flow.ts";
import { inOrder } from "../core/in-order.ts";
import type { Part } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import type { Scope } from "../core/scope.ts";
import type { OperationStage, Stage } from "../core/stage.ts";
import { branchLag } from "./interleave.ts";

/** Parts of one branch that wait for the branches before it, at most. */
const mostHeld = 100_000;

/**
 * The same input to each branch, outputs in the order of the branches.
 *
 * Of part functions (what `each`, `filter`, `tap` make, and pipes of them): part by part, what branch 1 made of a part before
 * what branch 2 made of it. A branch that refuses a part by `match` adds nothing; a part that no branch takes passes once.
 * With a processor that is no part function: all of branch 1, live, then all of branch 2, …; every branch takes every part.
 *
 * Throws: what a branch throws; `too_large` when more than 100,000 parts would wait for a branch before theirs: use
 *         `interleave`.
 * Closes: the other branches when one fails; the input.
 *
 * @example
 * const both = parallel(each(() => "a"), each(() => "b"));
 * console.log(await run(both, ["x", "y"]).text()); // abab
 */
export function parallel(...branches: readonly Processor[]): Processor {
  requireProcessors("parallel", branches);
  const operations = branches.map(operationsOf);
  if (operations.every((stages) => stages !== undefined)) return processorOf([perPart(operations)]);
  return processorOf([{ kind: "flow", name: "parallel", open: (upstream, scope) => new Parallel(branches, upstream, scope) }]);
}

function perPart(branches: readonly (readonly OperationStage[])[]): Stage {
  const pace = paceOf(branches);
  return {
    kind: "operation",
    name: "parallel",
    ...pace,
    open: (scope) => {
      const open = branches.map((stages) => openBranch(stages, pace.concurrency, scope));
      return (part) => {
        const results: unknown[] = [];
        for (const branch of open) {
          try {
            results.push(branch(part, scope));
          } catch (error) {
            if (results.length === 0) throw error;
            results.push(Promise.reject(error)); // after what the branches before it made
            break;
          }
        }
        return inOrder(results, part);
      };
    },
  };
}

/** Branches over one input; those behind the first are read as far as the input lets them. */
class Parallel implements Flow {
  private readonly branches: Branches;
  private readonly lanes: readonly Lane[];
  /** The lane whose turn it is: it is read on demand, the others run ahead. */
  private at = 0;
  private started = false;
  private over = false;
  private failure: { readonly error: unknown; readonly lane: number } | undefined = undefined;
  private mayFail = false;
  private resolve: ((part: Part | typeof DONE) => void) | undefined = undefined;
  private reject: ((why: unknown) => void) | undefined = undefined;

  constructor(processors: readonly Processor[], upstream: Flow, scope: Scope) {
    this.branches = new Branches(processors, upstream, branchLag, scope);
    this.lanes = this.branches.list.map((branch, index) => new Lane(branch, index, this));
  }

  pull(): Pulled {
    if (this.over) return DONE;
    if (!this.started) {
      this.started = true;
      for (const lane of this.lanes.slice(1)) lane.runAhead();
    }
    this.lanes[this.at]?.demand();
    const next = this.next();
    if (next !== undefined) return next;
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.serve();
    });
  }

  isLive(lane: Lane): boolean {
    return lane.index === this.at && this.failure === undefined;
  }

  /** A lane has a part, its end or a failure to show. */
  serve(): void {
    const { resolve, reject, failure } = this;
    if (resolve === undefined || reject === undefined) return;
    const next = this.next();
    if (next !== undefined) {
      this.resolve = this.reject = undefined;
      resolve(next);
    } else if (failure !== undefined && this.mayFail && !this.over) {
      const fail = (): void => {
        if (this.reject !== reject) return;
        this.resolve = this.reject = undefined;
        reject(failure.error);
      };
      const closing = this.closeAll(failure.error);
      if (closing === undefined) fail();
      else closing.then(fail, fail);
    }
  }

  fail(error: unknown, lane: number): void {
    if (this.failure !== undefined) return;
    this.failure = { error, lane };
    for (const other of this.lanes) other.runAhead();
    void this.branches.fail(error).then(() => {
      this.mayFail = true;
      this.serve();
    });
  }

  private next(): Part | typeof DONE | undefined {
    for (;;) {
      const lane = this.lanes[this.at];
      if (this.failure !== undefined && this.at > this.failure.lane) return undefined;
      if (lane === undefined) {
        this.over = true;
        return DONE;
      }
      const part = lane.held.shift();
      if (part !== undefined) return part;
      if (!lane.over || lane.index === this.failure?.lane) return undefined;
      this.at += 1;
      this.lanes[this.at]?.demand();
    }
  }

  close(why: unknown): Promise<void> | undefined {
    const closing = this.closeAll(why);
    this.reject?.(why);
    this.resolve = this.reject = undefined;
    return closing;
  }

  private closeAll(why: unknown): Promise<void> | undefined {
    this.over = true;
    for (const lane of this.lanes) lane.drop();
    return this.branches.close(why);
  }
}

/** One branch, and what it has made that is not handed on yet. */
class Lane {
  readonly index: number;
  readonly held = new Fifo<Part>();
  over = false;
  private readonly branch: Flow;
  private readonly owner: Parallel;
  private pending = false;

  constructor(branch: Flow, index: number, owner: Parallel) {
    this.branch = branch;
    this.index = index;
    this.owner = owner;
  }

  /** One part is wanted, if none is there. */
  demand(): void {
    if (this.held.length === 0) this.read();
  }

  /** Reads until it has to wait. */
  runAhead(): void {
    while (!this.over && !this.pending && !this.owner.isLive(this)) this.read();
  }

  drop(): void {
    this.over = true;
    this.held.clear();
  }

  private read(): void {
    if (this.over || this.pending) return;
    const pulled = this.branch.pull();
    if (isPart(pulled)) this.take(pulled);
    else if (pulled === DONE) this.over = true;
    else {
      this.pending = true;
      pulled.then(this.onPulled, this.onFailed);
    }
  }

  private take(part: Part): void {
    this.held.push(part);
    if (this.held.length <= mostHeld || this.owner.isLive(this)) return;
    const message = `parallel: branch ${this.index + 1} has made ${mostHeld} parts that wait for the branches before it; use interleave`;
    this.over = true;
    this.owner.fail(new MillraceError("too_large", message), this.index);
  }

  private readonly onPulled = (pulled: Part | typeof DONE): void => {
    this.pending = false;
    if (this.over) return;
    if (pulled === DONE) this.over = true;
    else this.take(pulled);
    this.owner.serve();
    this.runAhead();
  };

  private readonly onFailed = (error: unknown): void => {
    this.pending = false;
    if (this.over) return;
    this.over = true;
    this.owner.fail(error, this.index);
    this.owner.serve();
  };
}
