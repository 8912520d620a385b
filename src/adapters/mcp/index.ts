/**
 * Tools of MCP servers.
 *
 * Kind: tools, opened for a run of `withTools`. Client: `@modelcontextprotocol/client` 2 (optional peer, loaded at first use).
 * Source: modelcontextprotocol.io, specification, revision 2025-11-25.
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, isMillraceError, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { JsonValue } from "../../core/part.ts";
import type { Tool, ToolSource } from "../../kinds/tool.ts";
import { each } from "../../streams/each.ts";
import { heard } from "../../wire/heard.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { calledTool } from "./call.ts";
import { type Connection, leaving, maxTimerMs, type McpClient } from "./connection.ts";
import { requestError, service } from "./errors.ts";
import { kept } from "./kept.ts";
import { type ListedTool, listedTools, type ListingRules } from "./listing.ts";
import { connector, type McpServerOptions } from "./server.ts";

export type { McpClient, McpServerOptions };

const who = "mcpTools";

/** Which server, which of its tools, and how much of them. */
export interface McpToolsOptions extends McpServerOptions {
  /** Put before the names of its tools, with `_` between: `docs` makes `docs_read`. @default none: what a server calls itself is its own word */
  readonly prefix?: string;
  /** Tools to take, by the server's names. @default all */
  readonly include?: readonly string[];
  /** Tools to leave, by the server's names. @default none */
  readonly exclude?: readonly string[];
  /** They do no harm when they are run again: a run that fails after them may be retried as a whole. What a server says of that is not asked. @default false */
  readonly idempotent?: boolean;
  /** Keep the connection from run to run, until `close()`. @default false: each run has its own */
  readonly keepOpen?: boolean;
  /** Milliseconds for one call. @default 60,000 */
  readonly timeoutMs?: number;
  /** Milliseconds from the start of the server, or the first request, to its list of tools. @default 30,000 */
  readonly connectMs?: number;
  /** Tools at most; more are an error, not left out. @default 128 */
  readonly maxTools?: number;
  /** Bytes of one tool's description and schema. @default 32,768 */
  readonly maxToolBytes?: number;
  /** Characters of one description; what is longer is cut. @default 2,048 */
  readonly maxDescriptionChars?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** The tools of a server: given to `withTools` as they are. */
export interface McpTools extends ToolSource, AsyncDisposable {
  /** Ends every connection; calls that run end with code `closed`. */
  close(): Promise<void>;
}

/**
 * The tools of an MCP server, for `withTools`: a program that is started, an address, or a client of your own.
 *
 * Reads:  the server's list of tools, once a run, all pages of it; changes during a run are for the next one. Arguments are checked by the
 *         server. Descriptions are a stranger's words: bounded, without characters that only a model sees, and no more than that: a server
 *         that you do not trust with what a run says is not for `withTools`.
 * Yields: to the model: the structured value of a result, else its text; images, audio and embedded files behind it; links as text. To the
 *         consumer also on substream `tools`, links as `uri` parts; progress as `status` parts.
 * Throws: at the first pull: `unavailable`, `unauthorized` and others by status for a server that is not there; `missing_config` for a
 *         command or package that is not; `timeout` after `connectMs`; `not_found` for a name in `include` that the server does not have;
 *         `too_large`, `bad_response` for its list. `invalid_input` for bad options. In a run, a server that is gone is a tool's trouble: an
 *         error result, of which `onEvent` hears the `unavailable`; the model reads the server's words only where a tool says that it failed.
 * Closes: the connection with the run: the HTTP session is deleted, the program's input is closed, and it is ended if it does not end.
 *         An aborted run rejects before that is done; `close()` waits for it. With `keepOpen`, at `close()`. A passed client stays open.
 *         Nothing a server asks of its client is granted: no sampling, no questions to the user, no folders.
 *
 * @example
 * const docs = mcpTools({ command: "npx", args: ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"], prefix: "docs" });
 * const github = mcpTools({ url: "https://api.githubcopilot.com/mcp/", apiKey: () => process.env.GITHUB_TOKEN ?? "", include: ["search_issues"] });
 * const agent = withTools(openai({ model: "gpt-5-mini" }), [docs, github]);
 * for await (const part of run(agent, "Which open issue is about notes.md?")) console.log(part.kind);
 */
export function mcpTools(options: McpToolsOptions): McpTools {
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { idempotent = false, keepOpen = false, timeoutMs = 60_000, connectMs = 30_000, clock = systemClock } = options;
  const rules = listingRules(options);
  for (const [name, value] of Object.entries({ idempotent, keepOpen })) if (typeof value !== "boolean") throw invalidOption(who, name, "true or false", value);
  for (const [name, value] of Object.entries({ timeoutMs, connectMs })) if (!(Number.isFinite(value) && value > 0)) throw invalidOption(who, name, "a number of milliseconds above 0", value);
  const { server, connect } = connector(who, options, clock);
  const shared = kept(() => within(undefined, connect));
  const busy = new Set<Promise<unknown>>();
  const open = new Set<Connection>();
  const life = lifetime(service, async () => {
    await Promise.allSettled(busy);
    await Promise.all([shared.close(), ...[...open].map((connection) => connection.close())]);
  });

  /** Does something with a limit of time, and undone by the signal and the end of all this. */
  const within = async <T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const call = life.begin(signal);
    const late = new MillraceError("timeout", `${service}: ${server}: no list of tools for ${connectMs} ms`, { service, phase: "connect" });
    const cancel = clock.timeout(connectMs, () => call.abort(late));
    const working = work(call.signal);
    busy.add(working);
    try {
      return await working;
    } finally {
      busy.delete(working);
      cancel();
      call.leave();
    }
  };
  const toTool = (connection: Connection, tool: ListedTool, ended: () => unknown): Tool => ({
    name: tool.name,
    ...(tool.description === undefined ? {} : { description: tool.description }),
    parameters: tool.parameters,
    timeoutMs,
    idempotent,
    check: (value) => Promise.resolve({ ok: true, value }),
    open: (input, call) => ({
      processor: each((_, { signal }) => calledTool(connection, tool, input as JsonValue, { signal, ended }), { name: tool.name }), // as `check` has let it by
      input: call,
      returned: false,
    }),
  });

