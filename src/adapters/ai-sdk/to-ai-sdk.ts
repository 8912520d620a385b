/**
 * A processor as a language model of the AI SDK, of specification v4.
 *
 * Source: `@ai-sdk/provider` 4, src/language-model/v4
 *
 * @module
 */
import type { Asked, ModelTool, ToolChoice } from "../../core/asked.ts";
import { asks } from "../../core/asks.ts";
import { invalidOption, MillraceError } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import { run } from "../../core/run.ts";
import { callError } from "../../wire/ai-sdk/errors.ts";
import { promptParts } from "../../wire/ai-sdk/prompt-parts.ts";
import type { StreamPart, WarningShape } from "../../wire/ai-sdk/shapes.ts";
import { sdkWriter, usageOf } from "../../wire/ai-sdk/stream-parts.ts";
import { type WholeAnswer, wholeAnswer } from "../../wire/ai-sdk/whole-answer.ts";
import { compact, itemsOf, shapeOf, wordsOf } from "../../wire/json-shape.ts";

/** Options of `toAiSdk`. */
export interface ToAiSdkOptions {
  /** @default the processor's own name */
  readonly modelId?: string;
  /** @default "millrace" */
  readonly provider?: string;
  /** Addresses that the processor takes as they are, by media type; the SDK loads all others itself. @default none */
  readonly supportedUrls?: Readonly<Record<string, readonly RegExp[]>>;
}

/** What is read of a call: `LanguageModelV4CallOptions`. */
interface SdkCall {
  readonly prompt: readonly unknown[];
  readonly abortSignal?: AbortSignal | undefined;
}

/** A model as the SDK calls it: fits `LanguageModelV4`. */
export interface AiSdkLanguageModel {
  readonly specificationVersion: "v4";
  readonly provider: string;
  readonly modelId: string;
  readonly supportedUrls: Record<string, RegExp[]>;
  doGenerate(options: SdkCall): Promise<WholeAnswer>;
  doStream(options: SdkCall): Promise<{ stream: ReadableStream<StreamPart> }>;
}

/**
 * Makes a language model of the AI SDK of any processor: a model of ours, or a whole pipeline around one.
 *
 * Reads:  the prompt as parts, system messages as of this program. Tools, tool choice and a JSON schema reach the models within, as
 *         `asks` would bring them; other settings are the processor's own and come back as warnings.
 * Yields: texts of the main stream, JSON as text; reasoning, files and sources; tool calls, together with their results where the
 *         processor or a provider behind it runs the tools; one `finish` when it has ended, with the reason of the last finish part and the tokens of
 *         all. Metadata that are objects are `providerMetadata`. Other substreams, `error` parts and tool results without a call
 *         have no place there.
 * Throws: from `doGenerate` an error that the SDK knows, ours as its `cause`, asked again by the SDK where ours is retryable; in a
 *         stream our error itself as an `error` part, then a `finish` of reason `error`; on abort the signal's reason.
 * Closes: the processor, when the stream is cancelled, aborted or at its end. Nothing runs before the first read of the stream.
 *
 * @example
 * const model = toAiSdk(pipe(mockModel(["Hello there."])), { modelId: "greeter" }); // for generateText({ model, … }) of `ai`
 * const answer = await model.doGenerate({ prompt: [{ role: "user", content: [{ type: "text", text: "Hi" }] }] });
 * console.log(answer.content); // [ { type: 'text', text: 'Hello there.' } ]
 */
export function toAiSdk(processor: Processor, options: ToAiSdkOptions = {}): AiSdkLanguageModel {
  const who = "toAiSdk";
  if (typeof processor !== "function") throw invalidOption(who, "processor", "a processor", processor);
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { modelId = processor.name || "processor", provider = "millrace", supportedUrls = {} } = options;
  if (typeof modelId !== "string" || modelId === "") throw invalidOption(who, "modelId", "a name", modelId);
  if (typeof provider !== "string" || provider === "") throw invalidOption(who, "provider", "a name", provider);
  const open = (call: SdkCall): Answer => answerOf(who, processor, call);
  return {
    specificationVersion: "v4",
    provider,
    modelId,
    supportedUrls: Object.fromEntries(Object.entries(supportedUrls).map(([mediaType, addresses]) => [mediaType, [...addresses]])),
    async doGenerate(call) {
      try {
        const answer = open(call);
        const parts: StreamPart[] = [];
        for (let part = await answer.next(); part !== undefined; part = await answer.next()) parts.push(part);
        const whole = wholeAnswer(parts);
        if (whole === undefined) throw new MillraceError("truncated", `${who}: the answer ends without its end`);
        return { ...whole, response: { modelId, ...whole.response } };
      } catch (error) {
        throw call.abortSignal?.aborted === true ? call.abortSignal.reason : callError(error);
      }
    },
    doStream: (call) => Promise.resolve({ stream: streamOf(() => open(call), call.abortSignal) }),
  };
}

