import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, test } from "vitest";
import { files, readFiles } from "../../src/adapters/files/index.ts";
import { isMillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { blobStoreContract } from "../../src/testing/contracts/blob-store.ts";

const made: string[] = [];
function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "millrace-files-"));
  made.push(path);
  return path;
}
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

const lacks = {
  metadata: "a file has no place for metadata",
  mimeType: "the ending of a file's name decides its mime type",
};
blobStoreContract({ describe, it }, { name: "files", open: () => files({ root: directory() }), lacks });

/** How many files below a directory this process holds open, in whichever thread; -1 where the system does not say. */
function openFiles(root: string): number {
  if (!existsSync("/proc/self/fd")) return -1;
  const isBelow = (name: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith(root);
    } catch {
      return false; // closed meanwhile
    }
  };
  return readdirSync("/proc/self/fd").filter(isBelow).length;
}
async function code(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    return isMillraceError(error) ? error.code : String(error);
  }
  return "no error";
}
async function gather(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString();
}
async function collect(source: AsyncIterable<Part>): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const part of source) parts.push(part);
  return parts;
}
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const pathOf = (part: Part): unknown => (part.metadata["file"] as { path: string }).path;

describe("files: nothing outside the root", () => {
  const names = [
    "../secret", "a/../../secret", "..", ".", "./a", "a/.", "a/..", "/etc/passwd", "//server/share", "\\\\server\\share", "a\\..\\b", "C:/x", "c:x", "z:\\x",
    "a\u0000b", "a\u0000.txt", "\u0000", "a\nb", "a\rb", "a\tb", "a\u007fb", "a\u001bb", "", "/", "a/", "a//b", "/a", "con", "CON", "Con.txt", "prn", "aux.c", "nul", "NUL.tar.gz",
    "com1", "COM9.log", "lpt1", "lpt9.x", "a/con/b", "a/nul", "conin$", "CONOUT$", "com¹", "a.", "a ", "a./b", "a /b", "b/a.", "...", "....", "a/...", "é".repeat(600), "\ud800", "a\udc00b",
    ".millrace-00000000-0000-0000-0000-000000000000.tmp", "x/.millrace-00000000-0000-0000-0000-000000000000.tmp", "../root/a", "..\\..\\x", "a/b/../../..", "?/../..", "~/../../x/..",
  ];

  test(`refuses ${names.length} hostile names, to read, write and delete`, async () => {
    const base = directory();
    mkdirSync(join(base, "root"));
    writeFileSync(join(base, "secret"), "secret");
    const store = files({ root: join(base, "root") });
    for (const name of names) {
      for (const call of [() => store.get(name), () => store.put(name, [encode("x")]), () => store.delete([name])]) {
        expect(["refused", "invalid_input"], `${JSON.stringify(name)}`).toContain(await code(call));
      }
      expect(await code(() => readFiles({ root: base, paths: [name] }))).toMatch(/refused|invalid_input/);
    }
    expect(readdirSync(join(base, "root"))).toEqual([]);
    expect(readFileSync(join(base, "secret"), "utf8")).toBe("secret");
  });

  test("refuses links that lead out, for files and directories, to read, write and delete", async () => {
    const base = directory();
    mkdirSync(join(base, "root/in"), { recursive: true });
    mkdirSync(join(base, "outside"));
    writeFileSync(join(base, "outside/secret"), "secret");
    writeFileSync(join(base, "root/in/mine"), "mine");
    symlinkSync(join(base, "outside/secret"), join(base, "root/file"));
    symlinkSync("../outside", join(base, "root/dir"));
    symlinkSync("in", join(base, "root/alias"));
    symlinkSync("loop", join(base, "root/loop"));
    const store = files({ root: join(base, "root") });
    expect(await code(() => store.get("file"))).toBe("refused");
    expect(await code(() => store.get("dir/secret"))).toBe("refused");
    expect(await code(() => store.get("loop"))).toBe("refused");
    expect(await code(() => store.put("dir/new", [encode("x")]))).toBe("refused");
    expect(await code(() => store.put("dir/deeper/new", [encode("x")]))).toBe("refused");
    expect(await code(() => store.delete(["dir/secret"]))).toBe("refused");
    expect(readdirSync(join(base, "outside"))).toEqual(["secret"]);
    expect(await gather(await store.get("alias/mine"))).toBe("mine");
    const listed: string[] = [];
    for await (const { key } of store.list()) listed.push(key);
    expect(listed).toEqual(["in/mine"]);
    await store.put("file", [encode("over")]); // the link is replaced, not what it points at
    expect(readFileSync(join(base, "outside/secret"), "utf8")).toBe("secret");
  });

  test("never reads through a link that is swapped meanwhile, in 1,000 races", async () => {
    const base = directory();
    mkdirSync(join(base, "root"));
    writeFileSync(join(base, "secret"), "secret");
    writeFileSync(join(base, "root/x"), "mine");
    symlinkSync(join(base, "secret"), join(base, "root/evil"));
    const store = files({ root: join(base, "root") });
    const swap = (): void => {
      symlinkSync(join(base, "secret"), join(base, "root/t1"));
      renameSync(join(base, "root/t1"), join(base, "root/x"));
      writeFileSync(join(base, "root/t2"), "mine");
      renameSync(join(base, "root/t2"), join(base, "root/x"));
    };
    let going = true;
    const swapping = (async () => {
      while (going) {
        swap();
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const seen = new Map<string, number>();
    for (let i = 0; i < 1_000; i += 1) {
      let met: string;
      try {
        met = await gather(await store.get("x"));
      } catch (error) {
        met = isMillraceError(error) ? error.code : String(error);
      }
      seen.set(met, (seen.get(met) ?? 0) + 1);
    }
    going = false;
    await swapping;
    expect([...seen.keys()].filter((met) => met !== "mine" && met !== "refused")).toEqual([]);
    expect(seen.get("mine")).toBeGreaterThan(0);
  });

  test.skipIf(process.platform === "win32")("refuses a pipe at once, a device and a socket, and lists none of them (not on Windows, which has none in folders)", async () => {
    const root = directory();
    execFileSync("mkfifo", [join(root, "pipe")]);
    symlinkSync("/dev/zero", join(root, "zero"));
    const { createServer } = await import("node:net");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(root, "socket"), resolve));
    const store = files({ root });
    expect(await code(() => store.get("pipe"))).toBe("refused");
    expect(await code(() => store.get("zero"))).toBe("refused");
    expect(await code(() => store.get("socket"))).toMatch(/refused|not_found/);
    expect(await collect(readFiles({ root }))).toEqual([]);
    server.close();
  });

  test("a root that is no directory is not_found, and says nothing of where it is", async () => {
    const base = directory();
    writeFileSync(join(base, "file"), "");
    for (const root of [join(base, "missing"), join(base, "file")]) {
      const error: unknown = await files({ root }).get("x").catch((error: unknown) => error);
      expect(isMillraceError(error, "not_found")).toBe(true);
      expect(String(error)).not.toContain(base);
    }
  });
});

describe("files: writing", () => {
  test("writes with mode 0600 and leaves no draft behind, also when the chunks fail", async () => {
    const root = directory();
    const store = files({ root });
    await store.put("a/b.txt", [encode("x")]);
    expect(statSync(join(root, "a/b.txt")).mode & 0o777).toBe(0o600);
    const broken = (function* (): Generator<Uint8Array> {
      yield encode("half");
      throw new Error("broke");
    })();
    await expect(store.put("a/c.txt", broken)).rejects.toThrow("broke");
    expect(await code(() => store.put("a/b.txt", [encode("y")], { ifAbsent: true }))).toBe("conflict");
    expect(readdirSync(join(root, "a"))).toEqual(["b.txt"]);
  });

  test("a reader sees the old content or the new, never a mixture, while writers write", async () => {
    const store = files({ root: directory() });
    const size = 300_000;
    const put = (letter: string): Promise<unknown> => store.put("x", [encode(letter.repeat(size))]);
    await put("a");
    const writing = (async () => {
      for (const letter of "bcdefghij") await put(letter);
    })();
    for (let i = 0; i < 20; i += 1) {
      const content = await gather(await store.get("x"));
      expect(content).toBe((content[0] ?? "").repeat(size));
    }
    await writing;
  });

  test("says conflict where a directory or a file is in the way", async () => {
    const store = files({ root: directory() });
    await store.put("dir/file", [encode("x")]);
    expect(await code(() => store.put("dir", [encode("x")]))).toBe("conflict");
    expect(await code(() => store.put("dir/file/x", [encode("x")]))).toBe("conflict");
    expect(await code(() => store.put("dir/file/x/y", [encode("x")]))).toBe("conflict");
    expect(await code(() => store.put("n".repeat(300), [encode("x")]))).toBe("invalid_input");
    await store.delete(["dir"]);
    expect(await gather(await store.get("dir/file"))).toBe("x");
  });

  // ulimit is the shell's, and the child is started with Node's own flags: once, on Linux and Node, is enough
  test.skipIf(process.platform !== "linux" || "Deno" in globalThis)("(where a shell limits sizes: Linux, not under Deno) a file that grows too large for the system leaves no half file", async () => {
    // stands for a full disk, which needs a disk of its own: EFBIG is met where ENOSPC would be
    const root = directory();
    const script = `
      process.on("SIGXFSZ", () => {});
      const { files } = await import(${JSON.stringify(new URL("../../src/adapters/files/index.ts", import.meta.url).href)});
      const { readdirSync } = await import("node:fs");
      const store = files({ root: ${JSON.stringify(root)} });
      const error = await store.put("x", [new Uint8Array(3_000_000)]).catch((error) => error);
      console.log(error.code, readdirSync(${JSON.stringify(root)}).length);`;
    const out = execFileSync("bash", ["-c", `ulimit -f 1000; exec ${process.execPath} --input-type=module -e '${script.replaceAll("'", "'\\''")}'`], { encoding: "utf8" });
    expect(out.trim()).toBe("too_large 0");
  });

  test("closes every handle: read, left, unread, ranges refused, store closed", async () => {
    const root = directory();
    const store = files({ root });
    await store.put("x", [new Uint8Array(1_000_000)]);
    await gather(await store.get("x"));
    for await (const _ of await store.get("x")) break;
    await (await store.get("x")).close();
    await code(() => store.get("x", { range: { start: 5_000_000 } }));
    await code(() => store.get("x", { ifVersion: "other" }));
    const left = await store.get("x");
    await store.close();
    await left.close();
    expect(openFiles(root)).toBeLessThanOrEqual(0);
  });

  test("a file that gets shorter while it is read is truncated, not short", async () => {
    const root = directory();
    writeFileSync(join(root, "x"), new Uint8Array(600_000));
    const content = await files({ root }).get("x");
    const reading = content[Symbol.asyncIterator]();
    await reading.next();
    writeFileSync(join(root, "x"), "short");
    expect(await code(async () => { for (;;) if ((await reading.next()).done) return; })).toBe("truncated");
  });
});

describe("readFiles", () => {
  function tree(): string {
    const root = directory();
    for (const [path, content] of [["10.md", "ten"], ["2.md", "two"], ["a/1.txt", "one"], ["a/b/deep.md", "deep"], ["a/data.json", '{"n":1}'], ["z.bin", "\u0001"], [".hidden/x.md", "h"], [".env", "e"], ["Con.md", "c"]]) {
      mkdirSync(join(root, path ?? "", ".."), { recursive: true });
      writeFileSync(join(root, path ?? ""), content ?? "");
    }
    return root;
  }

  test("gives one part a file, in natural order, by mime type, without hidden files", async () => {
    const parts = await collect(readFiles({ root: tree() }));
    expect(parts.map(pathOf)).toEqual(["2.md", "10.md", "a/1.txt", "a/b/deep.md", "a/data.json", "z.bin"]);
    expect(parts.map((part) => part.kind)).toEqual(["text", "text", "text", "text", "json", "bytes"]);
    expect(parts.map((part) => part.mimeType)).toEqual(["text/markdown", "text/markdown", "text/plain", "text/markdown", "application/json", "application/octet-stream"]);
    expect(parts[2]).toMatchObject({ text: "one", metadata: { file: { name: "1.txt", path: "a/1.txt", size: 3, modifiedMs: expect.any(Number) } } });
  });

  test("takes patterns, exclusions, and names in their order", async () => {
    const root = tree();
    const paths = async (options: object): Promise<unknown[]> => (await collect(readFiles({ root, as: "uri", ...options }))).map(pathOf);
    expect(await paths({ pattern: "*.md" })).toEqual(["2.md", "10.md"]);
    expect(await paths({ pattern: ["a/*", "**/deep.*"] })).toEqual(["a/1.txt", "a/b/deep.md", "a/data.json"]);
    expect(await paths({ exclude: "a" })).toEqual(["2.md", "10.md", "z.bin"]);
    expect(await paths({ exclude: ["**/*.md", "*.bin"] })).toEqual(["a/1.txt", "a/data.json"]);
    expect(await paths({ pattern: [".env", ".hidden/*"] })).toEqual([".env", ".hidden/x.md"]);
    expect(await paths({ paths: ["z.bin", "2.md"] })).toEqual(["z.bin", "2.md"]);
    expect(await code(() => paths({ paths: ["2.md", "gone.md"] }))).toBe("not_found");
  });

  test("opens nothing before it is asked, one file at a time, and closes on leaving", async () => {
    const root = directory();
    const source = readFiles({ root: join(root, "later") });
    mkdirSync(join(root, "later"));
    for (let i = 0; i < 50; i += 1) writeFileSync(join(root, "later", `${i}.bin`), new Uint8Array(400_000));
    for await (const _ of source) break;
    expect(openFiles(root)).toBeLessThanOrEqual(0);
    const iterator = readFiles({ root: join(root, "later"), chunked: true, maxBytes: 10 })[Symbol.asyncIterator]();
    await iterator.next();
    expect(openFiles(root)).toBeLessThanOrEqual(1);
    await iterator.return?.();
    expect(openFiles(root)).toBeLessThanOrEqual(0);
  });

  test("a file above maxBytes is too_large, or comes in chunks that join to the same content", async () => {
    const root = directory();
    const content = "añ日🙂".repeat(100_000);
    writeFileSync(join(root, "big.txt"), content);
    writeFileSync(join(root, "big.bin"), content);
    expect(await code(() => collect(readFiles({ root, maxBytes: 1_000 })))).toBe("too_large");
    const parts = await collect(readFiles({ root, maxBytes: 1_000, chunked: true, pattern: "big.txt" }));
    expect(parts.length).toBeGreaterThan(2);
    expect(parts.map((part) => (part.kind === "text" ? part.text : "?")).join("")).toBe(content);
    const raw = await collect(readFiles({ root, maxBytes: 1_000, chunked: true, pattern: "big.bin" }));
    const hash = createHash("sha256");
    for (const part of raw) if (part.kind === "bytes") hash.update(part.bytes);
    expect(hash.digest("hex")).toBe(createHash("sha256").update(content).digest("hex"));
    expect(raw.map((part) => (part.metadata["file"] as { last: boolean }).last)).toEqual([...raw.slice(1).map(() => false), true]);
  });

  test("text that is not UTF-8 and JSON that is none fail by name; bytes never do", async () => {
    const root = directory();
    writeFileSync(join(root, "latin.txt"), Uint8Array.of(0x63, 0xe9));
    writeFileSync(join(root, "cut.json"), '{"a":');
    expect(await code(() => collect(readFiles({ root, pattern: "latin.txt" })))).toBe("bad_response");
    expect(await code(() => collect(readFiles({ root, pattern: "cut.json" })))).toBe("bad_response");
    expect((await collect(readFiles({ root, as: "bytes" }))).map((part) => part.kind)).toEqual(["bytes", "bytes"]);
  });

  test("refuses bad options when it is made", () => {
    const bad: object[] = [{ root: "" }, { root: 5 }, { pattern: "/abs" }, { pattern: "a/../b" }, { pattern: "" }, { maxBytes: 0 }, { as: "text" }, { paths: ["a"], pattern: "*" }, { paths: ["../a"] }];
    for (const options of bad) expect(() => readFiles({ root: ".", ...options }), JSON.stringify(options)).toThrow(/readFiles: /);
  });

  test("an empty file is an empty part, and a directory without files gives nothing", async () => {
    const root = directory();
    expect(await collect(readFiles({ root }))).toEqual([]);
    writeFileSync(join(root, "empty.txt"), "");
    writeFileSync(join(root, "empty.bin"), "");
    expect((await collect(readFiles({ root }))).map((part) => (part.kind === "text" ? part.text : part.kind === "bytes" ? part.bytes.byteLength : "?"))).toEqual([0, ""]);
  });

  test.skipIf(process.getuid?.() === 0)("a file that may not be read is unauthorized, but can be named (not as root, who may read all)", async () => {
    const root = directory();
    writeFileSync(join(root, "x"), "");
    chmodSync(join(root, "x"), 0);
    expect(await code(() => collect(readFiles({ root })))).toBe("unauthorized");
    expect((await collect(readFiles({ root, as: "uri" }))).map(pathOf)).toEqual(["x"]);
    unlinkSync(join(root, "x"));
  });
});
