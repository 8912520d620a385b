import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type PostgresTls, tlsOf } from "../../src/wire/postgres-tls.ts";

const address = "postgres://user:hunter2@db.example/name";
const settings = async (query: string, ssl?: boolean | PostgresTls): Promise<unknown> =>
  tlsOf("postgres", { connectionString: address + query, ...(ssl === undefined ? {} : { ssl }) }).settings();

const folder = mkdtempSync(join(tmpdir(), "millrace-tls-"));
const file = join(folder, "root.crt");
writeFileSync(file, "PEM");
afterAll(() => rmSync(folder, { recursive: true }));

describe("TLS to Postgres", () => {
  test("is not used where neither address nor option asks for it, whatever the environment says", async () => {
    expect(await settings("")).toBe(false);
    expect(await settings("?sslmode=disable")).toBe(false);
    expect(await settings("?ssl=0", false)).toBe(false);
  });

  test.each(["?sslmode=require", "?sslmode=verify-ca", "?sslmode=verify-full", "?ssl=true", "?ssl=1", "?sslmode=require&uselibpqcompat=true"])("is verified with %s", async (query) => {
    expect(await settings(query)).toEqual({ rejectUnauthorized: true });
  });

  test("is verified by an option, with an authority of one's own too", async () => {
    expect(await settings("", true)).toEqual({ rejectUnauthorized: true });
    expect(await settings("?sslmode=verify-full", { ca: "PEM" })).toEqual({ ca: "PEM", rejectUnauthorized: true });
    expect(await settings(`?sslrootcert=${encodeURIComponent(file)}`)).toEqual({ ca: "PEM", rejectUnauthorized: true });
  });

  test.each(["?sslmode=no-verify", "?ssl=no-verify", "?sslmode=prefer", "?sslmode=allow", "?sslmode=", "?sslmode=disable&ssl=no-verify"])("is refused with %s", (query) => {
    expect(() => tlsOf("postgres", { connectionString: address + query })).toThrow(/verified or not used/);
  });

  test.each(["rejectUnauthorized", "checkServerIdentity"])("is refused with the option %s", (name) => {
    expect(() => tlsOf("postgres", { connectionString: address, ssl: { [name]: false } as PostgresTls })).toThrow(/always verified/);
  });

  test("is refused where address and option do not agree, and where the address is none", () => {
    const of = (query: string, ssl: boolean | PostgresTls) => () => tlsOf("postgres", { connectionString: address + query, ssl });
    for (const disagreeing of [of("?sslmode=require", false), of("?sslmode=disable", true), of("?ssl=true&sslmode=disable", true), of("?sslrootcert=x", { ca: "PEM" })]) {
      expect(disagreeing).toThrow(/do not agree/);
    }
    expect(() => tlsOf("postgres", { connectionString: "/var/run/postgresql?sslmode=no-verify" })).toThrow(/no URL/);
    expect(() => tlsOf("postgres", { connectionString: address, ssl: { ca: 5 } as never })).toThrow(/ssl.ca must be text/);
    expect(() => tlsOf("postgres", { connectionString: address, ssl: "yes" as never })).toThrow(/ssl must be a boolean or an object/);
  });

  test("leaves no word of it in the address, and the rest as it was", () => {
    const { connectionString } = tlsOf("postgres", { connectionString: `${address}?sslmode=require&application_name=x&uselibpqcompat=true&sslkey=a&sslcert=b&sslrootcert=c` });
    expect(connectionString).toBe(`${address}?application_name=x`);
    expect(tlsOf("postgres", { connectionString: "/var/run/postgresql" }).connectionString).toBe("/var/run/postgresql");
  });

  test("never quotes the address", () => {
    for (const query of ["?sslmode=no-verify", "?sslmode=disable&ssl=1"]) {
      expect(() => tlsOf("postgres", { connectionString: address + query })).toThrow(expect.not.objectContaining({ message: expect.stringContaining("hunter2") }));
    }
  });
});
