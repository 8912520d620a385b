/**
 * Makes `inbox/`: the paperwork of a bookbindery that does not exist, as scans, PDFs, notes and a table, and three files
 * that no reader can do anything with.
 *
 *     (cd samples/intake/inbox-maker && npm install) && node --conditions=millrace-source samples/intake/make-inbox.ts
 *
 * The same files every time, from the texts in `inbox-maker/paperwork.ts`. The drawing needs two packages that are installed
 * in `inbox-maker/` alone; the files are in the repository, so nobody but their author runs this. Texts and files are CC0.
 *
 * @module
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodePng } from "../../src/adapters/pdf/png.ts";
import { drawForm, drawLines } from "./inbox-maker/draw.ts";
import { deliveryNote, form, handbook, invoice, letter, notes, orders, policy } from "./inbox-maker/paperwork.ts";
import { scannedPdf, textPdf } from "./inbox-maker/pdf.ts";

const inbox = join(import.meta.dirname, "inbox");
const put = (name: string, content: Uint8Array | string): Promise<void> => writeFile(join(inbox, name), content);

await rm(inbox, { recursive: true, force: true });
await mkdir(join(inbox, "notes"), { recursive: true });

const drawn = drawLines(invoice);
const invoicePng = await encodePng({ ...drawn, channels: 1, data: drawn.grey });
await put("invoice-castor-2091.png", invoicePng);
const filled = drawForm("COMMISSION FORM", form);
await put("commission-form.png", await encodePng({ ...filled, channels: 1, data: filled.grey }));
await put("letter-landlord.jpg", await drawLines(letter).jpeg(55));
await put("delivery-note-scan.jpg", await drawLines(deliveryNote, { tilt: 1.6, noise: 26 }).jpeg(40));

await put("staff-handbook.pdf", textPdf(handbook));
await put("insurance-policy.pdf", await scannedPdf(policy.map((page, i) => drawLines(page, i === 0 ? { tilt: -0.4, noise: 5 } : {}))));

for (const [name, note] of Object.entries(notes)) await put(join("notes", name), note);
await put("orders-2026.csv", orders);

await put("empty.txt", "");
// the header of a PNG, and then what a torn transfer leaves
await put("broken.png", invoicePng.slice(0, 2_000).fill(0x2e, 400));
await put("plan.cadx", Uint8Array.from({ length: 512 }, (_, i) => (i * 73 + 19) % 256));
