/**
 * A processor that we can't see into, between two fused flows.
 *
 * @module
 */
import { MillraceError, received } from "./errors.ts";
import { allClosed, returnOf } from "./flow.ts";
import type { Fused } from "./fused.ts";
import type { Scope } from "./scope.ts";
import type { OpaqueStage } from "./stage.ts";
import { left } from "./scope.ts";
import { unwound } from "./unwind.ts";

/**
 * The output of an opaque stage as a source, and its input as a port.
 *
 * An async generator that waits for input cannot be left: its `return()` queues behind its `next()`. The port lets go: it
 * rejects that wait, so that the stage does not take a broken stream for a finished one.
 */
export class OpaqueSource {
  private readonly stage: OpaqueStage;
  private readonly port: Fused;
  private readonly scope: Scope;
  private iterator: AsyncIterator<unknown> | null = null;

  constructor(stage: OpaqueStage, port: Fused, scope: Scope) {
    this.stage = stage;
    this.port = port;
    this.scope = scope.child(); // so that its signal can tell it alone
  }

  open(): AsyncIterator<unknown> {
    const { stage, port, scope } = this;
    const output: unknown = stage.processor(port, scope);
    if (typeof output !== "object" || output === null || !(Symbol.asyncIterator in output)) {
      throw new MillraceError("invalid_input", `${stage.name}: a processor gives an async iterable, got ${received(output)}`);
    }
    this.iterator = (output as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    return this.iterator;
  }

  /** The stage came to its end by itself; what it left unread is closed. */
  ended(): Promise<void> | undefined {
    this.scope.release();
    return this.port.close(left());
  }

  /** Leaves the stage; `pending` says that its `next()` is being awaited. */
  close(why: unknown, pending: boolean): Promise<void> | undefined {
    const { iterator, port, scope } = this;
    if (iterator === null || !pending) scope.release();
    if (iterator === null) return port.close(why);
    if (!pending) {
      const returned = returnOf(iterator); // its own `finally` first, as if the generators were nested by hand
      return allClosed([returned, port.close(why)]);
    }
    const { unwinds } = port;
    const inside = scope.end(why);
    const behind = port.close(why);
    const returned = returnOf(iterator);
    if (!unwinds && returned !== undefined) scope.unwinding(returned);
    return allClosed([unwinds ? returned : unwound(returned), inside, behind]);
  }
}
