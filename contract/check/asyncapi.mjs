// Validates ../asyncapi.json with AsyncAPI's own parser; fails on errors and warnings alike.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const source = readFileSync(new URL("../asyncapi.json", import.meta.url), "utf8");
const { document, diagnostics } = await new Parser().parse(source);
for (const { severity, path, message } of diagnostics.filter(({ severity }) => severity <= 1)) {
  console.error(`asyncapi.json: ${severity === 0 ? "error" : "warning"} at ${path.join(".")}: ${message}`);
}
if (document === undefined || diagnostics.some(({ severity }) => severity <= 1)) process.exit(1);
console.log(`asyncapi.json: ${document.channels().all().length} channels, ${document.operations().all().length} operations, valid`);
