/**
 * What the inbox says: the paperwork of a bookbindery that does not exist.
 *
 * Every name, number and address is made up. Pages are lists of lines; how they look is left to `draw.ts` and `pdf.ts`.
 *
 * @module
 */

/** A line of a drawn page. */
export interface Line {
  readonly text: string;
  /** @default "body" */
  readonly style?: "title" | "heading" | "body" | "small" | "hand";
  /** Pixels from the left edge. @default 130 */
  readonly x?: number;
  /** Stays on the line before it, as the columns of a table do. */
  readonly sameLine?: boolean;
  /** Pixels of space above. @default 0 */
  readonly above?: number;
}

const gap = 26;

/** The rows of a table, with the columns at these places. */
function rows(places: readonly number[], table: readonly (readonly string[])[]): Line[] {
  return table.flatMap((cells) => cells.map((text, i) => ({ text, x: places[i] ?? 0, sameLine: i > 0, above: i > 0 ? 0 : 8 })));
}

/** A paragraph, one line of the page after the other. */
function lines(...texts: readonly string[]): Line[] {
  return texts.map((text, i) => ({ text, above: i === 0 ? gap : 0 }));
}

export const invoice: readonly Line[] = [
  { text: "CASTOR PAPER MILL", style: "title" },
  { text: "Weir Lane 3, Old Castor", style: "small" },
  { text: "INVOICE No. 2091", style: "heading", above: 60 },
  ...lines("Date: 14 March 2026", "Customer number: 5517"),
  ...lines("Bill to: Tern & Thistle Bindery", "14 Quay Street, Marlow Bay"),
  { text: "", above: 30 },
  ...rows([130, 600, 800, 1000], [
    ["Description", "Quantity", "Unit price", "Amount"],
    ["Cotton paper 120 g, ream", "40", "18.50", "740.00"],
    ["Book linen dark blue, roll", "6", "42.00", "252.00"],
    ["Binder's board 2 mm, sheet", "150", "1.20", "180.00"],
    ["Delivery by van", "1", "35.00", "35.00"],
  ]),
  { text: "", above: 20 },
  ...rows([600, 1000], [["Subtotal", "1,207.00"], ["VAT 20 %", "241.40"], ["Total due", "1,448.40"]]),
  ...lines("Payment is due by 13 April 2026."),
  ...lines("Please pay to Harbour Bank, account 4471-0092.", "Late payment is charged at 1.5 % a month."),
];

export const letter: readonly Line[] = [
  { text: "Odile Brandt", style: "heading" },
  { text: "Property Office, 2 Chandler Row, Marlow Bay", style: "small" },
  { text: "20 April 2026", above: 60, x: 860 },
  ...lines("Tern & Thistle Bindery", "Ms Maren Holt", "14 Quay Street, Marlow Bay"),
  { text: "Your workshop at 14 Quay Street", style: "heading", above: 50 },
  ...lines("Dear Ms Holt,"),
  ...lines(
    "I am writing about two matters. The first is the rent. From",
    "1 September 2026 the monthly rent will rise from 1,450 to 1,520.",
    "The service charge stays at 160 a month.",
  ),
  ...lines(
    "The second is the roof. The roofers, Pell and Sons, will replace",
    "the slates above the drying room in the week of 8 June 2026.",
    "Scaffolding will stand in the yard for about ten days. Please",
    "move the paper stock away from the north wall before then.",
  ),
  ...lines("The spare key to the yard gate is kept by Mr Dunmore at", "number 16."),
  ...lines("Yours sincerely,"),
  { text: "Odile Brandt", style: "hand", above: 30 },
];

export const form: readonly (readonly [label: string, entry: string])[] = [
  ["Commission number", "C-318"],
  ["Date received", "3 March 2026"],
  ["Customer", "Eastwold Municipal Library"],
  ["Contact person", "Ivo Salter"],
  ["Telephone", "555 0148"],
  ["Item", "Rebinding of 24 atlases"],
  ["Cover material", "Green goatskin"],
  ["Lettering", "Gold, on the spine"],
  ["Deadline", "30 May 2026"],
  ["Agreed price", "3,120.00"],
  ["Deposit paid", "600.00"],
  ["Special instructions", "Do not trim the edges"],
];

export const deliveryNote: readonly Line[] = [
  { text: "FERRIS TOOLS", style: "title" },
  { text: "9 Foundry Road, Kelby", style: "small" },
  { text: "Delivery note No. 60417", style: "heading", above: 50 },
  ...lines("Date: 2 February 2026"),
  ...lines("Delivered to: Tern & Thistle Bindery, 14 Quay Street"),
  ...lines("1 nipping press, model FT-310", "The serial number of the press is 88213.", "It weighs 74 kg."),
  ...lines("2 sets of brass type, 18 point"),
  ...lines("1 bottle of press oil, 500 ml"),
  ...lines("The press must be bolted to the floor before it is first used.", "The warranty on the press runs for 36 months from delivery."),
  ...lines("Delivered by: N. Okafor", "Received by: T. Reyes"),
];

export const policy: readonly (readonly Line[])[] = [
  [
    { text: "ANCHOR MUTUAL", style: "title" },
    { text: "Certificate of insurance", style: "heading", above: 40 },
    ...lines("Policy number: AM-77-20418"),
    ...lines("Insured: Tern & Thistle Bindery, 14 Quay Street, Marlow Bay"),
    ...lines("Insured period: 1 January 2026 to 31 December 2026"),
    ...lines(
      "Machines, tools and stock are insured up to 180,000.",
      "Damage by water from pipes is insured up to 60,000.",
      "The insured pays the first 500 of every claim.",
    ),
    ...lines("The yearly premium is 1,236, payable on 15 January."),
  ],
  [
    { text: "How to make a claim", style: "heading" },
    ...lines("Damage must be reported to Anchor Mutual within 14 days.", "Telephone for claims: 555 0199, day and night."),
    ...lines("Theft must also be reported to the police within 48 hours."),
    ...lines("Books that belong to customers are insured up to 2,500 a volume,", "and only while they are in the workshop."),
    ...lines("Not insured are damage by moths and damage by floods."),
  ],
];

