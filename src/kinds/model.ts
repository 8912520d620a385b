/**
 * The model kind: a processor that is one turn of a conversation, and can be closed.
 *
 * @module
 */
import type { Part } from "../core/part.ts";
import type { Context } from "../core/processor.ts";

/**
 * A model is a processor.
 *
 * Its whole input is one turn: it is read to the end, then asked in one request, and the answer comes out as it comes in, with
 * a finish part last. No parts in, no request.
 */
export interface Model extends AsyncDisposable {
  (input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part>;
  /** Ends running turns with code `closed`; further ones are refused. Twice is fine. */
  close(): Promise<void>;
}

/** Makes a model of a turn and what closes it. */
export function modelOf(name: string, turn: (input: AsyncIterable<Part>, context?: Context) => AsyncIterable<Part>, close: () => Promise<void>): Model {
  const ask = (input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part> => turn(input, context);
  Object.defineProperty(ask, "name", { value: name, configurable: true });
  return Object.assign(ask, { close, [Symbol.asyncDispose]: close });
}
