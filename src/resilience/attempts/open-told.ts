/**
 * A processor as a flow that tells its reader: what every wrapper reads.
 *
 * @module
 */
import { allClosed, DONE, type Flow, isPart, type Reader, WAIT } from "../../core/flow.ts";
import { Fused } from "../../core/fused.ts";
import { OpaqueSource } from "../../core/opaque.ts";
import type { Part } from "../../core/part.ts";
import { planFor } from "../../core/pipeline.ts";
import { openPlan } from "../../core/plan.ts";
import type { Processor } from "../../core/processor.ts";
import type { Scope, Why } from "../../core/scope.ts";
import { OpaqueFlow } from "./opaque-flow.ts";

/** Opens a processor over its input. A failure ends the scope, which it has for itself. */
export function openTold(processor: Processor, upstream: Flow, scope: Scope): Required<Flow> {
  const { input, operations } = openPlan(planFor(processor), upstream, scope);
  return operations.length === 0 && input instanceof OpaqueSource ? new OpaqueFlow(input, scope) : new Telling(input, operations, scope);
}

/**
 * Anything that ends in part functions. Its calls in flight hear of a failure before what it reads is closed, and what its scope has to take back is
 * waited for, as in a run; and it tells its reader without a promise.
 */
class Telling extends Fused {
  private reader: Reader | null = null;
  private entering = false;
  /** What came before `pullFor` had returned: it gives that itself. */
  private early: Part | typeof DONE | typeof WAIT = WAIT;
  private scopeClosing: Promise<void> | undefined = undefined;

  pullFor(reader: Reader): Part | typeof DONE | typeof WAIT {
    if (this.over) return DONE;
    const step = this.begin();
    if (isPart(step)) return step;
    this.reader = reader;
    this.entering = true;
    this.wait(step);
    this.entering = false;
    const { early } = this;
    this.early = WAIT;
    return early;
  }

  protected override settle(part: Part | typeof DONE): void {
    const { reader } = this;
    if (reader === null) return super.settle(part);
    this.reader = null;
    if (this.entering) this.early = part;
    else if (part === DONE) reader.onEnd();
    else reader.onPart(part);
  }

  protected override settleWithError(error: unknown): void {
    const { reader } = this;
    if (reader === null) return super.settleWithError(error);
    this.reader = null;
    queueMicrotask(() => reader.onError(error)); // whoever closes this closes its reader in the same turn, and must come first
  }

  protected override fail(error: unknown): void {
    this.scopeClosing = this.scope.end(error);
    super.fail(error);
  }

  protected override shut(why: Why): Promise<void> | undefined {
    return allClosed([super.shut(why), this.scopeClosing]);
  }
}
