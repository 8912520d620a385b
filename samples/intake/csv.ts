/**
 * Tables as text: one part a row, each value beside the name of its column.
 *
 * @module
 */
import { parse } from "csv-parse/sync";
import { each, isText, MillraceError, type Part, type Processor, text } from "millrace";

function* rowsOf(part: Part): Generator<Part> {
  if (!isText(part)) return yield part;
  let records: readonly Readonly<Record<string, string>>[];
  try {
    records = parse(part.text, { columns: true, skip_empty_lines: true, trim: true, bom: true });
  } catch (cause) {
    throw new MillraceError("invalid_input", `csv: no table: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  for (const [at, record] of records.entries()) {
    const cells = Object.entries(record).filter(([, value]) => value !== "");
    yield text(cells.map(([column, value]) => `${column.replaceAll("_", " ")}: ${value}`).join("; "), { role: part.role, metadata: { ...part.metadata, row: at + 1 } });
  }
}

/**
 * Reads text parts of CSV (RFC 4180).
 *
 * Yields: a text a row, `order: 1001; date: 2026-01-08; …`, with `metadata.row`, counted from 1 below the header.
 * Throws: `invalid_input` for what is no table.
 */
export const csvRows: Processor = each(rowsOf, { match: isText, name: "csv" });
