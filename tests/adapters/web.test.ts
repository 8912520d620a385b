import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, createServer as createSocketServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { fetchUrls, type FetchUrlsOptions } from "../../src/adapters/web/index.ts";
import { bytes, text, uri } from "../../src/core/constructors.ts";
import { isMillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { run } from "../../src/core/run.ts";
import { isTrustedSystem } from "../../src/core/system-brand.ts";
import { addressGuard } from "../../src/wire/address-guard.ts";
import { fetchHop } from "../../src/wire/guarded-get.ts";
import { imageSize } from "../../src/wire/image-size.ts";

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => {
    if ("closeAllConnections" in server) (server as { closeAllConnections(): void }).closeAllConnections();
    server.close(resolve);
  })));
});

async function listen<S extends Server>(server: S, host = "127.0.0.1"): Promise<{ server: S; port: number; connections: () => number }> {
  let connections = 0;
  server.on("connection", () => (connections += 1));
  server.listen(0, host);
  await once(server, "listening");
  servers.push(server);
  return { server, port: (server.address() as AddressInfo).port, connections: () => connections };
}
const http = (listener: RequestListener) => listen(createServer(listener));
/** A listener that nobody may reach. */
const canary = () => http((_, response) => response.end("canary"));

/** Every name leads to loopback, which is allowed: the servers of these tests live there. */
const local = (port: number, more: Partial<FetchUrlsOptions> = {}): FetchUrlsOptions => ({
  allowHosts: [`site.test:${port}`], allowHttp: true, allowNetworks: ["127.0.0.1/32"], resolve: async () => ["127.0.0.1"], ...more,
});
const page = (port: number, path = "/"): Part => uri(`http://site.test:${port}${path}`, "text/html");

async function fetched(options: FetchUrlsOptions, part: Part): Promise<Part | undefined> {
  return (await run(fetchUrls(options), part).collect())[0];
}
async function code(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
  } catch (error) {
    return isMillraceError(error) ? error.code : String(error);
  }
  return "no error";
}

describe("fetchUrls: content", () => {
  test("gives text, JSON and bytes by the type that the server says, with role, substream and metadata of the part", async () => {
    const { port } = await http((request, response) => {
      const [type, body] = request.url === "/json" ? ["application/ld+json; charset=utf-8", '{"a":[1]}'] : request.url === "/pdf" ? ["application/pdf", "%PDF"] : request.url === "/none" ? [undefined, "x"] : ["Text/Plain; charset=iso-8859-1", Buffer.from([0x63, 0xe9])];
      if (type !== undefined) response.setHeader("content-type", type);
      response.end(body);
    });
    const fetch = (path: string): Promise<Part | undefined> =>
      fetched(local(port), uri(`http://site.test:${port}${path}`, "text/html", { role: "assistant", substream: "draft", metadata: { n: 1 } }));
    expect(await fetch("/?q")).toEqual(text("cé", {
      mimeType: "Text/Plain; charset=iso-8859-1", role: "assistant", substream: "draft",
      metadata: { n: 1, web: { uri: `http://site.test:${port}/?q`, url: `http://site.test:${port}/?q`, status: 200 } },
    }));
    expect(await fetch("/json")).toMatchObject({ kind: "json", value: { a: [1] }, mimeType: "application/ld+json; charset=utf-8" });
    expect(await fetch("/pdf")).toMatchObject({ kind: "bytes", mimeType: "application/pdf" });
    expect(await fetch("/none")).toMatchObject({ kind: "bytes", mimeType: "application/octet-stream" });
  });

  test("what a server says is never trusted as system text", async () => {
    const { port } = await http((_, response) => response.setHeader("content-type", "text/plain").end("obey"));
    const part = await fetched(local(port), uri(`http://site.test:${port}/`, "text/plain", { role: "system" }));
    expect(part?.role).toBe("system");
    expect(part !== undefined && isTrustedSystem(part)).toBe(false);
  });

  test("parts that are no web address pass by, the same objects, in their place", async () => {
    const { port, connections } = await canary();
    const others = [text("http://site.test/"), uri("s3://bucket/key", "image/png"), uri("file:///etc/passwd", "text/plain"), uri("data:text/html,x", "text/html"), uri("gopher://x/", "text/plain"), uri("blob:https://x/y", "text/plain"), bytes(new Uint8Array(1), "image/png")];
    const out = await run(fetchUrls({ ...local(port), concurrency: 4 }), others).collect();
    expect(out).toHaveLength(others.length);
    for (const [at, part] of out.entries()) expect(part).toBe(others[at]);
    expect(connections()).toBe(0);
  });

  test("sends no credentials, cookies or referrer, and its own name", async () => {
    const seen: string[][] = [];
    const { port } = await http((request, response) => {
      seen.push(request.rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase()).sort());
      response.writeHead(request.url === "/" ? 302 : 200, { location: "/next", "set-cookie": "a=b", "content-type": "text/plain" }).end();
    });
    await fetched(local(port), page(port));
    expect(seen).toEqual(Array(2).fill(["accept", "accept-encoding", "connection", "host", "user-agent"]));
  });

  test("unpacks gzip, deflate and br", async () => {
    const packers = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync };
    const { port } = await http((request, response) => {
      const name = (request.url ?? "").slice(1) as keyof typeof packers;
      response.writeHead(200, { "content-type": "text/plain", "content-encoding": name }).end(packers[name]("hello ".repeat(1_000)));
    });
    for (const name of Object.keys(packers)) expect(await fetched(local(port), page(port, `/${name}`))).toMatchObject({ text: "hello ".repeat(1_000) });
  });
});

