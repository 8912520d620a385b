import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";

interface Base64 {
  toBase64(bytes: Uint8Array): string;
  fromBase64(text: string): Uint8Array;
}

/** The module as it loads where the language or Node's buffer is missing. */
async function load(without: "nothing" | "native" | "native and Buffer"): Promise<Base64> {
  const native = Object.getOwnPropertyDescriptor(Uint8Array.prototype, "toBase64");
  const nativeStatic = Object.getOwnPropertyDescriptor(Uint8Array, "fromBase64");
  const { Buffer } = globalThis;
  vi.resetModules();
  try {
    if (without !== "nothing") {
      Reflect.deleteProperty(Uint8Array.prototype, "toBase64");
      Reflect.deleteProperty(Uint8Array, "fromBase64");
    }
    if (without === "native and Buffer") Reflect.set(globalThis, "Buffer", undefined);
    return await import("../../src/core/base64.ts");
  } finally {
    if (native) Object.defineProperty(Uint8Array.prototype, "toBase64", native);
    if (nativeStatic) Object.defineProperty(Uint8Array, "fromBase64", nativeStatic);
    Reflect.set(globalThis, "Buffer", Buffer);
  }
}

describe.each(["nothing", "native", "native and Buffer"] as const)("base64 without %s", (without) => {
  test("is what the standard says, and comes back", async () => {
    const { toBase64, fromBase64 } = await load(without);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = toBase64(bytes);
        expect(text).toBe(btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")));
        expect(new Uint8Array(fromBase64(text))).toEqual(bytes);
        expect(new Uint8Array(fromBase64(text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")))).toEqual(bytes);
      }),
    );
  });

  test("takes a view into a larger buffer for what it shows", async () => {
    const { toBase64 } = await load(without);
    expect(toBase64(new Uint8Array([9, 1, 2, 3, 9]).subarray(1, 4))).toBe("AQID");
  });

  test("takes a megabyte without running out of stack", async () => {
    const { toBase64, fromBase64 } = await load(without);
    expect(fromBase64(toBase64(new Uint8Array(1 << 20))).length).toBe(1 << 20);
  });

  test("refuses what is not base64", async () => {
    const { fromBase64 } = await load(without);
    for (const text of ["A", "A===", "AA=", "AAA==", "AAAA=", "=", "====", "AB==", "AAB=", "A A=", "AA\n==", "+-==", "ä===", "AAAA\u0000"]) {
      expect(() => fromBase64(text), JSON.stringify(text)).toThrow(/base64/);
    }
  });
});
