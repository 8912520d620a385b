import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { PassThrough, Readable, Writable } from "node:stream";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { abortOnInterrupt, terminalInput, type TerminalInputOptions, terminalOutput, type TerminalReadable, type TerminalWritable } from "../../src/adapters/terminal/index.ts";
import { finish, json, status, text } from "../../src/core/constructors.ts";
import { isMillraceError, type MillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { run } from "../../src/core/run.ts";
import { pipe } from "../../src/streams/pipe.ts";
import { splitBytes } from "../../src/testing/split-bytes.ts";
import { watchedSource } from "../../src/testing/watched-source.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);
const isDeno = "Deno" in globalThis;
const textOf = (part: Part | undefined): string => (part?.kind === "text" ? part.text : `no text: ${part?.kind}`);
const events = ["data", "end", "error", "close"] as const;
const listeners = (stream: PassThrough | Writable): number => events.reduce((sum, event) => sum + stream.listenerCount(event), 0);

/** The lines of pieces that come one by one. */
async function linesOf(pieces: Iterable<Uint8Array | string>, options: TerminalInputOptions = {}): Promise<string[]> {
  const lines: string[] = [];
  for await (const part of terminalInput({ input: Readable.from(pieces), ...options })) lines.push(textOf(part));
  return lines;
}

async function failure(call: () => Promise<unknown>): Promise<MillraceError> {
  const error = await call().then(() => new Error("it went well"), (why: unknown) => why);
  if (isMillraceError(error)) return error;
  throw error;
}

/** What a stream was told to write, as a terminal or as a pipe. */
function recorder(isTTY: boolean): { readonly output: TerminalWritable; readonly written: () => string } {
  let written = "";
  const output = new Writable({
    decodeStrings: false,
    write(chunk, _, done) {
      written += String(chunk);
      done();
    },
  });
  return { output: Object.assign(output, { isTTY }), written: () => written };
}

describe("terminalInput: lines", () => {
  const encoder = new TextEncoder();

  test("lines are the same wherever the bytes are cut", async () => {
    const piece = fc.oneof(fc.constantFrom("\n", "\r\n", "\r", "\ufeff", "é", "日", "👩‍🍳", "a"), fc.string());
    const cut = fc.oneof(fc.constantFrom(1, 2, 7), fc.record({ seed: fc.integer() }));
    await fc.assert(
      fc.asyncProperty(fc.array(piece), cut, async (pieces, split) => {
        const whole = pieces.join("").toWellFormed();
        const expected = whole.replace(/^\ufeff/, "").split("\n").map((line, at, all) => (at === all.length - 1 ? line : line.replace(/\r$/, "")));
        if (expected.at(-1) === "" && !whole.endsWith("\ufeff")) expected.pop();
        expect(await linesOf(splitBytes(encoder.encode(whole), split))).toEqual(expected);
      }),
      { numRuns: runs },
    );
  });

  test("each line is one text part of the user, empty ones too, and the last needs no end", async () => {
    const parts = await run(pipe(), terminalInput({ input: Readable.from(["a\r\n\nb"]) })).collect();
    expect(parts).toEqual([text("a"), text(""), text("b")]);
    expect(await linesOf([])).toEqual([]);
    expect(await linesOf(["a\n"])).toEqual(["a"]);
  });

  test("what is no UTF-8 becomes U+FFFD, and spoils no other line", async () => {
    expect(await linesOf([Uint8Array.of(97, 0xff, 10, 0xc3), Uint8Array.of(0xa9, 10, 0xe6, 0x97)])).toEqual(["a\ufffd", "é", "\ufffd"]);
  });

  test("a stream that decodes by itself gives the same lines", async () => {
    const input = Readable.from([...splitBytes(encoder.encode("é\n日\n👩‍🍳"), 1)], { objectMode: false }).setEncoding("utf8");
    expect(await linesOf([], { input })).toEqual(["é", "日", "👩‍🍳"]);
  });

  test("a line of maxLineBytes is taken, one byte more is too_large, ended or not", async () => {
    for (const end of ["\n", "\r\n", ""]) {
      expect(await linesOf([`12345${end}`], { maxLineBytes: 5 })).toEqual(["12345"]);
      expect((await failure(() => linesOf([`123456${end}`], { maxLineBytes: 5 }))).code).toBe("too_large");
    }
    const short = "1234\n".repeat(20);
    for (const cut of [1, 2, 7]) expect(await linesOf(splitBytes(encoder.encode(short), cut), { maxLineBytes: 5 })).toHaveLength(20);
    const endless = (function* () {
      for (;;) yield "12345678";
    })();
    expect((await failure(() => linesOf(endless, { maxLineBytes: 1_000 }))).code).toBe("too_large");
  });

  test("options that cannot be are refused at once", () => {
    const refused = (options: object): string => {
      try {
        terminalInput(options);
        return "taken";
      } catch (error) {
        return isMillraceError(error, "invalid_input") ? error.message : String(error);
      }
    };
    expect(refused({ maxLineBytes: 0 })).toContain("maxLineBytes");
    expect(refused({ prompt: 5 })).toContain("prompt");
    expect(refused({ input: {} })).toContain("input");
    expect(refused({ input: null })).toContain("input");
    expect(refused({ output: "stdout" })).toContain("output");
    expect(() => terminalOutput({ output: {} as TerminalWritable })).toThrow(/output/);
    expect(() => terminalOutput({ raw: 1 as unknown as boolean })).toThrow(/raw/);
    expect(() => abortOnInterrupt({ signals: ["SIGKILL" as "SIGINT"] })).toThrow(/signals/);
    expect(() => abortOnInterrupt({ signals: [] })).toThrow(/signals/);
  });
});

describe("terminalInput: reading no more than is asked for", () => {
  test("nothing is looked at before the first pull", async () => {
    const stdin = vi.spyOn(process, "stdin", "get");
    try {
      const parts = run(pipe(), terminalInput());
      terminalInput()[Symbol.asyncIterator]();
      await Promise.resolve();
      expect(stdin).not.toHaveBeenCalled();
      void parts;
    } finally {
      stdin.mockRestore();
    }
    const input = new PassThrough();
    const before = listeners(input);
    const iterator = terminalInput({ input })[Symbol.asyncIterator]();
    await iterator.return?.();
    expect([listeners(input), input.readableFlowing]).toEqual([before, null]);
    expect((await iterator.next()).done).toBe(true);
  });

  test("the stream flows only while a line is waited for", async () => {
    const input = new PassThrough();
    const iterator = terminalInput({ input })[Symbol.asyncIterator]();
    input.write("a\n");
    expect(textOf((await iterator.next()).value)).toBe("a");
    for (const line of ["b\n", "c\n"]) input.write(line);
    await new Promise((resolve) => setImmediate(resolve));
    expect([input.isPaused(), input.readableLength]).toEqual([true, 4]);
    expect(textOf((await iterator.next()).value)).toBe("b");
    await iterator.return?.();
  });

  test("nor does it flow while the prompt is being written", async () => {
    const input = Object.assign(new PassThrough(), { isTTY: true });
    let take = (): void => {};
    const output = Object.assign(new Writable({ write: (_, __, done) => void (take = done) }), { isTTY: true });
    input.write("a\n");
    const pending = terminalInput({ input, output, prompt: "> " })[Symbol.asyncIterator]().next();
    await new Promise((resolve) => setImmediate(resolve));
    expect([input.isPaused(), input.readableLength]).toEqual([true, 2]);
    take();
    expect(textOf((await pending).value)).toBe("a");
    input.destroy();
  });

  test("leaving takes every listener away, and what was not read can be read on", async () => {
    const input = new PassThrough();
    const before = listeners(input);
    const lines = terminalInput({ input });
    input.write("a\nb\r\nc");
    for await (const part of lines) {
      expect(textOf(part)).toBe("a");
      break;
    }
    expect([listeners(input), input.isPaused()]).toEqual([before, true]);
    input.end("d\n");
    const rest: string[] = [];
    for await (const part of lines) rest.push(textOf(part));
    expect(rest).toEqual(["b", "cd"]);
    expect(input.listenerCount("data")).toBe(0);
  });

  test("what a decoding stream had left over can be read on as the text that it gives", async () => {
    const input = new PassThrough().setEncoding("utf8");
    input.write("a\né日\nrest");
    for await (const _ of terminalInput({ input })) break;
    const rest: unknown = input.read();
    expect(rest).toBe("é日\nrest");
    input.unshift(rest);
    input.end("\n");
    expect(await linesOf([], { input })).toEqual(["é日", "rest"]);
  });

  test("leaving and aborting while a line is waited for work at once, and lose nothing", async () => {
    const input = new PassThrough();
    const before = listeners(input);
    const iterator = terminalInput({ input })[Symbol.asyncIterator]();
    input.write("half");
    const pending = iterator.next();
    await new Promise((resolve) => setImmediate(resolve));
    await iterator.return?.();
    expect(await pending).toEqual({ value: undefined, done: true });
    expect(listeners(input)).toBe(before);

    const reason = new Error("enough");
    const controller = new AbortController();
    const reading = run(pipe(), terminalInput({ input }), { signal: controller.signal }).collect();
    await new Promise((resolve) => setImmediate(resolve));
    controller.abort(reason);
    await expect(reading).rejects.toBe(reason);
    expect(listeners(input)).toBe(before);
    input.end("way");
    expect(await linesOf([], { input })).toEqual(["halfway"]);
  });

  test("a second reader at the same time is a conflict, afterwards it is none", async () => {
    const input = new PassThrough();
    const lines = terminalInput({ input });
    const first = lines[Symbol.asyncIterator]();
    input.write("a\nb\n");
    await first.next();
    expect((await failure(() => run(pipe(), lines).collect())).code).toBe("conflict");
    expect(textOf((await first.next()).value)).toBe("b");
    await first.return?.();
    input.end();
    expect(await run(pipe(), lines).collect()).toEqual([]);
  });
});

describe("terminalInput: streams that fail", () => {
  test("an error of the stream is unavailable with its cause, after the lines before it", async () => {
    const cause = Object.assign(new Error("EIO: i/o error, read"), { code: "EIO" });
    const pieces = (async function* () {
      yield "a\nb";
      throw cause;
    })();
    const seen: string[] = [];
    const error = await failure(async () => {
      for await (const part of terminalInput({ input: Readable.from(pieces) })) seen.push(textOf(part));
    });
    expect(seen).toEqual(["a"]);
    expect(error).toMatchObject({ code: "unavailable", service: "terminal", cause, message: expect.stringContaining("EIO") as string });
  });

  test("a stream that is destroyed before its end is truncated: what came of the last line is no line", async () => {
    const input = new PassThrough();
    const reading = failure(() => linesOf([], { input }));
    input.write("half");
    await new Promise((resolve) => setImmediate(resolve));
    input.destroy();
    expect((await reading).code).toBe("truncated");
    expect((await failure(() => linesOf([], { input }))).code).toBe("closed");
  });

  test("a stream that has ended gives no lines", async () => {
    const input = new PassThrough();
    input.end("a\n");
    expect(await linesOf([], { input })).toEqual(["a"]);
    expect(await linesOf([], { input })).toEqual([]);
  });

  test("a stream of objects is invalid_input", async () => {
    expect((await failure(() => linesOf([], { input: Readable.from([{ a: 1 }]) }))).code).toBe("invalid_input");
  });
});

describe("terminalInput: the prompt", () => {
  const terminal = (pieces: readonly string[], isTTY: boolean): TerminalReadable => Object.assign(Readable.from(pieces), { isTTY });

  test("is written before each line that is waited for, and not for lines that are there", async () => {
    const { output, written } = recorder(true);
    expect(await linesOf([], { input: terminal(["a\nb\n", "c\n"], true), output, prompt: "> " })).toEqual(["a", "b", "c"]);
    expect(written()).toBe("> > > "); // for a, for c, for the end
  });

  test.each([[true, false], [false, true], [false, false]])("is not written with input a terminal: %s, and output a terminal: %s", async (from, to) => {
    const { output, written } = recorder(to);
    expect(await linesOf([], { input: terminal(["a\n"], from), output, prompt: "> " })).toEqual(["a"]);
    expect(written()).toBe("");
  });
});

describe("terminalOutput: what is written", () => {
  test("texts of the main stream, each before its part goes on, and every part unchanged", async () => {
    const { output, written } = recorder(false);
    const parts = [text("Hel"), text("hidden", { substream: "reasoning" }), json(1), status("working"), text(""), text("lo"), finish({ reason: "stop" })];
    const seen: (readonly [Part, string])[] = [];
    for await (const part of run(terminalOutput({ output }), parts)) seen.push([part, written()]);
    expect(seen.filter(([part]) => part.kind === "text" && part.substream === "").map(([part, so]) => [textOf(part), so])).toEqual([["Hel", "Hel"], ["", "Hel"], ["lo", "Hello"]]);
    expect(new Set(seen.map(([part]) => part))).toEqual(new Set(parts));
    expect(written()).toBe("Hello");
  });

  test("a character that was cut in two between deltas is whole, half of one is U+FFFD", async () => {
    const { output, written } = recorder(false);
    await run(terminalOutput({ output }), ["a\ud83d", "\ude00b", "\ud83d"]).collect();
    expect(written()).toBe("a\u{1f600}b\ufffd");
  });

  test("on a terminal a turn ends its line, and so does the run; in a file nothing is added", async () => {
    const turns = [text("a"), finish({ reason: "stop" }), text("b\n"), finish({ reason: "stop" }), text("c")];
    const [tty, file] = [recorder(true), recorder(false)];
    await run(terminalOutput({ output: tty.output }), turns).collect();
    await run(terminalOutput({ output: file.output }), turns).collect();
    expect([tty.written(), file.written()]).toEqual(["a\nb\nc\n", "ab\nc"]);
  });

  test("one processor serves many runs at once: each has a line of its own", async () => {
    const { output, written } = recorder(true);
    const out = terminalOutput({ output });
    await Promise.all([run(out, "a").collect(), run(out, "b\n").collect()]);
    expect(written().split("").sort().join("")).toBe("\n\nab");
  });
});

describe("terminalOutput: what a text may tell a terminal", () => {
  const hostile: readonly (readonly [name: string, text: string, shown: string])[] = [
    ["colours", "\u001b[31mred\u001b[0m", "\\x1b[31mred\\x1b[0m"],
    ["clearing the screen", "\u001b[2J\u001b[H", "\\x1b[2J\\x1b[H"],
    ["the title of the window", "\u001b]0;title\u0007", "\\x1b]0;title\\x07"],
    ["a link that hides its target", "\u001b]8;;https://evil.test\u001b\\safe", "\\x1b]8;;https://evil.test\\x1b\\safe"],
    ["the clipboard", "\u001b]52;c;cm0gLXJm\u0007", "\\x1b]52;c;cm0gLXJm\\x07"],
    ["a question that the terminal types an answer to", "\u001b[6n", "\\x1b[6n"],
    ["the same in one character of C1", "\u009b31m\u009d0;t\u009c", "\\x9b31m\\x9d0;t\\x9c"],
    ["overwriting the line", "rm -rf /\recho ok", "rm -rf /echo ok"],
    ["deleting what stands there", "ab\u0008\u0008\u007f", "ab\\x08\\x08\\x7f"],
    ["turning the direction", "a\u202ab\u202ec\u2066d\u2069", "a\\u202ab\\u202ec\\u2066d\\u2069"],
    ["lines that are none", "a\u2028b\u2029c\u0085d\u000be\u000cf", "a\\u2028b\\u2029c\\x85d\\x0be\\x0cf"],
    ["nothing at all", "tab\tand\r\nline\n", "tab\tand\nline\n"],
    ["languages, signs and pictures", "Grüße שלום\u200f 日本 👩‍🍳", "Grüße שלום\u200f 日本 👩‍🍳"],
  ];
  test.each(hostile)("%s is shown, wherever it is cut", async (_, said, shown) => {
    for (const pieces of [[said], said.split("")]) {
      const { output, written } = recorder(true);
      await run(terminalOutput({ output }), pieces).collect();
      expect(written()).toBe(shown.endsWith("\n") ? shown : `${shown}\n`);
    }
  });

  test("no text gets a control character to a terminal", async () => {
    const unit = fc.oneof(fc.integer({ min: 0, max: 0xa0 }), fc.integer({ min: 0x2000, max: 0x2070 }), fc.integer({ min: 0, max: 0xffff }));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(unit)), async (texts) => {
        const { output, written } = recorder(true);
        await run(terminalOutput({ output }), texts.map((units) => String.fromCharCode(...units))).collect();
        expect(written()).not.toMatch(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069\u2028\u2029]/u);
      }),
      { numRuns: runs },
    );
  });

  test("to a file or a pipe, and raw, everything goes as it is", async () => {
    const all = hostile.map(([, said]) => said);
    for (const [isTTY, raw] of [[false, false], [true, true]] as const) {
      const { output, written } = recorder(isTTY);
      await run(terminalOutput({ output, raw }), [...all, "\n"]).collect();
      expect(written()).toBe(`${all.join("")}\n`);
    }
  });
});