/** Pages of the text PDF: a heading and paragraphs. */
export const handbook: readonly (readonly [heading: string, ...paragraphs: string[]])[] = [
  [
    "Staff handbook: working time",
    "The workshop is open from Monday to Friday. It opens at 8:00 and closes at 17:00, but on Fridays it closes at 15:00.",
    "A full working week has 38 hours. The lunch break is 45 minutes long and is not paid.",
    "Overtime is made up by time off within three months. It is agreed with Maren Holt beforehand.",
    "Whoever opens the workshop in the morning switches on the ventilation of the drying room first.",
  ],
  [
    "Staff handbook: holidays and illness",
    "Every employee has 27 days of paid holiday a year. Requests go to Jonah Adeyemi six weeks ahead.",
    "The workshop is closed from 24 December to 2 January. These days do not count as holiday.",
    "Whoever is ill calls the office before 8:30. A doctor's note is needed from the third day on.",
    "Apprentices have five more days a year to prepare for their examination.",
  ],
  [
    "Staff handbook: safety and expenses",
    "The guillotine may be used by trained persons only, and two of them must be in the room.",
    "Hearing protection is worn at the board cutter. The first-aid box hangs beside the door of the drying room.",
    "In case of fire everybody meets at the harbour crane.",
    "Expenses of up to 75 need no approval. Receipts are handed in within 30 days.",
  ],
];

/** Notes by file name. */
export const notes: Readonly<Record<string, string>> = {
  "2026-01-12-team-meeting.md": `# Team meeting, 12 January 2026

Present: Maren Holt, Tomas Reyes, Priya Lindqvist, Jonah Adeyemi.

## Decisions

- The new order system goes live on 2 March. Jonah moves the old orders over.
- The open day is on Saturday, 17 October. Its budget is 400.
- We do not open on Saturdays: three tries brought four customers in all.
- Priya takes on the training of our apprentice, Lena Voss, from 1 August.

## To do

- Tomas looks for a used sewing frame for the classes.
- Maren asks the landlord about the damp north wall.
`,
  "glue-recipes.md": `# Glues

## Wheat paste

Mix one part of flour with five parts of cold water and cook it for 20 minutes, stirring all the time.
It keeps four days in the fridge. Throw it away as soon as it smells sour.

## Hide glue

Soak the pearls overnight. Warm the glue to 60 degrees and never above 65, or it loses its strength.

## Mixture for spines

Two parts of PVA and one part of methyl cellulose. It stays open for about eight minutes, long enough for a wide spine.
`,
  "suppliers.md": `# Suppliers

## Leather

Aldous Tannery. Our contact is Freya Munk. The lead time is five weeks, seven before Christmas.
Ask for skins from the middle of the batch: the outer ones are thin.

## Thread

Corwen Thread Works. Linen thread 18/3 and 25/3, waxed. They deliver on Wednesdays.

## Gold leaf

Belloni in Parma. The smallest order is ten booklets of 25 leaves each. We pay in advance.

## Paper

Castor Paper Mill, customer number 5517. Discount of 4 % above 2,000 a year.
`,
  "weekend-classes.md": `# Weekend classes

The first class is on 9 May: Coptic stitch for beginners. It is taught by Tomas.

A class has eight places at most. The fee is 145 a person, materials included, lunch not.
Whoever cancels less than ten days before the class pays half the fee.

Second class, 13 June: boxes and slipcases, taught by Priya. Third class, 5 September: marbling.
`,
  "website-move.md": `# Moving the website

We leave the host Brightnode, because the shop was down for eleven hours in February.
The new host is Fennel Hosting. The move is on 4 May, in the evening.

- The contract with Brightnode ends on 30 June; notice was given on 2 March.
- Jonah keeps the passwords. The backup runs every night at 3:15.
- The address stays ternandthistle.example.
`,
};

export const orders = `order,date,customer,item,quantity,unit_price,status,due
1001,2026-01-08,Saint Olave Choir,hymn books in blue cloth,60,14.50,delivered,2026-02-20
1002,2026-01-15,Dr Amara Whitlock,thesis in black buckram,3,48.00,delivered,2026-01-29
1003,2026-01-22,Kelby Historical Society,repair of parish registers,5,210.00,in work,2026-05-15
1004,2026-02-03,Hotel Meridian,guest books in red leather,12,96.00,delivered,2026-03-06
1005,2026-02-11,Bay Nautical School,log books with canvas cover,80,11.20,in work,2026-04-24
1006,2026-02-19,Rosalind Peake,photo album in green silk,1,135.00,delivered,2026-03-20
1007,2026-03-03,Eastwold Municipal Library,rebinding of atlases,24,130.00,in work,2026-05-30
1008,2026-03-10,Tobias Grell,family bible new spine,1,180.00,waiting for leather,2026-06-12
1009,2026-03-17,Lantern Theatre,prompt books in grey cloth,9,22.00,in work,2026-04-30
1010,2026-03-25,Marlow Bay Council,minute books in calf,4,164.00,accepted,2026-07-03
1011,2026-04-02,Oakfield Press,slipcases for special edition,150,9.80,accepted,2026-06-26
1012,2026-04-09,Saint Olave Choir,music folders in black cloth,45,12.00,accepted,2026-06-05
`;
