/**
 * How an answer of an AI SDK model ended: its `finish` as a finish part.
 *
 * @module
 */
import { finish } from "../../core/constructors.ts";
import { MillraceError } from "../../core/errors.ts";
import type { FinishPart, FinishReason, Metadata, Usage } from "../../core/part.ts";
import { compact, countOf, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import { requireWhole } from "../strict-finish.ts";
import { jsonObject, metadataOf, ours, theirs } from "./shapes.ts";

const reasons: Readonly<Record<string, FinishReason>> = { stop: "stop", length: "length", "tool-calls": "tool_calls", "content-filter": "content_filter" };

/** Words of services that the SDK takes together with others. */
const rawReasons: Readonly<Record<string, FinishReason>> = { refusal: "refusal", pause_turn: "pause", pause: "pause" };

/** Who answered. */
export interface Answering {
  readonly service: string;
  /** Where the answer names no model. */
  readonly modelId: string;
  readonly strictFinish: boolean;
}

/** The finish part; undefined for an answer that did not come to its end. Throws for one that ended with an error. */
export function finishOf(ending: Shape, response: Shape, { service, modelId, strictFinish }: Answering): FinishPart | undefined {
  const given = shapeOf(ending.finishReason);
  const unified = wordsOf(given?.unified) ?? "other";
  const raw = wordsOf(given?.raw);
  // Providers start with "other" and no word of the service, and end with it when that never came.
  if (unified === "interrupted" || (unified === "other" && raw === undefined)) return undefined;
  if (unified === "error") throw new MillraceError("unavailable", `${service}: ${modelId} ended with an error (${(raw ?? "no word of it").slice(0, 100)})`, { service });
  const told = wordsOf(shapeOf(shapeOf(ending.providerMetadata)?.[theirs])?.reason) ?? raw ?? "";
  const reason = (Object.hasOwn(rawReasons, told) ? rawReasons[told] : undefined) ?? (Object.hasOwn(reasons, unified) ? reasons[unified] : undefined) ?? "other";
  const rawReason = raw ?? unified;
  if (strictFinish) requireWhole(service, reason, rawReason);
  const metadata = { ...metadataOf(ending.providerMetadata), ...aboutOf(response, shapeOf(ending.usage)?.raw) };
  return finish({ reason, rawReason, usage: usageOf(ending), model: wordsOf(response.modelId) ?? modelId }, { metadata });
}

/** Its tokens; what is not known is absent. */
export function usageOf(finish: Shape | undefined): Usage {
  const usage = shapeOf(finish?.usage);
  const [input, output] = [shapeOf(usage?.inputTokens), shapeOf(usage?.outputTokens)];
  return compact<Usage>({
    inputTokens: countOf(input?.total),
    outputTokens: countOf(output?.total),
    cacheReadTokens: countOf(input?.cacheRead),
    cacheWriteTokens: countOf(input?.cacheWrite),
    reasoningTokens: countOf(output?.reasoning),
  } as Usage);
}

/** The service's id and time of the answer, and its own count. */
function aboutOf({ id, timestamp }: Shape, usage: unknown): Metadata {
  const time = timestamp instanceof Date && !Number.isNaN(timestamp.getTime()) ? timestamp.toISOString() : undefined;
  const about = compact<object>({ responseId: wordsOf(id), timestamp: time, usage: jsonObject(usage) } as object);
  return Object.keys(about).length === 0 ? {} : { [ours]: about };
}
