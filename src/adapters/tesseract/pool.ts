/**
 * A few workers for any number of images: opened as they are needed, one image each, those that end are replaced.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { OcrPage, OcrWorker, Unreadable } from "./worker.ts";

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (why: unknown) => void;
}

/** Workers, at most `size` at a time. */
export class Pool {
  private readonly size: number;
  private readonly open: () => Promise<OcrWorker>;
  private readonly idle: OcrWorker[] = [];
  private readonly busy = new Set<OcrWorker>();
  private readonly opening = new Set<Promise<unknown>>();
  private readonly waiting: Waiting[] = [];
  /** Workers in use, and those being opened. */
  private taken = 0;
  private closed = false;

  constructor(size: number, open: () => Promise<OcrWorker>) {
    this.size = size;
    this.open = open;
  }

  /** Reads an image with the next worker that is free. */
  async read(image: Uint8Array, signal: AbortSignal): Promise<OcrPage | Unreadable> {
    await this.turn(signal);
    try {
      const worker = this.free() ?? (await this.opened(signal));
      this.busy.add(worker);
      try {
        return await worker.read(image, signal);
      } finally {
        this.busy.delete(worker);
        if (!worker.ended) await this.keep(worker);
      }
    } finally {
      this.taken -= 1;
      this.waiting.shift()?.resolve();
    }
  }

  /** Ends every worker, those at work too; what they were asked rejects with `closed`. */
  async close(): Promise<void> {
    this.closed = true;
    for (const { reject } of this.waiting.splice(0)) reject(closedError());
    const all = [...this.idle.splice(0), ...this.busy];
    await Promise.all(all.map((worker) => worker.close()));
    await Promise.allSettled(this.opening);
  }

  /** A worker that waits for work; one may have ended by itself meanwhile. */
  private free(): OcrWorker | undefined {
    for (let worker = this.idle.pop(); worker !== undefined; worker = this.idle.pop()) if (!worker.ended) return worker;
    return undefined;
  }

  private async keep(worker: OcrWorker): Promise<void> {
    if (this.closed || this.idle.length + this.busy.size >= this.size) await worker.close();
    else this.idle.push(worker);
  }

  private async turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.closed) throw closedError();
    while (this.taken >= this.size) await this.wait(signal);
    this.taken += 1;
  }

  private async wait(signal: AbortSignal): Promise<void> {
    const abort = (): void => {
      const at = this.waiting.findIndex((it) => it === entry);
      if (at >= 0) this.waiting.splice(at, 1);
      entry.reject(signal.reason);
    };
    let entry: Waiting = { resolve: () => {}, reject: () => {} };
    const promise = new Promise<void>((resolve, reject) => {
      entry = { resolve, reject };
      this.waiting.push(entry);
    });
    signal.addEventListener("abort", abort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Opening cannot be stopped: a worker that nobody waits for any more is kept for the next, or ended. */
  private opened(signal: AbortSignal): Promise<OcrWorker> {
    return new Promise((resolve, reject) => {
      let left = false;
      const abort = (): void => {
        left = true;
        reject(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
      const opening = this.open()
        .then(async (worker) => {
          if (this.closed) {
            await worker.close();
            reject(closedError());
          } else if (left) await this.keep(worker);
          else resolve(worker);
        }, reject)
        .finally(() => {
          signal.removeEventListener("abort", abort);
          this.opening.delete(opening);
        });
      this.opening.add(opening);
    });
  }
}

function closedError(): MillraceError {
  return new MillraceError("closed", "tesseract: is closed", { service: "tesseract" });
}
