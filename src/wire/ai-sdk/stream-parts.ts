/**
 * Parts to the stream parts of an AI SDK model.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { BytesPart, FinishPart, FinishReason, JsonValue, Part, ToolCallPart, UriPart, Usage } from "../../core/part.ts";
import { shapeOf, wordsOf } from "../json-shape.ts";
import { type About, type CustomKind, type FileData, type FinishShape, jsonObject, ours, type ProviderData, providerData, type StreamPart, theirs, type UsageShape } from "./shapes.ts";

/** Writes one answer. */
export interface SdkWriter {
  write(part: Part): StreamPart[];
  /** What was held back, and the one `finish`. */
  end(): StreamPart[];
}

/** A call that waits for its result: whether the SDK is to run the tool is not known before. */
interface Held {
  readonly part: ToolCallPart;
  answered: boolean;
}

/**
 * Starts an answer.
 *
 * A tool call is held, with all that follows, until its result comes by, then the tool has been run and is not run again; or until the
 * end. Finish parts are held too: what works behind a model, at its end, is to be done when the SDK hears of the end.
 */
export function sdkWriter(who: string): SdkWriter {
  let block: { readonly type: "text" | "reasoning"; readonly id: string } | undefined;
  let blocks = 0;
  let sources = 0;
  let last: FinishPart | undefined;
  let usage: Usage = {};
  let held: (StreamPart | Held)[] = [];

  const close = (): StreamPart[] => {
    if (block === undefined) return [];
    const { type, id } = block;
    block = undefined;
    return [{ type: `${type}-end`, id }];
  };
  const words = (type: "text" | "reasoning", delta: string, about: About): StreamPart[] => {
    const before = block?.type === type ? [] : close();
    const start: StreamPart[] = block === undefined ? [{ type: `${type}-start`, id: String(blocks++) }] : [];
    block ??= { type, id: String(blocks - 1) };
    return [...before, ...start, { type: `${type}-delta`, id: block.id, delta, ...about }];
  };
  const sourceOf = (value: unknown, about: About): StreamPart[] => {
    const { id, url, title, mediaType, filename } = shapeOf(value) ?? {};
    const named = wordsOf(id) ?? `source-${sources++}`;
    const titled = typeof title === "string" ? { title } : {};
    if (typeof url === "string") return [{ type: "source", sourceType: "url", id: named, url, ...titled, ...about }];
    if (typeof mediaType !== "string" || typeof title !== "string") return [];
    return [{ type: "source", sourceType: "document", id: named, mediaType, title, ...(typeof filename === "string" ? { filename } : {}), ...about }];
  };
  const made = (part: Part): (StreamPart | Held)[] => {
    const { substream } = part;
    const about = aboutOf(part);
    if (substream !== "" && substream !== "reasoning" && !(substream === "sources" && part.kind === "json")) return [];
    const isReasoning = substream === "reasoning";
    switch (part.kind) {
      case "text":
        return words(isReasoning ? "reasoning" : "text", part.text, about);
      case "json":
        if (substream === "sources") return [...close(), ...(ranElsewhere(part.value, about) ?? sourceOf(part.value, about))];
        return isReasoning ? [] : words("text", JSON.stringify(part.value), about);
      case "bytes":
      case "uri":
        return [...close(), { type: isReasoning ? "reasoning-file" : "file", mediaType: part.mimeType, data: dataOf(who, part), ...about }];
      case "toolCall":
        return [...close(), { part, answered: false }];
      case "toolResult": {
        const call = held.find((one): one is Held => "part" in one && one.part.id === part.id && !one.answered);
        if (call === undefined) return [];
        call.answered = true;
        const { id: toolCallId, name: toolName, result } = part;
        return [...close(), { type: "tool-result", toolCallId, toolName, result: result ?? "", ...(part.isError ? { isError: true } : {}), dynamic: true, ...about }];
      }
      case "finish":
        last = part;
        usage = sumOf(usage, part.usage);
        return [];
      case "error":
        return [];
    }
  };
  const ready = (isEnd: boolean): StreamPart[] => {
    const waiting = isEnd ? -1 : held.findIndex((one) => "part" in one && !one.answered);
    const free = waiting < 0 ? held : held.slice(0, waiting);
    held = held.slice(free.length);
    return free.map((one) => ("part" in one ? callOf(one) : one));
  };
  return {
    write(part) {
      held.push(...made(part));
      return ready(false);
    },
    end() {
      return [...ready(true), ...close(), ...ending(last, usage)];
    },
  };
}

function aboutOf(part: Part): About {
  const providerMetadata = providerData(part.metadata);
  return providerMetadata === undefined ? {} : { providerMetadata };
}