/** An answer that is being made. */
interface Answer {
  /** What comes next; undefined at the end. */
  next(): Promise<StreamPart | undefined>;
  leave(): Promise<unknown>;
}

function answerOf(who: string, processor: Processor, call: SdkCall): Answer {
  const { asked, warnings } = askedIn(call);
  const { abortSignal: signal } = call;
  const writer = sdkWriter(who);
  const parts: AsyncIterator<Part> = run(asks(processor, asked), promptParts(who, call.prompt), signal === undefined ? {} : { signal })[Symbol.asyncIterator]();
  let waiting: StreamPart[] = [{ type: "stream-start", warnings }];
  let ended = false;
  return {
    async next() {
      for (;;) {
        signal?.throwIfAborted(); // what was made and not taken is nobody's any more
        const made = waiting.shift();
        if (made !== undefined) return made;
        if (ended) return undefined;
        const { done, value } = await parts.next();
        ended = done === true;
        waiting = done === true ? writer.end() : writer.write(value);
      }
    },
    leave: async () => parts.return?.(),
  };
}

/** Made as it is read; cancelling it leaves the processor, also while it is at work. */
function streamOf(open: () => Answer, signal: AbortSignal | undefined): ReadableStream<StreamPart> {
  let answer: Answer | undefined;
  return new ReadableStream<StreamPart>(
    {
      async pull(controller) {
        try {
          const part = await (answer ??= open()).next();
          if (part === undefined) controller.close();
          else controller.enqueue(part);
        } catch (error) {
          if (signal?.aborted === true) throw signal.reason;
          controller.enqueue({ type: "error", error });
          controller.enqueue({ type: "finish", finishReason: { unified: "error", raw: undefined }, usage: usageOf({}, undefined) });
          controller.close();
        }
      },
      async cancel() {
        await answer?.leave();
      },
    },
    { highWaterMark: 0 }, // nothing is made that nobody asked for
  );
}

/** Settings that a processor has of its own, in the words of the SDK. */
const foreignSettings = ["maxOutputTokens", "temperature", "stopSequences", "topP", "topK", "presencePenalty", "frequencyPenalty", "seed"] as const;

/** What a call asks for besides its prompt, and what of it a processor cannot be asked. */
function askedIn(call: SdkCall): { readonly asked: Asked; readonly warnings: WarningShape[] } {
  const settings = shapeOf(call) ?? {};
  const warnings: WarningShape[] = foreignSettings.filter((name) => settings[name] !== undefined).map((feature) => ({ type: "unsupported", feature }));
  const { reasoning = "provider-default" } = settings;
  if (reasoning !== "provider-default") warnings.push({ type: "unsupported", feature: "reasoning" });
  if (Object.keys(shapeOf(settings.providerOptions) ?? {}).length > 0) warnings.push({ type: "unsupported", feature: "providerOptions" });
  const tools: ModelTool[] = [];
  for (const tool of itemsOf(settings.tools)) {
    const { type, name, description, inputSchema } = shapeOf(tool) ?? {};
    const parameters = shapeOf(inputSchema);
    if (type === "function" && typeof name === "string" && parameters !== undefined) {
      tools.push({ name, ...(typeof description === "string" ? { description } : {}), parameters });
    } else warnings.push({ type: "unsupported", feature: `tool ${String(name).slice(0, 64)}`, details: "a tool of a provider" });
  }
  const format = shapeOf(settings.responseFormat);
  const schema = shapeOf(format?.schema);
  if (format?.type === "json" && schema === undefined) warnings.push({ type: "unsupported", feature: "responseFormat", details: "JSON without a schema" });
  const choice = choiceOf(settings.toolChoice);
  const asked = compact<Asked>({
    tools: tools.length === 0 ? undefined : tools,
    toolChoice: choice === "auto" && tools.length === 0 ? undefined : choice, // the SDK says so without tools, and services refuse it then
    output: schema === undefined ? undefined : { name: wordsOf(format?.name) ?? "answer", schema },
  } as Asked);
  return { asked, warnings };
}

function choiceOf(choice: unknown): ToolChoice | undefined {
  const { type, toolName } = shapeOf(choice) ?? {};
  if (type === "auto" || type === "none" || type === "required") return type;
  return type === "tool" && typeof toolName === "string" ? { name: toolName } : undefined;
}
