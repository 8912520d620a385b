/**
 * What a turn of a model is asked for besides its input: tools it may call, JSON its answer must be.
 *
 * Wrappers further out settle it for the models inside, whatever lies between.
 *
 * @module
 */
import type { Context } from "./processor.ts";
import { Scope } from "./scope.ts";

/** A tool that a model may call. */
export interface ModelTool {
  readonly name: string;
  readonly description?: string;
  /** JSON Schema of the arguments. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** Whether a model calls a tool: as it likes, never, some tool, this one. */
export type ToolChoice = "auto" | "none" | "required" | { readonly name: string };

/** JSON that an answer must be. */
export interface OutputSchema {
  /** For services that want one: letters, digits, `_` and `-`. */
  readonly name: string;
  /** JSON Schema. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** Hold the model to the schema, where the service can; of a schema only a part is allowed then. @default true */
  readonly strict?: boolean;
}

/** What a turn is asked for. */
export interface Asked {
  /** Beside those of the model's own options. */
  readonly tools?: readonly ModelTool[];
  /** Instead of that of the model's own options. */
  readonly toolChoice?: ToolChoice;
  /** Instead of that of the model's own options. */
  readonly output?: OutputSchema;
}

const nothing: Asked = Object.freeze({});

/** What is asked for here. */
export function askedOf(context: Context | undefined): Asked {
  return context instanceof Scope ? (context.limits.asked ?? nothing) : nothing;
}
