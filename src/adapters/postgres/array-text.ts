/**
 * Arrays from the text that the server prints.
 *
 * Source: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { SqlValue } from "../../kinds/sql.ts";

/** The items of an array, nested as its dimensions are. Bounds that do not begin at 1 (`[0:1]={a,b}`) are left out. */
export function fromArrayText(text: string, decode: (item: string) => SqlValue): readonly SqlValue[] {
  let at = text.startsWith("[") ? text.indexOf("=") + 1 : 0;
  const list = (): SqlValue[] => {
    const items: SqlValue[] = [];
    at += 1; // the brace
    if (text[at] === "}") {
      at += 1;
      return items;
    }
    for (;;) {
      items.push(item());
      const next = text[at];
      at += 1;
      if (next === "}") return items;
      if (next !== ",") throw broken();
    }
  };
  const item = (): SqlValue => {
    if (text[at] === "{") return list();
    if (text[at] === '"') return decode(quoted());
    const start = at;
    while (at < text.length && text[at] !== "," && text[at] !== "}") at += 1;
    const word = text.slice(start, at);
    return word === "NULL" ? null : decode(word);
  };
  const quoted = (): string => {
    let value = "";
    let start = at + 1;
    for (at = start; at < text.length; at += 1) {
      if (text[at] === "\\") {
        value += text.slice(start, at);
        at += 1;
        start = at;
      } else if (text[at] === '"') {
        value += text.slice(start, at);
        at += 1;
        return value;
      }
    }
    throw broken();
  };
  if (text[at] !== "{") throw broken();
  const items = list();
  if (at !== text.length) throw broken();
  return items;
}

function broken(): MillraceError {
  return new MillraceError("bad_response", "postgres: an array is printed in a form that is not understood", { retryable: false });
}
