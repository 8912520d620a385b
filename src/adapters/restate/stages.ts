/**
 * What a durable pipeline may be made of: stages for which it does not matter that a stream is cut into batches.
 *
 * @module
 */
import { invalidOption, MillraceError, received } from "../../core/errors.ts";
import { makeupOf } from "../../core/makeup.ts";
import type { Processor } from "../../core/processor.ts";

/** A processor, and what its author says of it. */
export interface DurableStage {
  /** `batch`: it keeps nothing from one batch to the next. `key`: all it keeps is what `durableBatch(context)` keeps for its key. */
  readonly keeps: "batch" | "key";
  readonly processor: Processor;
}

/**
 * Says of a processor that it may be run over each batch anew: it keeps nothing from one batch to the next, and what it makes of a
 * batch is right for the batch alone.
 *
 * @example
 * const translated = perBatch(batch({ count: 10 }, openai({ model: "gpt-5-mini" })));
 * console.log(translated.keeps); // batch
 */
export function perBatch(processor: Processor): DurableStage {
  return { keeps: "batch", processor: checked("perBatch", processor) };
}

/**
 * Says of a processor that all it keeps from one batch to the next is what it sets on `durableBatch(context)`: a value for each key,
 * which the engine keeps with the results.
 *
 * @example
 * const counted = keyed(async function* (input, context) {
 *   const kept = context && durableBatch(context);
 *   let count = Number(kept?.get() ?? 0);
 *   for await (const part of input) yield derive(part, { metadata: { count: ++count } });
 *   kept?.set(count);
 * });
 * console.log(counted.keeps); // key
 */
export function keyed(processor: Processor): DurableStage {
  return { keeps: "key", processor: checked("keyed", processor) };
}

/** A stage with the name of its step in the journal. */
export interface NamedStage extends DurableStage {
  readonly name: string;
}

/** Refuses what would make something else of a stream in batches than of the whole, and what needs keys where there are none. */
export function namedStages(who: string, stages: unknown, hasKey: boolean): readonly NamedStage[] {
  if (!Array.isArray(stages) || stages.length === 0) throw invalidOption(who, "stages", "a list of at least one", stages);
  return stages.map((stage: unknown, index) => named(who, stage, index, hasKey));
}

function named(who: string, stage: unknown, index: number, hasKey: boolean): NamedStage {
  const place = `stages[${index}]`;
  if (isProcessor(stage)) {
    const { notPerPart } = makeupOf(stage);
    if (notPerPart === undefined) return { keeps: "batch", processor: stage, name: nameOf(stage, index) };
    throw new MillraceError(
      "invalid_input",
      `${who}: ${place} must work part by part, and ${received(notPerPart)} is not known to: perBatch() says that it keeps nothing from one batch to the next, keyed() that it keeps only a value for each key`,
    );
  }
  if (!isDurableStage(stage)) throw invalidOption(who, place, "a processor, perBatch() or keyed()", stage);
  if (stage.keeps === "key" && !hasKey) throw new MillraceError("invalid_input", `${who}: ${place} is keyed, so the option key is needed`);
  return { ...stage, name: nameOf(stage.processor, index) };
}

/** Up to 64 characters that are fit for a journal; the number keeps two stages of one name apart. */
function nameOf(processor: Processor, index: number): string {
  return `${index + 1}-${makeupOf(processor).name.replace(/[^\w.-]+/g, "-").slice(0, 60)}`;
}

function checked(who: string, processor: unknown): Processor {
  if (isProcessor(processor)) return processor;
  throw invalidOption(who, "argument 1", "a processor", processor);
}

function isProcessor(value: unknown): value is Processor {
  return typeof value === "function";
}

function isDurableStage(value: unknown): value is DurableStage {
  if (typeof value !== "object" || value === null || !("keeps" in value) || !("processor" in value)) return false;
  return (value.keeps === "batch" || value.keeps === "key") && isProcessor(value.processor);
}
