/**
 * Where a Chroma is, and as whom it is asked.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../../core/errors.ts";
import { type ApiKey, checkedBaseUrl, checkedHeaders } from "../../wire/endpoint.ts";

/** What says where and as whom. */
export interface ChromaAddressOptions {
  /** Scheme, host and port. @default "http://localhost:8000" */
  readonly baseUrl?: string;
  /** Sent as `x-chroma-token`. @default none is sent */
  readonly apiKey?: ApiKey;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** @default "default_tenant" */
  readonly tenant?: string;
  /** @default "default_database" */
  readonly database?: string;
}

/** How a client is made. */
export interface ChromaAddress {
  readonly host: string;
  readonly port: number;
  readonly ssl: boolean;
  readonly tenant: string;
  readonly database: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly apiKey: ApiKey | undefined;
}

/** Checks what says where and as whom. */
export function toAddress(service: string, { baseUrl = "http://localhost:8000", headers, tenant = "default_tenant", database = "default_database", apiKey }: ChromaAddressOptions): ChromaAddress {
  for (const [name, value] of Object.entries({ tenant, database })) {
    if (typeof value !== "string" || !/^[\w.-]{1,128}$/.test(value)) throw invalidOption(service, name, "1 to 128 letters, digits, '_', '.' and '-'", value);
  }
  const url = new URL(checkedBaseUrl(service, baseUrl));
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") throw new MillraceError("invalid_input", `${service}: baseUrl must be scheme, host and port alone`);
  const ssl = url.protocol === "https:";
  const port = url.port === "" ? (ssl ? 443 : 80) : Number(url.port);
  return { host: url.hostname, port, ssl, tenant, database, headers: checkedHeaders(service, headers), apiKey };
}
