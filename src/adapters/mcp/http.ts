/**
 * A server over Streamable HTTP.
 *
 * The client waits for ever where an answer ends before it has come, and leaves the request open that it has cancelled: here each request
 * ends in exactly one way.
 *
 * Source: MCP 2025-11-25, "Transports"; `StreamableHTTPClientTransport` of `@modelcontextprotocol/client` 2.4.
 *
 * @module
 */
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import type { Clock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import type { Sdk, Way } from "./connection.ts";
import { service } from "./errors.ts";
import type { HttpAnswers } from "./http-answers.ts";

/** Milliseconds that a server may take to hear that it is left. */
const endMs = 2_000;

/** A way to the server at an address; nothing is sent yet. */
export function httpWay({ StreamableHTTPClientTransport }: Sdk, url: string, answers: HttpAnswers, clock: Clock): Way {
  const waiting = new Set<() => void>();
  const inner = new StreamableHTTPClientTransport(new URL(url), {
    fetch: answers.fetch,
    // An answer that breaks off is gone on with where the server keeps it. The client forgets all such timers but one.
    reconnectionScheduler(reconnect, delayMs) {
      const cancel = clock.timeout(delayMs, () => {
        waiting.delete(cancel);
        reconnect();
      });
      waiting.add(cancel);
      return cancel;
    },
  });
  const open = new Map<unknown, AbortController>();
  const telling = new Set<Promise<void>>();
  const forget = (id: unknown): boolean => {
    answers.failureOf(id);
    return open.delete(id);
  };

  /** Tells the server something; what it is told to cancel is not waited for any more. */
  const tell = async (message: JSONRPCMessage): Promise<void> => {
    try {
      await inner.send(message);
    } finally {
      const cancelled = "method" in message && message.method === "notifications/cancelled" ? fieldOf(message.params, "requestId") : undefined;
      open.get(cancelled)?.abort();
      forget(cancelled);
    }
  };
  const ask = async (message: Asking): Promise<void> => {
    const { id } = message;
    const controller = new AbortController();
    open.set(id, controller);
    const onRequestStreamEnd = (): void => {
      const data = answers.failureOf(id) ?? new MillraceError("truncated", `${service}: ${answers.server}: the answer ended before it was complete`, { service });
      if (forget(id)) transport.onmessage?.({ jsonrpc: "2.0", id, error: { code: -32_000, message: data.message, data } }); // the client knows no other way to fail one request
    };
    try {
      await inner.send(message, { requestSignal: controller.signal, onRequestStreamEnd });
    } catch (error) {
      forget(id);
      throw error;
    }
  };

  let ending: Promise<void> | undefined;
  const end = (): Promise<void> => {
    ending ??= (async () => {
      const cancel = clock.timeout(endMs, () => void inner.close());
      try {
        await Promise.allSettled(telling); // what was cancelled is to hear of it
        await inner.terminateSession();
      } catch {
        // it is left all the same: not every server keeps sessions, and this one may be gone
      } finally {
        cancel();
        await inner.close();
        for (const forgotten of waiting) forgotten();
      }
    })();
    return ending;
  };

  const transport: Transport = {
    start: () => inner.start(),
    send(message) {
      if ("method" in message && "id" in message) return ask(message);
      const told = tell(message);
      const heard = told.then(() => {}, () => {}).then(() => void telling.delete(heard));
      telling.add(heard);
      return told;
    },
    close: end,
    setProtocolVersion: (version) => inner.setProtocolVersion(version),
  };
  inner.onmessage = (message) => {
    if ("id" in message && !("method" in message)) forget(message.id);
    transport.onmessage?.(message);
  };
  inner.onclose = () => transport.onclose?.();
  inner.onerror = (error) => transport.onerror?.(error);

  return { transport, end, failure: () => undefined };
}

/** A message that is answered. */
type Asking = Extract<JSONRPCMessage, { readonly id: string | number; readonly method: string }>;
