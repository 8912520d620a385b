/**
 * A call that waits for its replies: they may come twice, out of order, and from several attempts.
 *
 * @module
 */
import { type ErrorCode, errorCodes, MillraceError } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import { roughSizeOf } from "../core/part-size.ts";
import type { Delivery } from "../kinds/queue.ts";
import type { CallReply, CallRun } from "./call-headers.ts";

/** Bytes of a reply that is held besides its content, so that none is free: those of a short text took 549 (measured with V8 13.6). */
const overheadBytes = 550;

/** A reply that nobody has taken yet. */
interface Held {
  readonly message: Pick<Delivery, "parts" | "unreadable">;
  readonly reply: CallReply;
  readonly bytes: number;
}

/** Puts the replies of one call in order. */
export class WaitingCall {
  readonly id: string;
  /** Replies that may be held for it. */
  readonly maxHeld: number;
  private run: CallRun | undefined = undefined;
  /** Replies of the current run that were not taken, by their number. */
  private held = new Map<number, Held>();
  private heldBytes = 0;
  /** Number of the next reply. */
  private at = 0;
  private failure: { readonly error: unknown } | undefined = undefined;
  private wake: (() => void) | undefined = undefined;
  private readonly changed: () => void;

  /** `changed` hears that there is room again, and that a reply is waited for. */
  constructor(id: string, maxHeld: number, changed: () => void) {
    this.id = id;
    this.maxHeld = maxHeld;
    this.changed = changed;
  }

  /** Replies that are held. */
  get size(): number {
    return this.held.size;
  }

  /** Bytes of them, about, without the one that is next: that one is held in any case. */
  get bytes(): number {
    return this.heldBytes - (this.held.get(this.at)?.bytes ?? 0);
  }

  /** Is somebody waiting for a reply that has not come? */
  get starves(): boolean {
    return this.wake !== undefined;
  }

  /** Parts that were handed on. */
  get handedOn(): number {
    return this.at;
  }

  /** A reply has come. `false`: it is not the one that is waited for, and there is no room for so many bytes; it has to come again. */
  take({ parts, unreadable }: Delivery, reply: CallReply, hasRoom: (bytes: number) => boolean): boolean {
    if (this.failure !== undefined || !this.isCurrent(reply.run)) return true; // nobody is to be told
    const n = reply.kind === "failed" ? this.placeFrom(reply.n) : reply.n;
    if (n < this.at || this.held.has(n)) return true; // told before
    const bytes = bytesOf(parts);
    if (n !== this.at && !hasRoom(bytes)) return false;
    this.held.set(n, { message: { parts, ...(unreadable === undefined ? {} : { unreadable }) }, reply, bytes });
    this.heldBytes += bytes;
    if (n === this.at) this.rouse();
    return true;
  }

  /** The call has failed; what was handed on before stays, what is held is let go. */
  fail(error: unknown): void {
    this.failure ??= { error };
    this.drop();
    this.rouse();
    this.changed();
  }

  /** The next part; `undefined` at the end. */
  async next(): Promise<Part | undefined> {
    for (;;) {
      if (this.failure !== undefined) throw this.failure.error;
      const next = this.held.get(this.at);
      if (next !== undefined) return this.taken(next);
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        this.changed();
      });
    }
  }

  /** Nobody waits any more. */
  close(): void {
    this.fail(new MillraceError("closed", "call: it is over"));
  }

  private taken({ message, reply, bytes }: Held): Part | undefined {
    this.held.delete(this.at);
    this.heldBytes -= bytes;
    this.changed();
    if (reply.kind === "end") return undefined;
    if (reply.kind === "failed") throw failureIn(reply);
    if (message.unreadable !== undefined) throw message.unreadable;
    const [part] = message.parts;
    if (part === undefined || message.parts.length !== 1) throw new MillraceError("bad_response", `call: a reply has one part, got ${message.parts.length}`);
    this.at += 1;
    return part;
  }

  /**
   * Where the word of a failure stands. Its number may be that of a part: one that was stored though its sender had to think that it was not,
   * or with a journal one of an earlier attempt that had got further. It is behind those, then.
   */
  private placeFrom(n: number): number {
    let place = Math.max(n, this.at);
    while (this.held.has(place)) place += 1;
    return place;
  }

  private rouse(): void {
    const { wake } = this;
    this.wake = undefined;
    wake?.();
  }

  private drop(): void {
    this.held.clear();
    this.heldBytes = 0;
  }

  /** Does a reply of this attempt count? Of several the newest does, unless parts of an older one have gone on: nobody could take them back. */
  private isCurrent(run: CallRun): boolean {
    const { run: known } = this;
    if (known?.id === run.id) return true;
    if (known !== undefined && !isNewer(run, known)) return false;
    if (this.at > 0) {
      this.fail(new MillraceError("interrupted", `call: the other side began anew after ${this.at} parts`));
      return false;
    }
    this.run = run;
    this.drop();
    return true;
  }
}

function bytesOf(parts: readonly Part[]): number {
  let bytes = overheadBytes;
  for (const part of parts) {
    bytes += roughSizeOf(part);
    for (const _ in part.metadata) {
      bytes += JSON.stringify(part.metadata).length;
      break;
    }
  }
  return bytes;
}

function isNewer(run: CallRun, than: CallRun): boolean {
  return run.attempt === than.attempt ? run.beganMs > than.beganMs : run.attempt > than.attempt;
}

/** The other side has tried as often as it may: there is no use in calling again at once. */
function failureIn({ codes = [], run }: CallReply): MillraceError {
  const [first, ...causes] = codes;
  const code = errorCodes.find((each): each is ErrorCode => each === first) ?? "bad_response";
  const why = causes.length === 0 ? "" : `, because of ${causes.join(", ")}`;
  return new MillraceError(code, `call: the other side failed: ${first ?? "unknown"}${why}`, { retryable: false, attempts: run.attempt });
}
