import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import {
  audio,
  bytes,
  codec,
  debug,
  finish,
  image,
  isMillraceError,
  json,
  type JsonValue,
  type Part,
  status,
  text,
  toolCall,
  toolResult,
  uri,
} from "../../src/index.ts";
import { errorPart } from "../../src/core/constructors.ts";
import { isTrustedSystem } from "../../src/core/system-brand.ts";

const refuses = (decode: () => unknown, says?: RegExp): void => {
  let caught: unknown;
  try {
    decode();
  } catch (error) {
    caught = error;
  }
  expect(isMillraceError(caught, "invalid_input"), `is invalid_input: ${String(caught)}`).toBe(true);
  if (says !== undefined) expect(String(caught)).toMatch(says);
};

const metadata = fc.dictionary(
  fc.string().filter((key) => !["__proto__", "constructor", "prototype"].includes(key) && key.isWellFormed()),
  fc.jsonValue({ noUnicodeString: false, maxDepth: 4 }).filter((value) => !JSON.stringify(value).includes("-0")),
  { noNullPrototype: true },
);
const safeJson = fc
  .jsonValue({ maxDepth: 4 })
  .filter((value) => !/"(__proto__|constructor|prototype)"/.test(JSON.stringify(value)) && !JSON.stringify(value).includes("-0"))
  .map((value) => JSON.parse(JSON.stringify(value)) as JsonValue);
const options = fc.record(
  {
    role: fc.constantFrom("user" as const, "assistant" as const, "system" as const, "tool" as const),
    substream: fc.constantFrom("", "status", "debug", "draft", "reasoning"),
    metadata: metadata.filter((value) => !/"(__proto__|constructor|prototype)":/.test(JSON.stringify(value))).map((value) => JSON.parse(JSON.stringify(value)) as Record<string, JsonValue>),
  },
  { requiredKeys: [] },
);
const anyText = fc.string({ unit: "binary" });
const parts: fc.Arbitrary<Part> = fc.oneof(
  fc.tuple(anyText, options).map(([value, o]) => text(value, o)),
  fc.tuple(fc.uint8Array(), options).map(([value, o]) => bytes(value, "application/x-any", o)),
  fc.tuple(anyText, options).map(([value, o]) => uri(value, "image/png", o)),
  fc.tuple(safeJson, options).map(([value, o]) => json(value, o)),
  fc.tuple(anyText, anyText, safeJson, options).map(([id, name, args, o]) => toolCall({ id, name, arguments: args }, o)),
  fc.tuple(anyText, anyText, safeJson, fc.boolean(), options).map(([id, name, result, isError, o]) => toolResult({ id, name, result, isError }, o)),
  fc.tuple(fc.nat(), options).map(([inputTokens, o]) => finish({ reason: "length", rawReason: "max_tokens", usage: { inputTokens, partial: true }, model: "m" }, o)),
  fc.nat().map((ordinal) => errorPart({ code: "invalid_input", message: "bad", ordinal })),
);

