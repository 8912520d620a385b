/**
 * The command line of the intake.
 *
 * @module
 */
import { parseArgs } from "node:util";

/** What was asked for. */
export interface Args {
  /** A folder, a file, or a glob; by default the inbox beside this file. */
  readonly target: string;
  readonly questions: readonly string[];
  /** Where to keep the embedded database. */
  readonly data: string;
  readonly ask: "shipped" | "given" | "prompt" | "none";
  /** Forget what is stored of the target, and read it all again. */
  readonly fresh: boolean;
  /** So many processes do it, 0: those that were started elsewhere. Without it this process does. */
  readonly workers?: number | undefined;
}

export const help = `Takes documents in, and answers questions about them.

  npm start                            the inbox of the sample, and its twenty questions
  npm start -- FOLDER|FILE|GLOB        documents of your own, then a prompt
  npm start -- --ask "When is …?"      a question of your own; may be given several times

Options
  --ask QUESTION   answer this instead of the shipped questions
  --prompt         read questions from the terminal, a line each
  --no-ask         take documents in, and answer nothing
  --fresh          read everything again, also what has not changed
  --workers N      let N processes take documents in, handed out by a queue in DATABASE_URL; with 0, those that were
                   started elsewhere: node --conditions=millrace-source samples/intake/worker.ts FOLDER|FILE|GLOB
  --data FOLDER    where the embedded database lives (default: .cache/intake)
  --help           this text

Environment
  DATABASE_URL     a Postgres with pgvector instead of the embedded one
  OPENAI_API_KEY   answer with OpenAI; OPENAI_MODEL names the model (default: gpt-5-mini)
  OLLAMA_HOST      answer with Ollama at this address; OLLAMA_MODEL names the model (default: llama3.2)
  Without either, an extractive reader answers with sentences of the documents.

Exit codes
  0 done, unreadable documents included; 1 failed; 2 called wrongly; 130 interrupted`;

/** Each loads the embedding model for itself. */
const maxWorkers = 64;

/** A call that makes no sense. */
export class UsageError extends Error {}

/** Reads the arguments; undefined for `--help`. Throws `UsageError`. */
export function readArgs(argv: readonly string[], inbox: string, data: string): Args | undefined {
  const { values, positionals } = parse(argv);
  if (values.help === true) return undefined;
  if (positionals.length > 1) throw new UsageError(`one folder, file or glob at a time, got ${positionals.length}; quote a glob`);
  const questions = values.ask ?? [];
  if (questions.some((question) => question.trim() === "")) throw new UsageError("--ask needs a question");
  if (values["no-ask"] === true && (questions.length > 0 || values.prompt === true)) throw new UsageError("--no-ask excludes --ask and --prompt");
  const [target = inbox] = positionals;
  const otherwise = positionals.length === 0 ? "shipped" : "prompt";
  const ask = values["no-ask"] === true ? "none" : questions.length > 0 ? "given" : values.prompt === true ? "prompt" : otherwise;
  return { target, questions, data: values.data ?? data, ask, fresh: values.fresh ?? false, workers: workersOf(values.workers) };
}

function workersOf(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (!/^\d+$/.test(given) || Number(given) > maxWorkers) throw new UsageError(`--workers needs a whole number from 0 to ${maxWorkers}, got ${given}`);
  return Number(given);
}

function parse(argv: readonly string[]): ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>> {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

const options = {
  ask: { type: "string", multiple: true },
  prompt: { type: "boolean" },
  "no-ask": { type: "boolean" },
  fresh: { type: "boolean" },
  data: { type: "string" },
  workers: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;
