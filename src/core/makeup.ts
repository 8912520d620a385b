/**
 * What can be told of a processor without running it.
 *
 * @module
 */
import { stagesOf } from "./plan.ts";
import type { Processor } from "./processor.ts";

/** Of a processor: what it is called, and whether it may be run over pieces of a stream instead of the whole. */
export interface Makeup {
  /** Of its first stage. */
  readonly name: string;
  /**
   * The first stage that is not known to make the same of a part wherever in the stream it stands: one that counts or gathers, or that
   * can't be seen into. `undefined` when every stage works part by part.
   */
  readonly notPerPart: string | undefined;
}

/** Looks at the stages. */
export function makeupOf(processor: Processor): Makeup {
  const stages = stagesOf(processor);
  const culprit = stages.find((stage) => stage.kind !== "operation" || stage.remembers === true);
  return { name: stages[0]?.name ?? "pipe", notPerPart: culprit?.name };
}