describe("terminalOutput: a slow output, and one that is gone", () => {
  /** An output that takes a text when it is told to. */
  function slow(): { readonly output: Writable; readonly take: (error?: Error) => Promise<void>; readonly held: () => number } {
    const waiting: ((error?: Error) => void)[] = [];
    const output = new Writable({ highWaterMark: 1, write: (_, __, done) => void waiting.push(done) });
    return {
      output,
      held: () => waiting.length,
      async take(error) {
        waiting.shift()?.(error);
        await new Promise((resolve) => setImmediate(resolve));
      },
    };
  }

  test("a part goes on when its text was taken, and no other is pulled before", async () => {
    const { output, take } = slow();
    const source = watchedSource(Infinity);
    const seen: string[] = [];
    const reading = (async () => {
      for await (const part of run(terminalOutput({ output }), source)) if (seen.push(textOf(part)) === 2) break;
    })();
    await new Promise((resolve) => setImmediate(resolve));
    expect([source.pulls, seen]).toEqual([1, []]);
    await take();
    expect([source.pulls, seen]).toEqual([2, ["0"]]);
    await take();
    await reading;
    expect([source.pulls, seen, source.closed]).toEqual([2, ["0", "1"], 1]);
    expect(output.listenerCount("error")).toBe(0);
  });

  test("an abort does not wait for an output that takes nothing, and what it says later is heard by nobody", async () => {
    for (const late of [undefined, Object.assign(new Error("late"), { code: "EPIPE" })]) {
      const { output, take } = slow();
      const source = watchedSource(Infinity);
      const controller = new AbortController();
      const reason = new Error("enough");
      const reading = run(terminalOutput({ output }), source, { signal: controller.signal }).collect();
      await new Promise((resolve) => setImmediate(resolve));
      controller.abort(reason);
      await expect(reading).rejects.toBe(reason);
      expect(source.closed).toBe(1);
      await take(late); // an error that nobody listened to would end this process
      expect(output.listenerCount("error")).toBe(0);
    }
  });

  test("outside of a run it hears the signal of its context all the same", async () => {
    const { output, take } = slow();
    const controller = new AbortController();
    const reason = new Error("enough");
    const context = { signal: controller.signal, correlationId: "c", runId: "r", state: new Map(), waitUntil: () => {} };
    const next = terminalOutput({ output })(watchedSource(1), context)[Symbol.asyncIterator]().next();
    await new Promise((resolve) => setImmediate(resolve));
    controller.abort(reason);
    await expect(next).rejects.toBe(reason);
    await take();
  });

  test.each([
    ["EPIPE", "closed"],
    ["ECONNRESET", "closed"],
    ["ENOSPC", "unavailable"],
  ] as const)("%s is %s, and closes what is before it", async (code, expected) => {
    const { output, take } = slow();
    const source = watchedSource(Infinity);
    const reading = failure(() => run(terminalOutput({ output }), source).collect());
    await new Promise((resolve) => setImmediate(resolve));
    const cause = Object.assign(new Error(`${code}: no`), { code });
    await take(cause);
    expect(await reading).toMatchObject({ code: expected, service: "terminal", cause, retryable: false });
    expect([source.pulls, source.closed, output.listenerCount("error")]).toEqual([1, 1, 0]);
    expect((await failure(() => run(terminalOutput({ output }), "more").collect())).code).toBe("closed");
    expect(output.listenerCount("error")).toBe(0);
  });

  test("an output that was ended is closed", async () => {
    const output = new PassThrough();
    output.end();
    expect((await failure(() => run(terminalOutput({ output }), "a").collect())).code).toBe("closed");
  });
});

