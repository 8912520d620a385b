/**
 * The matrix as a document, and back again.
 *
 * @module
 */
import type { Cell } from "./cells.ts";
import type { Provider } from "./clients.ts";

/** What our adapters did on one runtime. */
export interface Run {
  readonly runtime: string;
  readonly cells: readonly Cell[];
  /** By adapter: from an abort to the connection being closed. */
  readonly abortMs: Readonly<Record<string, number>>;
}

/** Everything that was run. */
export interface Results {
  /** The first of them on the runtime on which the official clients ran too. */
  readonly ours: readonly Run[];
  readonly raw: readonly Cell[];
  /** Versions of the official clients; without one it was left out. */
  readonly versions: ReadonlyMap<string, string>;
}

const right = (cells: readonly Cell[]): string => `${cells.filter(({ verdict }) => verdict === "right").length} of ${cells.length}`;
const row = (values: readonly string[]): string => `| ${values.join(" | ")} |`;
/** Where an official client did not run. */
const leftOut = "left out";
const shown = (verdict: string): string => (verdict === "right" || verdict === leftOut ? verdict : `**${verdict}**`);

/** Service by service, a row a case. */
export function matrixOf(providers: readonly Provider[], { ours, raw, versions }: Results): string {
  const of = (cells: readonly Cell[], { voice }: Provider): readonly Cell[] => cells.filter(({ service }) => service === voice.name);
  const named = ({ client }: Provider): string => `\`${client}\` ${versions.get(client) ?? ""}`.trim();
  const slowestMs = Math.max(...ours.flatMap(({ abortMs }) => Object.values(abortMs)));
  const lines = [
    "# Wire faults: our adapters beside the official clients",
    "",
    "Made by `npm run conformance -- --write`; not edited by hand. Each client asks once, a service on loopback fails as the row says, and",
    "`tryFault` of `millrace/testing` judges. **right**: what came soundly was given, then an error that says by its code (of an official client:",
    "by its status, or the service's own word) what happened, or on abort the signal's own reason; one request; the connection of an answer",
    "that was left is closed; neither key nor prompt went anywhere else; nothing was printed. **raw error**: it throws, but what happened can",
    "only be read out of the words. Official clients run with their defaults, as their documents show them, and are given 4 s.",
    "",
    row(["service", "adapter", ...ours.map(({ runtime }) => `right on ${runtime}`), "official client", "right"]),
    row(Array.from({ length: ours.length + 4 }, () => "---")),
    ...providers.map((provider) =>
      row([
        provider.voice.name,
        `\`${provider.adapter}\``,
        ...ours.map(({ cells }) => right(of(cells, provider))),
        named(provider),
        versions.has(provider.client) ? right(of(raw, provider)) : leftOut,
      ]),
    ),
    "",
    `From an abort to the service seeing the connection close, each adapter took ${slowestMs <= 100 ? "at most 100" : `up to ${Math.ceil(slowestMs)}`} ms on each runtime, as the median of nine aborts.`,
  ];
  for (const provider of providers) {
    const rawCells = of(raw, provider);
    lines.push("", `## ${provider.voice.name}`, "", row(["what goes wrong", "when", `\`${provider.adapter}\``, named(provider)]), row(["---", "---", "---", "---"]));
    of(ours[0]?.cells ?? [], provider).forEach((cell, index) => lines.push(row([cell.fault, cell.when, shown(cell.verdict), shown(rawCells[index]?.verdict ?? leftOut)])));
  }
  return `${lines.join("\n")}\n`;
}

/** A row of a written matrix. */
export interface WrittenRow {
  readonly service: string;
  readonly fault: string;
  readonly when: string;
  readonly ours: string;
  readonly raw: string;
}

/** The rows of a written matrix. */
export function rowsOf(matrix: string): WrittenRow[] {
  return matrix.split(/^## /m).slice(1).flatMap((section) => {
    const [service = "", ...lines] = section.split("\n");
    return lines
      .filter((line) => line.startsWith("| "))
      .slice(2)
      .map((line) => {
        const [fault = "", when = "", ours = "", raw = ""] = line.slice(2, -2).split(" | ").map((value) => value.replaceAll("**", ""));
        return { service, fault, when, ours, raw };
      });
  });
}
