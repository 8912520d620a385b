/**
 * LangChain's objects as far as they are used, by structure: classes differ between copies and versions of its packages.
 *
 * @module
 */
import { fieldOf } from "../../wire/error-fields.ts";
import { type Shape, shapeOf } from "../../wire/json-shape.ts";

/** What a call is told. */
export interface RunnableCall {
  readonly signal?: AbortSignal;
}

/** Anything that can be called and streamed: a chat model, a chain, a retriever, a graph. */
export interface LangChainRunnable {
  // LangChain's inputs and outputs are of any type
  invoke(input: never, options?: RunnableCall): Promise<unknown>;
  stream(input: never, options?: RunnableCall): Promise<AsyncIterable<unknown>>;
}

/** Fields behind which wrappers keep what they wrap: bindings and retries, sequences. */
const within = { input: ["bound", "first"], output: ["bound", "last"] } as const;

/** The model that reads the input or gives the output of a runnable, if there is one. */
export function modelWithin(runnable: unknown, side: keyof typeof within): object | undefined {
  if (typeof fieldOf(runnable, "_modelType") === "function") return runnable as object; // functions and objects alone have fields
  for (const name of within[side]) {
    const inner = fieldOf(runnable, name);
    if (inner !== undefined && inner !== runnable) return modelWithin(inner, side);
  }
  return undefined;
}

/** What a method without arguments gives, where it is text; undefined without the method. */
export function saidBy(object: unknown, method: "_modelType" | "_llmType"): string | undefined {
  const call = fieldOf(object, method);
  const said: unknown = typeof call === "function" ? Reflect.apply(call, object, []) : undefined;
  return typeof said === "string" ? said : undefined;
}

/** Every copy of LangChain marks its messages so. */
const mark = Symbol.for("langchain.message");

/** A message, whole or a chunk of one; undefined for what is none. */
export function messageIn(value: unknown): Shape | undefined {
  return typeof value === "object" && value !== null && mark in value ? shapeOf(value) : undefined;
}

/** A message of the model without words. */
export const markedMessage: Shape = { [mark]: true, type: "ai", content: "" };

/** Its content as blocks, in LangChain's own form where it knows that of the service. */
export function blocksOf(message: Shape): readonly unknown[] {
  const { content } = message;
  const more = Object.keys(shapeOf(message.additional_kwargs) ?? {}).length > 0; // thoughts and refusals of some services
  if (typeof content === "string" && !more) return [{ type: "text", text: content }];
  const blocks = message.contentBlocks;
  return Array.isArray(blocks) ? blocks : Array.isArray(content) ? content : [];
}
