/**
 * The bytes of a file from its beginning, in pieces, and what they add up to.
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import { MillraceError } from "../../core/errors.ts";

/** Bytes of one read, and of one piece of a long array. */
export const chunkBytes = 1_048_576;

/** Bytes one after the other. */
export interface ByteSource {
  /** For messages. */
  readonly who: string;
  /** Bytes that are still to come. */
  readonly left: number;
  /** The next bytes. Throws: `bad_response` when there are fewer. */
  take(count: number): Promise<DataView>;
  /** SHA-256 of all that was taken. */
  digest(): Buffer;
}

/** Reads a file of `size` bytes. */
export async function byteSource(who: string, handle: Pick<FileHandle, "read">, size: number): Promise<ByteSource> {
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  let buffer = new Uint8Array(0);
  let at = 0;
  let position = 0;
  let left = size;
  const fill = async (count: number): Promise<void> => {
    const rest = buffer.subarray(at);
    const next = new Uint8Array(Math.max(count, Math.min(chunkBytes, left)));
    next.set(rest);
    for (let filled = rest.length; filled < next.length; ) {
      const { bytesRead } = await handle.read(next, filled, next.length - filled, position);
      if (bytesRead === 0) throw damaged(who, "it ends early");
      filled += bytesRead;
      position += bytesRead;
    }
    [buffer, at] = [next, 0];
  };
  return {
    who,
    get left() {
      return left;
    },
    async take(count) {
      if (count > left) throw damaged(who, `it ends ${count - left} bytes early`);
      if (buffer.length - at < count) await fill(count);
      const taken = buffer.subarray(at, at + count);
      hash.update(taken);
      at += count;
      left -= count;
      return new DataView(taken.buffer, taken.byteOffset, count);
    },
    digest: () => hash.copy().digest(),
  };
}

/** A file that is not what it should be; to read it again does not help. */
export function damaged(who: string, what: string, cause?: unknown): MillraceError {
  const details = { service: "faiss", retryable: false, scope: "process" } as const;
  return new MillraceError("bad_response", `${who} is damaged: ${what}`, cause === undefined ? details : { ...details, cause });
}