describe("fetchUrls: the guard on every hop", () => {
  test("a name is connected to where it was checked, whatever the resolver says the second time", async () => {
    const trap = await canary();
    const { port } = await http((_, response) => response.setHeader("content-type", "text/plain").end("real"));
    expect(port).not.toBe(trap.port);
    let asked = 0;
    const resolve = async (): Promise<string[]> => [(asked += 1) === 1 ? "127.0.0.1" : "127.0.0.2"];
    expect(await fetched(local(port, { resolve }), page(port))).toMatchObject({ text: "real" });
    expect(asked).toBe(1); // the only look-up: the connection makes none of its own
  });

  test("rebinding to loopback is refused before any connection", async () => {
    const { port, connections } = await canary();
    const answers = [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["0.0.0.0"]];
    for (const answer of answers) {
      const options = { allowHosts: [`site.test:${port}`], allowHttp: true, resolve: async () => answer };
      expect(await code(() => fetched(options, page(port)))).toBe("refused");
    }
    expect(connections()).toBe(0);
  });

  test("literals of loopback in every spelling reach nobody", async () => {
    const { port, connections } = await canary();
    const hosts = ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0", "[::]", "１２７.0.0.1", "localhost", "LOCALHOST."];
    for (const host of hosts) {
      const options = { allowHosts: ["*", `${new URL(`http://${host}`).hostname}:${port}`], allowHttp: true };
      expect(await code(() => fetched(options, uri(`http://${host}:${port}/`, "text/html"))), host).toBe("refused");
    }
    expect(connections()).toBe(0);
  });

  test.each([301, 302, 303, 307, 308])("a %i to a private address, another host or scheme reaches nobody", async (status) => {
    const trap = await canary();
    const targets = [`http://127.0.0.2:${trap.port}/`, `http://[::1]:${trap.port}/`, `http://other.test:${trap.port}/`, `//other.test:${trap.port}/`, "file:///etc/passwd", "data:text/plain,x", `http://user:pass@site.test:${trap.port}/`];
    let target = "";
    const { port } = await http((_, response) => response.writeHead(status, { location: target }).end("gone"));
    for (target of targets) expect(await code(() => fetched(local(port), page(port))), target).toBe("refused");
    expect(trap.connections()).toBe(0);
  });

  test("follows three redirects, refuses the fourth, and one to nowhere", async () => {
    const { port } = await http((request, response) => {
      const left = Number((request.url ?? "").slice(1));
      if (request.url === "/nowhere") response.writeHead(302).end();
      else if (left > 0) response.writeHead(302, { location: `/${left - 1}` }).end("x".repeat(100_000));
      else response.setHeader("content-type", "text/plain").end("there");
    });
    expect(await fetched(local(port), page(port, "/3"))).toMatchObject({ text: "there", metadata: { web: { uri: `http://site.test:${port}/3`, url: `http://site.test:${port}/0` } } });
    expect(await code(() => fetched(local(port), page(port, "/4")))).toBe("bad_response");
    expect(await code(() => fetched(local(port), page(port, "/nowhere")))).toBe("bad_response");
  });

  test("a proxy of the environment is not asked", async () => {
    const { port: proxy, connections } = await canary();
    const { port } = await http((_, response) => response.setHeader("content-type", "text/plain").end("direct"));
    const before = { ...process.env };
    try {
      for (const name of ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"]) process.env[name] = `http://127.0.0.1:${proxy}`;
      process.env["NODE_USE_ENV_PROXY"] = "1";
      expect(await fetched(local(port), page(port))).toMatchObject({ text: "direct" });
    } finally {
      process.env = before;
    }
    expect(connections()).toBe(0);
  });
});

describe("fetchUrls: limits", () => {
  test("maxBytes holds at the byte, also without a length and after decoding", async () => {
    const { port } = await http((request, response) => {
      response.setHeader("content-type", "application/octet-stream");
      if (request.url === "/gzip") return response.setHeader("content-encoding", "gzip").end(gzipSync(Buffer.alloc(1_001, 7)));
      if (request.url === "/length") return response.end(Buffer.alloc(1_001));
      response.write(Buffer.alloc(1_000));
      return request.url === "/fits" ? response.end() : response.end("x");
    });
    const options = local(port, { maxBytes: 1_000 });
    expect(await fetched(options, page(port, "/fits"))).toMatchObject({ kind: "bytes" });
    for (const path of ["/over", "/gzip", "/length"]) expect(await code(() => fetched(options, page(port, path))), path).toBe("too_large");
  });

  test("bombs are too_large without being unpacked: gzip, double gzip, brotli", async () => {
    const zeros = Buffer.alloc(268_435_456);
    const once = gzipSync(zeros.subarray(0, 67_108_864));
    const twice = gzipSync(gzipSync(zeros));
    expect(twice.byteLength).toBeLessThan(1_500);
    const { port } = await http((request, response) => {
      response.setHeader("content-type", "text/plain");
      if (request.url === "/twice") response.setHeader("content-encoding", "gzip, gzip").end(twice);
      else if (request.url === "/br") response.setHeader("content-encoding", "br").end(brotliCompressSync(zeros.subarray(0, 16_777_216)));
      else response.setHeader("content-encoding", "gzip").end(once);
    });
    const options = local(port, { maxBytes: 1_000_000_000 });
    const before = process.memoryUsage().arrayBuffers;
    for (const path of ["/once", "/twice", "/br"]) expect(await code(() => fetched(options, page(port, path))), path).toBe("too_large");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(33_554_432);
  });

  test("a picture that says 60,000 by 60,000 is too_large, one that does not is given", async () => {
    const png = (width: number): Buffer => {
      const header = Buffer.alloc(33);
      Buffer.from("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "latin1").copy(header);
      header.writeUInt32BE(width, 16);
      header.writeUInt32BE(width, 20);
      return header;
    };
    const { port } = await http((request, response) => response.setHeader("content-type", "image/png").end(png(Number(request.url?.slice(1)))));
    expect(await code(() => fetched(local(port), page(port, "/60000")))).toBe("too_large");
    expect(await fetched(local(port), page(port, "/600"))).toMatchObject({ kind: "bytes", mimeType: "image/png" });
  });

  test("reads the size of the formats from their headers", () => {
    const at = (length: number, fields: Record<number, number[]>): Uint8Array => {
      const bytes = new Uint8Array(length);
      for (const [offset, values] of Object.entries(fields)) bytes.set(values, Number(offset));
      return bytes;
    };
    const ascii = (text: string): number[] => [...text].map((char) => char.charCodeAt(0));
    expect(imageSize(at(10, { 0: ascii("GIF89a"), 6: [0x40, 0x01, 0xf0, 0] }))).toEqual({ width: 320, height: 240 });
    expect(imageSize(at(26, { 0: ascii("BM"), 18: [0x40, 1, 0, 0], 22: [0x10, 0xff, 0xff, 0xff] }))).toEqual({ width: 320, height: 240 });
    expect(imageSize(at(30, { 0: ascii("RIFF"), 8: ascii("WEBPVP8X"), 24: [0x3f, 1, 0], 27: [0xef, 0, 0] }))).toEqual({ width: 320, height: 240 });
    expect(imageSize(at(30, { 0: ascii("RIFF"), 8: ascii("WEBPVP8L"), 20: [0x2f, 0x3f, 0xc1, 0x3b, 0] }))).toEqual({ width: 320, height: 240 });
    expect(imageSize(at(30, { 0: ascii("RIFF"), 8: ascii("WEBPVP8 "), 26: [0x40, 1, 0xf0, 0] }))).toEqual({ width: 320, height: 240 });
    expect(imageSize(at(30, { 0: [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 1, 0xff, 0xff, 0xc0, 0, 11, 8, 0, 0xf0, 1, 0x40] }))).toEqual({ width: 320, height: 240 });
    for (const cut of [new Uint8Array(), at(4, { 0: [0xff, 0xd8, 0xff, 0xc0] }), at(20, { 0: [0x89, ...ascii("PNG\r\n")] }), at(9, { 0: ascii("hello") })]) expect(imageSize(cut)).toBeUndefined();
  });

  test("a status is a code, a type that is not accepted and broken content are bad_response", async () => {
    const { port } = await http((request, response) => {
      const path = request.url ?? "";
      if (/^\/\d/.test(path)) response.writeHead(Number(path.slice(1))).end("secret body");
      else if (path === "/html") response.setHeader("content-type", "text/html").end("<p>");
      else if (path === "/json") response.setHeader("content-type", "application/json").end("{");
      else if (path === "/gzip") response.writeHead(200, { "content-type": "text/plain", "content-encoding": "gzip" }).end("not gzip");
      else if (path === "/odd") response.writeHead(200, { "content-type": "text/plain", "content-encoding": "zstd" }).end("x");
      else response.writeHead(200, { "content-type": "text/plain", "content-encoding": "gzip" }).end(gzipSync("hello hello hello").subarray(0, 15));
    });
    const met: string[] = [];
    for (const path of ["/404", "/403", "/429", "/500", "/451", "/418", "/204"]) met.push(await code(() => fetched(local(port), page(port, path))));
    expect(met).toEqual(["not_found", "unauthorized", "rate_limited", "unavailable", "refused", "invalid_input", "no error"]);
    expect(await code(() => fetched(local(port, { accept: ["image/*"] }), page(port, "/html")))).toBe("bad_response");
    expect(await fetched(local(port, { accept: ["image/*", "text/html"] }), page(port, "/html"))).toMatchObject({ text: "<p>" });
    for (const path of ["/json", "/gzip", "/odd"]) expect(await code(() => fetched(local(port), page(port, path))), path).toBe("bad_response");
    expect(await code(() => fetched(local(port), page(port, "/cut")))).toBe("truncated");
  });

  test("an answer that is cut, is no HTTP, or has no end fails by name", async () => {
    const { port } = await listen(createSocketServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", (request) => {
        if (String(request).includes("/short")) socket.end("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort");
        else if (String(request).includes("/chunk")) socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello");
        else if (String(request).includes("/ssh")) socket.end("SSH-2.0-OpenSSH_9.2\r\n");
        else socket.destroy();
      });
    }));
    expect(await code(() => fetched(local(port), page(port, "/short")))).toBe("truncated");
    expect(await code(() => fetched(local(port), page(port, "/chunk")))).toBe("truncated");
    expect(await code(() => fetched(local(port), page(port, "/ssh")))).toBe("bad_response");
    expect(await code(() => fetched(local(port), page(port, "/reset")))).toBe("unavailable");
  });

  test("times out on a server that never ends, by the clock, and closes the connection", async () => {
    let fire = (): void => {};
    let closed = (): void => {};
    const close = new Promise<void>((resolve) => (closed = resolve));
    const { port } = await http((_, response) => {
      response.on("close", closed);
      response.setHeader("content-type", "text/plain").write("half");
      fire();
    });
    const clock = { now: () => 0, sleep: async () => {}, timeout: (_: number, f: () => void) => ((fire = f), () => {}) };
    expect(await code(() => fetched(local(port, { clock }), page(port)))).toBe("timeout");
    await close;
  });

  test("an abort rejects with the very reason and closes the connection: while resolving, waiting, and reading", async () => {
    const closed: Promise<unknown>[] = [];
    let reached = (): void => {};
    const { port } = await http((request, response) => {
      closed.push(once(response, "close"));
      if (request.url === "/body") response.setHeader("content-type", "text/plain").write("half");
      setImmediate(() => reached());
    });
    for (const path of ["/resolve", "/headers", "/body"]) {
      const controller = new AbortController();
      const reason = new Error("enough");
      reached = () => controller.abort(reason);
      const resolve = path === "/resolve" ? () => (queueMicrotask(() => reached()), new Promise<never>(() => {})) : async () => ["127.0.0.1"];
      const running = run(fetchUrls(local(port, { resolve })), page(port, path), { signal: controller.signal }).collect();
      await expect(running, path).rejects.toBe(reason);
    }
    await Promise.all(closed);
    expect(closed).toHaveLength(2);
  });

  test("a signal aborted beforehand means no connection", async () => {
    const { port, connections } = await canary();
    await expect(run(fetchUrls(local(port)), page(port), { signal: AbortSignal.abort("no") }).collect()).rejects.toBe("no");
    expect(connections()).toBe(0);
  });

  test("refuses bad options when it is made", () => {
    const bad: object[] = [{ allowHosts: [] }, { maxBytes: 0 }, { timeoutMs: -1 }, { concurrency: 0.5 }, { accept: ["html"] }, { userAgent: "a\r\nb: c" }, { allowNetworks: ["x"] }];
    for (const options of bad) expect(() => fetchUrls({ allowHosts: ["x.test"], ...options }), JSON.stringify(options)).toThrow(/fetchUrls: /);
  });
});

