/**
 * Which addresses may be fetched that came from data.
 *
 * Nothing is, unless its host is on a list; and no host on the list may lead to an address that is not public. Literals are
 * checked here, because a resolver is never asked about them; names are resolved, every address of theirs is checked, and the
 * connection goes to these very addresses (`guarded-get.ts`), so that a second answer of the resolver changes nothing.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../core/errors.ts";
import { isPublic, type Network, parseAddress, parseNetwork } from "./ip.ts";

/** Gives all addresses of a host name. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/** What is allowed. */
export interface GuardOptions {
  /**
   * Hosts: `"example.com"`, `"*.example.com"` (its subdomains), `"example.com:8443"` (that port alone), `"*"` (any public
   * host). Without a port: 443, and 80 for `http`.
   */
  readonly allowHosts: readonly string[];
  /** Also `http:`. @default false */
  readonly allowHttp?: boolean;
  /** Networks that are not public and allowed all the same, `"10.1.0.0/16"`. @default none */
  readonly allowNetworks?: readonly string[];
  /** @default the system's resolver */
  readonly resolve?: Resolve;
}

/** The rules, compiled. */
export interface Guard {
  /** Are all hosts allowed? */
  readonly anyHost: boolean;
  /** Reads an address and refuses it unless its scheme, host, port and literal are allowed. Nothing is resolved. */
  check(address: string, base?: URL): URL;
  /** The addresses to connect to, all of them checked. */
  addresses(url: URL): Promise<readonly string[]>;
}

interface HostRule {
  readonly host: string;
  readonly subdomains: boolean;
  readonly port: string;
}

/** Compiles the rules; throws `invalid_input` for what is no host and no network. */
export function addressGuard(who: string, options: GuardOptions): Guard {
  if (!Array.isArray(options.allowHosts) || options.allowHosts.length === 0) {
    throw invalidOption(who, "allowHosts", 'a list of hosts, or ["*"] for all public ones', options.allowHosts);
  }
  const anyHost = options.allowHosts.includes("*");
  const rules = options.allowHosts.filter((host) => host !== "*").map((host) => hostRule(who, host));
  const networks = (options.allowNetworks ?? []).map((text) => networkRule(who, text));
  const resolve = options.resolve ?? systemResolve;

  const permitted = (address: string): boolean => {
    const bytes = parseAddress(address);
    return bytes !== undefined && (isPublic(bytes) || networks.some((network) => network(bytes)));
  };
  return {
    anyHost,
    check(address, base) {
      const url = parseUrl(who, address, base);
      if (url.protocol !== "https:" && !(url.protocol === "http:" && options.allowHttp === true)) {
        throw refused(who, `the scheme ${url.protocol.slice(0, 40)} is not allowed`);
      }
      if (url.username !== "" || url.password !== "") throw refused(who, `an address with a user name or password`);
      const defaultPort = url.protocol === "https:" ? "443" : "80";
      const port = url.port === "" ? defaultPort : url.port;
      const host = bare(url.hostname);
      const allowed =
        (anyHost && port === defaultPort) || rules.some((rule) => isUnder(rule, host) && port === (rule.port === "" ? defaultPort : rule.port));
      if (!allowed) throw refused(who, `${shown(url)} is not in allowHosts`);
      const literal = literalOf(host);
      if (literal !== undefined && !permitted(literal)) throw refused(who, `${shown(url)} is no public address`);
      return url;
    },
    async addresses(url) {
      const host = bare(url.hostname);
      const literal = literalOf(host);
      const all = literal === undefined ? await resolve(host) : [literal];
      if (all.length === 0) throw new MillraceError("unavailable", `${who}: ${shown(url)} has no address`, { retryable: false });
      // one bad address is enough: whoever answers so may answer otherwise next time
      if (!all.every(permitted)) throw refused(who, `${shown(url)} leads to an address that is not public`);
      return all;
    },
  };
}

/** Scheme and host alone: path and query may hold what no message should. */
export function shown(url: URL): string {
  return `${url.protocol}//${url.host}`.slice(0, 300);
}

function parseUrl(who: string, address: string, base: URL | undefined): URL {
  try {
    return new URL(address, base);
  } catch {
    throw new MillraceError("invalid_input", `${who}: needs a full address, got one of ${address.length} characters that is none`);
  }
}

function refused(who: string, why: string): MillraceError {
  return new MillraceError("refused", `${who}: ${why}`);
}

/** A host name without the dot of the root, which would be another name to a list. */
function bare(host: string): string {
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

/** The parser of URLs has brought every spelling of a literal to one form; a name has no colon and no numeric last label. */
function literalOf(host: string): string | undefined {
  if (host.startsWith("[")) return host.slice(1, -1);
  return /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/i.test(host) ? host : undefined;
}

function isUnder(rule: HostRule, host: string): boolean {
  return rule.subdomains ? host.endsWith(`.${rule.host}`) && host.length > rule.host.length + 1 : host === rule.host;
}

function hostRule(who: string, text: unknown): HostRule {
  const subdomains = typeof text === "string" && text.startsWith("*.");
  const rest = typeof text === "string" ? text.slice(subdomains ? 2 : 0) : "";
  try {
    const port = /:(\d{1,5})$/.exec(rest)?.[1] ?? "";
    const url = new URL(`https://${rest}`); // brings capitals, umlauts and literals to the form that addresses have
    const plain = url.username === "" && url.password === "" && url.pathname === "/" && url.search === "" && url.hash === "";
    if (rest !== "" && plain && !/[/?#@\\*\s]/.test(rest)) return { host: bare(url.hostname), subdomains, port };
  } catch {
    // said below
  }
  throw invalidOption(who, "allowHosts", 'hosts like "example.com", "*.example.com" or "example.com:8443"', text);
}

function networkRule(who: string, text: unknown): Network {
  const network = typeof text === "string" ? parseNetwork(text) : undefined;
  if (network === undefined) throw invalidOption(who, "allowNetworks", 'networks like "10.0.0.0/8"', text);
  return network;
}

async function systemResolve(host: string): Promise<readonly string[]> {
  const { lookup } = await import("node:dns/promises");
  return (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);
}
