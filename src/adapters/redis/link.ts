/**
 * The way to the server: one connection at a time, opened when it is needed, again after it was lost, and never in a hurry.
 *
 * Redis answers in order, so one clock watches all calls of a connection: a server that says nothing while something is due is gone.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { heard } from "../../wire/heard.ts";
import { type RedisConnection, type RedisSettings, service } from "./client.ts";
import { toRedisError } from "./errors.ts";
import type { Script } from "./script.ts";

/** Milliseconds between two attempts to connect, the first and the longest: below five a second, and back within seconds. */
const baseSpacingMs = 250;
const maxSpacingMs = 2_000;

/** One connection, until it is lost, and the calls that wait for its answers. */
export interface Line {
  readonly connection: RedisConnection;
  /** Why it is no more. */
  lost: MillraceError | undefined;
  /** Aborts with that. */
  readonly down: AbortController;
  pending: number;
  answeredMs: number;
  cancel: () => void;
}

/** Of one call. */
export interface LinkCall {
  readonly signal?: AbortSignal | undefined;
  /** Sends something that must not be sent twice unasked: what may have arrived is `interrupted`. */
  readonly once?: boolean;
}

/** A way to the server. */
export class Link {
  private readonly settings: RedisSettings;
  private readonly limitMs: number;
  private line: Line | undefined;
  private opening: Promise<Line> | undefined;
  private readonly destroying = new Set<() => void>();
  private spacingMs = baseSpacingMs;
  private notBeforeMs = -Infinity;
  private failure: unknown;
  private closed: MillraceError | undefined;

  /** `blockMs`: how long the server may keep a call waiting by itself. */
  constructor(settings: RedisSettings, blockMs = 0) {
    this.settings = settings;
    this.limitMs = settings.timeoutMs + blockMs;
  }

  /** The connection. Throws `unavailable` at once while the last attempt has failed a moment ago. */
  async get(signal?: AbortSignal): Promise<Line> {
    return this.current(signal);
  }

  /** One command on the connection that there is. */
  async call(what: string, args: readonly (string | Uint8Array)[], { signal, once = false }: LinkCall = {}): Promise<unknown> {
    signal?.throwIfAborted();
    const line = this.line ?? (await this.current(signal));
    signal?.throwIfAborted();
    try {
      const answer = this.ask(line, (connection) => connection.send(args));
      return signal === undefined ? await answer : await heard(answer, signal);
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      const known = line.lost ?? toRedisError(what, error, this.settings.redact);
      if (!once || (line.lost === undefined && known.code !== "unavailable") || isReply(error)) throw known;
      throw new MillraceError("interrupted", `${service}: ${what}: the connection was lost before the answer, so nobody knows`, { service, cause: known });
    }
  }

  /** Work on this very connection. */
  async within<T>(line: Line, what: string, work: (connection: RedisConnection) => Promise<T>): Promise<T> {
    try {
      return await this.ask(line, work);
    } catch (error) {
      throw line.lost ?? toRedisError(what, error, this.settings.redact);
    }
  }

