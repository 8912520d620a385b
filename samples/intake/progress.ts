/**
 * Progress of several stages: bars that are drawn over on a terminal, plain lines elsewhere.
 *
 * @module
 */

/** Where it is shown; `process.stderr` is one. */
export interface ProgressOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Counts of stages, shown as they grow. */
export interface Progress<Stage extends string> {
  /** How many there will be, once that is known. */
  total(stage: Stage, count: number): void;
  count(stage: Stage): void;
  readonly counts: Readonly<Record<Stage, number>>;
  /** Shows the last state, and leaves it there. Twice is fine. */
  close(): void;
}

/** A terminal is drawn at most this often; a log gets a line far more rarely. */
const redrawMs = 50;
const lineMs = 2_000;
const barWidth = 24;

/** Begins to show. */
export function progress<Stage extends string>(stages: readonly Stage[], output: ProgressOutput, now: () => number = () => performance.now()): Progress<Stage> {
  const counts = Object.fromEntries(stages.map((stage) => [stage, 0])) as Record<Stage, number>; // one entry a stage
  const totals = new Map<Stage, number>();
  const width = Math.max(...stages.map((stage) => stage.length));
  const isTerminal = output.isTTY === true;
  let drawn = false;
  let last = "";
  let shownMs = -Infinity;
  let closed = false;

  // a terminal that knows no width says 0; a line that wraps could not be drawn over
  const room = (): number => (output.columns || 80) - 1;
  const terminal = (): string => {
    const lines = stages.map((stage) => {
      const total = totals.get(stage);
      const share = total === undefined ? undefined : total === 0 ? 1 : Math.min(1, counts[stage] / total);
      const filled = Math.round((share ?? 0) * barWidth);
      const bar = share === undefined ? " ".repeat(barWidth) : "█".repeat(filled) + "░".repeat(barWidth - filled);
      return `${stage.padEnd(width)}  ${bar}  ${counts[stage]}${total === undefined ? "" : `/${total}`}`.slice(0, room());
    });
    return lines.join("\n");
  };
  const plain = (): string => stages.map((stage) => `${stage} ${counts[stage]}${totals.has(stage) ? `/${totals.get(stage)}` : ""}`).join(", ");
  const show = (): void => {
    shownMs = now();
    const text = isTerminal ? terminal() : plain();
    if (text === last) return;
    last = text;
    if (!isTerminal) return void output.write(`${text}\n`);
    const up = drawn ? `\u001b[${stages.length}A` : "";
    drawn = true;
    output.write(`${up}${text.split("\n").map((line) => `\u001b[2K${line}\n`).join("")}`);
  };
  const changed = (): void => {
    if (!closed && now() - shownMs >= (isTerminal ? redrawMs : lineMs)) show();
  };
  return {
    counts,
    total(stage, count) {
      totals.set(stage, count);
      changed();
    },
    count(stage) {
      counts[stage] += 1;
      changed();
    },
    close() {
      if (closed) return;
      closed = true;
      show();
    },
  };
}
