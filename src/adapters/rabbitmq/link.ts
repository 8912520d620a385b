/**
 * Connections to a broker while they are up, and their end.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Clock } from "../../core/clock.ts";
import { fieldOf, textOf } from "../../wire/error-fields.ts";
import { heard } from "../../wire/heard.ts";
import type { AmqpConnection } from "./client.ts";
import type { Dialing } from "./dial.ts";

/** A connection that is up. */
export interface Link {
  readonly connection: AmqpConnection;
  /** The broker takes no messages for now: it is short of memory or disk. */
  readonly isBlocked: boolean;
  /** Aborts when the connection is gone, with the reason. */
  readonly lost: AbortSignal;
  /** What is written from now on goes out together, a moment later: the client asks the system once for every frame otherwise. */
  gather(): void;
  /** Ends it in order, within a second; else cuts it. */
  close(): Promise<void>;
}

/** How long the broker may take to end a connection in order. */
const closeMs = 1_000;

/** Connects; at an abort it rejects at once. `changed` hears when the broker stops taking messages, and when it takes them again. */
export async function openLink({ dial, toError }: Dialing, signal: AbortSignal, clock: Clock, changed: () => void = () => {}): Promise<Link> {
  signal.throwIfAborted();
  // a signal of its own: an abort must not cut a connection that is up, but end it in order
  const dialed = new AbortController();
  const opening = Promise.resolve().then(() => dial(dialed.signal));
  const connection = await heard(opening, signal).catch((error: unknown) => {
    if (!signal.aborted) throw toError("cannot connect", error);
    dialed.abort(signal.reason);
    opening.then(cut, () => {}); // it came too late
    throw signal.reason;
  });
  const gone = new AbortController();
  let isBlocked = false;
  let why: unknown;
  const block = (is: boolean): void => {
    isBlocked = is;
    changed();
  };
  connection.on("error", (error) => (why ??= error));
  connection.on("close", (error) => {
    gone.abort(toError("the connection is lost", why ?? error ?? new Error("Connection closed")));
    cut(connection); // the client waits for the other side, which may be gone for good
  });
  connection.on("blocked", () => block(true));
  connection.on("unblocked", () => block(false));
  const socket = socketOf(connection);
  let isGathering = false;
  let closing: Promise<void> | undefined;
  return {
    connection,
    gather() {
      if (isGathering || typeof socket?.cork !== "function" || typeof socket.uncork !== "function") return;
      isGathering = true;
      socket.cork();
      // the client writes in the next turn of the loop, so that this is the one after
      setImmediate(() =>
        setImmediate(() => {
          isGathering = false;
          socket.uncork?.();
        }),
      );
    },
    lost: gone.signal,
    get isBlocked() {
      return isBlocked;
    },
    close() {
      closing ??= within(closeMs, clock, () => connection.close()).finally(() => cut(connection));
      return closing;
    },
  };
}

/** Waits for what may never end, or fail. */
export function within(ms: number, clock: Clock, work: () => Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.timeout(ms, resolve);
    const over = (): void => {
      cancel();
      resolve();
    };
    const working = async (): Promise<unknown> => work(); // a client may throw at once
    working().then(over, over);
  });
}

/** The socket below a connection of `amqplib`: other clients may hide theirs. */
interface SocketLike {
  readonly destroyed?: boolean;
  destroy?(error: Error): unknown;
  cork?(): void;
  uncork?(): void;
}

function socketOf(connection: AmqpConnection): SocketLike | undefined {
  const socket = fieldOf(fieldOf(connection, "connection"), "stream");
  return typeof socket === "object" && socket !== null ? socket : undefined;
}

/** Destroys the socket; the client then ends its timers. */
function cut(connection: AmqpConnection): void {
  const socket = socketOf(connection);
  if (typeof socket?.destroy === "function" && socket.destroyed !== true) socket.destroy(new Error("Connection closed"));
}

/** The broker's major version, where it tells. */
export function majorVersionOf(connection: AmqpConnection): number | undefined {
  const version = textOf(fieldOf(fieldOf(connection, "connection"), "serverProperties"), "version");
  const major = Number.parseInt(version ?? "", 10);
  return Number.isNaN(major) ? undefined : major;
}
