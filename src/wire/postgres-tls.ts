/**
 * TLS to Postgres, always with the certificate and the name of the server verified.
 *
 * What `pg` makes of an address changes with its versions and with `uselibpqcompat`, and `NODE_TLS_REJECT_UNAUTHORIZED` and
 * `PGSSLMODE` can turn verification off behind everybody's back. So the words about TLS are taken out of the address, and what
 * they mean is said to `pg` in full.
 * Source: https://www.postgresql.org/docs/current/libpq-ssl.html, pg-connection-string 2
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { invalidOption, MillraceError } from "../core/errors.ts";

/** What TLS needs besides the authorities that the runtime knows. */
export interface PostgresTls {
  /** Certificates of authorities in PEM, in place of those that the runtime knows. */
  readonly ca?: string;
  /** Certificate and key of the client in PEM. */
  readonly cert?: string;
  readonly key?: string;
}

/** TLS as `pg` is told of it. */
export type TlsSettings = false | (PostgresTls & { readonly rejectUnauthorized: true });

/** An address without words about TLS, and what they meant. */
export interface TlsAddress {
  readonly connectionString: string;
  /** Reads the files that the address names. */
  settings(): Promise<TlsSettings>;
}

const options: ReadonlySet<string> = new Set<keyof PostgresTls>(["ca", "cert", "key"]);
/** The words of an address, and the option that each file is. */
const files = { sslrootcert: "ca", sslcert: "cert", sslkey: "key" } as const;
/** Weaker than "verify-full" as libpq has them, and as good as it here. */
const verified: ReadonlySet<string> = new Set(["require", "verify-ca", "verify-full", "true", "1"]);
const plain: ReadonlySet<string> = new Set(["disable", "false", "0"]);

/** Takes the address apart. Throws `invalid_input` for TLS that would not be verified; never quotes the address. */
export function tlsOf(who: string, { connectionString = "", ssl }: { readonly connectionString?: string; readonly ssl?: boolean | PostgresTls }): TlsAddress {
  const given = checkedTls(who, ssl);
  if (!URL.canParse(connectionString)) {
    // the path of a socket, or a form that only pg understands
    if (/ssl/i.test(connectionString)) throw new MillraceError("invalid_input", `${who}: connectionString speaks of TLS, but is no URL`);
    return { connectionString, settings: async () => verifiedOr(given ?? false) };
  }
  const url = new URL(connectionString);
  const asked = ["sslmode", "ssl"].flatMap((name) => url.searchParams.getAll(name).map((word) => saysTls(who, name, word)));
  const named = Object.entries(files).flatMap(([name, option]) => {
    const path = url.searchParams.get(name);
    return path === null ? [] : [{ option, path }];
  });
  for (const name of ["sslmode", "ssl", "uselibpqcompat", ...Object.keys(files)]) url.searchParams.delete(name);
  const wanted = asked.includes(true) || named.length > 0;
  if (asked.includes(false) && (wanted || (given !== undefined && given !== false))) throw conflicting(who);
  if (given === false && wanted) throw conflicting(who);
  if (typeof given === "object" && named.length > 0) throw conflicting(who);
  return {
    connectionString: url.href,
    async settings() {
      if (typeof given === "object" || !wanted) return verifiedOr(given ?? false);
      const read = await Promise.all(named.map(async ({ option, path }) => [option, await readFile(path, "utf8")] as const));
      return verifiedOr(Object.fromEntries(read));
    },
  };
}

function verifiedOr(tls: boolean | PostgresTls): TlsSettings {
  if (tls === false) return false;
  return { ...(tls === true ? {} : tls), rejectUnauthorized: true };
}

function checkedTls(who: string, ssl: unknown): boolean | PostgresTls | undefined {
  if (ssl === undefined || typeof ssl === "boolean") return ssl;
  if (typeof ssl !== "object" || ssl === null) throw invalidOption(who, "ssl", "a boolean or an object", ssl);
  for (const [name, value] of Object.entries(ssl)) {
    if (!options.has(name)) throw new MillraceError("invalid_input", `${who}: ssl.${name} is no option; certificates are always verified, give the authority as ssl.ca`);
    if (typeof value !== "string") throw new MillraceError("invalid_input", `${who}: ssl.${name} must be text`);
  }
  return ssl;
}

function saysTls(who: string, name: string, word: string): boolean {
  if (verified.has(word)) return true;
  if (plain.has(word)) return false;
  const why = "TLS is verified or not used: say verify-full or disable, and give an authority of your own as the option ssl.ca";
  throw new MillraceError("invalid_input", `${who}: ${name}=${word.slice(0, 40)} in connectionString; ${why}`);
}

function conflicting(who: string): MillraceError {
  return new MillraceError("invalid_input", `${who}: connectionString and ssl do not agree on TLS; say it in one of them`);
}
