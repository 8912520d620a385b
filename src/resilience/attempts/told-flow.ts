/**
 * A flow between two others that is told of parts, and tells of them, without a promise.
 *
 * @module
 */
import { DONE, type Flow, type Pulled, type Reader, WAIT } from "../../core/flow.ts";
import type { Part } from "../../core/part.ts";

/** What a read gives at once. */
export type Told = Part | typeof DONE | typeof WAIT;

/** Knows its reader while that waits: another flow, or a promise. */
export abstract class ToldFlow implements Flow, Reader {
  protected reader: Reader | null = null;

  /** A part that is ready, the end, or `WAIT`: then `answer` or `refuse` follows, and not before this has returned. */
  protected abstract read(): Told;

  abstract onPart(part: Part): void;
  abstract onEnd(): void;
  abstract onError(error: unknown): void;
  abstract close(why: unknown): Promise<void> | undefined;

  pullFor(reader: Reader): Told {
    const read = this.read();
    if (read === WAIT) this.reader = reader;
    return read;
  }

  pull(): Pulled {
    const read = this.read();
    if (read !== WAIT) return read;
    return new Promise((resolve, reject) => {
      this.reader = { onPart: resolve, onEnd: () => resolve(DONE), onError: reject };
    });
  }

  protected answer(part: Part | typeof DONE): void {
    const { reader } = this;
    this.reader = null;
    if (part === DONE) reader?.onEnd();
    else reader?.onPart(part);
  }

  /** A turn later: whoever closes this flow closes its reader in the same turn, and must come first. */
  protected refuse(error: unknown): void {
    const { reader } = this;
    this.reader = null;
    if (reader !== null) queueMicrotask(() => reader.onError(error));
  }
}
