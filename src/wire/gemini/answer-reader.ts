/**
 * Chunks of `streamGenerateContent` to parts.
 *
 * Source: ai.google.dev/api/generate-content#v1beta.GenerateContentResponse; the finish reasons of @google/genai 3.3.
 *
 * @module
 */
import { fromBase64 } from "../../core/base64.ts";
import { bytes, finish, json, text, uri } from "../../core/constructors.ts";
import { MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { FinishReason, JsonValue, Metadata, Part, PartOptions, Usage } from "../../core/part.ts";
import { compact, countOf, itemsOf, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import type { AnswerReader } from "../model-turn.ts";
import { requireWhole } from "../strict-finish.ts";
import { textJoin } from "../text-join.ts";
import { serverParts } from "./content.ts";
import { callGathering, callPart } from "./function-call.ts";
import { usageOf } from "./usage.ts";

/** A chunk, and the arguments of its function calls as text, where there is that. */
export interface GeminiEvent {
  readonly chunk: unknown;
  readonly rawArguments: readonly string[];
}

/** What the reader is told. */
export interface ReaderSettings {
  readonly service: string;
  /** Cut and filtered answers are errors. */
  readonly strictFinish: boolean;
  /** The error that a chunk reports, if it does. */
  readonly errorOf: (chunk: unknown) => MillraceError | undefined;
}

const reasons: ReadonlyMap<string, FinishReason> = new Map<string, FinishReason>([
  ["STOP", "stop"],
  ["MAX_TOKENS", "length"],
  ["CONTINUATION", "pause"],
  ...["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"].map((word) => [word, "content_filter"] as const),
  ...["IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"].map((word) => [word, "content_filter"] as const),
]);

/** Words for an answer that came to nothing: another attempt may fare better. */
const failures: ReadonlySet<string> = new Set(["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"]);

/** What stands beside the parts and tells where an answer comes from. */
const sourceFields = ["groundingMetadata", "citationMetadata", "urlContextMetadata"] as const;

/** What makes a thought known as one of this service's own, which it takes back. */
const ofThought: Metadata = { gemini: { thought: true } };

/** The terminal event. */
interface End {
  readonly rawReason: string;
  readonly reason: FinishReason;
  readonly about: Shape;
}

/** Reads one streamed answer. */
export function geminiReader({ service, strictFinish, errorOf }: ReaderSettings): AnswerReader {
  const joins = { answer: textJoin(), thought: textJoin() };
  const gathering = callGathering(service);
  let steps = 0;
  let calls = 0;
  let end: End | undefined;
  let rawUsage: unknown;
  let isUsageLast = false;
  let model = "";
  let responseId: string | undefined;

  const bad = (what: string): MillraceError => new MillraceError("bad_response", `${service}: ${what}`, { service });
  const checked = (value: unknown, what: string): JsonValue => {
    try {
      return checkedJson(value, what);
    } catch (error) {
      throw new MillraceError("bad_response", `${service}: ${what} holds a key or a depth that is refused`, { service, cause: error });
    }
  };
  const words = (delta: string, thought: boolean, signature: string | undefined): Part[] => {
    if (delta === "" && signature === undefined) return [];
    steps += 1;
    const join = thought ? joins.thought : joins.answer;
    const joined = join.push(delta) + (signature === undefined ? "" : join.rest()); // a part with a signature ends here
    if (joined === "" && signature === undefined) return [];
    return [text(joined, optionsOf(thought || joined === "", metadataOf(thought, signature)))];
  };
  const opaque = (part: Shape): Part[] => {
    steps += 1;
    return [text("", optionsOf(true, { gemini: { part: checked(part, "a part") } }))];
  };
  const call = (value: Shape, raw: string | undefined, signature: string | undefined): Part[] => {
    steps += 1;
    const whole = gathering.push(value, raw, signature);
    if (whole === undefined) return [];
    calls += 1;
    return [callPart(service, whole, `${responseId ?? crypto.randomUUID()}-${calls}`)];
  };
  const media = (value: Shape, thought: boolean, signature: string | undefined): Part[] => {
    const mimeType = wordsOf(value.mimeType);
    if (typeof value.data !== "string" || mimeType === undefined) throw bad("media without type or content");
    steps += 1;
    return [bytes(bytesOf(value.data), mimeType, optionsOf(thought, metadataOf(thought, signature)))];
  };
  const bytesOf = (data: string): Uint8Array => {
    try {
      return fromBase64(data);
    } catch {
      throw bad("media whose content is no base64");
    }
  };
  const partsOf = (value: unknown, raws: string[]): Part[] => {
    const part = shapeOf(value);
    if (part === undefined) throw bad("a part is no object");
    const signature = wordsOf(part.thoughtSignature);
    const thought = part.thought === true;
    if (typeof part.text === "string") return words(part.text, thought, signature);
    const functionCall = shapeOf(part.functionCall);
    if (functionCall !== undefined) return call(functionCall, raws.shift(), signature);
    const inline = shapeOf(part.inlineData);
    if (inline !== undefined) return media(inline, thought, signature);
    const file = shapeOf(part.fileData);
    if (typeof file?.fileUri === "string") {
      steps += 1;
      return [uri(file.fileUri, wordsOf(file.mimeType) ?? "application/octet-stream", optionsOf(thought, metadataOf(thought, signature)))];
    }
    const field = serverParts.find((name) => shapeOf(part[name]) !== undefined);
    if (field !== undefined) return [source({ [field]: part[field] }), ...opaque(part)];
    return signature === undefined ? [] : opaque({ thoughtSignature: signature });
  };
  const source = (value: Shape): Part => {
    steps += 1;
    return json(checked(value, "a source"), { role: "assistant", substream: "sources" });
  };
  const candidate = (value: Shape, rawArguments: readonly string[]): Part[] => {
    const content = shapeOf(value.content);
    const role = wordsOf(content?.role);
    if (role !== undefined && role !== "model") throw bad("the model speaks in a role that is not its own");
    const raws = [...rawArguments];
    const parts = itemsOf(content?.parts).flatMap((part) => partsOf(part, raws));
    for (const [field, about] of sourcesIn(value)) parts.push(source({ [field]: about }));
    const word = wordsOf(value.finishReason);
    if (word !== undefined && word !== "FINISH_REASON_UNSPECIFIED") {
      const { safetyRatings, continuationToken } = value;
      const about = { finishMessage: wordsOf(value.finishMessage), safetyRatings: safetyRatings ?? undefined, continuationToken: continuationToken ?? undefined };
      end = { rawReason: word, reason: reasons.get(word) ?? "other", about };
    }
    return parts;
  };
  const feedback = (value: Shape | undefined): void => {
    const word = wordsOf(value?.blockReason);
    if (word === undefined || word === "BLOCKED_REASON_UNSPECIFIED") return;
    end ??= { rawReason: word, reason: "content_filter", about: { promptFeedback: value } };
  };
  return {
    read(value) {
      const { chunk: given, rawArguments = [] } = (shapeOf(value) ?? {}) as Partial<GeminiEvent>; // made by the adapter
      const chunk = shapeOf(given);
      if (chunk === undefined) throw bad("a chunk is no object");
      if (shapeOf(chunk.usageMetadata) !== undefined) {
        rawUsage = chunk.usageMetadata;
        isUsageLast = true;
      } else if (end === undefined) isUsageLast = false;
      if (end !== undefined) return []; // the first terminal event counts
      const error = errorOf(chunk);
      if (error !== undefined) throw error;
      model = wordsOf(chunk.modelVersion) ?? model;
      responseId ??= wordsOf(chunk.responseId);
      feedback(shapeOf(chunk.promptFeedback));
      const first = itemsOf(chunk.candidates).map((one) => shapeOf(one) ?? {}).find((one) => (countOf(one.index) ?? 0) === 0);
      return first === undefined ? [] : candidate(first, rawArguments);
    },
    get steps() {
      return steps;
    },
    get complete() {
      return end !== undefined;
    },
    get final() {
      return end !== undefined && isUsageLast; // the counts may follow the reason
    },
    get usage(): Usage {
      return usageOf(rawUsage);
    },
    end({ requestId }) {
      if (end === undefined) return undefined;
      const { rawReason, about } = end;
      if (failures.has(rawReason)) throw bad(`the answer came to nothing (${rawReason})`);
      if (rawReason === "MISSING_THOUGHT_SIGNATURE") throw new MillraceError("invalid_input", `${service}: a thought signature is missing in what was sent`, { service });
      if (gathering.open) throw new MillraceError("truncated", `${service}: the answer was cut within a function call`, { service });
      const reason = end.reason === "stop" && calls > 0 ? "tool_calls" : end.reason;
      if (strictFinish) requireWhole(service, reason, rawReason);
      const gemini = checked(compact<object>({ ...about, usage: rawUsage, responseId, requestId } as object), "the end");
      const rest = (["thought", "answer"] as const).flatMap((kind) => {
        const left = joins[kind].rest();
        return left === "" ? [] : [text(left, optionsOf(kind === "thought", metadataOf(kind === "thought", undefined)))];
      });
      return [...rest, finish({ reason, rawReason, usage: usageOf(rawUsage), model }, { metadata: { gemini } })];
    },
  };
}

function optionsOf(aside: boolean, metadata?: Metadata): PartOptions {
  return { role: "assistant", ...(aside ? { substream: "reasoning" } : {}), ...(metadata === undefined ? {} : { metadata }) };
}

function metadataOf(thought: boolean, signature: string | undefined): Metadata | undefined {
  if (signature === undefined) return thought ? ofThought : undefined;
  return { gemini: thought ? { thought, thoughtSignature: signature } : { thoughtSignature: signature } };
}

/** `{}` comes with every chunk where nothing was looked up. The Gemini API calls citations sources, Vertex AI and the client do not. */
function sourcesIn(candidate: Shape): [field: string, about: Shape][] {
  return sourceFields.flatMap((field) => {
    const { citationSources, ...about } = shapeOf(candidate[field]) ?? {};
    const named = citationSources === undefined ? about : { citations: citationSources };
    return Object.keys(named).length === 0 ? [] : [[field, named]];
  });
}
