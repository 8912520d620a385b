import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { chatFrames, sseAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "../../src/testing/wire-server.ts";
import { ownDatabase, service, titled } from "../services.ts";
import { root } from "../scripts/side-folder.ts";

const sample = join(root, "samples", "intake");
mkdirSync(join(root, ".cache"), { recursive: true });
const scratch = mkdtempSync(join(root, ".cache", "intake-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let folders = 0;
const folder = (): string => join(scratch, String((folders += 1)));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Starts a program of the sample, with no model but its own. */
function start(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const { OPENAI_API_KEY: _, OLLAMA_HOST: __, DATABASE_URL: ___, ...rest } = process.env;
  const child = spawn(process.execPath, ["--conditions=millrace-source", join(sample, program), ...args], { cwd: root, env: { ...rest, ...env }, stdio: ["pipe", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const ended = new Promise<Ended>((resolve) => child.once("close", (code) => resolve({ code, out, err })));
  return { child, ended };
}

const intake = (args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended> => {
  const { child, ended } = start("main.ts", args, env);
  child.stdin?.end();
  return ended;
};

/** A row of the closing table. */
const row = ({ out }: Ended, name: string): number => Number(new RegExp(`^ +${name} +([\\d.]+)$`, "m").exec(out)?.[1] ?? Number.NaN);

/** The notes of the inbox, to be changed. */
function ownNotes(): string {
  const notes = folder();
  cpSync(join(sample, "inbox", "notes"), notes, { recursive: true });
  return notes;
}

const data = folder();

describe("npm start", { timeout: 180_000 }, () => {
  test("takes the inbox in, tells what it skipped and why, and answers with citations", async () => {
    const run = await intake(["--data", data]);
    expect(run.code, run.err).toBe(0);
    expect([row(run, "files"), row(run, "taken in"), row(run, "unchanged"), row(run, "skipped"), row(run, "pages")]).toEqual([15, 12, 0, 3, 16]);
    expect(run.out).toMatch(/^ {2}broken\.png: tesseract: cannot read 2000 bytes as image\/png/m);
    expect(run.out).toMatch(/^ {2}empty\.txt: no text in it$/m);
    expect(run.out).toMatch(/^ {2}plan\.cadx: nothing here reads application\/octet-stream$/m);
    expect(run.out).toMatch(/^Answers by the extractive reader, which quotes sentences and is no language model$/m);
    expect(run.out).toMatch(/^\? How long is the warranty on the press\?\n.*36 months.*\[1\]\n {2}\[1\] delivery-note-scan\.jpg$/m);
    expect(run.out).toMatch(/^ {2}\[\d\] insurance-policy\.pdf, page 2$/m);
    expect(run.err, "no terminal: plain lines").not.toContain("\u001b");
    expect(run.err).toMatch(/^files 15\/15, pages 16, chunks (\d+), stored \1$/m);
  });

  test("skips what has not changed, by content, and says so", async () => {
    const run = await intake(["--data", data, "--no-ask"]);
    expect([run.code, row(run, "taken in"), row(run, "unchanged"), row(run, "skipped"), row(run, "chunks")]).toEqual([0, 0, 12, 3, 0]);
    expect(run.out).not.toContain("Answers");
  });

  test("finds at least seventeen of its twenty facts in the right places", async () => {
    const { child, ended } = start("check.ts", [data]);
    child.stdin?.end();
    const check = await ended;
    expect(check.code, check.out).toBe(0);
    expect(Number(/^(\d+) of 20 right/m.exec(check.out)?.[1])).toBeGreaterThanOrEqual(17);
  });

  test("reads questions from what is piped in", async () => {
    const { child, ended } = start("main.ts", ["--data", data, "--prompt"]);
    child.stdin?.end("Who is our contact at the tannery?\n\nHow long is wheat paste cooked?");
    const run = await ended;
    expect(run.code, run.err).toBe(0);
    expect(run.out).toMatch(/Freya Munk[\s\S]*notes\/suppliers\.md[\s\S]*20 minutes[\s\S]*notes\/glue-recipes\.md/);
  });

  test("says that the documents do not say", async () => {
    const run = await intake(["--data", data, "--ask", "Which planets have rings?"]);
    expect(run.code).toBe(0);
    expect(run.out).toContain("The documents do not say.");
  });

  test("asks the model at OLLAMA_HOST, with the passages, and cites what it says", async () => {
    const chunk = (delta: object, finish: string | null = null): object => ({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason: finish }] });
    await using ollama = await wireServer({ answer: sseAnswer(chatFrames([chunk({ role: "assistant", content: "It is Freya " }), chunk({ content: "Munk [" }), chunk({ content: "1]." }), chunk({}, "stop")])) });
    const run = await intake(["--data", data, "--ask", "Who is our contact at the tannery?"], { OLLAMA_HOST: ollama.url.replace("http://", ""), OLLAMA_MODEL: "tiny" });
    expect(run.code, run.err).toBe(0);
    expect(run.out).toMatch(/^Answers by tiny at Ollama$[\s\S]*It is Freya Munk \[1\]\.\n {2}\[1\] notes\/suppliers\.md/m);
    const [request] = ollama.requests;
    expect([request?.path, request?.json()]).toEqual(["/v1/chat/completions", expect.objectContaining({ model: "tiny", stream: true })]);
    expect(request?.body).toContain("Question: Who is our contact at the tannery?");
    expect(request?.body).toContain("Aldous Tannery");
  });

  test("two at a time in one place: the second is refused", async () => {
    const first = start("main.ts", ["--data", data, "--prompt"]);
    await new Promise((resolve) => first.child.stderr?.once("data", resolve));
    const second = await intake(["--data", data, "--no-ask"]);
    expect(second).toMatchObject({ code: 1, err: expect.stringContaining(`another intake (process ${first.child.pid})`) });
    first.child.stdin?.end();
    expect((await first.ended).code).toBe(0);
  });
});

describe("documents that change", { timeout: 180_000 }, () => {
  test("replace their chunks, and those that are gone are forgotten", async () => {
    const notes = ownNotes();
    const ask = (question: string): Promise<Ended> => intake([notes, "--data", data, "--ask", question]);
    expect((await ask("Who is our contact at the tannery?")).out).toContain("Freya Munk");
    writeFileSync(join(notes, "suppliers.md"), "# Suppliers\n\nThe tannery: our contact there is Wilma Stone.\n");
    rmSync(join(notes, "glue-recipes.md"));
    const changed = await ask("Who is our contact at the tannery?");
    expect([row(changed, "taken in"), row(changed, "unchanged"), row(changed, "removed")]).toEqual([1, 3, 1]);
    expect(changed.out).toContain("Wilma Stone");
    expect(changed.out).not.toContain("Freya Munk");
    expect((await ask("How long is wheat paste cooked?")).out).not.toContain("20 minutes");
    const fresh = await intake([notes, "--data", data, "--fresh", "--no-ask"]);
    expect([row(fresh, "taken in"), row(fresh, "unchanged")]).toEqual([4, 0]);
  });

  test("a glob takes a part of a folder, a file only itself", async () => {
    const notes = ownNotes();
    const some = await intake([join(notes, "w*.md"), "--data", data, "--no-ask"]);
    expect([some.code, row(some, "files"), row(some, "taken in")]).toEqual([0, 2, 2]);
    const one = await intake([join(notes, "suppliers.md"), "--data", data, "--no-ask"]);
    expect([one.code, row(one, "files"), row(one, "taken in")]).toEqual([0, 1, 1]);
  });
});

describe("interrupted", { timeout: 300_000 }, () => {
  test("at any moment it ends with 130 instead of going on, and the next run finds a store that is whole", async () => {
    const [notes, data] = [ownNotes(), folder()];
    const codes: (number | null)[] = [];
    for (const afterMs of [0, 600, 1_500, 3_100]) {
      const { child, ended } = start("main.ts", [notes, "--data", data, "--fresh", "--no-ask"]);
      let timer: NodeJS.Timeout | undefined;
      child.stdout?.once("data", () => (timer = setTimeout(() => child.kill("SIGINT"), afterMs))); // it has said what it will do
      const { code, err } = await ended;
      clearTimeout(timer);
      expect([130, 0], err).toContain(code); // 0: it was quicker
      codes.push(code);
    }
    expect(codes).toContain(130);
    await expectWhole(notes, data);
  });

  test("killed at any moment, the next run finds a store that is whole", async () => {
    const [notes, data] = [ownNotes(), folder()];
    for (const afterMs of [400, 1_500, 3_500]) {
      const { child, ended } = start("main.ts", [notes, "--data", data, "--fresh", "--no-ask"]);
      const timer = setTimeout(() => child.kill("SIGKILL"), afterMs);
      await ended;
      clearTimeout(timer);
    }
    await expectWhole(notes, data);
  });

  /** Every document is there once, or is taken in now. */
  async function expectWhole(notes: string, data: string): Promise<void> {
    const next = await intake([notes, "--data", data, "--ask", "Who is our contact at the tannery?"]);
    expect(next.code, next.err).toBe(0);
    expect(row(next, "taken in") + row(next, "unchanged")).toBe(5);
    expect(next.out).toContain("Freya Munk");
    const after = await intake([notes, "--data", data, "--no-ask"]);
    expect(row(after, "unchanged")).toBe(5);
  }
});

describe("called wrongly", () => {
  const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [["--what"], /--what/],
    [["a", "b"], /one folder, file or glob at a time, got 2/],
    [["no/such/folder"], /there is no no\/such\/folder/],
    [["no/such/*.md"], /there is no .*no\/such/],
    [["--ask", " "], /--ask needs a question/],
    [["--no-ask", "--prompt"], /--no-ask excludes/],
  ];
  for (const [args, message] of cases) {
    test(`${args.join(" ")}: exit code 2, and why`, async () => {
      const run = await intake(args);
      expect(run.code).toBe(2);
      expect(run.err).toMatch(message);
      expect(run.out).toBe("");
    });
  }

  test("--help: exit code 0, and all options", async () => {
    const run = await intake(["--help"]);
    expect(run.code).toBe(0);
    for (const word of ["--ask", "--prompt", "--no-ask", "--fresh", "--data", "DATABASE_URL", "OPENAI_API_KEY", "OLLAMA_HOST"]) expect(run.out).toContain(word);
  });

  test("a database that is away: exit code 1, and no password in what it says", async () => {
    const run = await intake(["--no-ask"], { DATABASE_URL: "postgres://me:canary-secret@127.0.0.1:9/none" });
    expect(run.code).toBe(1);
    expect(run.err).toMatch(/unavailable|cannot|reach|connect/i);
    expect(run.out + run.err).not.toContain("canary-secret");
  });
});

const server = await service("pgvector");
describe.skipIf(server.skip !== undefined)(titled("with DATABASE_URL", server), { timeout: 180_000 }, () => {
  test("the same in a Postgres of one's own", async () => {
    await using database = await ownDatabase(server.url ?? "");
    const data = folder();
    const env = { DATABASE_URL: database.url };
    const first = await intake(["--data", data], env);
    expect(first.code, first.err).toBe(0);
    expect([row(first, "taken in"), row(first, "skipped")]).toEqual([12, 3]);
    expect(first.out).toMatch(/Taking .*inbox into Postgres at 127\.0\.0\.1:\d+$/m);
    expect(first.out).toContain("36 months");
    const [stored] = await database.query("select count(*) as chunks from millrace_intake");
    expect(Number(stored?.["chunks"])).toBe(row(first, "chunks"));
    expect(row(await intake(["--data", data, "--no-ask"], env), "unchanged")).toBe(12);
  });
});
