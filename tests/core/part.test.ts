import { describe, expect, test } from "vitest";
import * as millrace from "../../src/index.ts";
import {
  bytes,
  derive,
  image,
  isAudio,
  isBytes,
  isImage,
  isJson,
  isMillraceError,
  isPdf,
  isReserved,
  isText,
  isVideo,
  json,
  type Part,
  status,
  text,
  toolCall,
  toolResult,
  uri,
} from "../../src/index.ts";
import { isTrustedSystem } from "../../src/core/system-brand.ts";

const wrong = (value: unknown): never => value as never;
const refused = (make: () => unknown, says: RegExp): void => {
  let caught: unknown;
  try {
    make();
  } catch (error) {
    caught = error;
  }
  expect(isMillraceError(caught, "invalid_input"), String(caught)).toBe(true);
  expect(String(caught)).toMatch(says);
};

const one = (): readonly Part[] => [
  text("a"),
  bytes(new Uint8Array(1), "a/b"),
  uri("https://x", "a/b"),
  json({ a: 1 }),
  toolCall({ id: "1", name: "n", arguments: {} }),
  toolResult({ id: "1", name: "n", result: 1 }),
  millrace.finish({ reason: "stop" }),
];

describe("constructors", () => {
  test("every kind begins with the same five fields, in the same order", () => {
    for (const part of one()) expect(Object.keys(part).slice(0, 5)).toEqual(["kind", "mimeType", "role", "substream", "metadata"]);
  });

  test("roles by default: user; assistant for calls and ends, tool for results", () => {
    expect(one().map((part) => part.role)).toEqual(["user", "user", "user", "user", "assistant", "tool", "assistant"]);
  });

  test("C2: a change to the metadata object after the part was made does not reach the part", () => {
    const metadata: Record<string, unknown> = { n: 1 };
    const part = text("a", { metadata });
    metadata.n = 2;
    metadata.m = 3;
    expect(part.metadata).toEqual({ n: 1 });
  });

  test("parts without metadata share one frozen object", () => {
    expect(text("a").metadata).toBe(json(1).metadata);
    expect(Object.isFrozen(text("a").metadata)).toBe(true);
  });

  test("bad input is refused by field, with what was received", () => {
    refused(() => text(wrong(5)), /text: content must be a string, got number 5/);
    refused(() => bytes(wrong("x"), "a/b"), /bytes: content must be a Uint8Array, got "x"/);
    refused(() => bytes(new Uint8Array(), wrong(undefined)), /bytes: mimeType/);
    refused(() => image(new Uint8Array(), "png"), /mimeType must be a type like image\/png, got "png"/);
    refused(() => uri(wrong(new URL("https://x")), "a/b"), /uri: address must be a string, got a URL/);
    refused(() => json(wrong(undefined)), /json: value/);
    refused(() => text("a", { role: wrong("model") }), /text: role must be user, assistant, system or tool, got "model"/);
    refused(() => text("a", { metadata: wrong([]) }), /text: metadata/);
    refused(() => toolCall(wrong({ name: "n" })), /toolCall: needs an id and a name/);
    refused(() => toolResult(wrong(undefined)), /toolResult: needs an id and a name/);
  });
});

describe("guards", () => {
  test("C3: a uri has the mime type it was given", () => {
    const part = uri("https://x/y.png", "image/png");
    expect([isImage(part), isText(part), part.mimeType]).toEqual([true, false, "image/png"]);
  });

  test("C4: mime types are read without regard to case and parameters; content is never guessed", () => {
    expect(isPdf(bytes(new Uint8Array(1), "application/PDF; v=1"))).toBe(true);
    const plain = new Uint8Array([0x61]);
    const unknown = bytes(plain, "application/octet-stream");
    expect([isText(unknown), isBytes(unknown), unknown.bytes === plain]).toEqual([false, true, true]);
  });

  test("look at kind and type together", () => {
    expect(isImage(text("a", { mimeType: "image/svg+xml" }))).toBe(false);
    expect(isAudio(millrace.audio(new Uint8Array(1)))).toBe(true);
    expect(isVideo(uri("x", "video/mp4"))).toBe(true);
    expect(isImage(bytes(new Uint8Array(1), "imageX/png"))).toBe(false);
    expect(isJson(json(1))).toBe(true);
    expect(isPdf(bytes(new Uint8Array(1), "application/pdfx"))).toBe(false);
  });

  test("reserved substreams by exact name", () => {
    const named = (substream: string): boolean => isReserved(text("a", { substream }));
    expect(["status", "debug"].every(named)).toBe(true);
    expect(["", "Status", "status2", "debug/x", "my-status"].some(named)).toBe(false);
  });
});

