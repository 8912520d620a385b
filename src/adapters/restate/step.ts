/**
 * One stage over one batch, the same within a worker and without one.
 *
 * @module
 */
import { codec } from "../../core/codec.ts";
import { MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import { utf8Length } from "../../core/part-size.ts";
import type { JsonValue } from "../../core/part.ts";
import type { Context, Processor } from "../../core/processor.ts";
import { run } from "../../core/run.ts";
import type { Batch } from "./batch.ts";
import type { NamedStage } from "./stages.ts";

const current = Symbol("millrace.restate.batch");

/** The batch that a stage works on. */
export interface DurableBatch {
  /** The same however often the batch is tried: what a stage does outside carries it, so that it is done once. */
  readonly id: string;
  /** Id of the run. */
  readonly run: string;
  /** Its place in the run, from 0. */
  readonly seq: number;
  /** What its parts have in common, in a pipeline with keys. */
  readonly key: string | undefined;
  /** What a `keyed` stage set for this key in the batch before; `undefined` at first. */
  get(): JsonValue | undefined;
  /** Kept for the key's next batch, with the result of the step. Throws `invalid_input` in a stage that is not `keyed`. */
  set(value: JsonValue): void;
}

/**
 * The batch that a stage of a durable pipeline works on; `undefined` elsewhere.
 *
 * @example
 * const orders = each(async (part, context) => {
 *   const id = durableBatch(context)?.id; // of this batch, however often it is tried
 *   return `${isText(part) ? part.text : part.kind} ${id ?? "is on no journey"}`;
 * });
 * console.log(await run(orders, "a").text()); // a is on no journey
 */
export function durableBatch(context: Context): DurableBatch | undefined {
  return context.state.get(current) as DurableBatch | undefined; // only `step` sets it
}

/** What is recorded of a step. */
export interface StepResult {
  readonly parts: readonly JsonValue[];
  /** What the stage keeps for the key, if it set anything. */
  readonly kept?: JsonValue;
}

/** What a step starts with. */
export interface StepInput {
  readonly who: string;
  readonly batch: Omit<Batch, "parts">;
  readonly parts: readonly JsonValue[];
  /** What the stage kept for the key. */
  readonly kept: JsonValue | undefined;
  readonly maxBytes: number;
  /** Aborts when the result is not wanted any more. */
  readonly signal: AbortSignal;
}

/** Runs the stage over the batch. Throws what the stage throws, and `too_large` when the result does not fit into a message. */
export async function step(stage: NamedStage, { who, batch, parts, kept, maxBytes, signal }: StepInput): Promise<StepResult> {
  let value = kept;
  let changed = false;
  const about: DurableBatch = {
    id: `${batch.run}/${batch.seq}/${stage.name}`,
    run: batch.run,
    seq: batch.seq,
    key: batch.key,
    get: () => value,
    set(next) {
      if (stage.keeps !== "key") throw new MillraceError("invalid_input", `${who}: ${stage.name} keeps nothing: only a stage that is keyed() may set a value`, { service: who });
      value = checkedJson(next, "value");
      changed = true;
    },
  };
  const processor: Processor = (input, context) => {
    context?.state.set(current, about);
    return stage.processor(input, context);
  };
  const made: JsonValue[] = [];
  let bytes = 0;
  await run(processor, parts.map(codec.decode), { signal, correlationId: batch.run }).forEach((part) => {
    const encoded = codec.encode(part);
    bytes += utf8Length(JSON.stringify(encoded));
    if (bytes > maxBytes) throw new MillraceError("too_large", `${who}: ${stage.name} made more than ${maxBytes} bytes of batch ${batch.seq}: make batches smaller, or keep contents in a blob store`, { service: who });
    made.push(encoded);
  });
  return changed && value !== undefined ? { parts: made, kept: value } : { parts: made };
}
