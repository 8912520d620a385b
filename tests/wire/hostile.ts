/**
 * What may be thrown at a table of errors and is no error of any service.
 *
 * @module
 */

/** An object whose every field throws. */
function trap(): object {
  return new Proxy(new Error("x"), {
    get() {
      throw new Error("a trap");
    },
  });
}

/** Each by a name, for a table of tests. */
export const hostile: readonly (readonly [what: string, value: unknown])[] = [
  ["null", null],
  ["undefined", undefined],
  ["a text", "UNAVAILABLE"],
  ["a number", 14],
  ["a function", () => 14],
  ["a symbol", Symbol("code")],
  ["an empty object", {}],
  ["an object without a prototype", Object.create(null)],
  ["an array", [14]],
  ["fields that throw", trap()],
  ["fields of the wrong kind", { code: {}, name: 5, message: null, details: [], errors: 7, cause: "x", reason: {}, apiId: 1, replies: "x", fields: [], $metadata: "x" }],
  ["names that every object has", { code: "constructor", name: "__proto__", message: "toString", reason: "hasOwnProperty", apiId: undefined, errors: [{ reason: "constructor" }] }],
  ["numbers that are none", { code: Number.NaN, $metadata: { httpStatusCode: Infinity }, status: 4.5 }],
  ["a bug", new TypeError("x is not a function")],
  ["an abort", new DOMException("This operation was aborted", "AbortError")],
];
