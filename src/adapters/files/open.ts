/**
 * An opened file as the content of a blob.
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import { MillraceError } from "../../core/errors.ts";
import type { BlobContent, BlobInfo } from "../../kinds/blob-store.ts";
import { failed } from "./errors.ts";
import { about } from "./walk.ts";

/** Bytes of one read: larger ones are no faster on a disk, and each is held until the consumer has it. */
const readBytes = 262_144;

/**
 * Takes over the handle: it is closed at the end, when the reader leaves, by `close()`, and when `bounds`
 * throws. While it is open, `open` has the way to close it.
 */
export async function opened(
  who: string,
  handle: FileHandle,
  named: Pick<BlobInfo, "key" | "mimeType">,
  bounds: (info: BlobInfo) => { readonly start: number; readonly end: number },
  ready: () => void,
  open: Set<() => Promise<void>> = new Set(),
): Promise<BlobContent> {
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    open.delete(close);
    return (closing ??= handle.close());
  };
  open.add(close);
  try {
    const info: BlobInfo = { ...named, ...about(await handle.stat({ bigint: true })), metadata: {} };
    const { start, end } = bounds(info);
    const iterator = read(start, end);
    return { info, close, [Symbol.asyncIterator]: () => iterator };
  } catch (error) {
    await close();
    throw failed(who, named.key, error);
  }

  async function* read(start: number, end: number): AsyncGenerator<Uint8Array> {
    try {
      for (let at = start; at < end && closing === undefined; ) {
        ready();
        const chunk = new Uint8Array(Math.min(readBytes, end - at));
        const { bytesRead } = await handle.read(chunk, 0, chunk.byteLength, at);
        if (bytesRead === 0) throw new MillraceError("truncated", `${who}: "${named.key}" ended at byte ${at}, it had ${end} when it was opened`);
        at += bytesRead;
        yield chunk.subarray(0, bytesRead);
      }
    } catch (error) {
      throw failed(who, named.key, error);
    } finally {
      await close();
    }
  }
}
