/**
 * Values of rows, from the text that the server prints.
 *
 * Source: object ids of the types: https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";
import type { JsonValue } from "../../core/part.ts";
import type { SqlRow, SqlValue } from "../../kinds/sql.ts";
import type { PostgresCells } from "../../wire/postgres.ts";
import { fromArrayText } from "./array-text.ts";

type Decode = (text: string) => SqlValue;

const asIs: Decode = (text) => text;
const number: Decode = (text) => Number(text);
/** `NaN` and the infinities are no JSON. */
const float: Decode = (text) => {
  const value = Number(text);
  return Number.isFinite(value) ? value : text;
};

/** Types with a decoder of their own, each with its array type. */
const decoders: readonly (readonly [type: number, array: number, decode: Decode])[] = [
  [16, 1000, (text) => text === "t"],
  [17, 1001, fromHex],
  [21, 1005, number], // smallint
  [23, 1007, number], // integer
  [26, 1028, number], // oid
  [700, 1021, float],
  [701, 1022, float],
  [114, 199, (text) => JSON.parse(text) as JsonValue], // the server has parsed it too
  [3802, 3807, (text) => JSON.parse(text) as JsonValue], // jsonb
  [1114, 1115, fromTimestamp],
  [1184, 1185, fromTimestamp],
  [20, 1016, asIs], // bigint
  [1700, 1231, asIs], // numeric
  [18, 1002, asIs], // "char"
  [19, 1003, asIs], // name
  [25, 1009, asIs], // text
  [1042, 1014, asIs], // character
  [1043, 1015, asIs], // character varying
  [2950, 2951, asIs], // uuid
  [1082, 1182, asIs], // date
  [1083, 1183, asIs], // time
  [1266, 1270, asIs], // timetz
  [1186, 1187, asIs], // interval
  [869, 1041, asIs], // inet
  [650, 651, asIs], // cidr
  [790, 791, asIs], // money
];
const byType: ReadonlyMap<number, Decode> = new Map(
  decoders.flatMap(([type, array, decode]): [number, Decode][] => [
    [type, decode],
    [array, (text) => fromArrayText(text, decode)],
  ]),
);

/** Makes rows of cells. Throws `invalid_input` for columns that a row cannot have. */
export function rowDecoder(columns: PostgresCells["columns"]): (cells: readonly (string | null)[]) => SqlRow {
  const names = columns.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) {
    throw new MillraceError("invalid_input", `postgres: two columns are named ${received(twice)}; name them apart with "as"`, { scope: "process" });
  }
  if (names.includes("__proto__")) throw new MillraceError("invalid_input", `postgres: a column is named "__proto__"; name it otherwise with "as"`, { scope: "process" });
  const decodes = columns.map(({ name, type }) => ({ name, decode: byType.get(type) ?? asIs }));
  const empty: Readonly<Record<string, SqlValue>> = Object.fromEntries(names.map((name) => [name, null]));
  return (cells) => {
    const row = { ...empty }; // all names at once: rows share one shape
    let at = 0;
    for (const { name, decode } of decodes) {
      const cell = cells[at];
      if (typeof cell === "string") row[name] = decode(cell);
      at += 1;
    }
    return row;
  };
}

/** `\x00ff`, as the server prints bytes unless `bytea_output` says `escape`. */
function fromHex(text: string): Uint8Array {
  if (!text.startsWith("\\x")) throw new MillraceError("bad_response", "postgres: bytes are printed by bytea_output escape; hex is understood", { retryable: false });
  const bytes = new Uint8Array((text.length - 2) / 2);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (nibble(text.charCodeAt(2 * at + 2)) << 4) | nibble(text.charCodeAt(2 * at + 3));
  return bytes;
}

/** `0` to `9`, `a` to `f`. */
function nibble(code: number): number {
  return code < 58 ? code - 48 : code - 87;
}

const printedTime = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(\.\d+)?(?:([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?)?$/;

/** In UTC where there is a zone, with all digits of the second. What is printed in another style, or BC, stays as it is. */
function fromTimestamp(text: string): string {
  // most sessions are in UTC, where nothing has to be counted
  if (text.endsWith("+00") && text[4] === "-" && text[10] === " " && text[13] === ":") return `${text.slice(0, 10)}T${text.slice(11, -3)}Z`;
  const match = printedTime.exec(text);
  if (match === null) return text;
  const [, year, month, day, hour, minute, second, fraction = "", sign, ...offset] = match;
  if (sign === undefined) return `${text.slice(0, 10)}T${text.slice(11)}`;
  const [hours = 0, minutes = 0, seconds = 0] = offset.map((digits) => Number(digits ?? 0));
  const east = sign === "-" ? -1 : 1;
  const utc = new Date(0);
  utc.setUTCFullYear(Number(year), Number(month) - 1, Number(day)); // Date.UTC takes the years 0 to 99 for others
  utc.setUTCHours(Number(hour) - east * hours, Number(minute) - east * minutes, Number(second) - east * seconds);
  const printed = utc.toISOString();
  return printed[4] === "-" ? `${printed.slice(0, 19)}${fraction}Z` : text; // at the edges of the four-digit years
}
