/**
 * Parts as they are kept: plain JSON values that share nothing with the parts they were.
 *
 * @module
 */
import { codec } from "../../core/codec.ts";
import { MillraceError } from "../../core/errors.ts";
import { type JsonValue, noMetadata, type Part, type Role } from "../../core/part.ts";

/** Texts in a row that differ in nothing else: what an answer in deltas is, and most of what is kept. */
interface TextRun {
  readonly mimeType: string;
  readonly role: Role;
  readonly substream: string;
  readonly texts: string[];
}

/** What is kept of some parts. */
export type EncodedParts = readonly (JsonValue | TextRun)[];

/**
 * Each part as the codec has it, but for runs of texts, of which what is the same is said once.
 *
 * Throws `invalid_input` for parts that would not come back as they were: those that are no data, with handles in their
 * metadata for one, and those with half a character, as where a text is cut in the middle of one.
 */
export function encodeParts(parts: readonly Part[]): EncodedParts {
  const values: (JsonValue | TextRun)[] = [];
  let run: TextRun | undefined;
  for (const part of parts) {
    const { kind, mimeType, role, substream } = part;
    if (kind !== "text" || part.metadata !== noMetadata) {
      run = undefined;
      values.push(codec.encode(part));
      if (!isWellFormed(part)) throw halfCharacter();
    } else {
      if (!part.text.isWellFormed()) throw halfCharacter();
      if (run === undefined || run.mimeType !== mimeType || run.role !== role || run.substream !== substream) {
        run = { mimeType, role, substream, texts: [] };
        if (!isWellFormed(run)) throw halfCharacter();
        values.push(run);
      }
      run.texts.push(part.text);
    }
  }
  return values;
}

/** Can UTF-8 carry each string in it? Parts that the codec has taken are trees. */
function isWellFormed(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return true;
  return Object.entries(value).every(([key, field]) => key.isWellFormed() && isWellFormed(field));
}

function halfCharacter(): MillraceError {
  return new MillraceError("invalid_input", "cache: half a character, which would not come back as it was");
}

/** The parts again, new ones at each call. Throws `invalid_input` for what are none: a store may give back anything. */
export function decodeParts(values: readonly unknown[]): Part[] {
  return values.flatMap((value) => {
    if (!isTextRun(value)) return [codec.decode(value)];
    const { texts, ...shared } = value;
    return texts.map((text) => codec.decode({ kind: "text", ...shared, text }));
  });
}

const valueOverheadBytes = 128;
const textOverheadBytes = 32;

/** Bytes that kept parts take in memory, about: two a character, and what a string and an object need besides. */
export function encodedBytes(values: EncodedParts): number {
  let bytes = 0;
  for (const value of values) {
    bytes += valueOverheadBytes;
    if (isTextRun(value)) for (const text of value.texts) bytes += 2 * text.length + textOverheadBytes;
    else bytes += 2 * JSON.stringify(value).length;
  }
  return bytes;
}

function isTextRun(value: unknown): value is { readonly texts: readonly unknown[] } {
  return typeof value === "object" && value !== null && "texts" in value && Array.isArray(value.texts);
}
