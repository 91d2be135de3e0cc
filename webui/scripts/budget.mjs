// How much comes over the wire before the overview is there: a build that takes more than its budget fails.
import { readFileSync, rmSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const BUDGET = 250_000; // bytes, as gzip has them
const folder = new URL('../../infra/webui/', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', folder), 'utf8'));

const files = new Set(['index.html', 'scheme.js']);
const take = (name) => {
  const chunk = manifest[name];
  if (files.has(chunk.file)) return;
  files.add(chunk.file);
  for (const style of chunk.css ?? []) files.add(style);
  for (const other of chunk.imports ?? []) take(other);
};
take('index.html');
take('src/features/overview/OverviewPage.tsx');

let total = 0;
for (const file of files) total += gzipSync(readFileSync(new URL(file, folder)), { level: 9 }).length;
// It names the sources, of which the one who serves it has no use.
rmSync(new URL('.vite/', folder), { recursive: true });
const told = `First load: ${(total / 1000).toFixed(1)} kB gzip of ${BUDGET / 1000}`;
if (total > BUDGET) {
  process.stderr.write(`${told}. Load what is not needed at once with import(), or raise the budget with a reason.\n`);
  process.exit(1);
}
process.stdout.write(`${told}\n`);
