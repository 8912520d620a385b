/**
 * @module
 */
import { Arrivals } from "../core/arrivals.ts";
import { Branches } from "../core/branches.ts";
import { requireProcessors } from "../core/errors.ts";
import { allClosed, type Flow, type Pulled } from "../core/flow.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import type { Scope } from "../core/scope.ts";

/** Parts that the fastest branch may read ahead of the slowest open one. */
export const branchLag = 16;

/**
 * The same input to each branch, outputs as they come; each branch's own order is kept.
 *
 * Reads:  at most 16 parts ahead of the slowest open branch.
 * Throws: what a branch throws. The input is read no further; the others get what was read, then that error.
 * Closes: every branch, then the input.
 *
 * @example
 * const both = interleave(each(() => "a"), each(() => "b"));
 * console.log((await run(both, "x").collect()).length); // 2
 */
export function interleave(...branches: readonly Processor[]): Processor {
  requireProcessors("interleave", branches);
  return processorOf([{ kind: "flow", name: "interleave", open: (upstream, scope) => new Interleaved(branches, upstream, scope) }]);
}

class Interleaved implements Flow {
  private readonly branches: Branches;
  private readonly arrivals: Arrivals;

  constructor(processors: readonly Processor[], upstream: Flow, scope: Scope) {
    this.branches = new Branches(processors, upstream, branchLag, scope);
    this.arrivals = new Arrivals(this.branches.list.map((branch) => new Reporting(branch, this.branches)));
  }

  pull(): Pulled {
    return this.arrivals.pull();
  }

  close(why: unknown): Promise<void> | undefined {
    return allClosed([this.arrivals.close(why), this.branches.close(why)]);
  }
}

/** A branch whose failure is told when the others have taken what was read for them. */
class Reporting implements Flow {
  private readonly branch: Flow;
  private readonly branches: Branches;

  constructor(branch: Flow, branches: Branches) {
    this.branch = branch;
    this.branches = branches;
  }

  pull(): Pulled {
    const pulled = this.branch.pull();
    return pulled instanceof Promise ? pulled.then(undefined, this.onFailed) : pulled;
  }

  private readonly onFailed = async (error: unknown): Promise<never> => {
    await this.branches.fail(error);
    throw error;
  };

  close(why: unknown): Promise<void> | undefined {
    return this.branch.close(why);
  }
}
