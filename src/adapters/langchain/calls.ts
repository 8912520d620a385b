/**
 * Tool calls of an answer, gathered from their pieces.
 *
 * @module
 */
import type { ToolCallPart } from "../../core/part.ts";
import { calledTool } from "../../wire/called-tool.ts";
import { itemsOf, type Shape, shapeOf, wordsOf } from "../../wire/json-shape.ts";

interface Gathered {
  readonly index: unknown;
  id: string | undefined;
  name: string;
  arguments: string;
}

/** The calls of one message. */
export interface GatheredCalls {
  readonly count: number;
  /** Takes what a chunk holds of calls; true if it holds any. */
  gather(message: Shape): boolean;
  /** All of them as parts; throws `bad_response` for one without a name. */
  whole(service: string): ToolCallPart[];
}

/** Starts a message without any. */
export function gatheredCalls(): GatheredCalls {
  const calls: Gathered[] = [];
  // By index and id: calls interleave, and some services number each of them 0.
  const callFor = (index: unknown, id: string | undefined, name: string | undefined): Gathered | undefined =>
    calls.findLast((call) => {
      if (id !== undefined && call.id !== undefined && id !== call.id) return false;
      if (index !== undefined || call.index !== undefined) return index === call.index;
      return id !== undefined ? id === call.id : name === undefined;
    });
  const piece = (value: unknown, argumentsOf: (called: Shape) => string): void => {
    const called = shapeOf(value) ?? {};
    const [id, name] = [wordsOf(called.id), wordsOf(called.name)];
    const index = called.index ?? undefined;
    const call = callFor(index, id, name);
    if (call === undefined) return void calls.push({ index, id, name: name ?? "", arguments: argumentsOf(called) });
    call.id ??= id;
    if (call.name === "") call.name = name ?? "";
    call.arguments += argumentsOf(called);
  };
  return {
    get count() {
      return calls.length;
    },
    gather(message) {
      const pieces = itemsOf(message.tool_call_chunks);
      for (const value of pieces) piece(value, ({ args }) => (typeof args === "string" ? args : ""));
      if (pieces.length > 0) return true;
      // Whole ones, of a message that did not come in chunks.
      const [valid, invalid] = [itemsOf(message.tool_calls), itemsOf(message.invalid_tool_calls)];
      for (const value of valid) piece(value, ({ args }) => JSON.stringify(args ?? {}));
      for (const value of invalid) piece(value, ({ args }) => (typeof args === "string" ? args : ""));
      return valid.length + invalid.length > 0;
    },
    whole: (service) =>
      calls.map((call) =>
        // Some services give no ids.
        calledTool(service, { ...call, id: call.id ?? `call_${crypto.randomUUID()}` }, (raw) => ({ langchain: { arguments: raw } })),
      ),
  };
}
