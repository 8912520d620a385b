/**
 * The driver of a run: batches go out, a bounded number at a time, and their results come back in order.
 *
 * @module
 */
import { json } from "../../core/constructors.ts";
import { MillraceError } from "../../core/errors.ts";
import type { JsonValue, Part } from "../../core/part.ts";
import type { Context, Processor } from "../../core/processor.ts";
import { each } from "../../streams/each.ts";
import { pipe } from "../../streams/pipe.ts";
import { heard } from "../../wire/heard.ts";
import type { Lifetime } from "../../wire/lifetime.ts";
import { type Batch, batches, type Cut, readResult } from "./batch.ts";
import type { Ingress } from "./ingress.ts";
import type { NamedStage } from "./stages.ts";
import { step } from "./step.ts";

/** What a driver needs to know. */
export interface DriveSettings {
  readonly pipeline: string;
  readonly ingress: Ingress;
  readonly cut: Cut;
  /** Batches that are out at a time. */
  readonly ahead: number;
  readonly life: Lifetime;
  /** What goes on behind a run that was left: `close()` waits for it. */
  readonly behind: Set<Promise<unknown>>;
}

/** A processor that has its work done elsewhere. The kernel keeps order and bounds: a batch is one call among `ahead`. */
export function driven(settings: DriveSettings): Processor {
  const { pipeline, ingress, cut, ahead, life, behind } = settings;
  const { who } = cut;
  /** The sending of the last batch of each key: the engine keeps the order in which it was given them. */
  const sendings = new Map<string, Promise<string>>();

  const send = async (batch: Batch, before: Promise<string> | undefined, signal: AbortSignal): Promise<string> => {
    await before;
    return ingress.send(pipeline, batch, signal);
  };
  const work = async (batch: Batch, { signal }: Context): Promise<readonly Part[]> => {
    const stop = new AbortController();
    const abort = (): void => stop.abort(signal.reason);
    const leave = life.enter((reason) => stop.abort(reason));
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    // Not stopped with the run: whether the engine has taken the batch must be known to cancel it. It has its own time limit.
    const sendingOnly = new AbortController();
    const { key, seq } = batch;
    const sending = send(batch, key === undefined ? undefined : sendings.get(key), sendingOnly.signal);
    if (key !== undefined) sendings.set(key, sending);
    let isOver = false;
    try {
      const id = await heard(sending, stop.signal);
      const result = readResult(who, await ingress.result(id, `batch ${seq} of ${pipeline}`, stop.signal));
      isOver = true;
      if (result.digest === batch.digest) return result.parts;
      throw new MillraceError("conflict", `${who}: run ${batch.run} had another input before: batch ${seq} differs`, { service: who });
    } catch (error) {
      if (!stop.signal.aborted) isOver = true; // the call has ended, and so
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
      leave();
      if (key !== undefined && sendings.get(key) === sending) sendings.delete(key);
      if (!isOver) follow(behind, cancelled(ingress, pipeline, sending, sendingOnly));
    }
  };
  const sent = each((part, context) => work(batchIn(part), context), { concurrency: ahead, name: who });
  return pipe(cutter(cut), sent);
}

/** The same cut and the same steps in this process. Nothing is kept beyond the run. */
export function drivenHere(cut: Cut, stages: readonly NamedStage[]): Processor {
  const kept = new Map<string, JsonValue>();
  const sent = each(async (part, { signal }) => {
    const batch = batchIn(part);
    let { parts } = batch;
    for (const stage of stages) {
      const place = JSON.stringify([stage.name, batch.key ?? null]);
      const result = await step(stage, { who: cut.who, batch, parts, kept: kept.get(place), maxBytes: cut.maxBytes, signal });
      if (result.kept !== undefined) kept.set(place, result.kept);
      parts = result.parts;
    }
    return readResult(cut.who, { digest: batch.digest, parts }).parts;
  }, { name: cut.who });
  return pipe(cutter(cut), sent);
}

/** Milliseconds that the engine has to take back what it was given. */
const cancelMs = 5_000;

async function cancelled(ingress: Ingress, pipeline: string, sending: Promise<string>, controller: AbortController): Promise<void> {
  const late = setTimeout(() => controller.abort(), cancelMs);
  try {
    await ingress.cancel(pipeline, await sending, controller.signal);
  } catch {
    // It goes on, and nobody asks for its result: as when this process had been killed.
  } finally {
    clearTimeout(late);
  }
}

function follow(behind: Set<Promise<unknown>>, work: Promise<void>): void {
  behind.add(work);
  void work.finally(() => behind.delete(work));
}

// --- batches on their way between two stages: each is a part ---

const carried = new WeakMap<Part, Batch>();

function cutter(cut: Cut): Processor {
  return async function* cutIntoBatches(input) {
    for await (const batch of batches(input, cut)) {
      const part = json(batch.seq);
      carried.set(part, batch);
      yield part;
    }
  };
}

function batchIn(part: Part): Batch {
  const batch = carried.get(part);
  if (batch === undefined) throw new MillraceError("invalid_input", "restate: a part between the stages of a driver is not of its own making");
  return batch;
}
