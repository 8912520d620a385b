/**
 * A pipeline as an object of the engine: each stage is a step of a batch that is recorded before the next one begins.
 *
 * @module
 */
import type { Context, ObjectContext, ObjectSharedContext, VirtualObjectDefinition } from "@restatedev/restate-sdk";
import type * as Sdk from "@restatedev/restate-sdk/node";
import { MillraceError } from "../../core/errors.ts";
import type { JsonValue } from "../../core/part.ts";
import { type Batch, type BatchResult, readBatch } from "./batch.ts";
import { fromPassing, ownError, toFailure, toPassing } from "./failure.ts";
import type { NamedStage } from "./stages.ts";
import { step, type StepResult } from "./step.ts";

/** What is used of the SDK. */
export type RestateSdk = typeof Sdk;

/** What a worker is told. */
export interface PipelineSettings {
  /** Name of the adapter, for messages. */
  readonly who: string;
  /** Name of the pipeline in the engine. */
  readonly name: string;
  readonly stages: readonly NamedStage[];
  readonly maxBytes: number;
  /** Times that a step is tried when its error may pass. */
  readonly attempts: number;
  /** Milliseconds for one try of a step. */
  readonly stepMs: number;
  /** Milliseconds that results and kept values are kept. */
  readonly retentionMs: number;
  /** Hears of every failed try, with the error itself. */
  readonly onFailure?: ((error: unknown, batch: { readonly run: string; readonly seq: number; readonly stage: string }) => void) | undefined;
}

/** First delay between tries; doubled each time, up to 10 s. */
const firstDelayMs = 100;
/** Delays while no worker answers: a killed one's batches go on within a second once another is there. */
const workerDelays = { initialInterval: 100, maxInterval: 2_000, exponentiationFactor: 2 } as const;
/** When a value was last needed, in the state of a key. */
const usedAt = "usedAt";

/** The object that workers serve. Its keys are `run/key`, or `run/seq` where there are no keys and so no order to keep. */
export function pipelineObject(sdk: RestateSdk, settings: PipelineSettings): VirtualObjectDefinition<string, unknown> {
  const { name, retentionMs, stepMs } = settings;
  return sdk.object({
    name,
    handlers: {
      batch: (context: ObjectContext, input: unknown): Promise<BatchResult> => workOn(sdk, settings, context, input),
      forget: (context: ObjectContext): Promise<void> => forget(settings, context),
      cancel: sdk.handlers.object.shared(async (context: ObjectSharedContext, id: unknown): Promise<boolean> => {
        context.cancel(sdk.InvocationIdParser.fromString(String(id)));
        return true;
      }),
    },
    options: {
      idempotencyRetention: retentionMs,
      journalRetention: 0, // the result is kept, the way there is not
      inactivityTimeout: stepMs, // after which the engine asks for a pause, which a step cannot make
      abortTimeout: 1_000,
      retryPolicy: { ...workerDelays, maxAttempts: Math.ceil(retentionMs / workerDelays.maxInterval) + 10, onMaxAttempts: "kill" },
    },
  });
}

async function workOn(sdk: RestateSdk, settings: PipelineSettings, context: ObjectContext, input: unknown): Promise<BatchResult> {
  const { who, stages, maxBytes } = settings;
  let batch: Batch;
  try {
    batch = readBatch(who, input);
  } catch (error) {
    throw terminal(sdk, ownError(who, "reading", -1, error));
  }
  const keeping = stages.some(({ keeps }) => keeps === "key");
  if (keeping) await keep(settings, context);
  let { parts } = batch;
  for (const stage of stages) {
    const kept = stage.keeps === "key" ? ((await context.get<JsonValue>(stage.name)) ?? undefined) : undefined;
    const result = await recorded(sdk, settings, context, stage, (signal) => step(stage, { who, batch, parts, kept, maxBytes, signal }), batch);
    if (result.kept !== undefined) context.set(stage.name, result.kept);
    parts = result.parts;
  }
  return { digest: batch.digest, parts };
}

/** A step: what it makes is recorded, and then never made again; what befalls it is tried again or recorded, by its code. */
async function recorded(sdk: RestateSdk, settings: PipelineSettings, context: Context, stage: NamedStage, work: (signal: AbortSignal) => Promise<StepResult>, batch: Batch): Promise<StepResult> {
  const { who, attempts, onFailure } = settings;
  const { attemptCompletedSignal } = context.request();
  const stop = new AbortController();
  const abort = (): void => stop.abort(attemptCompletedSignal.reason);
  attemptCompletedSignal.addEventListener("abort", abort, { once: true });
  const action = async (): Promise<StepResult> => {
    try {
      return await work(stop.signal);
    } catch (error) {
      if (attemptCompletedSignal.aborted) throw error; // the engine has left, and tries again
      // cancelled: a passing error here would end the try before the engine has heard of its end
      if (stop.signal.aborted) throw terminal(sdk, new MillraceError("interrupted", `${who}: ${stage.name} was cancelled at batch ${batch.seq}`, { service: who }));
      try {
        onFailure?.(error, { run: batch.run, seq: batch.seq, stage: stage.name });
      } catch {
        // a listener that throws does not decide what becomes of the batch
      }
      const own = ownError(who, stage.name, batch.seq, error);
      if (!own.retryable) throw terminal(sdk, own);
      const passing = toPassing(own);
      // the SDK knows a delay that was asked for only with an error of its own
      throw own.retryAfterMs === undefined ? new Error(passing) : new sdk.RetryableError(passing, { retryAfter: own.retryAfterMs });
    }
  };
  try {
    return await context.run(stage.name, action, { maxRetryAttempts: attempts, initialRetryInterval: firstDelayMs, maxRetryInterval: 10_000 });
  } catch (error) {
    if (!(error instanceof sdk.TerminalError) || error instanceof sdk.CancelledError || error.metadata?.["code"] !== undefined) throw error;
    throw terminal(sdk, fromPassing(who, error.message)); // the last try has failed too
  } finally {
    attemptCompletedSignal.removeEventListener("abort", abort);
    stop.abort(); // cancelled in mid-step: the stage hears of it
  }
}

function terminal(sdk: RestateSdk, error: MillraceError): Error {
  const { message, errorCode, metadata } = toFailure(error);
  return new sdk.TerminalError(message, { errorCode, metadata: { ...metadata } });
}

// --- values that keyed stages keep: they go when nobody has needed them for as long as results are kept ---

async function keep({ name, retentionMs }: PipelineSettings, context: ObjectContext): Promise<void> {
  const isNew = (await context.get<number>(usedAt)) === null;
  context.set(usedAt, await context.date.now());
  if (isNew) later(name, context, retentionMs);
}

async function forget({ name, retentionMs }: PipelineSettings, context: ObjectContext): Promise<void> {
  const left = ((await context.get<number>(usedAt)) ?? 0) + retentionMs - (await context.date.now());
  if (left > 0) later(name, context, left);
  else context.clearAll();
}

function later(name: string, context: ObjectContext, delay: number): void {
  context.genericSend({ service: name, method: "forget", key: context.key, parameter: new Uint8Array(), delay });
}
