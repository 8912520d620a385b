/**
 * What crosses the border to the AI SDK, by structure: of the provider specification v4, and v3 where it differs.
 *
 * Types of our own, so that no package is needed to compile or run; the tests hold them against those of `@ai-sdk/provider`.
 * Source: `@ai-sdk/provider` 4, src/language-model/{v3,v4}, src/shared/v4.
 *
 * @module
 */
import { isMillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { JsonValue, Metadata } from "../../core/part.ts";
import { shapeOf } from "../json-shape.ts";

/** Versions of the specification that are spoken. */
export type SpecificationVersion = "v3" | "v4";

/** A JSON object. */
export type JsonObject = Readonly<Record<string, JsonValue>>;

/** Data by name of provider: `providerOptions` on the way in, `providerMetadata` on the way out. */
export type ProviderData = Record<string, JsonObject>;

/** Content of a file in an answer. */
export type FileData = { readonly type: "data"; readonly data: Uint8Array } | { readonly type: "url"; readonly url: URL; readonly originalUrl?: string };

/** Tokens of an answer. */
export interface UsageShape {
  readonly inputTokens: Readonly<Record<"total" | "noCache" | "cacheRead" | "cacheWrite", number | undefined>>;
  readonly outputTokens: Readonly<Record<"total" | "text" | "reasoning", number | undefined>>;
  readonly raw?: JsonObject;
}

/** Why an answer ended. */
export interface FinishShape {
  readonly unified: "stop" | "length" | "content-filter" | "tool-calls" | "error" | "other";
  readonly raw: string | undefined;
}

/** What a model cannot do of what it was asked. */
export type WarningShape = { readonly type: "unsupported"; readonly feature: string; readonly details?: string };

/** What a provider says of a part. */
export interface About {
  readonly providerMetadata?: ProviderData;
}

/** Name of a provider, and what it is to that. */
export type CustomKind = `${string}.${string}`;

/** A piece of content that is the same in a stream and in a whole answer. */
export type ContentPart =
  | ({ readonly type: "file" | "reasoning-file"; readonly mediaType: string; readonly data: FileData } & About)
  | ({ readonly type: "source"; readonly sourceType: "url"; readonly id: string; readonly url: string; readonly title?: string } & About)
  | ({ readonly type: "source"; readonly sourceType: "document"; readonly id: string; readonly mediaType: string; readonly title: string; readonly filename?: string } & About)
  | ({ readonly type: "custom"; readonly kind: CustomKind } & About)
  | ({ readonly type: "tool-call"; readonly toolCallId: string; readonly toolName: string; readonly input: string; readonly providerExecuted?: true; readonly dynamic?: true } & About)
  | ({ readonly type: "tool-result"; readonly toolCallId: string; readonly toolName: string; readonly result: NonNullable<JsonValue>; readonly isError?: true; readonly dynamic?: true } & About);

/** What an answer is made of as it comes. */
export type StreamPart =
  | { readonly type: "stream-start"; readonly warnings: WarningShape[] }
  | { readonly type: "response-metadata"; readonly id?: string; readonly timestamp?: Date; readonly modelId?: string }
  | { readonly type: "text-start" | "text-end" | "reasoning-start" | "reasoning-end"; readonly id: string }
  | ({ readonly type: "text-delta" | "reasoning-delta"; readonly id: string; readonly delta: string } & About)
  | ContentPart
  | ({ readonly type: "finish"; readonly usage: UsageShape; readonly finishReason: FinishShape } & About)
  | { readonly type: "error"; readonly error: unknown };

/** Our own name in metadata, for what the SDK says beside the data of providers; and of ours in theirs. */
export const ours = "aiSdk";
export const theirs = "millrace";

/** Parts of an assistant's turn that are no content of ours, and go back as they came: JSON on `sources`. */
export const returnedTypes: ReadonlySet<unknown> = new Set(["tool-call", "tool-result", "custom"]);

/** A copy of a JSON object; undefined for what is none, or holds what JSON cannot. */
export function jsonObject(value: unknown): JsonObject | undefined {
  const shape = shapeOf(value);
  if (shape === undefined) return undefined;
  try {
    return checkedJson(shape, "data") as JsonObject; // what is made of an object is one
  } catch (error) {
    if (isMillraceError(error)) return undefined;
    throw error;
  }
}

/** Metadata as data of providers: the entries that are JSON objects, of these names if there are any. */
export function providerData(metadata: Metadata, names?: ReadonlySet<string>): ProviderData | undefined {
  const data = objectsIn(metadata, (name) => name !== ours && (names?.has(name) ?? true));
  return Object.keys(data).length === 0 ? undefined : data;
}

/** Data of providers as metadata. */
export function metadataOf(data: unknown): Metadata {
  return objectsIn(shapeOf(data) ?? {}, (name) => name !== ours && name !== theirs);
}

function objectsIn(data: Metadata, isTaken: (name: string) => boolean): ProviderData {
  const objects: ProviderData = {};
  for (const [name, value] of Object.entries(data)) {
    // With its name: one that reaches a prototype is refused there.
    const object = isTaken(name) ? jsonObject({ [name]: value }) : undefined;
    const copy = shapeOf(object?.[name]);
    if (copy !== undefined) objects[name] = copy as JsonObject; // a copy of JSON
  }
  return objects;
}
