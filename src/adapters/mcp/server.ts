/**
 * Which server, and the way to it, checked when the tools are made; nothing is loaded, started or opened yet.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { Fetch } from "../../wire/answer.ts";
import { type ApiKey, checkedBaseUrl, checkedHeaders, keySource } from "../../wire/endpoint.ts";
import { redaction } from "../../wire/redact.ts";
import { type Connect, connected, type McpClient, sdk } from "./connection.ts";
import { type HttpAnswers, httpAnswers } from "./http-answers.ts";
import { httpWay } from "./http.ts";
import { stdioSdk, stdioWay } from "./stdio.ts";

/** One of `url`, `command` and `client`, and what belongs to it. */
export interface McpServerOptions {
  /** Streamable HTTP: https, or http on loopback. */
  readonly url?: string;
  /** For `url`, as `Authorization: Bearer`; a function is asked for each request. @default none is sent, whatever the environment holds */
  readonly apiKey?: ApiKey;
  /** For `url`: sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For `url`, for proxies; redirects must not be followed by it. @default the global one */
  readonly fetch?: Fetch;
  /** stdio: a program that is started, by no shell. What it complains of is kept for the error, should it end before it is connected. */
  readonly command?: string;
  /** For `command`. */
  readonly args?: readonly string[];
  /** For `command`: added to the few variables that it gets in any case (`PATH`, `HOME` and the like). No other is handed down. */
  readonly env?: Readonly<Record<string, string>>;
  /** For `command`. @default the folder that this process is in */
  readonly cwd?: string;
  /** A client of your own that is connected (`Client` of `@modelcontextprotocol/client` 2): used as it is, never closed. */
  readonly client?: McpClient;
  /** Bytes of one message of a server, not of a client's. @default 10 MiB */
  readonly maxMessageBytes?: number;
}

/** The server in a word, and how it is connected. */
export interface Connector {
  readonly server: string;
  readonly connect: Connect;
}

const belongings = {
  url: ["apiKey", "headers", "fetch"],
  command: ["args", "env", "cwd"],
  client: [],
} as const;

/** Checks the options. */
export function connector(who: string, options: McpServerOptions, clock: Clock): Connector {
  const given = (["url", "command", "client"] as const).filter((name) => options[name] !== undefined);
  const [way] = given;
  if (way === undefined || given.length > 1) throw new MillraceError("invalid_input", `${who}: needs one of url, command and client, got ${given.join(" and ") || "none"}`);
  for (const [owner, names] of Object.entries(belongings)) {
    const stray = names.find((name) => options[name] !== undefined);
    if (owner !== way && stray !== undefined) throw new MillraceError("invalid_input", `${who}: ${stray} belongs to ${owner}, not to ${way}`);
  }
  const { url, command, client, maxMessageBytes = 10 * 1024 * 1024 } = options;
  wholeNumber(who, "maxMessageBytes", maxMessageBytes, 1);
  if (url !== undefined) return overHttp(who, url, maxMessageBytes, options, clock);
  if (command !== undefined) return overStdio(who, command, maxMessageBytes, options, clock);
  if (typeof client?.callTool !== "function" || typeof client.listTools !== "function") throw invalidOption(who, "client", "a client with listTools and callTool", client === null ? null : typeof client);
  const connection = { client, server: "client", redact: redaction({ secrets: [] }), isLost: false, failure: () => undefined, close: () => Promise.resolve() };
  return { server: "client", connect: () => Promise.resolve(connection) };
}

function overHttp(who: string, url: string, maxMessageBytes: number, options: McpServerOptions, clock: Clock): Connector {
  if (typeof url !== "string") throw new MillraceError("invalid_input", `${who}: url must be an absolute URL`);
  checkedBaseUrl(who, url, "url");
  const { apiKey, fetch } = options;
  const headers = checkedHeaders(who, options.headers);
  const key = apiKey === undefined ? undefined : keySource({ who, apiKey });
  const server = new URL(url).host;
  const package_ = sdk();
  return {
    server,
    async connect(signal) {
      const loaded = await package_.get(signal);
      const answers: HttpAnswers = httpAnswers({ server, headers, key, fetch, maxMessageBytes });
      return connected(loaded, httpWay(loaded, url, answers, clock), answers, signal);
    },
  };
}

function overStdio(who: string, command: string, maxMessageBytes: number, options: McpServerOptions, clock: Clock): Connector {
  const { args = [], env = {}, cwd } = options;
  if (typeof command !== "string" || command === "" || command.includes("\0")) throw invalidOption(who, "command", "the name or path of a program", command);
  if (!Array.isArray(args) || !args.every((arg) => typeof arg === "string" && !arg.includes("\0"))) throw new MillraceError("invalid_input", `${who}: args must be an array of strings`);
  if (typeof env !== "object" || env === null || !Object.values(env).every((value) => typeof value === "string")) throw new MillraceError("invalid_input", `${who}: env must be an object of strings`);
  if (cwd !== undefined && typeof cwd !== "string") throw invalidOption(who, "cwd", "a path", cwd);
  const server = command.split(/[\\/]/).at(-1) ?? command;
  const redact = redaction({ secrets: [...Object.values(env), ...args] });
  const [package_, starter] = [sdk(), stdioSdk()];
  return {
    server,
    async connect(signal) {
      const [loaded, stdio] = await Promise.all([package_.get(signal), starter.get(signal)]);
      const reporting = { server, redact };
      return connected(loaded, stdioWay(stdio, { command, args, env, cwd, maxMessageBytes }, reporting, clock), reporting, signal);
    },
  };
}
