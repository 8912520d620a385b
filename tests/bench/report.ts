/**
 * Results as tables, and the gates they are held against.
 *
 * @module
 */
import { established, type Result, type Sample } from "./measure.ts";

const format = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
const ratio = (value: number): string => `${value.toFixed(2)}x`;

/** One workload as Markdown: a table for each group of consumers. */
export function tableOf(title: string, { samples, dropped }: Result): string {
  const lines = [`## ${title}`, ""];
  for (const group of ["for await", "push"] as const) {
    const rows = samples.filter((sample) => sample.group === group).toSorted((a, b) => a.median - b.median);
    if (rows.length === 0) continue;
    const limit = rows.find((row) => row.name === "LIMIT");
    const own = rows.find((row) => row.name === "millrace");
    lines.push(`| ${group} | ns a part | quartiles | to LIMIT | to millrace |`, "| --- | ---: | ---: | ---: | ---: |");
    for (const row of rows) {
      const toLimit = limit === undefined ? "" : ratio(row.median / limit.median);
      const name = row.name.startsWith("millrace") ? `**${row.name}**` : row.name;
      lines.push(`| ${name} | ${format(row.median)} | ${format(row.lower)} to ${format(row.upper)} | ${toLimit} | ${own === undefined ? "" : compared(row, own)} |`);
    }
    lines.push("");
  }
  for (const { name, reason } of dropped) lines.push(`Dropped: ${name}: ${reason.split("\n")[0]}`, "");
  return lines.join("\n");
}

/** A ratio of medians; none where the quartiles of the two overlap. */
function compared(row: Sample, own: Sample): string {
  if (row === own) return "";
  return established(row, own) ? ratio(row.median / own.median) : "not established";
}

/** A ratio that must hold, and whether it does. */
export interface Gate {
  readonly workload: string;
  readonly what: string;
  readonly value: number | undefined;
  readonly bound: string;
  readonly holds: boolean | undefined;
  readonly established: boolean;
}

/** Peers that do not keep what the workload asks for, so that they set no gate. */
const noPeers = new Set(["LIMIT", "native generators"]);

/** The gates of W1, W2 and W3. */
export function gatesOf(workload: "W1" | "W2" | "W3", { samples }: Result): Gate[] {
  const pulled = samples.filter((sample) => sample.group === "for await");
  const pushed = samples.filter((sample) => sample.group === "push");
  const own = pulled.find((sample) => sample.name === "millrace");
  const ownPush = pushed.find((sample) => sample.name === "millrace");
  const best = (rows: readonly Sample[]): Sample | undefined =>
    rows.filter((row) => !noPeers.has(row.name) && row.name !== "millrace").toSorted((a, b) => a.median - b.median)[0];
  const find = (rows: readonly Sample[], name: string): Sample | undefined => rows.find((row) => row.name === name);
  const gate = (what: string, over: Sample | undefined, under: Sample | undefined, least: number | undefined, most?: number): Gate => {
    const value = over === undefined || under === undefined ? undefined : over.median / under.median;
    return {
      workload,
      what: `${what}${over !== undefined && what.startsWith("best") ? ` (${over.name})` : ""}`,
      value,
      bound: least === undefined ? `<= ${most}` : `>= ${least}`,
      holds: value === undefined ? undefined : least === undefined ? value <= (most ?? 0) : value >= least,
      established: over !== undefined && under !== undefined && established(over, under),
    };
  };
  const toLimit = { W1: 3.3, W2: 2.3, W3: 5.5 }[workload];
  return [
    gate("best for await peer / millrace", best(pulled), own, 1.8),
    gate("millrace / LIMIT", own, find(pulled, "LIMIT"), undefined, toLimit),
    gate("native generators / millrace", find(pulled, "native generators"), own, 2.6),
    gate("best push peer / forEach", best(pushed), ownPush, 1),
  ];
}

/** The gate of an adapter: at most 15 % over its client's own loop. */
export function overheadGate(workload: string, ownLoop: string, { samples }: Result): Gate {
  const own = samples.find((sample) => sample.name === "millrace");
  const client = samples.find((sample) => sample.name === ownLoop);
  const value = own === undefined || client === undefined ? undefined : own.median / client.median;
  return {
    workload,
    what: `millrace / ${ownLoop}`,
    value,
    bound: "<= 1.15",
    holds: value === undefined ? undefined : value <= 1.15,
    established: own !== undefined && client !== undefined && established(own, client),
  };
}

/** The gate of the verbs of SQL and of queues, by the time of the wall: `bound` of the peer's throughput at least. */
export function throughputGate(workload: string, peer: string, bound: number, { samples }: Result): Gate {
  const own = samples.find((sample) => sample.name === "millrace");
  const other = samples.find((sample) => sample.name === peer);
  const value = own === undefined || other === undefined ? undefined : other.median / own.median;
  return {
    workload,
    what: `throughput of millrace / ${peer}`,
    value,
    bound: `>= ${bound}`,
    holds: value === undefined ? undefined : value >= bound,
    established: own !== undefined && other !== undefined && established(own, other),
  };
}

/** All gates as Markdown. A missed one is written down with its number. */
export function gateTable(gates: readonly Gate[]): string {
  const rows = gates.map((gate) => {
    const verdict = gate.holds === undefined ? "not measured" : gate.holds ? "holds" : "**missed**";
    return `| ${gate.workload} | ${gate.what} | ${gate.value === undefined ? "" : ratio(gate.value)} | ${gate.bound} | ${verdict}${gate.established ? "" : ", not established"} |`;
  });
  return ["## Gates", "", "| workload | ratio | measured | bound | |", "| --- | --- | ---: | --- | --- |", ...rows, ""].join("\n");
}
