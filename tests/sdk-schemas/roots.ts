/**
 * What goes over the wire, in the words of each client's own types: what the schemas are made of.
 *
 * @module
 */
import type { MessageCreateParamsStreaming, RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages/messages";
import type { Content, EmbedContentConfig, GenerateContentResponse, GenerationConfig, SafetySetting, Tool, ToolConfig } from "@google/genai";
import type { ChatRequest, ChatResponse, EmbedRequest, Message, ToolCall } from "ollama";
import type { ChatCompletionChunk, ChatCompletionCreateParamsStreaming } from "openai/resources/chat/completions";
import type { CreateEmbeddingResponse, EmbeddingCreateParams } from "openai/resources/embeddings";
import type { ResponseCreateParamsStreaming, ResponseInputItem, ResponseOutputText, ResponseStreamEvent } from "openai/resources/responses/responses";

export interface OpenAI {
  responsesRequest: ResponsesRequest;
  responsesEvent: ResponseStreamEvent;
  chatRequest: ChatCompletionCreateParamsStreaming;
  chatEvent: ChatCompletionChunk;
  embeddingsRequest: EmbeddingCreateParams;
  embeddingsAnswer: CreateEmbeddingResponse;
}

export interface Anthropic {
  messagesRequest: MessageCreateParamsStreaming;
  messagesEvent: RawMessageStreamEvent | Ping;
}

export interface Gemini {
  generateRequest: GenerateRequest;
  generateEvent: GenerateEvent;
  embedRequest: EmbedRequests;
}

export interface Ollama {
  chatRequest: OllamaRequest;
  chatEvent: OllamaLine;
  embedRequest: EmbedRequest;
}

// --- where the wire is not what the types say, or they say nothing ---

// The type asks for the id of an earlier answer, which one that was made elsewhere does not have.
interface ResponsesRequest extends Omit<ResponseCreateParamsStreaming, "input"> {
  input: (ResponseInputItem | { role: "assistant"; content: Pick<ResponseOutputText, "type" | "text" | "annotations">[] })[];
}

// The client swallows it.
interface Ping {
  type: "ping";
}

// The client has types for its parameters only, and moves these to their places on the wire by hand.
interface GenerateRequest {
  contents: Content[];
  systemInstruction?: Content;
  generationConfig?: GenerationConfig;
  tools?: Tool[];
  toolConfig?: ToolConfig;
  safetySettings?: SafetySetting[];
  cachedContent?: string;
}

interface EmbedRequests {
  requests: ({ model: string; content: Content } & Pick<EmbedContentConfig, "taskType" | "title" | "outputDimensionality">)[];
}

// The class without its getters and what the client itself adds.
type GenerateEvent = Pick<GenerateContentResponse, "candidates" | "createTime" | "modelVersion" | "promptFeedback" | "responseId" | "usageMetadata" | "modelStatus">;

// The client knows no ids of tool calls, and not every field of a request. Source: ollama, api/types.go.
interface OllamaMessage extends Omit<Message, "images" | "tool_calls"> {
  images?: string[];
  tool_call_id?: string;
  tool_calls?: { id?: string; function: ToolCall["function"] & { index?: number } }[];
}

interface OllamaRequest extends Omit<ChatRequest, "messages"> {
  messages: OllamaMessage[];
  truncate?: boolean;
  shift?: boolean;
}

// The type asks for the measures on each line; the server sends them on the last. JSON has no dates.
interface OllamaLine extends Partial<Omit<ChatResponse, "model" | "created_at" | "message" | "done">>, Pick<ChatResponse, "model" | "done"> {
  created_at: string;
  message: OllamaMessage;
}