describe("S3: encode then decode gives an equal part", () => {
  test("for every kind, any string, any metadata, any bytes, through JSON text", () => {
    fc.assert(
      fc.property(parts, (part) => {
        expect(codec.decode(JSON.parse(JSON.stringify(codec.encode(part))))).toEqual(part);
      }),
      { numRuns: 500 },
    );
  });

  test("and through the binary form", () => {
    fc.assert(
      fc.property(parts, (part) => {
        expect(codec.decodeBinary(codec.encodeBinary(part))).toEqual(part);
      }),
      { numRuns: 500 },
    );
  });

  test("C5: bytes are standard base64, and the URL-safe alphabet is read too", () => {
    const encoded = codec.encode(bytes(new Uint8Array([0xfb, 0xff, 0xbe]), "image/png")) as { bytes: string };
    expect(encoded.bytes).toBe("+/++");
    const decoded = codec.decode({ ...encoded, bytes: "-_--" });
    expect(decoded).toMatchObject({ bytes: new Uint8Array([0xfb, 0xff, 0xbe]) });
  });

  test("C6: role, substream and provider metadata come back deep-equal", () => {
    const part = text("x", { role: "assistant", substream: "draft", metadata: { openai: { id: "rs_1", list: [1, null] } } });
    expect(codec.decode(JSON.parse(JSON.stringify(codec.encode(part))))).toEqual(part);
  });

  test("lone surrogates are replaced the same way in both forms, and stay replaced", () => {
    const odd = text("a\ud800b", { metadata: { "\udc00": "\ud800" } });
    const once = codec.decode(codec.encode(odd));
    expect(once).toMatchObject({ text: "a\ufffdb", metadata: { "\ufffd": "\ufffd" } });
    expect(codec.decodeBinary(codec.encodeBinary(odd))).toEqual(once);
    expect(codec.decode(codec.encode(once))).toEqual(once);
  });

  test("empty strings, __proto__ as a text, reserved substreams", () => {
    for (const part of [text(""), text("__proto__"), status("s"), debug("d"), image(new Uint8Array()), audio(new Uint8Array(3)), json(null)]) {
      expect(codec.decode(JSON.parse(JSON.stringify(codec.encode(part))))).toEqual(part);
    }
  });

  test("what is no JSON is refused at encode, by its place", () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    refuses(() => codec.encode(text("a", { metadata: { f: () => 1 } })), /metadata\.f/);
    refuses(() => codec.encode(text("a", { metadata: { n: { list: [1, Number.NaN] } } })), /metadata\.n\.list\[1\]/);
    refuses(() => codec.encode(text("a", { metadata: { big: 1n } })), /metadata\.big/);
    refuses(() => codec.encode(text("a", { metadata: { date: new Date(0) } })), /metadata\.date/);
    refuses(() => codec.encode(text("a", { metadata: { vector: new Float32Array(2) } })), /metadata\.vector/);
    refuses(() => codec.encode(text("a", { metadata: { cycle } })), /deeper than 64/);
    refuses(() => codec.encode(json(Number.POSITIVE_INFINITY)), /value/);
    refuses(() => codec.encode({ kind: "banana" } as never), /needs a part/);
  });
});

const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });
const hostile: readonly (readonly [what: string, value: unknown])[] = [
  ...[undefined, null, 5, "text", true, Symbol("s"), () => 1, [], [{ kind: "text", text: "a" }], 1n].map((value) => [`no object: ${String(typeof value)}`, value] as const),
  ["no kind", {}],
  ["unknown kind", { kind: "video2" }],
  ["a kind from the prototype", { kind: "constructor" }],
  ["kind of the wrong type", { kind: 1, text: "a" }],
  ["text missing", { kind: "text" }],
  ["text of the wrong type", { kind: "text", text: 5 }],
  ["text as an object", { kind: "text", text: { toString: () => "a" } }],
  ["unknown role", { kind: "text", text: "a", role: "developer" }],
  ["role of the wrong type", { kind: "text", text: "a", role: ["user"] }],
  ["substream of the wrong type", { kind: "text", text: "a", substream: 0 }],
  ["mime type of the wrong type", { kind: "text", text: "a", mimeType: null }],
  ["bytes without a mime type", { kind: "bytes", bytes: "AAAA" }],
  ["bytes that are no base64", { kind: "bytes", mimeType: "a/b", bytes: "A" }],
  ["bytes with white space", { kind: "bytes", mimeType: "a/b", bytes: "AA AA" }],
  ["bytes of both alphabets", { kind: "bytes", mimeType: "a/b", bytes: "+-AA" }],
  ["bytes with bits left over", { kind: "bytes", mimeType: "a/b", bytes: "AB==" }],
  ["bytes with wrong padding", { kind: "bytes", mimeType: "a/b", bytes: "AAA==" }],
  ["bytes missing", { kind: "bytes", mimeType: "a/b" }],
  ["uri without a mime type", { kind: "uri", uri: "https://x" }],
  ["uri of the wrong type", { kind: "uri", uri: 1, mimeType: "a/b" }],
  ["json without a value", { kind: "json" }],
  ["json of undefined", { kind: "json", value: undefined }],
  ["tool call without an id", { kind: "toolCall", name: "n", arguments: {} }],
  ["tool call without arguments", { kind: "toolCall", id: "1", name: "n" }],
  ["tool result with a wrong flag", { kind: "toolResult", id: "1", name: "n", result: 1, isError: "no" }],
  ["finish with an unknown reason", { kind: "finish", reason: "done", rawReason: "", usage: {}, model: "" }],
  ["finish with negative tokens", { kind: "finish", reason: "stop", rawReason: "", usage: { inputTokens: -1 }, model: "" }],
  ["error without an ordinal", { kind: "error", code: "x", message: "" }],
  ["metadata that is no object", { kind: "text", text: "a", metadata: [] }],
  ["metadata null", { kind: "text", text: "a", metadata: null }],
  ["__proto__ in metadata", JSON.parse('{"kind":"text","text":"a","metadata":{"__proto__":{"polluted":1}}}')],
  ["__proto__ deep in metadata", JSON.parse('{"kind":"text","text":"a","metadata":{"a":[{"b":{"__proto__":{"polluted":1}}}]}}')],
  ["constructor in metadata", { kind: "text", text: "a", metadata: { constructor: { prototype: { polluted: 1 } } } }],
  ["prototype in a value", { kind: "json", value: { prototype: { polluted: 1 } } }],
  ["__proto__ in arguments", JSON.parse('{"kind":"toolCall","id":"1","name":"n","arguments":{"__proto__":{"polluted":1}}}')],
  ["nesting of 65 in metadata", { kind: "text", text: "a", metadata: nested(65) }],
  ["nesting of 10,000", { kind: "json", value: nested(5_000) }],
  ["1,025 keys", { kind: "json", value: Object.fromEntries(Array.from({ length: 1_025 }, (_, i) => [`k${i}`, 1])) }],
  ["more than 256 KiB of metadata", { kind: "text", text: "a", metadata: { a: "x".repeat(300_000) } }],
  ["more than 20 MiB of text", { kind: "text", text: "x".repeat(21 * 1024 * 1024) }],
  ["another version", { v: 2, kind: "text", text: "a" }],
];