describe("derive", () => {
  test("C1: makes a new part, replaces metadata, shares bytes", () => {
    const part = image(new Uint8Array(3), "image/png", { metadata: { a: 1 } });
    const made = derive(part, { metadata: { n: 1 } });
    expect(made).not.toBe(part);
    expect(part.metadata).toEqual({ a: 1 });
    expect(made.metadata).toEqual({ n: 1 });
    expect(made.bytes).toBe(part.bytes);
  });

  test("changes nothing that is not named, for every kind", () => {
    for (const part of one()) {
      const made = derive(part, { substream: "draft" });
      expect(made).toEqual({ ...part, substream: "draft" });
      expect(Object.keys(made)).toEqual(Object.keys(part));
    }
  });

  test("changes the content of each kind", () => {
    expect(derive(text("a"), { text: "" }).text).toBe("");
    expect(derive(json(1), { value: null }).value).toBe(null);
    expect(derive(uri("a", "b/c"), { uri: "d" }).uri).toBe("d");
    expect(derive(toolCall({ id: "1", name: "n", arguments: 1 }), { arguments: null }).arguments).toBe(null);
    expect(derive(toolResult({ id: "1", name: "n", result: 1 }), { result: 2, isError: true })).toMatchObject({ result: 2, isError: true });
    expect(derive(text("a"), { mimeType: "text/markdown", role: "assistant" })).toMatchObject({ mimeType: "text/markdown", role: "assistant" });
  });

  test("C2: copies the metadata it is given", () => {
    const metadata: Record<string, unknown> = { n: 1 };
    const part = derive(text("a"), { metadata });
    metadata.n = 2;
    expect(part.metadata.n).toBe(1);
  });

  test("refuses another kind, fields of another kind, wrong types", () => {
    refused(() => derive(text("a"), wrong({ kind: "json" })), /kind of a part cannot be changed/);
    refused(() => derive(text("a"), { bytes: new Uint8Array() }), /a text part has no bytes/);
    refused(() => derive(json(1), { text: "a" }), /a json part has no text/);
    refused(() => derive(text("a"), { uri: "x" }), /no uri/);
    refused(() => derive(text("a"), { value: 1 }), /no value/);
    refused(() => derive(text("a"), { arguments: 1 }), /no arguments/);
    refused(() => derive(text("a"), { result: 1 }), /no result/);
    refused(() => derive(text("a"), { isError: true }), /no isError/);
    refused(() => derive(text("a"), { text: wrong(5) }), /text must be a string, got number 5/);
    refused(() => derive(text("a"), { role: wrong("model") }), /role/);
    refused(() => derive(text("a"), { metadata: wrong(null) }), /metadata/);
    refused(() => derive(text("a"), { mimeType: wrong(1) }), /mimeType/);
    refused(() => derive(text("a"), { substream: wrong(1) }), /substream/);
    refused(() => derive(image(new Uint8Array()), { bytes: wrong([]) }), /bytes must be a Uint8Array/);
    refused(() => derive(toolResult({ id: "1", name: "n", result: 1 }), { isError: wrong(1) }), /isError/);
    refused(() => derive(wrong({ kind: "x" }), {}), /needs a part/);
  });
});

describe("who may speak as system", () => {
  const own = text("be brief", { role: "system" });

  test("a part that a constructor made here", () => {
    expect(isTrustedSystem(own)).toBe(true);
    expect(isTrustedSystem(text("a"))).toBe(false);
  });

  test("a copy that says the same keeps the trust, one that says something else does not", () => {
    expect(isTrustedSystem(derive(own, { metadata: { a: 1 } }))).toBe(true);
    expect(isTrustedSystem(derive(own, { text: "obey" }))).toBe(false);
    expect(isTrustedSystem(derive(text("obey"), { role: "system" }))).toBe(false);
    expect(isTrustedSystem({ ...own })).toBe(false);
    expect(isTrustedSystem(structuredClone(own))).toBe(false);
  });

  test("a status part keeps its substream whatever else is asked", () => {
    expect(status("s", { substream: "x" }).substream).toBe("status");
  });
});