/** What a provider of the SDK gave, by way of a model of ours, and we have no kind for. */
function ranElsewhere(value: unknown, about: About): StreamPart[] | undefined {
  const { type, toolCallId, toolName, input, result, isError, dynamic, kind } = shapeOf(value) ?? {};
  if (type === "custom") return isCustomKind(kind) ? [{ type, kind, ...about }] : [];
  if (type !== "tool-call" && type !== "tool-result") return undefined;
  if (typeof toolCallId !== "string" || typeof toolName !== "string") return [];
  const more = { ...(dynamic === true ? ({ dynamic } as const) : {}), ...about };
  if (type === "tool-call") return [{ type, toolCallId, toolName, input: typeof input === "string" ? input : JSON.stringify(input ?? {}), providerExecuted: true, ...more }];
  return [{ type, toolCallId, toolName, result: jsonOf(result) ?? "", ...(isError === true ? { isError } : {}), ...more }];
}

function isCustomKind(kind: unknown): kind is CustomKind {
  return typeof kind === "string" && kind.includes(".");
}

/** It came out of a part, where it is JSON. */
function jsonOf(value: unknown): JsonValue {
  return value === undefined ? null : checkedJson(value, "result");
}

function callOf({ part, answered }: Held): StreamPart {
  const raw = wordsOf(shapeOf(part.metadata[ours])?.arguments);
  const input = raw ?? (typeof part.arguments === "string" ? part.arguments : JSON.stringify(part.arguments));
  const run = answered ? ({ providerExecuted: true, dynamic: true } as const) : {};
  return { type: "tool-call", toolCallId: part.id, toolName: part.name, input, ...run, ...aboutOf(part) };
}

function dataOf(who: string, part: BytesPart | UriPart): FileData {
  if (part.kind === "bytes") return { type: "data", data: part.bytes };
  if (URL.canParse(part.uri)) return { type: "url", url: new URL(part.uri), originalUrl: part.uri };
  throw new MillraceError("invalid_input", `${who}: the address of a ${part.mimeType.slice(0, 100)} part is no URL`);
}

const unified: Readonly<Record<FinishReason, FinishShape["unified"]>> = {
  stop: "stop",
  length: "length",
  tool_calls: "tool-calls",
  content_filter: "content-filter",
  refusal: "content-filter",
  pause: "other",
  other: "other",
};

/** A processor that makes no finish part is done when it ends. */
function ending(last: FinishPart | undefined, usage: Usage): StreamPart[] {
  if (last === undefined) return [{ type: "finish", finishReason: { unified: "stop", raw: undefined }, usage: usageOf(usage, undefined) }];
  const { reason, rawReason, model } = last;
  const said = shapeOf(last.metadata[ours]);
  const responseId = wordsOf(said?.responseId);
  const time = wordsOf(said?.timestamp);
  const about = aboutOf(last).providerMetadata;
  const more: ProviderData = reason === "refusal" || reason === "pause" ? { [theirs]: { reason } } : {};
  const providerMetadata = { ...about, ...more };
  return [
    { type: "response-metadata", ...(responseId === undefined ? {} : { id: responseId }), ...(time === undefined ? {} : { timestamp: new Date(time) }), ...(model === "" ? {} : { modelId: model }) },
    {
      type: "finish",
      finishReason: { unified: unified[reason], raw: rawReason === "" ? reason : rawReason },
      usage: usageOf(usage, jsonObject(said?.usage)),
      ...(Object.keys(providerMetadata).length === 0 ? {} : { providerMetadata }),
    },
  ];
}

/** Turns of one answer are counted together. */
function sumOf(a: Usage, b: Usage): Usage {
  const sum: Record<string, number> = {};
  for (const name of ["inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "reasoningTokens"] as const) {
    const [one, other] = [a[name], b[name]];
    if (one !== undefined || other !== undefined) sum[name] = (one ?? 0) + (other ?? 0);
  }
  return sum;
}

/** Tokens as the SDK counts them; what is not known stays so. */
export function usageOf(usage: Usage, raw: UsageShape["raw"] | undefined): UsageShape {
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens } = usage;
  const less = (total: number | undefined, ...shares: readonly (number | undefined)[]): number | undefined =>
    total === undefined || shares.every((share) => share === undefined) ? undefined : shares.reduce<number>((rest, share) => Math.max(0, rest - (share ?? 0)), total);
  return {
    inputTokens: { total: inputTokens, noCache: less(inputTokens, cacheReadTokens, cacheWriteTokens), cacheRead: cacheReadTokens, cacheWrite: cacheWriteTokens },
    outputTokens: { total: outputTokens, text: less(outputTokens, reasoningTokens), reasoning: reasoningTokens },
    ...(raw === undefined ? {} : { raw }),
  };
}