describe("S4: decode is a border", () => {
  for (const [what, value] of hostile) test(`refuses ${what}`, () => refuses(() => codec.decode(value), /codec|base64/));

  test("C7, C8: nothing global has changed after all of them", () => {
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test("what is nested to the limit is read", () => {
    expect(codec.decode({ kind: "text", text: "a", metadata: nested(63) }).kind).toBe("text");
  });

  test("C9: unknown fields are ignored", () => {
    expect(codec.decode({ kind: "text", text: "a", future: 1 })).toEqual(text("a"));
  });

  test("a field that stands on a prototype is not read", () => {
    refuses(() => codec.decode(Object.assign(Object.create({ text: "inherited" }) as object, { kind: "text" })), /text must be a string/);
  });

  test("decoded metadata has no prototype, so a name from data finds only data", () => {
    const part = codec.decode({ kind: "text", text: "a", metadata: { a: 1 } });
    expect(Object.getPrototypeOf(part.metadata)).toBe(null);
    expect(part.metadata["toString"]).toBeUndefined();
  });

  test("a decoded system part is not trusted as one", () => {
    const own = text("be brief", { role: "system" });
    expect(isTrustedSystem(own)).toBe(true);
    expect(isTrustedSystem(codec.decode(codec.encode(own)))).toBe(false);
  });
});

describe("C9: the binary form", () => {
  const part = bytes(new Uint8Array([1, 2, 3]), "image/png", { metadata: { a: "ü" } });
  const whole = codec.encodeBinary(part);

  test("cut anywhere is invalid_input, never a shorter part", () => {
    for (let end = 0; end < whole.length; end += 1) refuses(() => codec.decodeBinary(whole.slice(0, end)));
  });

  test("with something after its end, too", () => refuses(() => codec.decodeBinary(new Uint8Array([...whole, 0]))));

  test("with any byte of its head changed it decodes to a part or is invalid_input, nothing else", () => {
    for (let at = 0; at < whole.length; at += 1) {
      for (const value of [0, 0xff, 0x80, 0x22]) {
        const changed = whole.slice();
        changed[at] = value;
        try {
          codec.decodeBinary(changed);
        } catch (error) {
          expect(isMillraceError(error, "invalid_input"), `byte ${at} set to ${value}: ${String(error)}`).toBe(true);
        }
      }
    }
  });

  test("holds no more of its input than the part", () => {
    const decoded = codec.decodeBinary(whole) as { bytes: Uint8Array };
    expect(decoded.bytes.buffer.byteLength).toBe(3);
  });

  test("random bytes are refused", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (input) => refuses(() => codec.decodeBinary(input))));
  });
});

afterAll(() => {
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
});
