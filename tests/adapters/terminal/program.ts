/** A program on the terminal adapter, for tests that need a real process: `program.ts <what it does>`. */
import { writeSync } from "node:fs";
import { abortOnInterrupt, terminalInput, terminalOutput } from "../../../src/adapters/terminal/index.ts";
import { isMillraceError } from "../../../src/core/errors.ts";
import type { Part } from "../../../src/core/part.ts";
import { run } from "../../../src/core/run.ts";
import { pipe } from "../../../src/streams/pipe.ts";
import { watchedSource } from "../../../src/testing/watched-source.ts";

/** Beside the streams that are tested, and at once. */
const say = (line: string): void => void writeSync(2, `${line}\n`);
const said = (part: Part): string => (part.kind === "text" ? part.text : part.kind);

const programs: Readonly<Record<string, () => Promise<void>>> = {
  /** Every line, until the end. */
  async lines() {
    for await (const line of terminalInput({ prompt: "> " })) say(`line ${said(line)}`);
    say("end");
  },
  /** One line, then another reader the next one, then nothing more. */
  async two() {
    for (const name of ["first", "second"]) {
      for await (const line of terminalInput()) {
        say(`${name} ${said(line)}`);
        break;
      }
    }
  },
  /** Writes for ever. */
  async endless() {
    const source = watchedSource(Infinity);
    const lines = pipe(async function* (input) {
      for await (const part of input) yield { ...part, text: `${said(part)}\n` } as Part;
    }, terminalOutput());
    try {
      await run(lines, source).forEach(() => {});
      say("ended");
    } catch (error) {
      say(`${isMillraceError(error) ? `${error.code}: ${error.message}` : String(error)}; closed ${source.closed}`);
    }
  },
  /** What models should not say, to see what a terminal gets. */
  async hostile() {
    await run(terminalOutput(), ["a\u001b[31mb", "\u009b2J\rc\u202ed\n\tend"]).collect();
  },
  /** Waits for a line, and says why it gave up. */
  async waits() {
    const interrupt = abortOnInterrupt();
    const reading = run(pipe(), terminalInput(), { signal: interrupt.signal }).collect();
    say("ready");
    await reading.then(
      (parts) => say(`read ${parts.map(said).join(", ")}`),
      (why: unknown) => say(`${why === interrupt.signal.reason ? "the reason" : "another error"}: ${String(why)}`),
    );
  },
  /** Hears the first interrupt, and goes on. */
  async stubborn() {
    const interrupt = abortOnInterrupt();
    interrupt.signal.addEventListener("abort", () => say(String(interrupt.signal.reason)));
    say("ready");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  },
  /** Listens no more. */
  async closed() {
    const interrupt = abortOnInterrupt();
    interrupt.close();
    say("ready");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  },
  /** Ends by itself, though it still listens. */
  async forgets() {
    abortOnInterrupt();
    say("end");
  },
};

await programs[process.argv.at(-1) ?? ""]?.();