describe("a real process", () => {
  const program = join(import.meta.dirname, "terminal", "program.ts");
  const command = [process.execPath, ...(isDeno ? ["run", "-A"] : []), program];
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });

  /** Deno's own `child.kill` sends one signal at most, and reports it as the end. */
  function send(child: ChildProcess, signal: NodeJS.Signals): void {
    if (child.pid === undefined) throw new Error("the program did not start");
    process.kill(child.pid, signal);
  }

  interface Program {
    readonly child: ChildProcess;
    /** Resolves when it has said this. */
    said(words: string): Promise<void>;
    /** What it said on its standard error, and how it ended. */
    readonly ended: Promise<{ readonly said: string[]; readonly code: number | null; readonly signal: string | null }>;
  }
  function start(name: string, shell?: string): Program {
    const quoted = [...command, name].map((word) => `'${word}'`).join(" ");
    const [file, ...args] = shell === undefined ? [...command, name] : ["/bin/sh", "-c", shell.replace("PROGRAM", quoted)];
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"] });
    children.push(child);
    let said = "";
    const hearers = new Set<() => void>();
    child.stderr.on("data", (chunk) => {
      said += String(chunk);
      for (const hear of hearers) hear();
    });
    child.stdin.on("error", () => {}); // it may have ended
    child.stdout.resume();
    return {
      child,
      said: (words) =>
        new Promise((resolve) => {
          const hear = (): void => {
            if (said.includes(words)) resolve();
          };
          hearers.add(hear);
          hear();
        }),
      ended: new Promise((resolve) => child.once("close", (code, signal) => resolve({ said: said.trim().split("\n"), code, signal }))),
    };
  }

  test("reads its standard input to the end, and ends", async () => {
    const { child, ended } = start("lines");
    child.stdin?.end("one\r\ntwo");
    expect(await ended).toEqual({ said: ["line one", "line two", "end"], code: 0, signal: null });
  });

  // Deno reads a pipe on in the background, which keeps the process; it has no way to be told not to
  test.skipIf(isDeno)("ends by itself when it leaves a standard input that stays open, and reads on where it left", async () => {
    const { child, said, ended } = start("two");
    child.stdin?.write("one\n");
    await said("first one");
    child.stdin?.write("two\nthree\n");
    await said("second two");
    expect(await ended).toEqual({ said: ["first one", "second two"], code: 0, signal: null });
  });

  test("under head it is told that nobody reads any more, and what is before is closed", async () => {
    const { said, code } = await start("endless", "PROGRAM | head -n 1").ended;
    expect(said).toEqual([expect.stringMatching(/^closed: terminal: nobody reads the output any more .*; closed 1$/)]);
    expect(code).toBe(0);
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`${signal} aborts with a reason that names it, also while a line is waited for`, async () => {
      const { child, said, ended } = start("waits");
      await said("ready");
      send(child, signal);
      expect(await ended).toEqual({ said: ["ready", `the reason: AbortError: interrupted by ${signal}`], code: 0, signal: null });
    });
  }

  test("a second SIGINT ends it as it does by default", async () => {
    const { child, said, ended } = start("stubborn");
    await said("ready");
    send(child, "SIGINT");
    await said("interrupted by SIGINT");
    send(child, "SIGINT");
    expect(await ended).toMatchObject({ code: null, signal: "SIGINT" });
  });

  test("a SIGINT after close ends it", async () => {
    const { child, said, ended } = start("closed");
    await said("ready");
    send(child, "SIGINT");
    expect(await ended).toMatchObject({ code: null, signal: "SIGINT" });
  });

  test("listening alone does not keep it alive", async () => {
    expect(await start("forgets").ended).toEqual({ said: ["end"], code: 0, signal: null });
  });
});

describe("abortOnInterrupt", () => {
  test("its listeners are gone when it is closed, by either name, and twice is fine", () => {
    const count = (): number => process.listenerCount("SIGINT") + process.listenerCount("SIGTERM");
    const before = count();
    for (const close of ["close", Symbol.dispose] as const) {
      const interrupt = abortOnInterrupt({ signals: ["SIGINT", "SIGTERM", "SIGINT"] });
      expect(count()).toBe(before + 2);
      interrupt[close]();
      interrupt[close]();
      expect([count(), interrupt.signal.aborted]).toEqual([before, false]);
    }
  });
});
