/**
 * Parts: the one kind of thing that flows through a pipeline.
 *
 * A part is plain data, readonly, and never changed once made. Every part has the same first five fields in the same
 * order, so that a loop which only looks at those stays fast whatever flows through it.
 *
 * @module
 */

/** Who speaks. Service words (`model`, `developer`) are mapped by the adapter of that service. */
export type Role = "user" | "assistant" | "system" | "tool";

/** Any JSON value. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Data about a part, by service: `metadata.openai`, `metadata.file`. Never a channel for secrets or handles. */
export type Metadata = Readonly<Record<string, unknown>>;

/** What every part carries, whatever its kind. */
export interface PartBase {
  readonly kind: "text" | "bytes" | "uri" | "json" | "toolCall" | "toolResult" | "finish" | "error";
  /** `text/plain`, `image/png`, … as it was given: never a guess from the content. */
  readonly mimeType: string;
  readonly role: Role;
  /** `""` is the main stream; `status` and `debug` are reserved; any other name is yours. */
  readonly substream: string;
  readonly metadata: Metadata;
}

/** A piece of text: a whole document or one delta of a model's answer. */
export interface TextPart extends PartBase {
  readonly kind: "text";
  readonly text: string;
}

/** Content held in memory: an image, audio, a PDF. */
export interface BytesPart extends PartBase {
  readonly kind: "bytes";
  readonly bytes: Uint8Array;
}

/** Content held elsewhere, by address. */
export interface UriPart extends PartBase {
  readonly kind: "uri";
  readonly uri: string;
}

/** A JSON value. */
export interface JsonPart extends PartBase {
  readonly kind: "json";
  readonly value: JsonValue;
}

/** A model asks for a tool to be run. */
export interface ToolCallPart extends PartBase {
  readonly kind: "toolCall";
  readonly id: string;
  readonly name: string;
  /** The parsed arguments; the raw text where they did not parse. */
  readonly arguments: JsonValue;
}

/** What a tool answered. */
export interface ToolResultPart extends PartBase {
  readonly kind: "toolResult";
  readonly id: string;
  readonly name: string;
  readonly result: JsonValue;
  readonly isError: boolean;
}

/** Why a model's turn ended, in one vocabulary for all services. */
export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter" | "refusal" | "pause" | "other";

/** Tokens of one turn. `inputTokens` and `outputTokens` are totals, the others are shares of them; unknown is absent, not 0. */
export interface Usage {
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  readonly cacheReadTokens?: number;
  readonly cacheWriteTokens?: number;
  readonly reasoningTokens?: number;
  /** True when the turn was cut, so that the numbers are what was seen so far. */
  readonly partial?: boolean;
}

/** Ends one turn of a model: once, last. */
export interface FinishPart extends PartBase {
  readonly kind: "finish";
  readonly reason: FinishReason;
  /** The service's own word. */
  readonly rawReason: string;
  readonly usage: Usage;
  readonly model: string;
}

/** An error that `isolate` turned into data: no text, no content of the failing part. */
export interface ErrorPart extends PartBase {
  readonly kind: "error";
  readonly code: string;
  readonly message: string;
  /** Ordinal of the part, counted from 0 at the isolating stage. */
  readonly ordinal: number;
}

/** One piece of multimodal content. */
export type ProcessorPart =
  | TextPart
  | BytesPart
  | UriPart
  | JsonPart
  | ToolCallPart
  | ToolResultPart
  | FinishPart
  | ErrorPart;

/** The short name used everywhere. */
export type Part = ProcessorPart;

/** What every constructor takes besides the content. */
export interface PartOptions {
  /** @default "user"; "assistant" for tool calls and finish parts, "tool" for tool results and errors */
  readonly role?: Role;
  /** @default "" (the main stream) */
  readonly substream?: string;
  /** Copied, so that later changes to the object do not reach the part. */
  readonly metadata?: Metadata;
  /** @default the kind's own */
  readonly mimeType?: string;
}

/** The one empty metadata object, shared by every part without any. */
export const noMetadata: Metadata = Object.freeze({});
