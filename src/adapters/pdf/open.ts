/**
 * PDF.js, opened on one document: the calls used of it, and what its errors mean.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";

/** A page. */
export interface PdfPage {
  getTextContent(): Promise<{ readonly items: readonly { readonly str?: string; readonly hasEOL?: boolean }[] }>;
  getOperatorList(): Promise<{ readonly fnArray: readonly number[]; readonly argsArray: readonly unknown[] }>;
  readonly objs: PdfObjects;
  readonly commonObjs: PdfObjects;
  cleanup(): unknown;
}

/** Images of a page by their ids; the call back comes when the image is decoded, with nothing if it cannot be. */
export interface PdfObjects {
  get(id: string, then: (value: unknown) => void): unknown;
}

/** A document. */
export interface PdfDocument {
  readonly numPages: number;
  getPage(number: number): Promise<PdfPage>;
  readonly loadingTask: { destroy(): Promise<void> };
}

/** Numbers of the operators that draw images. */
export interface PdfOperators {
  readonly paintImageXObject: number;
  readonly paintInlineImageXObject: number;
  readonly paintImageMaskXObject: number;
}

/** The module. */
export interface PdfModule {
  getDocumentProxy(data: Uint8Array, options: object): Promise<PdfDocument>;
  getResolvedPDFJS(): Promise<{ readonly OPS: PdfOperators }>;
}

const service = "pdf";

/** Loads `unpdf`. */
export async function loadModule(): Promise<PdfModule> {
  try {
    const { getDocumentProxy, getResolvedPDFJS } = await import("unpdf");
    return {
      getDocumentProxy: async (data, options) => toDocument(await getDocumentProxy(data, options)),
      getResolvedPDFJS,
    };
  } catch (cause) {
    throw new MillraceError("missing_config", `${service}: the package is not installed: npm install unpdf`, { service, cause });
  }
}

/** Loosens the types alone: PDF.js overloads its items and its look-up of objects. */
function toDocument(document: { readonly numPages: number; getPage(number: number): Promise<unknown>; readonly loadingTask: { destroy(): Promise<void> } }): PdfDocument {
  return document as PdfDocument;
}

/** Opens a document on a copy of the bytes: PDF.js takes what it is given away from everybody else, and refuses a Buffer. */
export async function openDocument(module: PdfModule, bytes: Uint8Array, options: { readonly maxPixels: number; readonly strict: boolean }): Promise<PdfDocument> {
  const settings = { verbosity: 0, maxImageSize: options.maxPixels, stopAtErrors: options.strict };
  try {
    return await module.getDocumentProxy(new Uint8Array(bytes), settings);
  } catch (cause) {
    const name = cause instanceof Error ? cause.name : "";
    const why = name === "PasswordException" ? "it is encrypted, and needs a password" : cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError("invalid_input", `${service}: cannot read ${bytes.length} bytes as a PDF: ${why}`, { service, cause });
  }
}