describe("fetchUrls: TLS", () => {
  test("trusts a given certificate for its own host, and refuses it otherwise, also under NODE_TLS_REJECT_UNAUTHORIZED=0", async (context) => {
    const directory = mkdtempSync(join(tmpdir(), "millrace-tls-"));
    try {
      execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=site.test", "-addext", "subjectAltName=DNS:site.test", "-keyout", "key.pem", "-out", "cert.pem"], { cwd: directory, stdio: "ignore" });
    } catch {
      rmSync(directory, { recursive: true });
      return context.skip("openssl is not installed");
    }
    const [key, cert] = ["key.pem", "cert.pem"].map((name) => readFileSync(join(directory, name), "utf8"));
    rmSync(directory, { recursive: true });
    let requests = 0;
    const { port } = await listen(createSecureServer({ key, cert }, (_, response) => {
      requests += 1;
      response.setHeader("content-type", "text/plain").end("safe");
    }));
    const options = local(port, { allowHosts: [`site.test:${port}`, `wrong.test:${port}`], allowHttp: false });
    const secure = (host: string): Part => uri(`https://${host}:${port}/`, "text/plain");
    expect(await fetched({ ...options, ca: cert ?? "" }, secure("site.test"))).toMatchObject({ text: "safe" });
    const before = process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    try {
      const error: unknown = await fetched(options, secure("site.test")).catch((error: unknown) => error);
      expect(isMillraceError(error, "unavailable") && error.retryable).toBe(false);
      expect(isMillraceError(error, "unavailable")).toBe(true);
      expect(await code(() => fetched({ ...options, ca: cert ?? "" }, secure("wrong.test")))).toBe("unavailable");
    } finally {
      if (before === undefined) delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
      else process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = before;
    }
    expect(requests).toBe(1);
  });
});

describe("the hop of runtimes that cannot pin", () => {
  test("follows no redirect by itself, counts what comes out, and hears an abort", async () => {
    const { port } = await http((request, response) => {
      if (request.url === "/redirect") return response.writeHead(302, { location: "/" }).end();
      response.write("x".repeat(1_000));
      return request.url === "/hang" ? undefined : response.end();
    });
    const controller = new AbortController();
    const get = { who: "test", guard: addressGuard("test", { allowHosts: ["x"] }), signal: controller.signal, maxBytes: 999, headers: {} };
    const hop = (path: string) => fetchHop(get, new URL(`http://127.0.0.1:${port}${path}`), []);
    expect((await hop("/redirect")).status).toBe(302);
    expect(await code(async () => { for await (const _ of (await hop("/")).body); })).toBe("too_large");
    const { body } = await fetchHop({ ...get, maxBytes: 5_000 }, new URL(`http://127.0.0.1:${port}/hang`), []);
    await body.next();
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(body.next()).rejects.toBe(reason);
  });
});
