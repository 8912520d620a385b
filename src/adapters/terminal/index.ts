/**
 * The terminal, or whatever the program is piped to: lines in, text out, Ctrl-C.
 *
 * Kind: source and processor. Client: `node:process`, which Node, Bun and Deno have.
 * Source: https://nodejs.org/api/process.html#a-note-on-process-io
 *
 * @module
 */
import { text } from "../../core/constructors.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import { textJoin } from "../../wire/text-join.ts";
import { LineBuffer } from "./line-buffer.ts";
import { openReader, type TerminalReadable } from "./reader.ts";
import { visible } from "./visible.ts";
import { type TerminalWritable, write } from "./writer.ts";

export { abortOnInterrupt, type Interrupt, type InterruptOptions, type InterruptSignal } from "./interrupt.ts";
export type { TerminalReadable } from "./reader.ts";
export type { TerminalWritable } from "./writer.ts";

const service = "terminal";

/** How lines are read. */
export interface TerminalInputOptions {
  /** A stream of the runtime's. @default `process.stdin`, which is looked at when the first line is asked for */
  readonly input?: TerminalReadable;
  /** Written before a line is waited for, where both streams are terminals. @default nothing */
  readonly prompt?: string;
  /** Where the prompt goes. @default `process.stdout` */
  readonly output?: TerminalWritable;
  /** Bytes of a line at most. @default 1 MiB */
  readonly maxLineBytes?: number;
}

/** How text is written. */
export interface TerminalOutputOptions {
  /** A stream of the runtime's. @default `process.stdout`, which is looked at when the first part comes */
  readonly output?: TerminalWritable;
  /** Lets colours, and whatever else a text tells a terminal to do, go through: for text that is the program's own. @default false */
  readonly raw?: boolean;
}

/**
 * Reads lines, as they are asked for.
 *
 * Yields: one text part a line, role user, without its line end (LF or CRLF), empty lines too. What is no UTF-8 becomes U+FFFD.
 *         It ends where the input does, which is Ctrl-D at the start of a line.
 * Throws: `too_large` for a line of more than `maxLineBytes`; `truncated` for an input that is destroyed before its end; `closed`
 *         for one that was destroyed before; `unavailable` for one that cannot be read; `conflict` while it is being read already.
 * Closes: nothing: leaving pauses the input and puts back what was not read, so that it can be read on, by this or by another;
 *         `process.stdin` does not keep the process alive then (on Deno it does if it is a pipe that is still open).
 *
 * @example
 * const answer = pipe(each((part) => (isText(part) ? `You said ${part.text}.\n` : part)), terminalOutput());
 * for await (const line of terminalInput({ prompt: "> " })) await run(answer, line).collect();
 */
export function terminalInput(options: TerminalInputOptions = {}): AsyncIterable<Part> {
  const who = "terminalInput";
  const { input, prompt = "", output } = options;
  const maxLineBytes = wholeNumber(who, "maxLineBytes", options.maxLineBytes ?? 1_048_576, 1);
  if (typeof prompt !== "string") throw invalidOption(who, "prompt", "text", prompt);
  requireStream(who, "input", input, ["on", "off", "pause", "resume", "unshift"]);
  requireStream(who, "output", output, ["write", "once", "off"]);
  let reading = false;

  return {
    [Symbol.asyncIterator]() {
      const buffer = new LineBuffer(maxLineBytes);
      let reader: ReturnType<typeof openReader> | undefined;
      let left = false;
      const leave = (): void => {
        left = true;
        if (reader === undefined) return;
        reader.close(buffer.rest());
        reader = undefined;
        reading = false;
      };

      async function* lines(): AsyncGenerator<Part, void, undefined> {
        if (left) return;
        if (reading) throw new MillraceError("conflict", `${who}: is being read already`, { service });
        const source = input ?? process.stdin;
        reader = openReader(source);
        reading = true;
        try {
          for (let first = true; !left; first = false) {
            let line = buffer.take();
            if (line === undefined && source.isTTY === true) await ask();
            while (line === undefined) {
              const chunk = await reader?.more();
              if (left) return;
              if (chunk === undefined) break;
              buffer.push(chunk);
              line = buffer.take();
            }
            const ended = line === undefined;
            line ??= buffer.last();
            if (line !== undefined) yield text(decoded(line, first));
            if (ended) return;
          }
        } finally {
          leave();
        }
      }

      async function ask(): Promise<void> {
        const target = output ?? process.stdout;
        if (prompt !== "" && target.isTTY === true) await write(target, prompt);
      }

      const iterator = lines();
      return {
        next: () => iterator.next(),
        return() {
          leave(); // a generator that waits would hear of it only with the next line
          return iterator.return(undefined);
        },
      };
    },
  };
}

/**
 * Writes text as it comes.
 *
 * Reads:  text of the main stream; the others pass by.
 * Yields: every part, unchanged, after its text was taken by the output: a slow one slows the run.
 *         On a terminal, control characters (but for line feeds and tabs) and those that turn the direction of text are shown as
 *         `\x1b`, so that no text moves the cursor, hides or fakes another, or types; carriage returns are left out; and where a
 *         model's turn or the run ends, so does the line. To a file or a pipe the text goes as it is.
 * Throws: `closed` when nobody reads the output any more, as under `| head -1`, which closes the rest of the run as any error does;
 *         `unavailable` when it cannot be written otherwise.
 * Closes: nothing.
 *
 * @example
 * try {
 *   await run(terminalOutput(), "Once upon a time.\n").collect();
 * } catch (error) {
 *   if (!isMillraceError(error, "closed")) throw error; // the reader has seen enough
 * }
 */
export function terminalOutput(options: TerminalOutputOptions = {}): Processor {
  const who = "terminalOutput";
  const { output, raw = false } = options;
  if (typeof raw !== "boolean") throw invalidOption(who, "raw", "a boolean", raw);
  requireStream(who, "output", output, ["write", "once", "off"]);

  return async function* terminalOutput(input, context) {
    const joined = textJoin();
    let target: TerminalWritable | undefined;
    let inLine = false;
    const put = async (said: string): Promise<void> => {
      if (said === "") return;
      target ??= output ?? process.stdout;
      const shown = target.isTTY === true && !raw ? visible(said) : said;
      if (shown === "") return;
      await write(target, shown, context?.signal);
      inLine = !shown.endsWith("\n");
    };
    const endLine = async (): Promise<void> => {
      await put(joined.rest());
      if (inLine && target?.isTTY === true) await put("\n");
    };
    for await (const part of input) {
      if (part.kind === "text" && part.substream === "") await put(joined.push(part.text));
      else if (part.kind === "finish") await endLine();
      yield part;
    }
    await endLine();
  };
}

/** A byte order mark is no part of the first line. */
function decoded(line: Uint8Array, first: boolean): string {
  const said = new TextDecoder("utf-8", { ignoreBOM: true }).decode(line);
  return first && said.startsWith("\ufeff") ? said.slice(1) : said;
}

function requireStream(who: string, option: string, stream: unknown, methods: readonly string[]): void {
  if (stream === undefined) return;
  const has = (method: string): boolean => typeof stream === "object" && stream !== null && typeof Reflect.get(stream, method) === "function";
  if (!methods.every(has)) throw invalidOption(who, option, `a stream with ${methods.join(", ")}`, stream);
}
