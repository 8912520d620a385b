/**
 * Web streams as sources.
 *
 * @module
 */
import { ignore } from "./flow.ts";

/**
 * Reads a `ReadableStream` item by item. Leaving cancels it, once, also while a read is pending, and releases its lock;
 * a stream's own iterator would wait for that read first.
 */
export function readableParts(stream: ReadableStream<unknown>): AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]() {
      const reader = stream.getReader();
      let open = true;
      const release = (): void => {
        open = false;
        reader.releaseLock();
      };
      return {
        async next() {
          if (!open) return { value: undefined, done: true };
          try {
            const { value, done } = await reader.read();
            if (!done) return { value, done: false };
          } catch (error) {
            if (open) release();
            throw error;
          }
          if (open) release();
          return { value: undefined, done: true };
        },
        async return() {
          if (open) {
            const cancelled = reader.cancel();
            cancelled.catch(ignore); // it is awaited below; releasing first lets the lock go at once
            release();
            await cancelled;
          }
          return { value: undefined, done: true };
        },
      };
    },
  };
}
