/**
 * The tool kind: what a model may call, and where tools come from.
 *
 * @module
 */
import type { ModelTool } from "../core/asked.ts";
import type { JsonValue, Part, ToolCallPart } from "../core/part.ts";
import type { Context, Processor } from "../core/processor.ts";

/** Passed, with the value that the schema made of it, or not, and why. */
export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly issues: string };

/** A tool that a model may call. */
export interface Tool extends ModelTool {
  /** Milliseconds that a call may take. */
  readonly timeoutMs?: number;
  /** It does no harm when it is run again. */
  readonly idempotent: boolean;
  /** Holds arguments against the schema. */
  check(input: JsonValue): Promise<Checked<unknown>>;
  /** One call of the tool, with arguments that were checked. */
  open(input: unknown, call: ToolCallPart): ToolRun;
}

/** One call of a tool. */
export interface ToolRun {
  readonly processor: Processor;
  /** What the processor reads. */
  readonly input: Part;
  /** The tool gave a value: the one part there is stands for it, and nothing was streamed. */
  readonly returned: boolean;
}

/** Tools that have to be opened, as those of a server: once a run, and closed with it. */
export interface ToolSource {
  /** For messages. */
  readonly name: string;
  openTools(context: Context): Promise<OpenedTools>;
}

/** Tools that are open. */
export interface OpenedTools {
  readonly tools: readonly Tool[];
  close(): Promise<void>;
}