  return {
    name: server,
    async openTools({ signal }) {
      const connection = await (keepOpen ? shared.get(signal) : within(signal, connect));
      let ended: unknown;
      let leave = (): void => {};
      const close = async (): Promise<void> => {
        leave();
        if (keepOpen) return;
        await connection.close();
        open.delete(connection);
      };
      try {
        if (!keepOpen) open.add(connection);
        leave = life.enter((reason) => {
          ended = reason;
        });
        const tools = await within(signal, (limited) => toolsOf(connection, rules, limited));
        return { tools: tools.map((tool) => toTool(connection, tool, () => ended)), close };
      } catch (error) {
        await close();
        if (keepOpen && isMillraceError(error, "unavailable")) await shared.drop(connection); // the next run has a new one
        throw error;
      }
    },
    close: life.close,
    [Symbol.asyncDispose]: life.close,
  };
}

async function toolsOf(connection: Connection, rules: ListingRules, signal: AbortSignal): Promise<ListedTool[]> {
  const { client, server } = connection;
  const request = leaving(signal);
  try {
    // Asked for tools that it has not, or when it is not connected, the client gives an empty list and writes to the console.
    if (client.getServerCapabilities !== undefined) {
      const capabilities = client.getServerCapabilities();
      if (capabilities === undefined) throw new MillraceError("unavailable", `${service}: ${server}: there is no connection`, { service });
      if (capabilities.tools === undefined) return listedTools(server, [], rules);
    }
    const { tools } = await heard(client.listTools(undefined, { signal: request.signal, timeout: maxTimerMs }), signal);
    return listedTools(server, tools, rules);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw requestError(error, connection);
  } finally {
    request.end();
  }
}

function listingRules(options: McpToolsOptions): ListingRules {
  const { prefix = "", include, exclude = [], maxTools = 128, maxToolBytes = 32_768, maxDescriptionChars = 2_048 } = options;
  if (typeof prefix !== "string" || !/^(?:[A-Za-z_][\w-]{0,31})?$/.test(prefix)) throw invalidOption(who, "prefix", "up to 32 letters, digits, _ and -, not a digit or - first", prefix);
  for (const [name, value] of Object.entries({ include, exclude })) {
    if (value !== undefined && !(Array.isArray(value) && value.every((item) => typeof item === "string"))) throw invalidOption(who, name, "names of tools", value);
  }
  for (const [name, value] of Object.entries({ maxTools, maxToolBytes, maxDescriptionChars })) wholeNumber(who, name, value, 1);
  return { prefix, include, exclude, maxTools, maxToolBytes, maxDescriptionChars };
}
