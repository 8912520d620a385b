/**
 * Worker processes: started, killed, stopped.
 *
 * @module
 */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { FromWorker, ToWorker, WorkerSettings } from "./messages.ts";
import type { Oracle } from "./oracle.ts";

const program = join(import.meta.dirname, "worker.ts");

/** How a worker ended that was asked to. */
export type Stopped = Extract<FromWorker, { readonly kind: "stopped" }>;

interface Member {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  readonly gone: Promise<void>;
  /** Whoever takes its place has its number. */
  readonly seat: number;
  inFlight: number;
  stopped: Stopped | undefined;
}

/** Milliseconds that a transaction takes to be sent and committed, about. */
const commitMs = 100;

/** Milliseconds after its deadline in which a worker closes what it has open, and its process ends: what is left open then would keep it for ever. */
const closeMs = 15_000;

/** The workers of a row. */
export class Crew {
  private readonly members = new Set<Member>();
  private committing: (member: Member) => void = () => {};
  private readonly settings: WorkerSettings;
  private readonly oracle: Oracle;
  /** Workers that ended by themselves, and why. */
  readonly failures: string[] = [];
  /** Deliveries that were out when their worker was killed, all together; and kills at which there was none. */
  killedInFlight = 0;
  idleKills = 0;

  constructor(oracle: Oracle, settings: WorkerSettings) {
    this.oracle = oracle;
    this.settings = settings;
  }

  /** Starts a worker; resolves when it reads. */
  async hire(): Promise<void> {
    const taken = new Set([...this.members].map((member) => member.seat));
    const seat = Array.from({ length: taken.size + 1 }, (_, n) => n).find((n) => !taken.has(n)) ?? taken.size;
    const child = fork(program, [JSON.stringify({ ...this.settings, seat } satisfies WorkerSettings)], { execArgv: ["--conditions=millrace-source"], stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const ready = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    const member: Member = { child, ready: ready.promise, gone: gone.promise, seat, inFlight: 0, stopped: undefined };
    this.members.add(member);
    child.on("message", (message: FromWorker) => {
      switch (message.kind) {
        case "ready":
          return ready.resolve();
        case "wrote":
          for (const id of message.ids) this.oracle.writes(id < 0 ? undefined : id);
          if (child.connected) child.send({ kind: "heard", number: message.number } satisfies ToWorker, () => {}); // it may be dead by now
          return;
        case "commits":
          this.committing(member);
          return;
        case "in flight":
          member.inFlight = message.count;
          return;
        case "stopped":
          member.stopped = message;
          return;
        default:
          this.failures.push(message.why);
      }
    });
    child.on("exit", (code, signal) => {
      this.members.delete(member);
      if (signal === null && code !== 0) this.failures.push(`a worker ended with ${code}`);
      ready.resolve();
      gone.resolve();
    });
    await ready.promise;
  }

  /** Kills the one that has most in flight, as soon as one has any, and hires another, which may not read yet when this resolves. */
  async kill(): Promise<void> {
    const busiest = (): Member | undefined => [...this.members].sort((a, b) => b.inFlight - a.inFlight)[0];
    for (let tries = 0; tries < 3_000 && (busiest()?.inFlight ?? 0) === 0; tries += 1) await new Promise((resolve) => setTimeout(resolve, 5));
    const member = busiest();
    if (member === undefined) return;
    if (member.inFlight === 0) this.idleKills += 1;
    this.killedInFlight += member.inFlight;
    member.child.kill("SIGKILL");
    await member.gone;
    void this.hire(); // the others may have done all there is, where a start takes long
  }

  /** Kills the next one that is about to commit, somewhere in that, and hires another. */
  async killCommitting(): Promise<void> {
    const member = await new Promise<Member>((resolve) => (this.committing = resolve));
    this.committing = () => {};
    await new Promise((resolve) => setTimeout(resolve, Math.random() * commitMs));
    this.killedInFlight += member.inFlight;
    if (member.inFlight === 0) this.idleKills += 1;
    member.child.kill("SIGKILL");
    await member.gone;
    void this.hire();
  }

  /** Asks one to stop, or all; gives how they did. */
  async stop(deadlineMs: number, count: number = Infinity): Promise<readonly Stopped[]> {
    const members = [...this.members].slice(0, count);
    for (const { child } of members) child.send({ kind: "stop", deadlineMs } satisfies ToWorker, () => {});
    await Promise.all(members.map(async ({ child, gone }) => {
      const late = setTimeout(() => {
        this.failures.push("a worker has stopped, and its process has not ended");
        child.kill("SIGKILL");
      }, deadlineMs + closeMs);
      await gone;
      clearTimeout(late);
    }));
    return members.flatMap(({ stopped }) => stopped ?? []);
  }

  /** Ends all without ceremony. */
  async dismiss(): Promise<void> {
    const members = [...this.members];
    for (const { child } of members) child.kill("SIGKILL");
    await Promise.all(members.map(({ gone }) => gone));
  }
}
