/**
 * Images that the service makes while it answers: whole ones, and what there is of them until then.
 *
 * Source: developers.openai.com/api/docs/guides/tools-image-generation
 *
 * @module
 */
import { fromBase64 } from "../../core/base64.ts";
import { bytes } from "../../core/constructors.ts";
import { MillraceError } from "../../core/errors.ts";
import type { BytesPart } from "../../core/part.ts";
import { compact, type Shape, wordsOf } from "../json-shape.ts";
import { itemMetadata } from "./returned.ts";

/** What an image comes as where the service does not say. */
const usualFormat = "png";

/** The image of an item that is done; undefined where it came to nothing. `about` is the item, checked. */
export function wholeImage(service: string, about: Shape, stored: boolean): BytesPart | undefined {
  const { result, ...item } = about;
  const content = wordsOf(result);
  if (content === undefined) return undefined;
  return bytes(contentOf(service, content), typeOf(service, about), { role: "assistant", metadata: itemMetadata(service, item, stored ? { stored } : {}) });
}

/** What there is of an image so far, on substream `partial`. */
export function partialImage(service: string, event: Shape): BytesPart {
  const partialImage = compact<object>({ id: wordsOf(event.item_id), index: event.partial_image_index } as object);
  const options = { role: "assistant", substream: "partial", metadata: { openai: { partialImage } } } as const;
  return bytes(contentOf(service, event.partial_image_b64), typeOf(service, event), options);
}

function typeOf(service: string, { output_format }: Shape): string {
  const format = wordsOf(output_format) ?? usualFormat;
  if (!/^[a-z0-9]{1,20}$/.test(format)) throw new MillraceError("bad_response", `${service}: an image whose format is none`, { service });
  return format === "svg" ? "image/svg+xml" : `image/${format}`;
}

function contentOf(service: string, content: unknown): Uint8Array {
  try {
    return fromBase64(typeof content === "string" ? content : "?");
  } catch {
    throw new MillraceError("bad_response", `${service}: an image whose content is no base64`, { service });
  }
}
