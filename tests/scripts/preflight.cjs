// Runs before start and test, also on a Node that is too old for everything else: hence plain CommonJS of ten years ago.
"use strict";

var fs = require("fs");
var path = require("path");

var root = path.join(__dirname, "..", "..");
var needed = [22, 18];
var version = process.versions.node.split(".").map(Number);
var tooOld = version[0] < needed[0] || (version[0] === needed[0] && version[1] < needed[1]);

function fail(lines) {
  console.error(["", "millrace cannot start here:"].concat(lines, [""]).join("\n  "));
  process.exit(1);
}

if (!fs.existsSync(path.join(root, "node_modules"))) {
  fail(["nothing is installed yet. Run: npm ci"]);
}
if (!fs.existsSync(path.join(root, "node_modules", "node", "bin", "node"))) {
  if (!tooOld) process.exit(0); // this Node will do
  fail([
    "this is Node " + process.versions.node + ", and " + needed.join(".") + " or later is needed.",
    "The project brings its own as a dependency, but its install script did not run.",
    "Run: npm rebuild node      (or: npm ci --ignore-scripts=false)",
  ]);
}
if (tooOld) {
  fail([
    "this is Node " + process.versions.node + ", and " + needed.join(".") + " or later is needed.",
    "The project's own Node is installed. Start through npm, which finds it: npm start, npm test",
  ]);
}
