/**
 * Parts as the fields of chunks that LangChain adds up to one message.
 *
 * @module
 */
import type { ContentBlock, ToolCallChunk, UsageMetadata } from "@langchain/core/messages";
import { toBase64 } from "../../core/base64.ts";
import { MillraceError } from "../../core/errors.ts";
import { essence } from "../../core/guards.ts";
import type { FinishPart, Part, Usage } from "../../core/part.ts";
import { type Shape, shapeOf, wordsOf } from "../../wire/json-shape.ts";

/** Fields of one chunk. */
export interface ChunkFields {
  content: string | ContentBlock[];
  tool_call_chunks?: ToolCallChunk[];
  usage_metadata?: UsageMetadata;
  response_metadata?: Record<string, unknown>;
}

/** Makes the chunks of one run. */
export interface ChunkWriter {
  /** Undefined for what is no content of a message: status, results of tools, and the like. Throws for an error part that nobody handled. */
  write(part: Part): ChunkFields | undefined;
  /** How it ended, once: of several turns the last one counts, as words that are added up would make no sense. */
  end(): ChunkFields | undefined;
}

/** Starts a message. */
export function chunkWriter(who: string): ChunkWriter {
  let index = -1; // of the block that is being written; none as long as all is text
  let kind = "text";
  let calls = 0;
  let last: FinishPart | undefined;

  const block = (type: string, fields: Shape): ChunkFields => {
    if (type !== kind || index < 0 || (type !== "text" && type !== "reasoning")) index += 1;
    kind = type;
    return { content: [{ type, ...fields, index }] };
  };
  return {
    write(part) {
      if (part.kind === "error") throw new MillraceError("tool_failed", `${who}: an error part came to the end unhandled: ${part.code}`);
      if (part.kind === "finish") {
        last = part;
        return { content: "", usage_metadata: usageOf(part.usage) };
      }
      if (part.kind === "toolCall") {
        const args = wordsOf(shapeOf(part.metadata.langchain)?.arguments) ?? (typeof part.arguments === "string" ? part.arguments : JSON.stringify(part.arguments));
        return { content: "", tool_call_chunks: [{ type: "tool_call_chunk", id: part.id, name: part.name, args, index: calls++ }] };
      }
      if (part.kind === "text" && part.substream === "reasoning") return part.text === "" ? undefined : block("reasoning", { reasoning: part.text });
      if (part.kind === "toolResult" || part.substream !== "") return undefined;
      if (part.kind === "text" || part.kind === "json") {
        const words = part.kind === "text" ? part.text : JSON.stringify(part.value);
        return index < 0 ? { content: words } : block("text", { text: words });
      }
      const mimeType = essence(part.mimeType);
      const [family = ""] = mimeType.split("/");
      const type = family === "image" || family === "audio" || family === "video" ? family : "file";
      return block(type, part.kind === "bytes" ? { mimeType, data: toBase64(part.bytes) } : { mimeType, url: part.uri });
    },
    end() {
      const ended = last;
      last = undefined;
      if (ended === undefined) return undefined;
      return { content: "", response_metadata: { finish_reason: ended.reason, ...(ended.model === "" ? {} : { model_name: ended.model }) } };
    },
  };
}

/** What is not known counts as 0 in the sums that LangChain makes. */
function usageOf({ inputTokens = 0, outputTokens = 0, cacheReadTokens, cacheWriteTokens, reasoningTokens }: Usage): UsageMetadata {
  return {
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    input_token_details: { ...(cacheReadTokens === undefined ? {} : { cache_read: cacheReadTokens }), ...(cacheWriteTokens === undefined ? {} : { cache_creation: cacheWriteTokens }) },
    output_token_details: reasoningTokens === undefined ? {} : { reasoning: reasoningTokens },
  };
}
