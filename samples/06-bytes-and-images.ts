// Parts are multimodal. A stage names what it takes with `match`; everything else passes by, in its place, as the same object.
//
// prints: text: a picture follows
// prints: image/png, 8 bytes, 1 by 1
// prints: json: {"ok":true}
import { bytes, derive, each, image, isImage, json, run, text } from "millrace";

const header = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

const measure = each((part) => derive(part, { metadata: { ...part.metadata, size: { width: 1, height: 1 } } }), { match: isImage });

for await (const part of run(measure, [text("a picture follows"), image(header), json({ ok: true }), bytes(header, "application/pdf")])) {
  if (part.kind === "text") console.log("text:", part.text);
  else if (part.kind === "json") console.log("json:", JSON.stringify(part.value));
  else if (part.kind === "bytes" && isImage(part)) {
    const { width, height } = part.metadata.size as { width: number; height: number };
    console.log(`${part.mimeType}, ${part.bytes.length} bytes, ${width} by ${height}`);
  }
}
