/**
 * What a processor is, and what it is told about the run it works in.
 *
 * @module
 */
import type { Part } from "./part.ts";

/**
 * A function from a stream of parts to a stream of parts: the only thing there is to compose.
 *
 * A plain `async function*(input) { … }` is one. Inside a run `context` is always given.
 */
export type Processor = (input: AsyncIterable<Part>, context?: Context) => AsyncIterable<Part>;

/** What a stage knows of its run. One object a run, the same for every stage. */
export interface Context {
  /** The run's own: aborts with the caller's signal, and when the run is left or fails; not at a natural end. */
  readonly signal: AbortSignal;
  /** Of the logical operation, over runs and machines; made when the caller gives none. */
  readonly correlationId: string;
  /** Of this run alone. */
  readonly runId: string;
  /** One map a run, for what stages tell each other beside the stream. */
  readonly state: Map<unknown, unknown>;
  /** Who listens, if anybody. */
  readonly observe?: Observer;
  /** The run ends only when this promise has settled; a rejection fails it. */
  waitUntil(work: Promise<unknown>): void;
}

/** What a part function may give back: nothing drops the part, a string becomes a text part like its source. */
export type PartResult = Part | string | undefined | void | Iterable<Part | string | undefined> | AsyncIterable<Part | string | undefined>;

/** A function of one part. It may be async, and may give any number of parts. */
export type PartFunction = (part: Part, context: Context) => PartResult | Promise<PartResult>;

/** How a run, a stage ended. */
export type Outcome = { readonly kind: "complete" } | { readonly kind: "left" } | { readonly kind: "failed"; readonly error: unknown };

/** Listens to runs. Asked once when a run opens; nothing is paid for what is not listened to. */
export interface Observer {
  /** A run opened. What is returned hears of that run. */
  run?(run: { readonly correlationId: string; readonly runId: string }): RunObserver | undefined;
}

/** Listens to one run. */
export interface RunObserver {
  /** A stage opened; `index` counts the stages of the pipeline from the source. */
  stage?(stage: { readonly name: string; readonly index: number }): StageObserver | undefined;
  end?(outcome: Outcome): void;
}

/** Listens to one stage of one run. */
export interface StageObserver {
  /** Runs each call into the stage, so that a span can be current for just that long. */
  enter?<T>(call: () => T): T;
  /** A part crossed the boundary into or out of the stage. */
  part?(direction: "in" | "out", part: Part): void;
  end?(outcome: Outcome): void;
}
