/**
 * A server that is a program of this machine, spoken to over its input and output.
 *
 * Source: MCP 2025-11-25, "Transports", stdio; `StdioClientTransport` of `@modelcontextprotocol/client` 2.4, which closes the program's input,
 * and after 2 s each asks it to end and kills it. On Deno it is asked only: the second signal to a child process is not sent there (2.9).
 *
 * @module
 */
import type * as Package from "@modelcontextprotocol/client/stdio";
import type { Clock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import { textOf } from "../../wire/error-fields.ts";
import { lazyClient, type LazyClient } from "../../wire/sdk.ts";
import type { Way } from "./connection.ts";
import { type Reporting, service } from "./errors.ts";
import { plain } from "./plain.ts";

/** How the program is started. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | undefined;
  /** Bytes of one message. */
  readonly maxMessageBytes: number;
}

/** The part of the package that starts programs. */
export type StdioSdk = typeof Package;

/** It, loaded at first use: it needs modules that a browser has not. */
export function stdioSdk(): LazyClient<StdioSdk> {
  return lazyClient({ service, install: "@modelcontextprotocol/client@^2.4", open: () => import("@modelcontextprotocol/client/stdio") });
}

/** Characters that are kept of what the program complains of. */
const keptChars = 2_000;
/** Characters of them in a message. */
const shownChars = 300;
/** Milliseconds until nobody waits any more for a program to be gone: the client's two steps, and as much again as one of them. */
const goneMs = 6_000;

/** A way to the program; it is not started yet. */
export function stdioWay({ StdioClientTransport }: StdioSdk, program: Program, { server, redact }: Reporting, clock: Clock): Way {
  const { command, args, env, cwd, maxMessageBytes } = program;
  const transport = new StdioClientTransport({ command, args: [...args], env: { ...env }, ...(cwd === undefined ? {} : { cwd }), stderr: "pipe", maxBufferSize: maxMessageBytes });
  let complaints = "";
  const decoder = new TextDecoder();
  transport.stderr?.on("data", (chunk: Uint8Array) => {
    complaints = (complaints + decoder.decode(chunk, { stream: true })).slice(-keptChars);
  });
  const gone = Promise.withResolvers<void>();
  let isGone = false;
  transport.onclose = () => {
    isGone = true;
    gone.resolve();
  };
  let failure: MillraceError | undefined;
  transport.onerror = ({ message }) => {
    if (/exceeded maximum size/.test(message)) failure ??= new MillraceError("too_large", `${service}: ${server} sent a message of more than ${maxMessageBytes} bytes`, { service });
  };
  let isStarted = false;
  const start = transport.start.bind(transport);
  transport.start = async () => {
    try {
      await start();
      isStarted = true;
    } catch (error) {
      const code = textOf(error, "code") ?? "no code";
      failure = new MillraceError("missing_config", `${service}: ${server} cannot be started (${code})`, { service });
      throw failure;
    }
  };
  return {
    transport,
    async end() {
      if (!isStarted) return;
      const cancel = clock.timeout(goneMs, gone.resolve);
      await transport.close();
      await gone.promise; // the client does not wait for what it has killed
      cancel();
    },
    failure() {
      if (failure !== undefined || !isGone) return failure;
      const said = plain(redact(complaints.trim().slice(-shownChars)), shownChars);
      return new MillraceError("unavailable", `${service}: ${server} has ended: ${said === "" ? "no word of why" : said}`, { service });
    },
  };
}
