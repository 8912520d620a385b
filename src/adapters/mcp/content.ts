/**
 * What a tool of a server gave, as parts.
 *
 * Source: MCP 2025-11-25, "Tool result".
 *
 * @module
 */
import { fromBase64 } from "../../core/base64.ts";
import { bytes, json, text, uri } from "../../core/constructors.ts";
import { MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import { unknownMimeType } from "../../core/mime-types.ts";
import type { Metadata, Part } from "../../core/part.ts";
import { itemsOf, type Shape, shapeOf, wordsOf } from "../../wire/json-shape.ts";
import { type Reporting, service } from "./errors.ts";
import { plain } from "./plain.ts";

/** Characters of what a tool says of its failure; the tool loop has a limit of its own. */
const maxFailureChars = 500;

/**
 * The parts of a result: a JSON value where the tool gave one, else its text, one block a line; then media, then links.
 *
 * Throws: `tool_failed` with the tool's own words for a result that is an error; `bad_response` for what is no result.
 */
export function partsOfResult(result: unknown, reporting: Reporting): Part[] {
  const { content, structuredContent, isError } = shapeOf(result) ?? {};
  const blocks = itemsOf(content).map(shapeOf);
  if (isError === true) {
    const said = plain(reporting.redact(blocks.flatMap((block) => wordsOf(block?.text) ?? []).join("\n")), maxFailureChars);
    throw new MillraceError("tool_failed", said === "" ? "the tool failed" : said, { service });
  }
  if (structuredContent === undefined && !Array.isArray(content)) throw bad(reporting, "gave a result without content");
  const words: string[] = [];
  const parts: Part[] = [];
  for (const block of blocks) {
    const { text: said, part } = read(block ?? {}, structuredContent !== undefined, reporting);
    if (said !== undefined) words.push(said);
    if (part !== undefined) parts.push(part);
  }
  const value = structuredContent === undefined ? [] : [json(checked(structuredContent, reporting), { role: "tool" })];
  const joined = words.join("\n");
  return [...value, ...(words.length === 0 ? [] : [text(value.length === 0 ? joined : `\n${joined}`, { role: "tool" })]), ...parts];
}

/** What a block comes to: words of the result, a part behind it. `structured`: there is a value that texts repeat. */
function read(block: Shape, structured: boolean, reporting: Reporting): { readonly text?: string; readonly part?: Part } {
  switch (block.type) {
    case "text":
      if (typeof block.text !== "string") throw bad(reporting, "gave a text without words");
      return structured ? {} : { text: block.text };
    case "image":
    case "audio":
      return { part: media(block.data, block.mimeType, {}, reporting) };
    case "resource": {
      const { uri: address, text: said, blob, mimeType } = shapeOf(block.resource) ?? {};
      if (typeof said === "string") return { text: said };
      return { part: media(blob, mimeType, typeof address === "string" ? { uri: address } : {}, reporting) };
    }
    case "resource_link": {
      const { uri: address, name, description, mimeType } = block;
      if (typeof address !== "string") throw bad(reporting, "gave a link without an address");
      // The model reads where it points. As a part it is for the consumer alone: nobody fetches what a server names unless he wants to.
      const about = [wordsOf(name), wordsOf(description)].filter((words) => words !== undefined).join(": ");
      const metadata: Metadata = { mcp: { ...(typeof name === "string" ? { name } : {}), ...(typeof description === "string" ? { description } : {}) } };
      return { text: about === "" ? address : `${about} (${address})`, part: uri(address, typeOf(mimeType), { role: "tool", substream: "tools", metadata }) };
    }
    default:
      throw bad(reporting, `gave content of an unknown type, ${JSON.stringify(plain(String(block.type), 40))}`);
  }
}

function media(data: unknown, mimeType: unknown, about: Metadata, reporting: Reporting): Part {
  if (typeof data !== "string") throw bad(reporting, "gave media without bytes");
  try {
    return bytes(fromBase64(data), typeOf(mimeType), { role: "tool", metadata: { mcp: about } });
  } catch (cause) {
    throw bad(reporting, "gave media that are no base64", cause);
  }
}

/** RFC 2045 §5.1, in a sensible length. */
function typeOf(mimeType: unknown): string {
  return typeof mimeType === "string" && mimeType.length <= 255 && /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;[\x20-\x7e]*)?$/.test(mimeType) ? mimeType : unknownMimeType;
}

function checked(value: unknown, reporting: Reporting): ReturnType<typeof checkedJson> {
  try {
    return checkedJson(value, "structuredContent");
  } catch (cause) {
    throw bad(reporting, "gave a value that is no JSON", cause);
  }
}

function bad({ server }: Reporting, what: string, cause?: unknown): MillraceError {
  return new MillraceError("bad_response", `${service}: ${server} ${what}`, cause === undefined ? { service } : { service, cause });
}