  /** A script, by its hash; the whole text where the server does not know it. */
  async run(script: Script, keys: readonly string[], args: readonly (string | Uint8Array)[], options: LinkCall = {}): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await this.call(script.name, ["EVALSHA", await script.sha(), ...rest], options);
    } catch (error) {
      if (!(error instanceof MillraceError) || !/^NOSCRIPT\b/.test(error.cause instanceof Error ? error.cause.message : "")) throw error;
      return this.call(script.name, ["EVAL", script.text, ...rest], options);
    }
  }

  /** Cuts the connection; calls in progress and later ones reject with `closed`. */
  close(): void {
    this.closed ??= new MillraceError("closed", `${service}: was closed`, { service });
    if (this.line !== undefined) this.lose(this.line, this.closed);
    for (const destroy of this.destroying) destroy();
  }

  private async current(signal: AbortSignal | undefined): Promise<Line> {
    if (this.closed !== undefined) throw this.closed;
    if (this.line !== undefined) return this.line;
    this.opening ??= this.open().finally(() => {
      this.opening = undefined;
    });
    return heard(this.opening, signal);
  }

  private async open(): Promise<Line> {
    const { clock, connectMs, redact } = this.settings;
    const earlyMs = this.notBeforeMs - clock.now();
    if (earlyMs > 0 && this.failure !== undefined) throw this.failure;
    if (earlyMs > 0) await clock.sleep(earlyMs); // it was lost as soon as it was there
    if (this.closed !== undefined) throw this.closed;
    this.notBeforeMs = clock.now() + this.spacingMs;
    let cancel: () => void = () => {};
    let destroy: () => void = () => {};
    let lostEarly: unknown;
    let line: Line | undefined;
    const stop = new AbortController();
    const abandon = (): void => stop.abort(this.closed ?? new MillraceError("timeout", `${service}: no connection in ${connectMs} ms`, { service, phase: "connect" }));
    this.destroying.add(abandon);
    try {
      cancel = clock.timeout(connectMs, abandon);
      const lost = (error: unknown): void => {
        lostEarly ??= error;
        if (line !== undefined) this.lose(line, toRedisError("connection", error, redact));
      };
      const opening = this.settings.open(lost, (how) => {
        destroy = how;
        if (stop.signal.aborted) how();
      });
      // it counts from its first answer on: what was accepted may still be refused, or not be ready
      const answered = opening.then((connection) => connection.ping().then(() => connection));
      const connection = await heard(answered, stop.signal);
      if (lostEarly !== undefined) throw lostEarly;
      line = { connection, lost: undefined, down: new AbortController(), pending: 0, answeredMs: 0, cancel: () => {} };
      this.line = line;
      this.failure = undefined;
      this.spacingMs = baseSpacingMs;
      return line;
    } catch (error) {
      quietly(destroy);
      this.failure = this.closed ?? toRedisError("connect", lostEarly ?? error, redact);
      this.spacingMs = Math.min(maxSpacingMs, this.spacingMs * 2);
      throw this.failure;
    } finally {
      cancel();
      this.destroying.delete(abandon);
    }
  }

  private async ask<T>(line: Line, work: (connection: RedisConnection) => Promise<T>): Promise<T> {
    const { clock } = this.settings;
    if (line.lost !== undefined) throw line.lost;
    line.pending += 1;
    if (line.pending === 1) {
      line.answeredMs = clock.now();
      this.watch(line, this.limitMs);
    }
    try {
      return await work(line.connection);
    } finally {
      line.pending -= 1;
      line.answeredMs = clock.now();
      if (line.pending === 0) line.cancel();
    }
  }

  private watch(line: Line, ms: number): void {
    const { clock } = this.settings;
    line.cancel = clock.timeout(ms, () => {
      const leftMs = line.answeredMs + this.limitMs - clock.now();
      if (leftMs > 0) this.watch(line, leftMs);
      else this.lose(line, new MillraceError("timeout", `${service}: no answer in ${this.limitMs} ms`, { service, phase: "idle" }));
    });
  }

  private lose(line: Line, why: MillraceError): void {
    if (line.lost !== undefined) return;
    line.lost = why;
    line.cancel();
    line.down.abort(why);
    if (this.line === line) this.line = undefined;
    quietly(() => line.connection.destroy()); // the client rejects what is pending
  }
}

/** Ends what may have no end: some clients throw where there is no socket, and that must not stand in place of the reason. */
function quietly(destroy: () => void): void {
  try {
    destroy();
  } catch {
    // it is gone already
  }
}

/** The server has answered, so it has not done it. */
function isReply(error: unknown): boolean {
  return error instanceof Error && /^[A-Z][A-Z0-9]+ /.test(error.message);
}
