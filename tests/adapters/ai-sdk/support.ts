/** A language model of the AI SDK that answers as a test says, over a real stream, held against the types of `@ai-sdk/provider`. */
import type { LanguageModelV3, LanguageModelV3StreamPart, LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4StreamPart, LanguageModelV4Usage } from "@ai-sdk/provider";

/** What comes after the parts of an answer: its end, nothing any more, an error of the stream. */
export type Then = "close" | "stall" | { readonly error: unknown };

/** One answer. */
export interface Scripted {
  readonly parts: readonly LanguageModelV4StreamPart[];
  /** @default "close" */
  readonly then?: Then;
  /** `doStream` itself never comes back, or rejects with this. */
  readonly refuses?: "silence" | { readonly error: unknown };
}

/** What a model was asked. */
export interface Asked {
  readonly call: LanguageModelV4CallOptions;
  /** All that was sent, as text. */
  readonly body: string;
  /** The stream was cancelled or its signal aborted. */
  readonly closed: Promise<void>;
  /** How often the stream was cancelled. */
  cancels: number;
  /** Has the stream been read to its end? */
  ended: boolean;
}

export interface ScriptedModel extends LanguageModelV4 {
  readonly asked: Asked[];
  script(...answers: readonly Scripted[]): void;
  /** When so many requests have come and all their parts are taken. */
  taken(count: number): Promise<void>;
}

export const usage: LanguageModelV4Usage = {
  inputTokens: { total: 26, noCache: 20, cacheRead: 6, cacheWrite: undefined },
  outputTokens: { total: 9, text: 5, reasoning: 4 },
  raw: { prompt: 26 },
};

export const start: LanguageModelV4StreamPart = { type: "stream-start", warnings: [] };
export const about: LanguageModelV4StreamPart = { type: "response-metadata", id: "resp_1", modelId: "model-of-the-day", timestamp: new Date(0) };
export const end: LanguageModelV4StreamPart = { type: "finish", usage, finishReason: { unified: "stop", raw: "end_turn" } };
export const delta = (words: string, id = "1"): LanguageModelV4StreamPart => ({ type: "text-delta", id, delta: words });

/** A text that goes on. */
export const begun = (deltas: readonly string[]): LanguageModelV4StreamPart[] => [start, about, { type: "text-start", id: "1" }, ...deltas.map((words) => delta(words))];

/** A whole answer. */
export const answered = (deltas: readonly string[]): LanguageModelV4StreamPart[] => [...begun(deltas), { type: "text-end", id: "1" }, end];

export function scriptedModel(options: { readonly provider?: string; readonly supportedUrls?: LanguageModelV4["supportedUrls"] } = {}): ScriptedModel {
  const answers: Scripted[] = [];
  const asked: Asked[] = [];
  let takenSoFar = 0;
  const waiting: (() => void)[] = [];
  const took = (): void => {
    takenSoFar += 1;
    for (const wake of waiting.splice(0)) wake();
  };
  return {
    specificationVersion: "v4",
    provider: options.provider ?? "example.chat",
    modelId: "model-of-the-test",
    supportedUrls: options.supportedUrls ?? {},
    asked,
    script(...more) {
      answers.push(...more);
    },
    async taken(count) {
      while (takenSoFar < count) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    doGenerate: () => Promise.reject(new Error("doGenerate is not called")),
    async doStream(call) {
      const { parts, then = "close", refuses } = answers.shift() ?? { parts: answered(["no script"]) };
      const { promise: closed, resolve } = Promise.withResolvers<void>();
      const { abortSignal, ...sent } = call;
      const record: Asked = { call, body: JSON.stringify(sent), closed, cancels: 0, ended: false };
      asked.push(record);
      abortSignal?.addEventListener("abort", () => resolve(), { once: true });
      if (refuses === "silence") {
        took();
        return new Promise(() => {});
      }
      if (refuses !== undefined) throw refuses.error;
      const left = [...parts];
      const stream = new ReadableStream<LanguageModelV4StreamPart>(
        {
          async pull(controller) {
            const next = left.shift();
            if (next !== undefined) return controller.enqueue(next);
            took();
            if (then === "stall") return new Promise(() => {});
            if (then !== "close") return controller.error(then.error);
            record.ended = true;
            controller.close();
          },
          cancel() {
            record.cancels += 1;
            resolve();
          },
        },
        { highWaterMark: 0 },
      );
      return { stream };
    },
  };
}

/** The same, of specification v3. */
export function scriptedV3(parts: readonly LanguageModelV3StreamPart[]): LanguageModelV3 & { readonly calls: unknown[] } {
  const calls: unknown[] = [];
  return {
    specificationVersion: "v3",
    provider: "example.chat",
    modelId: "model-of-before",
    supportedUrls: { "image/*": [/^https:\/\//] },
    calls,
    doGenerate: () => Promise.reject(new Error("doGenerate is not called")),
    async doStream({ abortSignal: _, ...call }) {
      calls.push(call);
      return { stream: new ReadableStream({ start: (controller) => (parts.forEach((part) => controller.enqueue(part)), controller.close()) }) };
    },
  };
}

/** An error as `APICallError` of `@ai-sdk/provider` is. */
export const apiCallError = (statusCode: number | undefined, message: string, more: object = {}): Error =>
  Object.assign(new Error(message), { name: "AI_APICallError", url: "https://api.example.com/v1", statusCode, isRetryable: statusCode === undefined || statusCode >= 500, ...more });
