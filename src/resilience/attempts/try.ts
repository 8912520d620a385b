/**
 * What calls that may be made more than once are told, and what they tell.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { Limits } from "../../core/limits.ts";
import type { Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import type { Failed } from "./opening.ts";

/** What is done when an attempt fails after content was handed on. */
export type AfterCommit = "fail" | "buffer" | "restart";

/** What is tried next. */
export interface Try {
  readonly processor: Processor;
  readonly limits?: Limits | undefined;
  /** Changes what the attempt hands on. */
  readonly mark?: ((part: Part) => Part) | undefined;
  /** Its parts go on where those of the last attempt ended, instead of taking their place. */
  readonly continues?: boolean;
}

/** A failure of an attempt, which may be undone by another. */
export interface Failure extends Failed {
  /** Before the commit point. */
  readonly open: boolean;
}

/** How a call came to its end. */
export type CallOutcome = "complete" | "failed" | "left";

/** What every such call is told. */
export interface CallOptions {
  /** Who, for messages. */
  readonly name: string;
  readonly clock: Clock;
  readonly afterCommit: AfterCommit;
  readonly bufferBytes: number;
  /** Bytes of input that are kept; nothing is kept without. */
  readonly replayBytes: number | undefined;
}
