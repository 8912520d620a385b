/**
 * A call that waits for its replies: they may come twice, out of order, and from several attempts.
 *
 * @module
 */
import { type ErrorCode, errorCodes, MillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import type { Delivery } from "../kinds/queue.ts";
import type { CallReply, CallRun } from "./call-headers.ts";

/** A reply that nobody has taken yet. */
interface Held {
  readonly message: Pick<Delivery, "parts" | "unreadable">;
  readonly reply: CallReply;
}

/** Puts the replies of one call in order. */
export class WaitingCall {
  readonly id: string;
  private run: CallRun | undefined = undefined;
  /** Replies of the current run that were not taken, by their number. */
  private held = new Map<number, Held>();
  /** Number of the next reply. */
  private at = 0;
  private failure: { readonly error: unknown } | undefined = undefined;
  private wake: () => void = ignore;
  private readonly freed: () => void;

  /** `freed` hears that there is room again. */
  constructor(id: string, freed: () => void) {
    this.id = id;
    this.freed = freed;
  }

  /** Replies that are held. */
  get size(): number {
    return this.held.size;
  }

  /** Parts that were handed on. */
  get handedOn(): number {
    return this.at;
  }

  /** A reply has come. `false`: there is no room for it, and it is not the one that is waited for; it has to come again. */
  take({ parts, unreadable }: Delivery, reply: CallReply, room: boolean): boolean {
    if (this.failure !== undefined || !this.isCurrent(reply.run) || reply.n < this.at || this.held.has(reply.n)) return true; // told before, or not to be told
    if (!room && reply.n !== this.at) return false;
    this.held.set(reply.n, { message: { parts, ...(unreadable === undefined ? {} : { unreadable }) }, reply });
    this.wake();
    return true;
  }

  /** The call has failed; what was handed on before stays. */
  fail(error: unknown): void {
    this.failure ??= { error };
    this.wake();
  }

  /** The next part; `undefined` at the end. */
  async next(): Promise<Part | undefined> {
    for (;;) {
      if (this.failure !== undefined) throw this.failure.error;
      const next = this.held.get(this.at);
      if (next !== undefined) return this.taken(next);
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  /** Nobody waits any more. */
  close(): void {
    this.failure ??= { error: new MillraceError("closed", "call: it is over") };
    this.freed();
  }

  private taken({ message, reply }: Held): Part | undefined {
    this.held.delete(this.at);
    this.freed();
    if (reply.kind === "end") return undefined;
    if (reply.kind === "failed") throw failureIn(reply);
    if (message.unreadable !== undefined) throw message.unreadable;
    const [part] = message.parts;
    if (part === undefined || message.parts.length !== 1) throw new MillraceError("bad_response", `call: a reply has one part, got ${message.parts.length}`);
    this.at += 1;
    return part;
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
    this.held.clear();
    return true;
  }
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
